"""Phone error rates: what the phone heads hear, without lexicon or language model, against a dictionary."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asr.audio import Samples
from asr.decoders import PHONES, load_pronunciations
from asr.errors import AsrError
from asr.evaluate.scores import Score, align
from asr.g2p import ALPHABET
from asr.greedy import collapse
from asr.lexicon import read_pronunciations
from asr.network import Network
from asr.posteriors import Reading, log_probs


class ReferencePhones:
    """How the words of a reference are pronounced: the first entry of a dictionary, else as the model's own lexicon or
    grapheme-to-phone network says. A lexicon keeps no order, so figures to be compared need the dictionary."""

    def __init__(self, network: Network, dictionary: Path | None = None) -> None:
        """Raises `AsrError` where there is neither a dictionary nor a lexicon in the model directory."""
        self._tokens = network.heads[PHONES]
        self._known = {} if dictionary is None else read_pronunciations(dictionary, self._tokens)
        self._lexicon, self._g2p = load_pronunciations(network)
        self._found: dict[str, list[str] | None] = {}
        if not self._known and self._lexicon is None:
            raise AsrError(
                f"{network.directory}: has no words.lexicon of phones; "
                f"give a pronunciation dictionary (--dictionary cmudict.dict) to count phone errors"
            )

    def pronounce(self, text: str) -> list[str] | None:
        """The phones of a normalized text; None where nothing tells how one of its words sounds."""
        phones: list[str] = []
        for word in text.split():
            if word not in self._found:
                self._found[word] = self._word(word)
            if (found := self._found[word]) is None:
                return None
            phones += found
        return phones

    def _word(self, word: str) -> list[str] | None:
        entries = self._known.get(word) or (self._lexicon.pronunciations(word) if self._lexicon is not None else ())
        if entries:
            return [self._tokens[token] for token in entries[0]]
        if self._g2p is None or not set(word) <= set(ALPHABET):
            return None
        return list(self._g2p.pronounce(word)[0])


def heard_phones(network: Network, samples: Samples) -> dict[str, list[str]]:
    """The best path of the phone head after each reading, "first" and "second", of an utterance [n] at 16 kHz."""
    readings: tuple[Reading, ...] = ("first", "second")
    tokens = network.heads[PHONES]
    heard: dict[str, list[str]] = {}
    for reading in readings:
        pieces = [piece[PHONES] for piece in log_probs(network, [samples], reading)]
        scores = np.concatenate([np.zeros((0, len(tokens)), np.float32), *pieces])  # [frames, phones]
        heard[reading] = [tokens[token] for _, token in collapse(scores.argmax(axis=1))]
    return heard


def score_phones(reference: list[str], heard: dict[str, list[str]]) -> dict[str, Score]:
    """By reading."""
    return {reading: Score.of(align(reference, phones)) for reading, phones in heard.items()}
