"""How much there is of what in a manifest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from asr.datasets.manifest import Utterance
from asr.errors import TextError
from asr.text import normalize


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts over some utterances. Words are those of the normalized text."""

    name: str  # corpus and part, or "all"
    utterances: int
    hours: float
    speakers: int  # those that are named
    duration_percentiles: tuple[float, float, float]  # seconds: 5th, 50th, 95th
    words: int
    vocabulary: int
    words_per_second: float
    unspoken: int  # utterances whose text cannot be normalized, or is empty then


def stats(utterances: Sequence[Utterance]) -> list[Stats]:
    """One entry for each corpus and part in the order of their names, and one for all."""
    groups: dict[str, list[tuple[Utterance, list[str]]]] = defaultdict(list)
    for utterance in utterances:
        try:
            words = normalize(utterance.text).split()
        except TextError:
            words = []
        groups[f"{utterance.corpus} {utterance.part}".strip() or "-"].append((utterance, words))
    entries = [_stats(name, groups[name]) for name in sorted(groups)]
    return [*entries, _stats("all", list(chain.from_iterable(groups.values())))] if entries else []


def _stats(name: str, members: list[tuple[Utterance, list[str]]]) -> Stats:
    durations = np.array([utterance.duration for utterance, _ in members])
    words = Counter(word for _, spoken in members for word in spoken)
    low, middle, high = np.percentile(durations, [5, 50, 95])
    seconds = float(durations.sum())
    return Stats(
        name=name,
        utterances=len(members),
        hours=seconds / 3600,
        speakers=len({utterance.speaker for utterance, _ in members if utterance.speaker is not None}),
        duration_percentiles=(float(low), float(middle), float(high)),
        words=words.total(),
        vocabulary=len(words),
        words_per_second=words.total() / seconds if seconds else 0.0,
        unspoken=sum(not spoken for _, spoken in members),
    )
