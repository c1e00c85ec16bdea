"""Writes a back-off model as the compact file that `LanguageModel` maps (its module's text says how it is laid out)."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.flatfile import write_arrays
from asr.language_model import BUCKET_GROUP, MAGIC, bucket_count
from asr.ngram.model import NGrams

Array = NDArray[Any]
_CODES = 256
_LOAD = 8  # n-grams in a bucket on average, at most
_MULTIPLIERS = 6  # tried for a level; the one whose fullest bucket is smallest is taken
_ROUNDS = 30  # of Lloyd's algorithm
_SAMPLE = 500_000  # values that a codebook is fitted to


@dataclass(frozen=True)
class _Table:
    """The hash table of one level."""

    universe: int
    multiplier: int
    bits: int
    rank: NDArray[np.int64]  # [n] the level's rows in the order of the file: by bucket, in each contexts first
    mixed: NDArray[np.int64]  # [n] in that order
    starts: NDArray[np.int64]  # [buckets + 1]
    context_starts: NDArray[np.int64]  # [buckets + 1]

    @classmethod
    def of(cls, key: Array, universe: int, is_context: NDArray[np.bool_]) -> _Table:
        for bits in range(_stored_bits(universe, len(key)), 0, -1):  # less is stored only where keys crowd together
            _, multiplier = min(
                (int(np.bincount(key * factor % universe >> bits, minlength=1).max()), factor)
                for factor in _multipliers(universe)
            )
            groups = key * multiplier % universe >> bits >> (BUCKET_GROUP.bit_length() - 1)
            if np.bincount(groups, minlength=1).max() < _CODES:
                break
        buckets = bucket_count(universe, bits)
        mixed = key * multiplier % universe
        bucket = mixed >> bits
        rank = np.lexsort((mixed, ~is_context, bucket))
        starts, context_starts = (
            np.concatenate(([0], np.cumsum(np.bincount(some, minlength=buckets))))
            for some in (bucket, bucket[is_context])
        )
        return cls(universe, multiplier, bits, rank, mixed[rank], starts, context_starts)


def _stored_bits(universe: int, size: int) -> int:
    """How many bits of a key the table stores, at most 32; 16 where that makes sensible buckets."""
    if size >> 3 < bucket_count(universe, 16) <= size:
        return 16
    return min(32, max(1, (universe * _LOAD // max(1, size)).bit_length() - 1))


def _multipliers(universe: int) -> list[int]:
    """Numbers prime to the universe whose products with its members stay below 2 ** 63."""
    limit = min(universe, ((1 << 63) - 1) // universe)
    if limit < 2:
        raise ModelError("the model has too many contexts for its vocabulary; prune it")
    found: list[int] = []
    factor = int(limit * 0.6180339887)
    while len(found) < _MULTIPLIERS and factor > 0:
        if math.gcd(factor, universe) == 1:
            found.append(factor)
            factor = int(factor * 0.9)
        else:
            factor -= 1
    return found or [1]


def quantize(values: NDArray[np.float64], codes: int = _CODES) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A sorted codebook of `codes` numbers for values, by Lloyd's algorithm (1957), and the code of each value."""
    distinct = np.unique(values)
    if len(distinct) > codes:
        sample = np.sort(values[:: -(-len(values) // _SAMPLE)])
        sums = np.concatenate(([0.0], np.cumsum(sample)))
        levels = np.arange(codes) / (codes - 1)
        book = (np.quantile(sample, levels) + sample[0] + levels * (sample[-1] - sample[0])) / 2
        for _ in range(_ROUNDS):
            borders = np.concatenate(([0], np.searchsorted(sample, (book[1:] + book[:-1]) / 2), [len(sample)]))
            size = np.diff(borders)
            book = np.where(size > 0, np.diff(sums[borders]) / np.maximum(size, 1), book)
        distinct = np.sort(book)
    book32 = np.zeros(codes, np.float32)
    book32[: len(distinct)] = distinct
    code = np.searchsorted((distinct[1:] + distinct[:-1]) / 2, values)
    return book32, code.astype(np.uint8)


def file_size(words: Sequence[str], sizes: Sequence[int], contexts: Sequence[int]) -> int:
    """About how many bytes `write` will write, from the numbers of n-grams by length and of contexts among them."""
    order = len(sizes)
    total = 4096 + 4 * _CODES * (2 * order - 1) + 2 * sizes[0] + len(_pack(words))
    below = sizes[0]
    for k in range(1, order):
        bits = _stored_bits(below * sizes[0], sizes[k])
        bucket_bytes = int(bucket_count(below * sizes[0], bits) * (1 + 4 / BUCKET_GROUP))
        total += (3 if bits <= 16 else 5) * sizes[k] + bucket_bytes
        if k + 1 < order:
            below = contexts[k]
            total += below + bucket_bytes
    return total


def _pack(words: Sequence[str]) -> bytes:
    return zlib.compress("\n".join(words).encode(), 9)


def write(model: NGrams, path: Path) -> None:
    """Write a model; `ModelError` where it is too large for the format."""
    size = len(model.words)
    last = model.last_words()
    tables: list[_Table] = []
    contexts: list[int] = []
    prob_books, backoff_books, probs, backoffs = [], [], [], []
    numbers = np.arange(size)  # of the level before: which context each n-gram is
    for k, level in enumerate(model.levels):
        is_context = level.backoff != 0
        if k + 1 < model.order:
            is_context[model.levels[k + 1].context] = True
        rank = np.arange(size)
        if k:
            key = numbers[level.context] * size + last[k]
            tables.append(_Table.of(key, max(2, contexts[-1] * size), is_context))
            rank = tables[-1].rank
            numbers = np.full(len(level), -1)
            numbers[rank[is_context[rank]]] = np.arange(int(is_context.sum()))
        book, codes = quantize(level.log_prob[rank])
        prob_books.append(book)
        probs.append(codes)
        if k + 1 < model.order:
            chosen = is_context[rank]
            book, codes = quantize(level.backoff[rank][chosen], _CODES - 1)
            backoff_books.append(np.concatenate(([np.float32(0)], book)))
            if k == 0:  # every word has a place, and 0 says that it is no context
                every = np.zeros(size, np.uint8)
                every[chosen] = codes + np.uint8(1)
                codes = every
            else:
                codes = codes + np.uint8(1)
            backoffs.append(codes)
            contexts.append(len(codes))
    if math.prod(count + 1 for count in contexts) >= 1 << 63:
        raise ModelError("the model has too many contexts for states of 63 bits; prune it")
    arrays, about = _join(tables, model.order)
    arrays |= {
        "words": np.frombuffer(_pack(model.words), np.uint8),
        "unigrams": probs[0],
        "probs": np.concatenate((*probs[1:], np.zeros(int(str(about["window"])), np.uint8))),
        "backoffs": np.concatenate((*backoffs, np.zeros(1, np.uint8))),  # one more, for levels without contexts
        "prob_book": np.stack(prob_books),
        "backoff_book": np.stack(backoff_books) if backoff_books else np.empty((0, _CODES), np.float32),
    }
    about |= {"order": model.order, "counts": model.sizes, "contexts": contexts}
    write_arrays(path, MAGIC, arrays, about)


def _join(tables: Sequence[_Table], order: int) -> tuple[dict[str, Array], dict[str, object]]:
    """The tables of all levels, one after the other in the same arrays."""
    starts, context_starts, first_bucket = [], [], []
    entries = numbers = buckets = 0
    for table in tables:
        padding = (0, -len(table.starts) % BUCKET_GROUP)
        starts.append(np.pad(table.starts + entries, padding, "edge"))
        context_starts.append(np.pad(table.context_starts + numbers, padding, "edge"))
        first_bucket.append(buckets)
        buckets += len(starts[-1])
        entries += len(table.mixed)
        numbers += int(table.context_starts[-1])
    window = max((int(np.diff(table.starts).max(initial=1)) for table in tables), default=1)
    dtype = np.uint16 if all(table.bits <= 16 for table in tables) else np.uint32
    remainders = [table.mixed & ((1 << table.bits) - 1) for table in tables]
    arrays: dict[str, Array] = {"remainders": np.concatenate((*remainders, np.zeros(window, np.int64))).astype(dtype)}
    for name, parts in (("starts", starts), ("context_starts", context_starts[: order - 2])):
        all_starts = np.concatenate((*parts, np.empty(0, np.int64)))
        group = all_starts[::BUCKET_GROUP]
        within = all_starts - np.repeat(group, BUCKET_GROUP)
        arrays |= {name: group.astype(np.uint32), f"{name}_within": within.astype(np.uint8)}
    about: dict[str, object] = {
        "window": window,
        "universe": [table.universe for table in tables],
        "multiplier": [table.multiplier for table in tables],
        "bits": [table.bits for table in tables],
        "first_bucket": first_bucket,
    }
    return arrays, about
