"""What a user says may be said: on the command line itself, or in a file that it names."""

from __future__ import annotations

import os
from pathlib import Path

from asr.errors import AsrError
from asr.grammar import read_grammar
from asr.hotwords import parse_hotwords, read_hotwords, read_hotwords_file
from asr.text import read_lines


def hotwords_from(value: str) -> dict[str, float]:
    """A list of hotwords, or a file of them. Raises `AsrError`."""
    return read_hotwords_file(Path(value)) if _is_file(value) else parse_hotwords(value)


def grammar_from(value: str) -> tuple[str, ...]:
    """Phrases with | between them, or a file with one a line. Raises `AsrError`."""
    return read_grammar(read_lines(Path(value)) if _is_file(value) else value)


def words_from(path: Path) -> list[str]:
    """A file of words that the lexicon may lack, one a line; # begins a remark. Raises `AsrError`."""
    lines = [line.strip() for line in read_lines(path)]
    words = [line for line in lines if line and not line.startswith("#")]
    try:
        read_hotwords(dict.fromkeys(words, 0.0), "word")
    except AsrError as error:
        raise AsrError(f"{path}: {error}") from error
    return words


def _is_file(value: str) -> bool:
    path = Path(value)
    if path.is_file():
        return True
    if os.sep in value or path.suffix == ".txt":
        raise AsrError(f"There is no file {value}.")
    return False
