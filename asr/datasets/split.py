"""A manifest in two, so that nobody is tested on who was learned from: by speakers, or by utterances."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from asr.datasets.manifest import Utterance
from asr.errors import AsrError

Two = tuple[list[Utterance], list[Utterance]]


def split_speakers(utterances: Sequence[Utterance], chosen: Collection[str]) -> Two:
    """What these speakers say, and the rest. Raises `AsrError` for a speaker who says nothing."""
    missing = set(chosen) - {utterance.speaker for utterance in utterances}
    if missing:
        raise AsrError(f"no utterance is of the speakers {', '.join(sorted(missing))}")
    return (
        [utterance for utterance in utterances if utterance.speaker in chosen],
        [utterance for utterance in utterances if utterance.speaker not in chosen],
    )


def draw_speakers(utterances: Sequence[Utterance], count: int, seed: int = 1) -> list[str]:
    """`count` of the speakers, the same on every machine and for every order of the utterances.

    Raises `AsrError` if as many or fewer are known.
    """
    known = {utterance.speaker for utterance in utterances if utterance.speaker is not None}
    if count >= len(known):
        raise AsrError(f"{count} of {len(known)} speakers leave nobody to learn from; split by utterances instead")
    return sorted(_shuffled(known, seed)[:count])


def split_utterances(utterances: Sequence[Utterance], count: int, seed: int = 1) -> Two:
    """`count` utterances, whoever says them, and the rest, each in the order they came in."""
    if count >= len(utterances):
        raise AsrError(f"{count} of {len(utterances)} utterances leave nothing to learn from")
    names = [f"{utterance.corpus} {utterance.part} {utterance.audio.name}" for utterance in utterances]
    chosen = set(_shuffled(set(names), seed)[:count])
    return (
        [utterance for utterance, name in zip(utterances, names, strict=True) if name in chosen],
        [utterance for utterance, name in zip(utterances, names, strict=True) if name not in chosen],
    )


def _shuffled(names: Collection[str], seed: int) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
