"""How words sound that no dictionary has: letters to phones by a small LSTM, letter names, or other words' sounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import islice, product
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError, ModelError
from asr.lexicon import Lexicon, Pronunciation
from asr.network import WORD_START, open_session

ALPHABET = "'abcdefghijklmnopqrstuvwxyz"  # letter ids of the network are 1 + the index here
PHONES = tuple(
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH".split()
)
_LETTER_NAMES = dict(
    a="EY", b="B IY", c="S IY", d="D IY", e="IY", f="EH F", g="JH IY", h="EY CH", i="AY", j="JH EY", k="K EY",
    l="EH L", m="EH M", n="EH N", o="OW", p="P IY", q="K Y UW", r="AA R", s="EH S", t="T IY", u="Y UW", v="V IY",
    w="D AH B AH L Y UW", x="EH K S", y="W AY", z="Z IY",
)  # fmt: skip
_LONGEST_ACRONYM = 5  # letters; shorter unknown words are also tried as letter names
_VARIANTS = 4  # pronunciations kept of one new word
_HISSING = ("S", "Z", "SH", "ZH", "CH", "JH")  # an s after these is a syllable
_VOICELESS = ("P", "T", "K", "F", "TH")
_LEAST_LOG_PROB = -8.0  # sounds less likely than this are not tried
_WIDTH = 8  # prefixes kept while the network's output is read


class Session(Protocol):
    """A network of onnxruntime."""

    def run(self, outputs: list[str], inputs: dict[str, NDArray[Any]]) -> Sequence[Any]: ...


class GraphemeToPhone:
    """The network of a model directory that pronounces any word; English letters and ARPABET phones."""

    def __init__(self, open_network: Callable[[], Session]) -> None:
        """`open_network` is called when the first word is asked for; letters int64 [1, n] -> [1, 3 n, 40] log-probs."""
        self._open = open_network

    @classmethod
    def load(cls, path: Path) -> GraphemeToPhone:
        """The network in `g2p.onnx`. Raises `ModelError` where there is none."""
        if not path.is_file():
            raise ModelError(f"There is no {path}.")
        return cls(lambda: open_session(path))

    @cached_property
    def _session(self) -> Session:
        return self._open()

    def pronounce(self, word: str, count: int = 1) -> list[tuple[str, ...]]:
        """The most probable phone sequences of a word of a-z and apostrophe, best first; at most `count`.

        Further ones only where they have at least a tenth of the first one's probability.
        """
        letters = np.array([[1 + ALPHABET.index(letter) for letter in word]], np.int64)
        (log_probs,) = self._session.run(["phones"], {"letters": letters})
        best = ctc_prefixes(np.asarray(log_probs)[0], _WIDTH)
        first = best[0][1]
        likely = [prefix for prefix, score in best if prefix and score > first - np.log(10)]
        return [tuple(PHONES[token - 1] for token in prefix) for prefix in likely[:count]]


def ctc_prefixes(log_probs: NDArray[np.float32], width: int) -> list[tuple[Pronunciation, float]]:
    """The most probable token sequences of a short CTC output [frames, tokens], with natural-log scores, best first."""
    beam: dict[Pronunciation, tuple[float, float]] = {(): (0.0, -math.inf)}  # prefix -> ends in blank, ends in token
    none = (-math.inf, -math.inf)
    for frame, likeliest in zip(log_probs.tolist(), np.argsort(-log_probs, axis=1)[:, :width].tolist(), strict=True):
        likely = [token for token in likeliest if token and frame[token] > _LEAST_LOG_PROB]
        grown: dict[Pronunciation, tuple[float, float]] = {}
        for prefix, (blank, token) in beam.items():
            total = _log_add(blank, token)
            before = grown.get(prefix, none)
            again = token + frame[prefix[-1]] if prefix else -math.inf
            grown[prefix] = (_log_add(before[0], total + frame[0]), _log_add(before[1], again))
            for new in likely:
                longer = (*prefix, new)
                source = blank if prefix and prefix[-1] == new else total
                before = grown.get(longer, none)
                grown[longer] = (before[0], _log_add(before[1], source + frame[new]))
        scored = sorted(((-_log_add(*score), prefix) for prefix, score in grown.items()))
        beam = {prefix: grown[prefix] for _, prefix in scored[:width]}
    return [(prefix, _log_add(*score)) for prefix, score in beam.items()]


def _log_add(first: float, second: float) -> float:
    high, low = (first, second) if first > second else (second, first)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


class Pronouncer:
    """Pronunciations of any word in the tokens of a lexicon: from the lexicon itself, else by network or spelling."""

    def __init__(self, lexicon: Lexicon, g2p: GraphemeToPhone | None = None) -> None:
        self._lexicon = lexicon
        self._g2p = g2p
        self._numbers = {token: number for number, token in enumerate(lexicon.tokens)}
        self._has_phones = all(phone in self._numbers for phone in PHONES)

    def pronounce(self, word: str, letter_names: bool = False) -> list[Pronunciation]:
        """Token sequences of a normalized word; with `letter_names` also, or only, as its letters are called.

        Raises `AsrError` where nothing tells how the word sounds.
        """
        found = list(self._lexicon.pronunciations(word))
        known = bool(found)
        if not known and not self._has_phones:
            found = spellings(word, self._lexicon.tokens)[:_VARIANTS]
        elif not known and self._g2p is not None:
            found = [self._tokens(phones) for phones in self._g2p.pronounce(word, _VARIANTS)]
        letters = word.replace("'", "")
        if self._has_phones and letters and (letter_names or (not known and len(letters) <= _LONGEST_ACRONYM)):
            found.append(self._tokens(" ".join(_LETTER_NAMES[letter] for letter in letters).split()))
        if not found:
            raise AsrError(f"Nothing tells how {word!r} sounds: write it as {word}=known words that sound like it.")
        return list(dict.fromkeys(found))

    def sounds_like(self, words: str) -> list[Pronunciation]:
        """The pronunciations of several words, one after the other."""
        choices = product(*(self.pronounce(word) for word in words.split()))
        return [tuple(token for part in parts for token in part) for parts in islice(choices, _VARIANTS)]

    def _tokens(self, phones: Sequence[str]) -> Pronunciation:
        return tuple(self._numbers[phone] for phone in phones)


def complete(
    words: Sequence[str],
    dictionary: Mapping[str, Sequence[Pronunciation]],
    tokens: Sequence[str],
    g2p: GraphemeToPhone | None = None,
) -> tuple[dict[str, list[Pronunciation]], list[str]]:
    """The pronunciations of words: a dictionary's, those of its words with an s added, else the network's.

    Also gives the words that could not be pronounced.
    """
    numbers = {token: number for number, token in enumerate(tokens)}
    found: dict[str, list[Pronunciation]] = {}
    silent = []
    for word in words:
        if word in dictionary:
            found[word] = list(dictionary[word])
        elif (ways := _with_s(word, dictionary, numbers)) or g2p is None:
            found[word] = ways
        else:
            found[word] = [tuple(numbers[phone] for phone in phones) for phones in g2p.pronounce(word)]
        if not found[word]:
            del found[word]
            silent.append(word)
    return found, silent


def _with_s(
    word: str, dictionary: Mapping[str, Sequence[Pronunciation]], numbers: Mapping[str, int]
) -> list[Pronunciation]:
    """Possessives and plurals of the dictionary's words."""
    if word.endswith("s'"):
        return list(dictionary.get(word[:-1], ()))  # sounds as the plural does
    base = word[:-2] if word.endswith("'s") else word[:-1] if word.endswith("s") and not word.endswith("ss") else ""
    ways = dictionary.get(base, ())
    ends: dict[int, Pronunciation] = {numbers[phone]: (numbers["IH"], numbers["Z"]) for phone in _HISSING}
    ends |= {numbers[phone]: (numbers["S"],) for phone in _VOICELESS}
    return [(*way, *ends.get(way[-1], (numbers["Z"],))) for way in ways]


def spellings(word: str, tokens: Sequence[str]) -> list[Pronunciation]:
    """The ways to write a word in the fewest spelling tokens, empty where they cannot; `▁` opens a word."""
    target = WORD_START + word
    numbers = {token: number for number, token in enumerate(tokens) if number}
    ways: list[list[Pronunciation]] = [[] for _ in range(len(target) + 1)]  # of each beginning of the word
    ways[0] = [()]
    for end in range(1, len(target) + 1):
        for begin in range(end):
            if (token := numbers.get(target[begin:end])) is not None:
                ways[end] += [(*way, token) for way in ways[begin]]
        fewest = min((len(way) for way in ways[end]), default=0)
        ways[end] = [way for way in ways[end] if len(way) == fewest]
    return ways[-1]
