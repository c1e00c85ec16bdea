"""What a user says may be said: on the command line itself, or in a file that it names."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import click

from asr.errors import AsrError
from asr.grammar import read_grammar
from asr.hotwords import parse_hotwords, read_hotwords, read_hotwords_file
from asr.lexicon import read_words
from asr.text import read_lines

_FILE_NAME = re.compile(r".*\.txt|(~|\.{0,2})/.*|.*[/\\].*\.[a-z]\w*", re.IGNORECASE)


def hotwords_from(given: str | None, file: Path | None = None) -> dict[str, float] | None:
    """The hotwords of a list, or of a file that is named in its place, and of another file. Raises `AsrError`."""
    if given is None and file is None:
        return None
    hotwords = {} if file is None else read_hotwords_file(file)
    if given is not None:
        hotwords |= read_hotwords_file(Path(given)) if _is_file(given, ",") else parse_hotwords(given)
    return hotwords


def grammar_from(value: str) -> tuple[str, ...]:
    """Phrases with | between them, or a file with one a line; # begins a remark. Raises `AsrError`."""
    return read_grammar(_entries(Path(value)) if _is_file(value, "|") else value)


def words_from(path: Path) -> list[str]:
    """A file of words that the lexicon may lack, one a line; # begins a remark. Raises `AsrError`."""
    words = _entries(path)
    try:
        read_hotwords(dict.fromkeys(words, 0.0), "word")
    except AsrError as error:
        raise AsrError(f"{path}: {error}") from error
    return words


def vocabulary_from(path: Path) -> list[str]:
    """A file of words, one a line, as a vocabulary: normalized. Says what is left out. Raises `AsrError`."""
    words, several = read_words(path)
    if several:
        click.echo(
            f"{path}: lines with several words are left out, {len(several):,} of them, for example {several[0]!r}: "
            "write one word a line.",
            err=True,
        )
    if not words:
        raise AsrError(f"{path} holds no words: write one a line.")
    return words


def _entries(path: Path) -> list[str]:
    lines = [line.strip() for line in read_lines(path)]
    return [line for line in lines if line and not line.startswith("#")]


def _is_file(value: str, between: str) -> bool:
    """Whether a value is a file's name and no list with `between` its items. Raises `AsrError` where it looks like the
    name of a file that is not there."""
    with suppress(OSError):  # too long for a name
        if Path(value).is_file():
            return True
    if _FILE_NAME.fullmatch(value) and between not in value:
        raise AsrError(f"There is no file {value}.")
    return False
