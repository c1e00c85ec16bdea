"""What the decoder asks of a model of word sequences, and the two that know nothing about words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

States = NDArray[np.int64]
UNKNOWN_WORD = 0  # the number of every word that a model does not know


class WordModel(Protocol):
    """Scores words one after the other. A state is any 64-bit number; hypotheses with equal states may be merged."""

    @property
    def start(self) -> int:
        """The state before the first word."""

    def score(self, states: States, words: NDArray[Any]) -> tuple[NDArray[Any], States]:
        """Natural-log probabilities of a word after each state (minus infinity: forbidden), and the states then."""

    def end_score(self, states: States) -> NDArray[Any]:
        """Natural-log probabilities that nothing follows."""


class Vocabulary(Protocol):
    """The words that a word model knows, by number."""

    def word_ids(self, words: Iterable[str]) -> NDArray[np.int64]:
        """The numbers of words; `UNKNOWN_WORD` for all that the model does not know."""


class NoWordModel:
    """Any word is as good as any other; what was said before does not matter."""

    start = 0

    def score(self, states: States, words: NDArray[Any]) -> tuple[NDArray[Any], States]:
        return np.zeros(len(states)), states

    def end_score(self, states: States) -> NDArray[Any]:
        return np.zeros(len(states))


class PrefixModel(NoWordModel):
    """Any word is as good as any other, but only equal sequences are merged: the state is a hash of the sequence.

    With a tree in which every token is a word, this is the prefix beam search without a lexicon (Hannun et al., 2014).
    """

    def score(self, states: States, words: NDArray[Any]) -> tuple[NDArray[Any], States]:
        mixed = (states ^ (states >> 29)).astype(np.uint64) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(32))) + words.astype(np.uint64) + np.uint64(1)
        return np.zeros(len(states)), (mixed * np.uint64(0x94D049BB133111EB)).astype(np.int64)
