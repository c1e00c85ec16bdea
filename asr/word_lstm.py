"""A third opinion on whole readings: how likely a small LSTM that remembers the whole sentence finds their words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.language_model import LanguageModel
from asr.network import open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FILE = "rescorer.onnx"
FORMAT = "1"
UNKNOWN, BEGIN, END = 0, 1, 2  # numbers in its vocabulary


class WordLstm:
    """Reads `rescorer.onnx` of a model directory when it is first asked; immutable, shared by all streams.

    Its vocabulary is that of frequent words: a rare one has the probability of all of them together, and of that the
    share that the n-gram model's unigrams give it.
    """

    def __init__(self, path: Path, ngrams: LanguageModel) -> None:
        self._path = path
        self._ngrams = ngrams

    @classmethod
    def load(cls, directory: Path, ngrams: LanguageModel) -> WordLstm | None:
        """That of a model directory, None if it has none."""
        return cls(directory / FILE, ngrams) if (directory / FILE).is_file() else None

    def advantage(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """How much likelier than the n-gram model it finds each text, natural logs. [texts]

        Raises `ModelError` for a damaged file.
        """
        rows = [text.split() for text in texts]
        return self._log_probs(rows) - self._ngram_log_probs(rows)

    @cached_property
    def _session(self) -> InferenceSession:
        return open_session(self._path)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        about = self._session.get_modelmeta().custom_metadata_map
        if about.get("word_lstm") != FORMAT or "vocabulary" not in about:
            raise ModelError(f"{self._path} is no word LSTM of this program: export it again.")
        return {word: number for number, word in enumerate(about["vocabulary"].split("\n"))}

    @cached_property
    def _rare(self) -> float:
        """Log-probability that the n-gram model's unigrams give all words together that the LSTM does not know."""
        numbers = self._numbers
        rare = [place for place, word in enumerate(self._ngrams.vocabulary) if word not in numbers]
        return float(np.logaddexp.reduce(self._ngrams.unigram(np.array([UNKNOWN, *rare]))))

    def _log_probs(self, rows: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        length = 1 + max(map(len, rows))
        words = np.full((len(rows), length + 1), END, np.int64)
        words[:, 0] = BEGIN
        shares = np.zeros(len(rows))
        for number, row in enumerate(rows):
            words[number, 1 : len(row) + 1] = [self._numbers.get(word, UNKNOWN) for word in row]
            rare = self._ngrams.word_ids(word for word in row if word not in self._numbers)
            shares[number] = (self._ngrams.unigram(rare) - self._rare).sum()
        (scores,) = self._session.run(["scores"], {"words": words[:, :-1], "next_words": words[:, 1:]})
        said = np.arange(length) <= np.array([len(row) for row in rows])[:, None]
        total: NDArray[np.float64] = np.where(said, scores, 0.0).sum(1, dtype=np.float64) + shares
        return total

    def _ngram_log_probs(self, rows: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        numbers: dict[str, int] = {}
        for word in {word for row in rows for word in row}:
            numbers[word] = int(self._ngrams.word_ids([word])[0])
        total = np.zeros(len(rows))
        states = np.full(len(rows), self._ngrams.start, np.int64)
        for place in range(max(map(len, rows))):
            going = np.flatnonzero([len(row) > place for row in rows])
            words = np.array([numbers[rows[number][place]] for number in going.tolist()], np.int64)
            log_probs, states[going] = self._ngrams.score(states[going], words)
            total[going] += log_probs
        return total + self._ngrams.end_score(states)
