"""What an evaluation found, utterance by utterance; as a JSON file, so that results can be compared later."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from asr.errors import AsrError
from asr.evaluate.scores import Score

FORMAT = "asr evaluation 1"
_BEGINNING = re.compile(rb'^\s*\{[^{]*"format"\s*:\s*"asr evaluation')
_BEGINNING_BYTES = 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """How the utterances were recognized."""

    reading: str = "second"  # whose text counts: "first" or "second"
    decoding: str | None = None  # "greedy" or "beam"; None: what the model does by itself
    head: str | None = None  # "spelling" or "phones"; None: what the model does by itself
    step_seconds: float = 1.0
    jobs: int = 1  # utterances at once
    stream_minutes: float | None = None  # length of the streams that utterances are also joined to
    seed: int = 1  # of the order in the streams
    grammar: tuple[str, ...] | None = None  # all that may be heard; None: anything


@dataclass(frozen=True, slots=True)
class UtteranceResult:
    """One utterance: normalized texts and their scores."""

    id: str  # path of the audio below the data root: the same wherever the data lies
    audio: str
    speaker: str | None
    corpus: str
    part: str
    duration: float  # seconds
    reference: str
    hypothesis: str
    words: Score
    characters: Score
    phones: dict[str, Score] = field(default_factory=dict)  # by reading; empty where it was not measured


@dataclass(frozen=True, slots=True)
class StreamUtterance:
    """An utterance as part of a long stream."""

    id: str
    position: float  # where it begins, as a share of the stream
    words: Score
    alone: Score  # of what was heard of it by itself, in the same alignment


@dataclass(frozen=True, slots=True)
class StreamResult:
    """Utterances joined to one long stream."""

    duration: float  # seconds
    utterances: list[StreamUtterance]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was found."""

    model: str
    manifest: str
    settings: Settings
    utterances: list[UtteranceResult]
    left_out: list[str]  # why, for each utterance that is not scored
    cpu_seconds: float  # for recognizing the utterances, reading their files included
    streams: list[StreamResult] = field(default_factory=list)

    @property
    def audio_seconds(self) -> float:
        return sum(utterance.duration for utterance in self.utterances)

    @property
    def real_time_factor(self) -> float:
        """CPU seconds for a second of sound; NaN without any."""
        return self.cpu_seconds / self.audio_seconds if self.audio_seconds else math.nan


def groups(utterances: Sequence[UtteranceResult]) -> dict[str, list[UtteranceResult]]:
    """The utterances of each part of each corpus, of each corpus, and all; those that say nothing new left out."""
    corpora: dict[str, dict[str, list[UtteranceResult]]] = defaultdict(lambda: defaultdict(list))
    for utterance in utterances:
        corpora[utterance.corpus or "-"][utterance.part].append(utterance)
    found: dict[str, list[UtteranceResult]] = {}
    for corpus in sorted(corpora):
        parts = corpora[corpus]
        for part in sorted(parts):
            found[f"{corpus} {part}".strip()] = parts[part]
        if len(parts) > 1:
            found[corpus] = [utterance for part in sorted(parts) for utterance in parts[part]]
    if len(corpora) != 1:
        found["all"] = list(utterances)
    return found


def word_score(utterances: Sequence[UtteranceResult]) -> Score:
    return Score.sum(utterance.words for utterance in utterances)


def character_score(utterances: Sequence[UtteranceResult]) -> Score:
    return Score.sum(utterance.characters for utterance in utterances)


def phone_score(utterances: Sequence[UtteranceResult], reading: str) -> Score | None:
    """None where the reading's phones were not measured."""
    scores = [utterance.phones[reading] for utterance in utterances if reading in utterance.phones]
    return Score.sum(scores) if scores else None


def stream_quotients(evaluation: Evaluation) -> dict[str, float]:
    """Errors in the streams over errors of the same utterances alone: of all, and of the first and last thirds.

    `last over first` is the quotient of the last thirds over that of the first: 1 where nothing wears off.
    """
    members = [utterance for stream in evaluation.streams for utterance in stream.utterances]

    def quotient(chosen: list[StreamUtterance]) -> float:
        alone = sum(utterance.alone.errors for utterance in chosen)
        return sum(utterance.words.errors for utterance in chosen) / alone if alone else float("nan")

    first = quotient([utterance for utterance in members if utterance.position < 1 / 3])
    last = quotient([utterance for utterance in members if utterance.position >= 2 / 3])
    over = last / first if first else float("nan")
    return {"all": quotient(members), "first third": first, "last third": last, "last over first": over}


def save_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write an evaluation as JSON, with a summary of each group for other programs to read."""

    def summary(score: Score) -> dict[str, float | int | None]:
        return {"rate": score.rate if score.length else None, "length": score.length, **asdict(score)}

    summaries = {}
    for name, members in groups(evaluation.utterances).items():
        phones = {reading: phone_score(members, reading) for reading in ("first", "second")}
        summaries[name] = {
            "utterances": len(members),
            "words": summary(word_score(members)),
            "characters": summary(character_score(members)),
            "phones": {reading: summary(score) for reading, score in phones.items() if score is not None},
        }
    content = {
        "format": FORMAT,
        "summary": summaries,
        "real_time_factor": evaluation.real_time_factor if evaluation.audio_seconds else None,
        "stream_quotients": {
            name: quotient if math.isfinite(quotient) else None
            for name, quotient in stream_quotients(evaluation).items()
        }
        if evaluation.streams
        else None,
        **asdict(evaluation),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def is_evaluation(path: Path) -> bool:
    """Whether a file begins like what `save_evaluation` writes, in this format or another; False if unreadable."""
    try:
        with path.open("rb") as file:
            return _BEGINNING.search(file.read(_BEGINNING_BYTES)) is not None
    except OSError:
        return False


def load_evaluation(path: Path) -> Evaluation:
    """Read what `save_evaluation` wrote. Raises `AsrError` for another file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            raise ValueError("another format")
        return Evaluation(
            content["model"],
            content["manifest"],
            _settings(content["settings"]),
            [_utterance(fields) for fields in content["utterances"]],
            content["left_out"],
            content["cpu_seconds"],
            [_stream(fields) for fields in content["streams"]],
        )
    except OSError as error:
        raise AsrError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AsrError(f"{path}: is not a result of `asr evaluate --json`; make one first") from None


def _settings(fields: dict[str, Any]) -> Settings:
    settings = Settings(**fields)
    return settings if settings.grammar is None else replace(settings, grammar=tuple(settings.grammar))


def _utterance(fields: dict[str, Any]) -> UtteranceResult:
    phones = {reading: Score(**score) for reading, score in fields["phones"].items()}
    words, characters = Score(**fields["words"]), Score(**fields["characters"])
    return UtteranceResult(**fields | {"words": words, "characters": characters, "phones": phones})


def _stream(fields: dict[str, Any]) -> StreamResult:
    members = [
        StreamUtterance(part["id"], part["position"], Score(**part["words"]), Score(**part["alone"]))
        for part in fields["utterances"]
    ]
    return StreamResult(fields["duration"], members)
