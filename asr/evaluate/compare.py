"""Whether one result is better than another, or only lucky: the paired bootstrap (Bisani and Ney, 2004)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.errors import AsrError
from asr.evaluate.outcome import Evaluation, UtteranceResult, groups

RESAMPLES = 10_000
FEWEST = 20  # utterances; of fewer, resampling gives back much the same few, and every difference looks certain
_AT_ONCE = 500  # resamples; bounds the memory


@dataclass(frozen=True, slots=True)
class Comparison:
    """Word error rates of two results on the same utterances. Differences are `ours - theirs`: negative is better."""

    name: str
    utterances: int
    words: int
    ours: float
    theirs: float
    low: float  # of the difference, in 95 % of the resamples
    high: float
    better: float  # share of the resamples in which ours has fewer errors, ties half

    @property
    def difference(self) -> float:
        return self.ours - self.theirs

    @property
    def p_value(self) -> float:
        """Two-sided: how likely a difference at least as clear is if there is none; NaN for fewer than `FEWEST`."""
        if self.utterances < FEWEST:
            return math.nan
        return min(1.0, 2 * min(self.better, 1 - self.better) + 1 / RESAMPLES)


def compare(ours: Evaluation, theirs: Evaluation, *, resamples: int = RESAMPLES, seed: int = 1) -> list[Comparison]:
    """Compare two results, over each group of utterances that both have.

    The utterances are drawn with replacement, always the same ones for both. Raises `AsrError` where they share none,
    or have other references.
    """
    other = {utterance.id: utterance for utterance in theirs.utterances}
    shared = [utterance for utterance in ours.utterances if utterance.id in other]
    if not shared:
        raise AsrError("the two results share no utterance; evaluate the same manifest with both models")
    for utterance in shared:
        if utterance.reference != other[utterance.id].reference:
            raise AsrError(f"{utterance.id}: the two results have different references; evaluate both again")
    return [
        _compare(name, members, [other[member.id] for member in members], resamples, seed)
        for name, members in groups(shared).items()
    ]


def _compare(
    name: str, ours: Sequence[UtteranceResult], theirs: Sequence[UtteranceResult], resamples: int, seed: int
) -> Comparison:
    errors = np.array([[utterance.words.errors for utterance in side] for side in (ours, theirs)], float)  # [2, n]
    words = np.array([utterance.words.length for utterance in ours], float)  # [n]
    rng = np.random.default_rng(seed)
    differences = []
    for start in range(0, resamples, _AT_ONCE):
        count = min(_AT_ONCE, resamples - start)
        times = rng.multinomial(len(ours), np.full(len(ours), 1 / len(ours)), size=count)  # [resamples, n]
        differences.append((times @ (errors[0] - errors[1])) / np.maximum(times @ words, 1))
    drawn = np.concatenate(differences)
    low, high = np.percentile(drawn, [2.5, 97.5])
    total = max(words.sum(), 1)
    return Comparison(
        name=name,
        utterances=len(ours),
        words=int(words.sum()),
        ours=float(errors[0].sum() / total),
        theirs=float(errors[1].sum() / total),
        low=float(low),
        high=float(high),
        better=float(np.mean(drawn < 0) + np.mean(drawn == 0) / 2),
    )
