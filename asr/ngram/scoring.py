"""What a language model thinks of a text: log-probabilities of its words, perplexity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from asr.errors import TextError
from asr.language_model import LanguageModel
from asr.ngram.counts import END, UNKNOWN, sentences

_BATCH = 1000  # sentences scored at once
_LOG_10 = math.log(10)


@dataclass(frozen=True)
class ScoredSentence:
    """A sentence, and the log10 probabilities of its words and of its end, [words + 1]."""

    words: tuple[str, ...]
    log10: tuple[float, ...]
    unknown: int  # words outside the vocabulary


@dataclass(frozen=True)
class Perplexity:
    """Perplexity of a text: of its known words and its sentence ends, and of all with unknown words as <unk>."""

    known: float
    all: float
    sentences: int
    words: int
    unknown: int


def score_sentences(model: LanguageModel, texts: Iterable[Sequence[str]]) -> Iterator[ScoredSentence]:
    """Score sentences, each a sequence of words, many at once."""
    remaining = iter(texts)
    while batch := list(islice(remaining, _BATCH)):
        lengths = np.array([len(words) for words in batch])
        ids = np.full((len(batch), int(lengths.max()) + 1), END)
        for row, words in enumerate(batch):
            ids[row, : len(words)] = model.word_ids(words)
        log10 = np.zeros(ids.shape)
        states = np.full(len(batch), model.start)
        for place in range(ids.shape[1]):
            active = np.flatnonzero(lengths >= place)
            scores, states[active] = model.score(states[active], ids[active, place])
            log10[active, place] = scores / _LOG_10
        for row, words in enumerate(batch):
            own = ids[row, : len(words)]
            yield ScoredSentence(
                tuple(words), tuple(log10[row, : len(words) + 1].tolist()), int((own == UNKNOWN).sum())
            )


def score_text(model: LanguageModel, path: Path) -> Iterator[ScoredSentence]:
    """Score the sentences of a text file, normalized; those whose spoken form is not known are left out."""
    return score_sentences(model, (words for words in sentences(path) if words))


def perplexity(model: LanguageModel, scored: Iterable[ScoredSentence]) -> Perplexity:
    """The perplexity of scored sentences; `TextError` where there are none."""
    known = every = 0.0
    count = words = unknown = 0
    for sentence in scored:
        count += 1
        words += len(sentence.words)
        unknown += sentence.unknown
        every += sum(sentence.log10)
        known += sum(
            value for word, value in zip((*sentence.words, "</s>"), sentence.log10, strict=True) if word in model
        )
    if not count:
        raise TextError("the text has no sentence whose spoken form is known; check the file")
    tokens = words + count
    return Perplexity(10 ** (-known / (tokens - unknown)), 10 ** (-every / tokens), count, words, unknown)
