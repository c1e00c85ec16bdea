"""A second opinion on whole readings: how well the spelling head's frames spell them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.network import BLANK
from asr.subwords import Subwords


class Speller:
    """Scores texts by the log-probs of a spelling head; immutable but for its memory of words."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """`tokens`: of the head, blank first."""
        self._subwords = Subwords(tokens[1:])

    def score(self, log_probs: NDArray[np.floating[Any]], texts: Sequence[str]) -> NDArray[np.float64]:
        """Natural-log probabilities [texts] of what is spelled in [frames, tokens] log-probs.

        For each text the sum over all alignments of its subwords (CTC; Graves et al., 2006), all texts at once; minus
        infinity where the frames cannot hold a text. Raises `AsrError` for a letter outside the alphabet.
        """
        spelled = [self._subwords.encode(text) for text in texts]
        sizes = np.array([2 * len(tokens) + 1 for tokens in spelled])
        labels = np.full((len(texts), max(3, int(sizes.max(initial=0)))), BLANK)  # [texts, states]
        for row, tokens in enumerate(spelled):
            labels[row, 1 : sizes[row] : 2] = tokens
        skips = np.zeros(labels.shape)  # from the token before, over the blank between
        skips[:, 3::2] = labels[:, 3::2] != labels[:, 1:-2:2]
        likely = np.exp(np.asarray(log_probs, np.float64))[:, labels]  # [frames, texts, states]
        mass = np.zeros(labels.shape)
        mass[:, 0] = 1.0  # before the first frame
        total = np.zeros(len(texts))
        with np.errstate(divide="ignore", invalid="ignore"):
            for frame in likely:
                moved = mass.copy()
                moved[:, 1:] += mass[:, :-1]
                moved[:, 2:] += mass[:, :-2] * skips[:, 2:]
                moved *= frame
                sums = moved.sum(axis=1)
                total += np.log(sums)
                mass = moved / sums[:, None]
            every = np.arange(len(texts))
            ends = mass[every, sizes - 1] + np.where(sizes > 1, mass[every, sizes - 2], 0.0)
            scores = total + np.log(ends)
        return np.where(np.isnan(scores), -np.inf, scores)
