"""Another opinion on whole readings: how likely a small LSTM that remembers the whole sentence finds their words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.language_model import LanguageModel
from asr.network import open_session
from asr.ngram.counts import BEGIN, END, SPECIAL_WORDS, UNKNOWN
from asr.ngram.scoring import ScoredSentence

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FILE = "word_lstm.onnx"
FORMAT = "1"
STATES = ("expected", "h", "c")  # what it knows after the words so far
_SENTENCES = 20  # whose perplexity is found at once
OUTPUTS = ("scores", "ends", *(f"next_{name}" for name in STATES))
Floats = NDArray[np.float32]
State = Mapping[str, Floats]  # by `STATES`


class WordLstm:
    """The LSTM in `word_lstm.onnx` of a model directory, beside its n-gram model; immutable, shared by all streams.

    All words that it does not know are one word to it, whose probability is dealt out as the n-gram model's unigrams
    say. It computes in eight bits, on a scale that depends on what is read together: a text's score differs a little
    with the texts that are asked about beside it.
    """

    def __init__(self, path: Path, ngrams: LanguageModel) -> None:
        """Raises `ModelError` for a damaged file, or another network."""
        self._session: InferenceSession = open_session(path)
        self._ngrams = ngrams
        about = self._session.get_modelmeta().custom_metadata_map
        vocabulary = about.get("vocabulary", "").split("\n")
        self._numbers = {word: number for number, word in enumerate(vocabulary)}
        shapes = {part.name: part.shape for part in self._session.get_inputs()}
        outputs = {part.name for part in self._session.get_outputs()}
        if (
            about.get("word_lstm") != FORMAT
            or tuple(vocabulary[: len(SPECIAL_WORDS)]) != SPECIAL_WORDS
            or shapes.keys() != {"words", *STATES}
            or outputs != set(OUTPUTS)
        ):
            raise ModelError(f"{path} is no word LSTM of this program: export it again.")
        self._initial: State = {
            name: np.zeros([size if isinstance(size, int) else 1 for size in shapes[name]], np.float32)
            for name in STATES
        }

    @classmethod
    def load(cls, directory: Path, ngrams: LanguageModel) -> WordLstm | None:
        """That of a model directory, None if it has none. Raises `ModelError` for a damaged one."""
        return cls(directory / FILE, ngrams) if (directory / FILE).is_file() else None

    def advantage(self, texts: Sequence[str], share: float) -> NDArray[np.float64]:
        """By how much (natural log) a mixture finds each text likelier than the n-gram model alone does. [texts]

        Word by word `share` of the mixture, above 0 and at most 1, is this LSTM's. What texts begin with is read once
        for all of them.
        """
        rows = [text.split() for text in texts]
        result = np.zeros(len(rows))
        # All different beginnings of so many words: their states, and what the mixture has gained on each.
        _, ends, state = self._step([BEGIN], self._initial, [0])
        ngram_states = np.array([self._ngrams.start], np.int64)
        gained = np.zeros(1)
        beginning = [0] * len(rows)  # of each text, by its number among them
        for length in range(1 + max(map(len, rows))):
            ended = [number for number, row in enumerate(rows) if len(row) == length]
            ended_at = [beginning[number] for number in ended]
            longer: dict[tuple[int, str], int] = {}  # beginnings with one word more: from which one, and the word
            for number, row in enumerate(rows):
                if len(row) > length:
                    beginning[number] = longer.setdefault((beginning[number], row[length]), len(longer))
            parents = [parent for parent, _ in longer]
            ngram_words = np.append(self._ngrams.word_ids(word for _, word in longer), np.full(len(ended), END))
            log_probs, after = self._ngrams.score(ngram_states[parents + ended_at], ngram_words)
            result[ended] = gained[ended_at] + _gain(ends[ended_at], log_probs[len(longer) :], share)
            if longer:
                words = [self._numbers.get(word, UNKNOWN) for _, word in longer]
                scores, ends, state = self._step(words, state, parents)
                rare = np.flatnonzero(np.array(words) == UNKNOWN)
                scores[rare] += self._ngrams.unigram(ngram_words[rare]) - self._rare
                gained = gained[parents] + _gain(scores, log_probs[: len(longer)], share)
                ngram_states = after[: len(longer)]
        return result

    @cached_property
    def _rare(self) -> float:
        """Log-probability, by the n-gram model's unigrams, of all words together that the LSTM does not know."""
        rare = [place for place, word in enumerate(self._ngrams.vocabulary) if word not in self._numbers]
        return float(np.logaddexp.reduce(self._ngrams.unigram(np.array([UNKNOWN, *rare]))))

    def _step(self, words: Sequence[int], state: State, parents: Sequence[int]) -> tuple[Floats, Floats, State]:
        """One word further from each of the `parents` in `state`: the scores of these words, those of an end after
        them, and the state then."""
        before = {name: values[parents] if name == "expected" else values[:, parents] for name, values in state.items()}
        scores, ends, *after = self._session.run(OUTPUTS, {"words": np.array(words, np.int64), **before})
        return scores, ends, dict(zip(STATES, after, strict=True))


def _gain(scores: Floats, ngrams: Floats, share: float) -> NDArray[np.float64]:
    """How much likelier a mixture finds words than the n-gram model."""
    with np.errstate(divide="ignore"):  # a share of 1
        mixed: NDArray[np.float64] = np.logaddexp(np.log(share) + scores, np.log1p(-share) + ngrams) - ngrams
    return mixed


def mixture_perplexity(lstm: WordLstm, share: float, scored: Iterable[ScoredSentence]) -> float:
    """The perplexity, unknown words included, of a mixture with the n-gram model that scored the sentences."""
    total, tokens = 0.0, 0
    remaining = iter(scored)
    while batch := list(islice(remaining, _SENTENCES)):
        total += float(lstm.advantage([" ".join(sentence.words) for sentence in batch], share).sum())
        total += math.log(10) * sum(sum(sentence.log10) for sentence in batch)
        tokens += sum(len(sentence.words) + 1 for sentence in batch)
    return math.exp(-total / max(1, tokens))
