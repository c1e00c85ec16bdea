"""Pieces cut out of long recordings: neighbours' manifests name them by offset, ours have a file for each utterance."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asr.audio import SAMPLE_RATE, read_audio
from asr.datasets.manifest import Utterance
from asr.errors import AsrError


@dataclass(frozen=True, slots=True)
class Span:
    """Where an utterance lies in its recording, in seconds; `end` is None for the end of the recording."""

    utterance: Utterance  # its audio is the whole recording
    name: str
    start: float
    end: float | None


def cut(spans: Iterable[Span], folder: Path | None) -> list[Utterance]:
    """The utterances of `spans`, each in its own WAV file (16 kHz mono) in `folder`.

    Raises `AsrError` without a folder, and for a span that lies outside its recording.
    """
    utterances = []
    recording, samples = None, np.zeros(0, np.float32)
    for span in spans:
        if folder is None:
            raise AsrError(
                f"{span.utterance.audio}: utterances are pieces of it; say where to cut them to (--clips DIR)"
            )
        if span.utterance.audio != recording:  # in most manifests the pieces of a recording follow each other
            recording, samples = span.utterance.audio, read_audio(span.utterance.audio)
        first = round(span.start * SAMPLE_RATE)
        last = len(samples) if span.end is None else round(span.end * SAMPLE_RATE)
        if not 0 <= first < last <= len(samples) + SAMPLE_RATE // 10:
            end = "the end" if span.end is None else f"{span.end:g} s"
            raise AsrError(
                f"{recording}: utterance {span.name} from {span.start:g} s to {end} lies outside its "
                f"{len(samples) / SAMPLE_RATE:.2f} s; correct or remove its line"
            )
        clip = samples[first:last]
        path = folder.absolute() / (span.name.replace("/", "_") + ".wav")
        _write_wav(path, clip)
        utterances.append(replace(span.utterance, audio=path, duration=len(clip) / SAMPLE_RATE))
    return utterances


def _write_wav(path: Path, samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
