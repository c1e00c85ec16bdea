"""Modified Kneser-Ney estimation (Kneser and Ney, 1995; Chen and Goodman, 1998), number for number as lmplz does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError
from asr.ngram.counts import BEGIN, END, Rows
from asr.ngram.model import Array, Level, NGrams, find, key_of

_FALLBACK = (0.0, 0.5, 1.0, 1.5)  # as `lmplz --discount_fallback`, for texts too small to tell


def discounts(adjusted: NDArray[np.int64]) -> NDArray[np.float64]:
    """What is taken from adjusted counts of 0, 1, 2, 3 and more (Chen and Goodman, 1998, equation 26)."""
    n = np.bincount(adjusted[adjusted < 5], minlength=5).astype(float)
    if not n[1:4].all():
        return np.array(_FALLBACK)
    y = n[1] / (n[1] + 2 * n[2])
    amount = np.array([0.0, *(j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))])
    if (amount < 0).any() or (amount > np.arange(4)).any():
        return np.array(_FALLBACK)
    return amount


def estimate(rows: Rows, words: Sequence[str], order: int, prune: Sequence[int] = ()) -> NGrams:
    """A model of counted n-grams, interpolated, with counts, discounts and pruning of Heafield et al. (2013).

    `prune[k]`: n-grams of k + 1 words seen this often or less are left out, their mass goes to the shorter history;
    the last value holds for all longer ones. Words of the vocabulary stay. <unk> is a word like others where it was
    counted; where not, it is a word seen zero times. `AsrError` for thresholds that make no sense.
    """
    thresholds = _thresholds(prune, order)
    counted = _levels(rows, len(words), order)
    levels: list[Level] = []
    kept_rows = np.arange(len(words))  # by row of all n-grams: its row among those kept, -1
    for k, (shorter, first, context, count) in enumerate(counted):
        adjusted = count
        if k + 1 < order:
            left = np.bincount(counted[k + 1][0], minlength=len(count))
            adjusted = np.where(first == BEGIN, count, left) if k else left
        discount = discounts(adjusted)
        keep = count > thresholds[k] if k else np.ones(len(count), bool)
        taken = discount[np.minimum(adjusted, 3)]
        size = len(counted[k - 1][1]) if k else 1
        mass = np.bincount(context, adjusted, minlength=size)
        freed = np.bincount(context, np.where(keep, taken, adjusted), minlength=size)
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = np.where(mass > 0, freed / mass, 1.0)  # of the shorter history, by context
            own = np.where(adjusted > 0, (adjusted - taken) / mass[context], 0.0)
        if k == 0:
            prob = own + weight[0] / (len(words) - 1)  # <s> is never predicted
            prob[BEGIN] = 1.0
            row = kept_rows
        else:
            below = levels[-1]
            prob = own[keep] + weight[context[keep]] * np.exp(below.log_prob[kept_rows[shorter[keep]]])
            has_row = kept_rows >= 0
            backoff = np.zeros(len(below))
            backoff[kept_rows[has_row]] = np.log(weight[has_row])
            levels[-1] = replace(below, backoff=backoff)
            row = np.where(keep, np.cumsum(keep) - 1, -1)
        log_prob = np.minimum(np.log(prob), 0.0)
        share = count[keep] / max(1, int(counted[0][3].sum()))
        if k == 0:
            share[BEGIN] = share[END]
        levels.append(
            Level.of(
                kept_rows[shorter[keep]] if k else shorter,
                first[keep],
                kept_rows[context[keep]] if k else context,
                log_prob,
                np.zeros(len(log_prob)),
                share,
            )
        )
        kept_rows = row
    return NGrams(tuple(words), tuple(levels))


def _thresholds(prune: Sequence[int], order: int) -> list[int]:
    thresholds = [*prune, *([prune[-1] if prune else 0] * order)][:order]
    if len(prune) > order or thresholds != sorted(thresholds) or thresholds[0] != 0:
        raise AsrError(
            f"cannot prune by {','.join(map(str, prune))}: give at most {order} counts, the first 0, none smaller than "
            "the one before"
        )
    return thresholds


def _levels(rows: Rows, words: int, order: int) -> list[tuple[Array, Array, Array, Array]]:
    """(shorter, first word, context, count) of all n-grams of each length."""
    changed = np.zeros(len(rows), bool)
    parent = np.zeros(len(rows), np.int64)  # by row of `rows`: the n-gram of the length before
    found: list[tuple[Array, Array, Array, Array]] = []
    for k in range(order):
        word = rows.word(k)
        changed[1:] |= word[1:] != word[:-1]
        changed[:1] = True
        inside = word >= 0
        if k == 0:
            count = np.bincount(word, rows.counts, minlength=words).astype(np.int64)
            every = np.arange(words)
            found.append((np.zeros(words, np.int64), every, np.zeros(words, np.int64), count))
            parent = word
            continue
        begins = changed & inside
        index = np.cumsum(begins) - 1
        shorter, first = parent[begins], word[begins]
        count = np.bincount(index[inside], rows.counts[inside], minlength=len(first)).astype(np.int64)
        if k == 1:
            context = first
        else:
            below = found[-1]
            context = find(key_of(below[0], below[1]), below[2][shorter], first)
        found.append((shorter.astype(np.int32), first.astype(np.int32), context.astype(np.int32), count))
        parent = index
    return found
