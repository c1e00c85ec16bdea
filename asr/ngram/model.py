"""Back-off n-gram models in memory, mixtures of several, and entropy pruning.

A level holds the n-grams of one length, sorted by their words read backwards. Each knows its `shorter` n-gram (its
first word removed) and its `context` (its last word removed), both as rows of the level below, so every recursion over
histories is one array expression. Level 1 has a row for every word of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.ngram.counts import BEGIN, END, WORD_BITS

Array = NDArray[Any]
_FLOOR = 1e-12  # the least probability mass left to a shorter history


@dataclass(frozen=True)
class Level:
    """The n-grams of one length, [n]; natural-log values."""

    shorter: NDArray[np.int32]  # row of the level below: the n-gram without its first word
    first: NDArray[np.int32]  # the first word
    context: NDArray[np.int32]  # row of the level below: the n-gram without its last word
    log_prob: NDArray[np.float64]
    backoff: NDArray[np.float64]  # 0 where the n-gram is no context
    share: NDArray[np.float32] | None = None  # how much of the text this n-gram is; None: not known

    @classmethod
    def of(
        cls, shorter: Array, first: Array, context: Array, log_prob: Array, backoff: Array, share: Array | None
    ) -> Level:
        """A level of arrays of any integer and float types."""
        return cls(
            shorter.astype(np.int32, copy=False),
            first.astype(np.int32, copy=False),
            context.astype(np.int32, copy=False),
            log_prob,
            backoff,
            None if share is None else share.astype(np.float32, copy=False),
        )

    def __len__(self) -> int:
        return len(self.first)

    @property
    def key(self) -> NDArray[np.int64]:
        """Sorted numbers, one for each n-gram."""
        return key_of(self.shorter, self.first)


@dataclass(frozen=True)
class NGrams:
    """A back-off model: `words` begins with <unk>, <s>, </s>; `levels[0]` are the unigrams."""

    words: tuple[str, ...]
    levels: tuple[Level, ...]

    @property
    def order(self) -> int:
        return len(self.levels)

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(map(len, self.levels))

    def last_words(self) -> list[NDArray[np.int32]]:
        """The last word of every n-gram, by level."""
        last = [self.levels[0].first]
        for level in self.levels[1:]:
            last.append(last[-1][level.shorter])
        return last


def key_of(shorter: Array, first: Array) -> NDArray[np.int64]:
    """Rows of the level below and first words as one number each."""
    key: NDArray[np.int64] = (shorter.astype(np.int64) << WORD_BITS) | first
    return key


def find(level_key: Array, shorter: Array, first: Array) -> NDArray[np.int64]:
    """Rows of the n-grams made of a first word and a row of the level below; -1 where one of the three is missing."""
    key = key_of(shorter, first)
    if not len(level_key):
        return np.full(len(key), -1)
    row = np.searchsorted(level_key, key)
    found = (level_key[np.minimum(row, len(level_key) - 1)] == key) & (shorter >= 0) & (first >= 0)
    return np.where(found, row, -1)


def union(models: Sequence[NGrams]) -> tuple[NGrams, list[list[Array]], list[list[Array]]]:
    """All n-grams of models with one vocabulary (values zero), and by model and level their log-probs and backoffs,
    those of n-grams that a model lacks being what it backs off to."""
    words = models[0].words
    levels: list[Level] = []
    probs: list[list[Array]] = [[] for _ in models]
    backoffs: list[list[Array]] = [[] for _ in models]
    places: list[Array] = []
    for k in range(max(model.order for model in models)):
        parts = [model.levels[k] if k < model.order else _empty_level() for model in models]
        if k == 0:
            keys = [part.key for part in parts]
        else:
            keys = [key_of(place[part.shorter], part.first) for place, part in zip(places, parts, strict=True)]
        key = np.unique(np.concatenate(keys))
        new_places = [np.searchsorted(key, own) for own in keys]
        context = np.zeros(len(key), np.int64)
        for place, new_place, part in zip(places, new_places, parts, strict=False):
            context[new_place] = place[part.context]
        zeros = np.zeros(len(key))
        level = Level.of(key >> WORD_BITS, key & ((1 << WORD_BITS) - 1), context, zeros, zeros, None)
        for i, (new_place, part) in enumerate(zip(new_places, parts, strict=True)):
            prob = backoffs[i][-1][context] + probs[i][-1][level.shorter] if k else np.full(len(key), -np.inf)
            backoff = np.zeros(len(key))
            prob[new_place] = part.log_prob
            backoff[new_place] = part.backoff
            probs[i].append(prob)
            backoffs[i].append(backoff)
        levels.append(level)
        places = new_places
    return NGrams(words, tuple(levels)), probs, backoffs


def _empty_level() -> Level:
    whole, real = np.empty(0, np.int64), np.empty(0)
    return Level.of(whole, whole, whole, real, real, None)


def token_log_probs(
    model: NGrams, columns: Sequence[Array], probs: Sequence[Sequence[Array]], backoffs: Sequence[Sequence[Array]]
) -> NDArray[np.float64]:
    """Log-probs [values, tokens] of words after their histories (as `histories` gives them), for several sets of values
    on the n-grams of one model."""
    keys = [level.key for level in model.levels]
    node, context = columns[0], columns[1] if len(columns) > 1 else None
    result = np.stack([prob[0][node] for prob in probs])
    for k in range(1, model.order):
        assert context is not None
        node = find(keys[k], node, columns[k])
        for row, (prob, backoff) in enumerate(zip(probs, backoffs, strict=True)):
            backed_off = result[row] + np.where(context >= 0, backoff[k - 1][context], 0.0)
            result[row] = np.where(node >= 0, prob[k][node], backed_off)
        if k + 1 < model.order:
            context = find(keys[k], context, columns[k + 1])
    return result


def tune_weights(log_probs: NDArray[np.float64], rounds: int = 100) -> NDArray[np.float64]:
    """The weights [models] that make held-out tokens most likely, by EM on their `log_probs` [models, tokens]."""
    scaled = np.exp(log_probs - log_probs.max(axis=0))
    weights = np.full(len(scaled), 1 / len(scaled))
    for _ in range(rounds):
        joint = weights[:, None] * scaled
        weights = (joint / joint.sum(axis=0)).mean(axis=1)
    return weights


def mix(models: Sequence[NGrams], weights: Sequence[float]) -> NGrams:
    """The linear mixture, as one back-off model over the n-grams of all: exact on those, backed off elsewhere."""
    joined, probs, _ = union(models)
    levels: list[Level] = []
    for k, level in enumerate(joined.levels):
        log_prob = np.logaddexp.reduce([np.log(w) + own[k] for w, own in zip(weights, probs, strict=True)])
        levels.append(replace(level, log_prob=log_prob, share=np.zeros(len(level), np.float32)))
    for model, weight in zip(models, weights, strict=True):
        place = np.arange(len(model.words))
        for k, level in enumerate(model.levels):
            if k:
                place = np.searchsorted(levels[k].key, key_of(place[level.shorter], level.first))
            share = levels[k].share
            if share is not None and level.share is not None:
                share[place] += weight * level.share
    return with_backoffs(NGrams(joined.words, tuple(levels)))


def with_backoffs(model: NGrams) -> NGrams:
    """The model with the backoffs that make every context's probabilities sum to one."""
    levels = list(model.levels)
    for k in range(1, model.order):
        mass, lower = _masses(levels[k], levels[k - 1])
        has_children = np.bincount(levels[k].context, minlength=len(levels[k - 1])) > 0
        backoff = np.where(has_children, np.log(mass) - np.log(lower), 0.0)
        levels[k - 1] = replace(levels[k - 1], backoff=backoff)
    levels[-1] = replace(levels[-1], backoff=np.zeros(len(levels[-1])))
    return NGrams(model.words, tuple(levels))


def _masses(level: Level, below: Level) -> tuple[Array, Array]:
    """By context: the mass that is left to words without an n-gram, by this level and by the shorter history."""
    size = len(below)
    mass = 1 - np.bincount(level.context, np.exp(level.log_prob), minlength=size)
    lower = 1 - np.bincount(level.context, np.exp(below.log_prob[level.shorter]), minlength=size)
    return np.maximum(mass, _FLOOR), np.maximum(lower, _FLOOR)


def importances(model: NGrams) -> list[NDArray[np.float64]]:
    """By level, how much leaving out each n-gram changes the model: relative entropy, nats a word (Stolcke, 1998).

    Contexts weigh what the text has of them, which Kneser-Ney's lower orders would get wrong (Chelba et al., 2010).
    """
    shares = context_shares(model)
    result = [np.full(len(model.words), np.inf)]
    for k in range(1, model.order):
        level, below = model.levels[k], model.levels[k - 1]
        mass, lower_mass = (masses[level.context] for masses in _masses(level, below))
        log_prob, lower = level.log_prob, below.log_prob[level.shorter]
        prob = np.exp(log_prob)
        new_backoff = np.log(mass + prob) - np.log(lower_mass + np.exp(lower))
        old_backoff = np.log(mass) - np.log(lower_mass)
        change = prob * (log_prob - lower - new_backoff) + mass * (old_backoff - new_backoff)
        result.append(shares[k - 1][level.context] * change)
    return result


def kept_above(model: NGrams, importance: Sequence[NDArray[np.float64]], threshold: float) -> list[NDArray[np.bool_]]:
    """By level, which n-grams are at least so important, or needed by a longer one that is."""
    kept = [importance[-1] >= threshold]
    for k in range(model.order - 1, 0, -1):
        level = model.levels[k]
        keep = importance[k - 1] >= threshold
        keep[level.context[kept[0]]] = True
        keep[level.shorter[kept[0]]] = True
        kept.insert(0, keep)
    return kept


def prune_by_entropy(model: NGrams, threshold: float) -> NGrams:
    """Leave out n-grams without which the model changes by less than `threshold` nats a word."""
    return with_backoffs(select(model, kept_above(model, importances(model), threshold)))


def context_shares(model: NGrams) -> list[Array]:
    """By level how much of all text each n-gram is: as counted, or as the model itself would have it."""
    shares: list[Array] = []
    for k, level in enumerate(model.levels):
        if level.share is not None:
            shares.append(level.share)
        elif k == 0:
            share = np.exp(level.log_prob)
            share[BEGIN] = share[END]
            shares.append(share)
        else:
            shares.append(shares[-1][level.context] * np.exp(level.log_prob))
    return shares


def select(model: NGrams, kept: Sequence[NDArray[np.bool_]]) -> NGrams:
    """Only the n-grams that are `kept`; what they need must be among them, and all words."""
    levels = [model.levels[0]]
    row = np.arange(len(model.words))
    for level, keep in zip(model.levels[1:], kept[1:], strict=True):
        levels.append(
            Level.of(
                row[level.shorter[keep]],
                level.first[keep],
                row[level.context[keep]],
                level.log_prob[keep],
                level.backoff[keep],
                None if level.share is None else level.share[keep],
            )
        )
        row = np.cumsum(keep) - 1
    return NGrams(model.words, tuple(levels))


def from_lists(words: Sequence[str], tables: Sequence[tuple[Array, Array, Array]]) -> NGrams:
    """A model from its n-grams by length, each table (word numbers [n, length], log-probs [n], backoffs [n]).

    N-grams that others need, as context or as their shorter form, are added with the value the model backs off to.
    """
    wanted = [np.asarray(table[0], np.int64) for table in tables]
    for k in range(len(wanted) - 1, 1, -1):
        both = np.concatenate((wanted[k - 1], wanted[k][:, 1:], wanted[k][:, :-1]))
        wanted[k - 1] = np.unique(both, axis=0)
    levels: list[Level] = []
    for k, grams in enumerate(wanted):
        if k == 0:
            shorter = context = np.zeros(len(words), np.int64)
            first = np.arange(len(words))
        else:
            below = _rows(levels, grams[:, 1:])
            key = np.unique(key_of(below, grams[:, 0]))
            shorter, first = key >> WORD_BITS, key & ((1 << WORD_BITS) - 1)
            context = first if k == 1 else find(levels[-1].key, levels[-1].context[shorter], first)
        level = Level.of(shorter, first, context, np.zeros(len(first)), np.zeros(len(first)), None)
        log_prob = levels[-1].backoff[context] + levels[-1].log_prob[shorter] if k else np.full(len(words), -np.inf)
        own = _rows([*levels, level], np.asarray(tables[k][0], np.int64))
        log_prob[own] = tables[k][1]
        level.backoff[own] = tables[k][2]
        levels.append(replace(level, log_prob=log_prob))
    return NGrams(tuple(words), tuple(levels))


def _rows(levels: Sequence[Level], grams: Array) -> NDArray[np.int64]:
    """Rows of n-grams [n, length] in the level of their length, which has them."""
    row = grams[:, -1]
    for k in range(1, grams.shape[1]):
        row = find(levels[k].key, row, grams[:, -1 - k])
    return row


def grams(model: NGrams) -> Iterable[NDArray[np.int32]]:
    """By level the word numbers [n, length] of the n-grams, in the order of their rows."""
    words = model.levels[0].first[:, None]
    yield words
    for level in model.levels[1:]:
        words = np.concatenate((level.first[:, None], words[level.shorter]), axis=1)
        yield words
