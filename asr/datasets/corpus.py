"""What all corpora have in common: choosing parts, reading their small text files, measuring durations."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from asr.audio import Audio
from asr.datasets.manifest import Utterance
from asr.errors import AsrError, AudioError

Parts = dict[str, list[Utterance]]  # the utterances of each part, in a fixed order

UNMEASURED = math.nan  # a duration that `measure` still has to find


def wanted(parts: Collection[str], known: Iterable[str]) -> list[str]:
    """`parts`, or all of `known` if empty; raises `AsrError` with the nearest name for one that is not known."""
    names = list(dict.fromkeys(known))
    for part in parts:
        if part not in names:
            near = difflib.get_close_matches(part, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise AsrError(f"there is no part called {part!r}; {hint}")
    return list(parts) or names


def missing(path: Path, name: str, ways: str = "--download or --archive FILE") -> AsrError:
    """The error for a corpus that is not where it should be; `ways` are the options that put it there."""
    return AsrError(
        f"{path}: is not there; `asr data prepare {name} --root DIR` looks for the unpacked corpus below DIR, "
        f"and {ways} puts it there"
    )


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file without their ends, empty ones left out."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from (line.rstrip("\r\n") for line in file if line.strip())
    except UnicodeDecodeError:
        raise AsrError(f"{path}: is not UTF-8 text; save it as UTF-8, or download it again") from None
    except OSError as error:
        raise AsrError(f"{path}: cannot be read: {error.strerror}") from None


def keyed_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Lines `key rest`, as Kaldi and LibriSpeech write them; the rest may be empty."""
    for line in lines(path):
        key, *rest = line.split(maxsplit=1)
        yield key, rest[0].strip() if rest else ""


def read_text(path: Path) -> str:
    """A whole text file as one line."""
    return " ".join(line.strip() for line in lines(path))


def measure(
    utterances: list[Utterance], jobs: int, progress: Callable[[int, int], None] | None = None
) -> tuple[list[Utterance], list[str]]:
    """`utterances` with their durations read from the files, and a sentence for each that cannot be read."""
    measured: list[Utterance] = []
    problems: list[str] = []

    def seconds(utterance: Utterance) -> float | AudioError:
        try:
            with Audio(utterance.audio) as audio:
                return audio.seconds or sum(len(block) for block in audio.blocks()) / audio.rate
        except AudioError as error:
            return error

    with ThreadPoolExecutor(jobs) as pool:
        for utterance, result in zip(utterances, pool.map(seconds, utterances), strict=True):
            if isinstance(result, AudioError):
                problems.append(str(result))
            else:
                measured.append(replace(utterance, duration=round(result, 4)))
            if progress is not None:
                progress(len(measured) + len(problems), len(utterances))
    return measured, problems
