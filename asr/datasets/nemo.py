"""NeMo manifests: JSONL with `audio_filepath`, `text`, `duration` and perhaps `offset`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from asr.audio import Audio
from asr.datasets.clips import Span, cut
from asr.datasets.corpus import lines
from asr.datasets.manifest import Utterance
from asr.errors import AsrError

_OURS = ("speaker", "corpus", "part")
_ROUNDING_SECONDS = 0.1  # by which a duration in a manifest may be off


def is_nemo(path: Path) -> bool:
    """Whether the first line of a JSONL file is NeMo's."""
    first = next(lines(path), "")
    return '"audio_filepath"' in first


def read_nemo(path: Path, clips: Path | None = None) -> list[Utterance]:
    """The utterances of a NeMo manifest; relative paths start at its folder.

    Pieces of longer recordings (`offset`) are cut out and written to `clips`.
    """
    found: list[Utterance | Span] = []
    for number, line in enumerate(lines(path), 1):
        try:
            fields = json.loads(line)
            audio = path.absolute().parent / fields.pop("audio_filepath")
            text, duration = str(fields.pop("text")), float(fields.pop("duration"))
            offset = fields.pop("offset", None)
            start = float(offset or 0)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise AsrError(
                f"{path}, line {number}: a line is a JSON object with audio_filepath, text and duration; correct it"
            ) from None
        speaker, corpus, part = (fields.pop(name, None) for name in _OURS)
        utterance = Utterance(
            audio, text, duration, None if speaker is None else str(speaker), str(corpus or ""), str(part or ""), fields
        )
        if start or (offset is not None and _is_longer(audio, duration)):
            found.append(Span(utterance, f"{audio.stem}-{round(1000 * start):08d}", start, start + duration))
        else:
            found.append(utterance)
    pieces = iter(cut((item for item in found if isinstance(item, Span)), clips))
    return [next(pieces) if isinstance(item, Span) else item for item in found]


def _is_longer(audio: Path, duration: float) -> bool:
    with Audio(audio) as recording:
        return recording.seconds is not None and recording.seconds > duration + _ROUNDING_SECONDS


def write_nemo(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write a NeMo manifest; audio below its folder is named relative to it."""
    base = path.absolute().parent
    base.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for utterance in utterances:
            audio = utterance.audio.absolute()
            fields = {
                "audio_filepath": (audio.relative_to(base) if audio.is_relative_to(base) else audio).as_posix(),
                "text": utterance.text,
                "duration": utterance.duration,
                "speaker": utterance.speaker,
                "corpus": utterance.corpus,
                "part": utterance.part,
                **utterance.extra,
            }
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")
