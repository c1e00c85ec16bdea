"""Manifests: a corpus as a JSONL file, one utterance a line.

A line holds `audio` (a path), `text` (as the corpus has it), `duration` (seconds), `speaker` (null where unknown),
`corpus` and `part`; whatever else it holds travels along as `extra`. Relative paths start at the data root: the folder
above the manifest if that is called `manifests`, as in

    data/manifests/train.jsonl
    data/audio/...

and the manifest's own folder otherwise.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from asr.errors import AsrError

_FIELDS = ("audio", "text", "duration", "speaker", "corpus", "part")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recorded utterance and what was said in it."""

    audio: Path  # absolute
    text: str  # as the corpus has it; `asr.text.normalize` makes it spoken words
    duration: float  # seconds
    speaker: str | None = None
    corpus: str = ""
    part: str = ""  # the corpus's own name for the split
    extra: Mapping[str, object] = field(default_factory=dict)


def data_root(path: Path) -> Path:
    """The folder where the relative audio paths of the manifest at `path` start."""
    folder = path.absolute().parent
    return folder.parent if folder.name == "manifests" else folder


def read_manifest(path: str | Path, root: Path | None = None) -> list[Utterance]:
    """The utterances of a manifest in the order of its lines; `root` overrides where relative audio paths start.

    Raises `AsrError` with the file's name and the line's number for a file or a line that cannot be read. Whether the
    audio exists is not looked at (`asr data check` does).
    """
    path = Path(path)
    base = data_root(path) if root is None else root.absolute()
    utterances: list[Utterance] = []
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        utterances.append(_parse(line, base))
                    except ValueError as error:
                        raise AsrError(
                            f"{path}, line {number}: {error}; a line is a JSON object with audio, text and duration"
                        ) from None
    except FileNotFoundError:
        raise AsrError(f"{path}: there is no such manifest; `asr data prepare` writes one") from None
    except UnicodeDecodeError as error:
        raise AsrError(f"{path}: not UTF-8 text ({error.reason}); is this a manifest?") from None
    except OSError as error:
        raise AsrError(f"{path}: cannot be read: {error.strerror}") from None
    return utterances


def write_manifest(path: str | Path, utterances: Iterable[Utterance], root: Path | None = None) -> None:
    """Write `utterances` to `path`, whole or not at all.

    Audio below `root` (by default where `read_manifest` starts for this path) is written relative to it, so that the
    folder can move; other audio by its absolute path.
    """
    path = Path(path)
    base = data_root(path) if root is None else root.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            for utterance in utterances:
                file.write(json.dumps(_fields(utterance, base), ensure_ascii=False) + "\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _parse(line: str, base: Path) -> Utterance:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg})") from None
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    audio, text, duration = fields.get("audio"), fields.get("text"), fields.get("duration")
    if not isinstance(audio, str) or not audio:
        raise ValueError('"audio" is missing')
    if not isinstance(text, str):
        raise ValueError('"text" is missing')
    if not isinstance(duration, int | float) or isinstance(duration, bool):
        raise ValueError('"duration" is missing')
    if not (math.isfinite(duration) and duration >= 0):
        raise ValueError(f'"duration" is {duration}, not a number of seconds')
    speaker = fields.get("speaker")
    return Utterance(
        audio=base / audio,  # an absolute path stays as it is
        text=text,
        duration=float(duration),
        speaker=None if speaker is None else str(speaker),
        corpus=str(fields.get("corpus") or ""),
        part=str(fields.get("part") or ""),
        extra={key: value for key, value in fields.items() if key not in _FIELDS},
    )


def _fields(utterance: Utterance, base: Path) -> dict[str, object]:
    audio = utterance.audio.absolute()
    return {
        "audio": audio.relative_to(base).as_posix() if audio.is_relative_to(base) else audio.as_posix(),
        "text": utterance.text,
        "duration": utterance.duration,
        "speaker": utterance.speaker,
        "corpus": utterance.corpus,
        "part": utterance.part,
        **utterance.extra,
    }
