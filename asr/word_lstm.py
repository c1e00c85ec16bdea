"""Another opinion on whole readings: how likely a small LSTM that remembers the whole sentence finds their words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice, pairwise
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
        # A tree of all beginnings, shorter ones first: from which each grows, and by which word.
        parents, words, levels = [0], [SPECIAL_WORDS[BEGIN]], [0, 1]
        node = [0] * len(rows)  # how far each text has come
        for length in range(max(map(len, rows))):
            longer: dict[tuple[int, str], int] = {}
            for number, row in enumerate(rows):
                if len(row) > length:
                    key = node[number], row[length]
                    node[number] = longer.setdefault(key, levels[-1] + len(longer))
            parents += (parent for parent, _ in longer)
            words += (word for _, word in longer)
            levels.append(len(words))
        numbers = np.array([self._numbers.get(word, UNKNOWN) for word in words])
        ngram_numbers = np.concatenate(([BEGIN], self._ngrams.word_ids(words[1:]), np.full(len(rows), END)))
        ngrams = self._ngram_log_probs(ngram_numbers, np.array(parents + node))
        scores, ends = np.zeros(len(words), np.float32), np.zeros(len(words), np.float32)
        state, below = self._initial, 0
        for low, high in pairwise(levels):
            before = np.array(parents[low:high]) - below
            scores[low:high], ends[low:high], state = self._step(numbers[low:high], state, before)
            below = low
        rare = np.flatnonzero(numbers == UNKNOWN)
        scores[rare] += self._ngrams.unigram(ngram_numbers[rare]) - self._rare
        gained = _gain(scores, ngrams[: len(words)], share)
        gained[0] = 0.0
        for low, high in pairwise(levels[1:]):
            gained[low:high] += gained[parents[low:high]]
        total: NDArray[np.float64] = gained[node] + _gain(ends[node], ngrams[len(words) :], share)
        return total

    def _ngram_log_probs(self, words: NDArray[np.int64], parents: NDArray[np.int64]) -> NDArray[np.float32]:
        """The n-gram model's log-probs of words after all that is above them in a tree, whose root stands first."""
        above = [parents]
        for _ in range(self._ngrams.order - 2):
            above.append(parents[above[-1]])
        states = np.zeros(len(words), np.int64)
        for distance in range(len(above) - 1, -1, -1):  # no more than these words can matter; nothing is above the root
            there = np.flatnonzero(above[distance - 1]) if distance else np.arange(len(words))
            states[there] = self._ngrams.score(states[there], words[above[distance][there]])[1]
        return self._ngrams.score(states, words)[0]

    @cached_property
    def _rare(self) -> float:
        """Log-probability, by the n-gram model's unigrams, of all words together that the LSTM does not know."""
        rare = [place for place, word in enumerate(self._ngrams.vocabulary) if word not in self._numbers]
        return float(np.logaddexp.reduce(self._ngrams.unigram(np.array([UNKNOWN, *rare]))))

    def _step(self, words: NDArray[np.int64], state: State, parents: NDArray[np.int64]) -> tuple[Floats, Floats, State]:
        """One word further from each of the `parents` in `state`: the scores of these words, those of an end after
        them, and the state then."""
        before = {name: values[parents] if name == "expected" else values[:, parents] for name, values in state.items()}
        scores, ends, *after = self._session.run(OUTPUTS, {"words": words, **before})
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
