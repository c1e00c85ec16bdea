"""Another opinion on whole readings: how likely a small LSTM that remembers the whole sentence finds their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.language_model import LanguageModel
from asr.network import open_session
from asr.ngram.counts import END as NGRAM_END

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FILE = "rescorer.onnx"
FORMAT = "1"
UNKNOWN, BEGIN, END = 0, 1, 2  # numbers in its vocabulary
STATES = ("expected", "h", "c")  # what it knows after a text


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

    def advantage(self, texts: Sequence[str], share: float) -> NDArray[np.float64]:
        """How much likelier than by the n-gram model alone each text is by a mixture of both, word by word, in which
        this LSTM has a share; natural logs. [texts]

        What several texts begin with is read once. Raises `ModelError` for a damaged file.
        """
        rows = [text.split() for text in texts]
        result = np.zeros(len(rows))
        place = [0] * len(rows)  # of each text among all different beginnings of one length
        _, ends, state = self._step([BEGIN], self._initial)
        ngram_states = np.array([self._ngrams.start], np.int64)
        total = np.zeros(1)
        for length in range(1 + max(map(len, rows))):
            grown: dict[tuple[int, str], int] = {}
            ended = [number for number, row in enumerate(rows) if len(row) == length]
            before = [place[number] for number in ended]
            for number, row in enumerate(rows):
                if len(row) > length:
                    place[number] = grown.setdefault((place[number], row[length]), len(grown))
            parents = [parent for parent, _ in grown]
            ngram_words = np.append(self._ngrams.word_ids(word for _, word in grown), np.full(len(ended), NGRAM_END))
            log_probs, after = self._ngrams.score(ngram_states[parents + before], ngram_words)
            result[ended] = total[before] + _gain(ends[before], log_probs[len(grown) :], share)
            if grown:
                words = [self._numbers.get(word, UNKNOWN) for _, word in grown]
                scores, ends, state = self._step(words, {name: _of(state, name, parents) for name in STATES})
                rare = np.flatnonzero(np.array(words) == UNKNOWN)
                scores[rare] += self._ngrams.unigram(ngram_words[rare]) - self._rare
                total = total[parents] + _gain(scores, log_probs[: len(grown)], share)
                ngram_states = after[: len(grown)]
        return result

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

    @cached_property
    def _initial(self) -> dict[str, NDArray[np.float32]]:
        shapes = {part.name: part.shape for part in self._session.get_inputs()}
        return {
            "expected": np.zeros((1, shapes["expected"][1]), np.float32),
            "h": np.zeros((1, 1, shapes["h"][2]), np.float32),
            "c": np.zeros((1, 1, shapes["c"][2]), np.float32),
        }

    def _step(
        self, words: Sequence[int], state: Mapping[str, NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """Scores of words, those of ends after them, and the state then."""
        wanted = ["scores", "ends", *(f"next_{name}" for name in STATES)]
        scores, ends, *after = self._session.run(wanted, {"words": np.array(words, np.int64), **state})
        return scores, ends, dict(zip(STATES, after, strict=True))


def _of(state: Mapping[str, NDArray[np.float32]], name: str, places: Sequence[int]) -> NDArray[np.float32]:
    return state[name][places] if name == "expected" else state[name][:, places]


def _gain(scores: NDArray[np.float32], ngrams: NDArray[np.float32], share: float) -> NDArray[np.float64]:
    """How much likelier a mixture finds words than the n-gram model."""
    mixed: NDArray[np.float64] = np.logaddexp(np.log(share) + scores, np.log1p(-share) + ngrams) - ngrams
    return mixed
