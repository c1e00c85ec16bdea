"""Alignment of what was said with what was recognized, and the errors counted in it. The only module with jiwer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """One step of an alignment: a token of the reference, of the hypothesis, or both; None on the side without."""

    reference: str | None
    hypothesis: str | None

    @property
    def wrong(self) -> bool:
        return self.reference != self.hypothesis


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of an alignment. Scores of several utterances add up."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @classmethod
    def of(cls, pairs: Iterable[Pair]) -> Score:
        hits = substitutions = deletions = insertions = 0
        for pair in pairs:
            if not pair.wrong:
                hits += 1
            elif pair.hypothesis is None:
                deletions += 1
            elif pair.reference is None:
                insertions += 1
            else:
                substitutions += 1
        return cls(hits, substitutions, deletions, insertions)

    @classmethod
    def sum(cls, scores: Iterable[Score]) -> Score:
        total = cls()
        for score in scores:
            total += score
        return total

    def __add__(self, other: Score) -> Score:
        return Score(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def length(self) -> int:
        """Tokens of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors over reference tokens; NaN for nothing against nothing, infinite for something."""
        if self.length:
            return self.errors / self.length
        return float("inf") if self.errors else float("nan")


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Pair]:
    """The cheapest alignment of two sequences of tokens; tokens hold no spaces and are not empty."""
    import jiwer

    output = jiwer.process_words([" ".join(reference)], [" ".join(hypothesis)])
    pairs: list[Pair] = []
    for chunk in output.alignments[0]:
        left: Sequence[str | None] = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        right: Sequence[str | None] = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        length = max(len(left), len(right))
        left, right = [*left, *[None] * (length - len(left))], [*right, *[None] * (length - len(right))]
        pairs += [Pair(a, b) for a, b in zip(left, right, strict=True)]
    return pairs


def score_words(reference: str, hypothesis: str) -> Score:
    """Of two normalized texts."""
    return Score.of(align(reference.split(), hypothesis.split()))


def score_characters(reference: str, hypothesis: str) -> Score:
    """Of two normalized texts, spaces counted."""
    return Score.of(align(list(reference.replace(" ", "_")), list(hypothesis.replace(" ", "_"))))
