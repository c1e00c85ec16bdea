"""From texts to a model: count each, mix what they say by weights tuned on held-out text, prune to a size."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError
from asr.ngram.counts import (
    SPECIAL_WORDS,
    UNKNOWN,
    CountOptions,
    Encoder,
    Report,
    choose_vocabulary,
    count,
    histories,
    vocabulary_ids,
    word_counts,
)
from asr.ngram.kneser_ney import estimate
from asr.ngram.model import (
    NGrams,
    importances,
    kept_above,
    mix,
    select,
    token_log_probs,
    tune_weights,
    union,
    with_backoffs,
)
from asr.ngram.table import file_size

_HELD_OUT_BLOCK = 1 << 22
_LEAST_WEIGHT = 1e-3  # a text that gets less is left out
_LOG_THRESHOLDS = (-30.0, -5.0)  # the range in which the pruning threshold is looked for
_SIZE_ROUNDS = 12  # halvings of it


@dataclass(frozen=True)
class TrainOptions:
    """How a model is made."""

    order: int = 4
    vocabulary: int = 80_000  # the most words a model knows
    prune: tuple[int, ...] = ()  # by length, n-grams seen this often or less are left out of each text's model
    megabytes: float | None = None  # prune further until the compact file is as small as this
    run_rows: int = CountOptions.run_rows


def train(
    texts: Sequence[Sequence[Path]],
    options: TrainOptions,
    heldout: Sequence[Path] = (),
    words: Sequence[str] = (),
    preferred: Collection[str] = (),
    report: Report = lambda _: None,
) -> NGrams:
    """Estimate a model from texts, each of one or more files.

    With held-out text every text gets a model of its own and these are mixed by weights tuned on it; else all texts
    count as one. `words` fixes the vocabulary; else it is the most frequent words, `preferred` ones sooner.
    """
    if not heldout:
        texts = [[path for text in texts for path in text]]
    encoder = Encoder()
    corpora = [encoder.encode(text, report) for text in texts]
    tuning = encoder.encode(heldout, report) if heldout else None
    counts = [word_counts(corpus, len(encoder.ids)) for corpus in corpora]
    vocabulary = sorted(words) or choose_vocabulary(counts, list(encoder.ids), options.vocabulary, preferred)
    names, ids = (*SPECIAL_WORDS, *vocabulary), vocabulary_ids(encoder.ids, vocabulary)
    models: list[NGrams] = []
    for corpus, counted in zip(corpora, counts, strict=True):
        corpus.renumber(ids)
        rows = count(corpus, CountOptions(options.order, options.run_rows), report)
        models.append(estimate(rows, names, options.order, options.prune))
        del rows
        outside = counted[ids == UNKNOWN].sum() / corpus.tokens
        report(f"estimated {_sizes(models[-1])}; {outside:.2%} of the words are outside the vocabulary")
    model = models[0]
    if tuning is not None:
        tuning.renumber(ids)
        final = mixture_weights(models, [histories(b, options.order) for b in tuning.blocks(_HELD_OUT_BLOCK)])
        report("weights " + ", ".join(f"{text[0].name} {w:.3f}" for text, w in zip(texts, final, strict=True)))
        heard = final >= _LEAST_WEIGHT
        chosen = [model for model, is_heard in zip(models, heard, strict=True) if is_heard]
        model = mix(chosen, (final[heard] / final[heard].sum()).tolist()) if len(chosen) > 1 else chosen[0]
    return prune_to_size(model, options.megabytes, report) if options.megabytes else model


def _sizes(model: NGrams) -> str:
    return " + ".join(map(str, model.sizes)) + " n-grams"


def mixture_weights(models: Sequence[NGrams], heldout: Sequence[Sequence[NDArray[np.int64]]]) -> NDArray[np.float64]:
    """Weights of models under which known held-out words (as `histories` gives them) are most likely."""
    joined, probs, backoffs = union(models)
    log_probs = [token_log_probs(joined, columns, probs, backoffs)[:, columns[0] != UNKNOWN] for columns in heldout]
    return tune_weights(np.concatenate(log_probs, axis=1))


def prune_to_size(model: NGrams, megabytes: float, report: Report = lambda _: None) -> NGrams:
    """The model, entropy-pruned as little as makes its file no larger than so many megabytes (10 ** 6 bytes)."""
    importance = importances(model)

    def size(kept: Sequence[NDArray[np.bool_]]) -> float:
        contexts = [
            len(np.unique(longer.context[keep])) for longer, keep in zip(model.levels[1:], kept[1:], strict=True)
        ]
        return file_size(model.words, [int(keep.sum()) for keep in kept], contexts) / 1e6

    best = kept_above(model, importance, -np.inf)
    if size(best) > megabytes:
        low, high = _LOG_THRESHOLDS  # too large a file, small enough
        for _ in range(_SIZE_ROUNDS):
            middle = (low + high) / 2
            kept = kept_above(model, importance, math.exp(middle))
            if size(kept) <= megabytes:
                best, high = kept, middle
            else:
                low = middle
            report(f"pruning at {math.exp(middle):.2e}: {size(kept):.2f} MB")
    if size(best) > megabytes:
        raise AsrError(f"the words alone need more than {megabytes} MB; allow more or take a smaller vocabulary")
    return with_backoffs(select(model, best))
