"""Word n-grams in one compact, memory-mapped file, scored for hundreds of hypotheses at once.

The file is a hash table that keeps only what the place of an entry does not say already (quotienting; Cleary, 1984). An
n-gram of length k is a context (a number among the n-grams of length k - 1 that something follows) and a word, together
one number below U = contexts x words. Multiplied modulo U by a number prime to U, a bijection, its upper part chooses a
bucket and its lower part, 16 bits, is all that is stored. Looking up is a few array operations for any number of
n-grams, costs no search, and can be undone: nothing is lost but the last bits of the values, which are numbers in
codebooks of 256.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.flatfile import map_arrays
from asr.ngram.counts import BEGIN, END, SPECIAL_WORDS, UNKNOWN
from asr.ngram.model import NGrams, from_lists

Array = NDArray[Any]
MAGIC = b"ASRNGM01"
BUCKET_GROUP = 16  # buckets that share one 32-bit start


@dataclass(frozen=True)
class Starts:
    """Where buckets begin: a 32-bit number for every 16 of them and eight bits for each."""

    group: NDArray[np.uint32]
    within: NDArray[np.uint8]

    def __getitem__(self, bucket: Array) -> NDArray[np.int64]:
        start: NDArray[np.int64] = self.group[bucket // BUCKET_GROUP].astype(np.int64) + self.within[bucket]
        return start


class LanguageModel:
    """A word n-gram model; immutable, may be shared between threads.

    Words are numbers: `vocabulary[number]`; 0 is any unknown word, its probability that of all of them together. A
    state is an int that stands for as much of the history as can matter (0: none): equal states have equal futures.
    """

    def __init__(self, arrays: dict[str, Array], about: dict[str, Any], path: Path) -> None:
        self._path = path
        self.order: int = about["order"]
        self.counts: tuple[int, ...] = tuple(about["counts"])  # n-grams by length
        self._arrays = arrays
        self._words = self.counts[0]
        self._contexts: list[int] = about["contexts"]  # by length of the context, 1 first
        self._universe = np.array(about["universe"], np.int64)[:, None]
        self._multiplier = np.array(about["multiplier"], np.int64)[:, None]
        self._bits = np.array(about["bits"], np.int64)[:, None]
        self._first_bucket = np.array(about["first_bucket"], np.int64)[:, None]
        self._starts = Starts(arrays["starts"], arrays["starts_within"])
        self._context_starts = Starts(arrays["context_starts"], arrays["context_starts_within"])
        self._context_base = np.cumsum([0, *self._contexts])[:-1]
        self._rows = np.arange(self.order - 1)[:, None]
        self._radices = np.cumprod([self._words + 1, *(n + 1 for n in self._contexts[1:-1])])[: self.order - 2]
        self._windows = np.lib.stride_tricks.sliding_window_view(arrays["remainders"], about["window"])

    @classmethod
    def load(cls, path: str | Path) -> LanguageModel:
        """Map a file that `asr lm` made; `ModelError` where it is missing, damaged or something else."""
        arrays, about = map_arrays(Path(path), MAGIC, "a language model of `asr lm`")
        try:
            return cls(arrays, about, Path(path))
        except (KeyError, ValueError) as error:
            raise ModelError(f"{path} was made by another version; make it again with `asr lm`") from error

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """All words by number: <unk>, <s>, </s>, then the others in alphabetical order."""
        try:
            words = tuple(zlib.decompress(self._arrays["words"].tobytes()).decode().split("\n"))
        except (zlib.error, UnicodeDecodeError) as error:
            raise ModelError(f"{self._path} is damaged; copy it or make it again with `asr lm`") from error
        return words

    def __contains__(self, word: str) -> bool:
        return self._find_word(word) is not None

    def word_ids(self, words: Iterable[str]) -> NDArray[np.int64]:
        """Numbers of words, 0 (<unk>) for those outside the vocabulary."""
        return np.array([self._find_word(word) or UNKNOWN for word in words], np.int64)

    def _find_word(self, word: str) -> int | None:
        """By bisection: a dictionary would take longer to make than it takes to transcribe a sentence."""
        if word in SPECIAL_WORDS:
            return SPECIAL_WORDS.index(word)
        number = bisect_left(self.vocabulary, word, len(SPECIAL_WORDS))
        return number if number < self._words and self.vocabulary[number] == word else None

    @cached_property
    def start(self) -> int:
        """The state at the start of a sentence."""
        return int(self.score(np.zeros(1, np.int64), np.array([BEGIN]))[1][0])

    def unigram(self, words: Array) -> NDArray[np.float32]:
        """Natural-log probabilities of words without any history."""
        book: NDArray[np.float32] = self._arrays["prob_book"][0]
        return book[self._arrays["unigrams"][words]]

    def end_score(self, states: Array | int) -> NDArray[np.float32]:
        """Natural-log probabilities that the sentence ends after each state."""
        return self.score(states, np.full(np.size(states), END))[0]

    def score(self, states: Array | int, words: Array | int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Natural-log probabilities of `words` [n], each after its state in `states` [n], and the states after them.

        One word and its state may be plain numbers: n is 1.
        """
        states = np.atleast_1d(np.asarray(states, np.int64))
        words = np.atleast_1d(np.asarray(words, np.int64))
        log_prob = self.unigram(words)
        backoffs = self._arrays["backoffs"]
        following = np.where(backoffs[words] > 0, words + 1, 0) if self.order > 1 else np.zeros_like(words)
        if self.order == 1 or not len(words):
            return log_prob, following
        contexts = self._unpack(states)  # [order - 1, n]
        place, found, next_contexts = self._find(contexts, words)
        prob_book, backoff_book = self._arrays["prob_book"], self._arrays["backoff_book"]
        prob = prob_book[self._rows + 1, self._arrays["probs"][place]]
        backoff = backoff_book[self._rows, backoffs[self._context_base[:, None] + np.maximum(contexts, 0)]]
        backoff[contexts < 0] = 0
        for k in range(self.order - 1):
            log_prob += backoff[k]
            np.copyto(log_prob, prob[k], where=found[k])
        following += self._radices @ (next_contexts + 1)
        return log_prob, following

    def _unpack(self, states: NDArray[np.int64]) -> NDArray[np.int64]:
        """The contexts [order - 1, n] of 1, 2... words that a state stands for, -1 for none."""
        contexts = np.empty((self.order - 1, len(states)), np.int64)
        for k in range(self.order - 2):
            rest = states // (self._contexts[k] + 1)
            contexts[k] = states - rest * (self._contexts[k] + 1)
            states = rest
        contexts[-1] = states
        contexts -= 1
        return contexts

    def _find(self, contexts: NDArray[np.int64], words: NDArray[np.int64]) -> tuple[Array, Array, Array]:
        """Places [order - 1, n] of n-grams, whether they exist, and as what contexts [order - 2, n] (-1: none)."""
        mixed = (contexts * self._words + words) * self._multiplier % self._universe
        bucket = (mixed >> self._bits) + self._first_bucket
        start = self._starts[bucket]
        remainders = self._arrays["remainders"]
        remainder = (mixed & ((1 << self._bits) - 1)).astype(remainders.dtype)
        place = start + (self._windows[start] == remainder[:, :, None]).argmax(axis=2)
        found = (remainders[place] == remainder) & (place < self._starts[bucket + 1]) & (contexts >= 0)
        inner = bucket[:-1]
        first = self._context_starts[inner]
        number = place[:-1] - start[:-1] + first
        is_context = found[:-1] & (number < self._context_starts[inner + 1])
        return place, found, np.where(is_context, number - self._context_offset, -1)

    @cached_property
    def _context_offset(self) -> NDArray[np.int64]:
        return (self._context_base[1:] - self._words)[:, None]

    def ngrams(self) -> NGrams:
        """The whole model as it was written, to the precision of its codebooks."""
        tables = []
        sequences = np.arange(self._words)[:, None]  # the words of each context of the level
        arrays = self._arrays
        probs, begin = arrays["unigrams"], 0
        for k in range(self.order):
            if k == 0:
                grams, numbers = sequences, np.arange(self._words)
            else:
                count = self.counts[k]
                mixed, numbers = self._entries(k - 1, begin, count)
                inverse = pow(int(self._multiplier[k - 1, 0]), -1, int(self._universe[k - 1, 0]))
                key = _multiply(mixed, inverse, int(self._universe[k - 1, 0]))
                grams = np.concatenate((sequences[key // self._words], key[:, None] % self._words), axis=1)
                probs = arrays["probs"][begin : begin + count]
                begin += count
            backoff = np.zeros(len(grams))
            if k < self.order - 1:
                is_context = numbers >= 0
                base = self._context_base[k]
                code = arrays["backoffs"][base + numbers[is_context]]
                backoff[is_context] = arrays["backoff_book"][k][code]
                sequences = grams[is_context]
            tables.append((grams, arrays["prob_book"][k][probs].astype(float), backoff))
        return from_lists(self.vocabulary, tables)

    def _entries(self, row: int, begin: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The mixed keys of a level's n-grams, in the order of the file, and what contexts they are, -1 for none."""
        bucket = np.arange(bucket_count(int(self._universe[row, 0]), int(self._bits[row, 0])))
        place = self._first_bucket[row, 0] + bucket
        sizes = self._starts[place + 1] - self._starts[place]
        mixed = np.repeat(bucket, sizes) << self._bits[row, 0]
        mixed |= self._arrays["remainders"][begin : begin + count].astype(np.int64)
        numbers = np.full(count, -1)
        if row < self.order - 2:
            within = np.arange(count) - np.repeat(self._starts[place] - begin, sizes)
            inside = self._context_starts[place + 1] - self._context_starts[place]
            is_context = within < np.repeat(inside, sizes)
            numbers[is_context] = np.arange(int(is_context.sum()))
        return mixed, numbers


def bucket_count(universe: int, bits: int) -> int:
    """Into how many buckets a universe of keys falls whose lower `bits` are stored."""
    return ((universe - 1) >> bits) + 1


def _multiply(values: NDArray[np.int64], factor: int, modulus: int) -> NDArray[np.int64]:
    """values * factor % modulus without overflow."""
    step = 62 - modulus.bit_length()
    result = np.zeros_like(values)
    for shift in range(modulus.bit_length() // step * step, -1, -step):
        result = ((result << step) + values * ((factor >> shift) & ((1 << step) - 1)) % modulus) % modulus
    return result
