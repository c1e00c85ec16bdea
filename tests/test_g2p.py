"""How new words are pronounced: networks, letter names, spellings, other words."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from asr.errors import AsrError
from asr.g2p import ALPHABET, PHONES, GraphemeToPhone, Pronouncer, complete, ctc_prefixes, spellings
from asr.lexicon import Lexicon

TOKENS = ("<blank>", *PHONES)


def sounds(text: str) -> tuple[int, ...]:
    return tuple(TOKENS.index(phone) for phone in text.split())


LEXICON = Lexicon.build([("hoke", sounds("HH OW K")), ("writer", sounds("R AY T ER")), ("read", sounds("R EH D")),
                         ("read", sounds("R IY D"))], TOKENS)  # fmt: skip


class LetterSession:
    """Says for each letter one phone, sure of it: a network's place is taken by a table."""

    def run(self, outputs: list[str], inputs: dict[str, NDArray[Any]]) -> Sequence[Any]:
        letters = inputs["letters"]
        assert letters.dtype == np.int64
        assert letters.shape[0] == 1
        log_probs = np.full((1, 3 * letters.shape[1], len(TOKENS)), -9.0, np.float32)
        log_probs[0, :, 0] = 0
        for place, letter in enumerate(letters[0].tolist()):
            log_probs[0, 3 * place] = -9.0
            log_probs[0, 3 * place, letter] = 0
        return [log_probs]


def test_prefixes_of_a_short_output_equal_brute_force() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4))  # none so unlikely that it is not tried
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    mass: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(4), repeat=5):
        collapsed = tuple(token for token, _ in itertools.groupby(path) if token)
        mass[collapsed] += float(np.exp(log_probs[range(5), path].sum()))
    found = ctc_prefixes(log_probs.astype(np.float32), 10_000)
    expected = sorted(mass.items(), key=lambda entry: -entry[1])
    assert [prefix for prefix, _ in found[:20]] == [prefix for prefix, _ in expected[:20]]
    assert [np.exp(score) for _, score in found[:20]] == pytest.approx([p for _, p in expected[:20]], rel=1e-5)


def test_a_network_pronounces_any_word() -> None:
    g2p = GraphemeToPhone(LetterSession)
    assert g2p.pronounce("a'b", 3) == [tuple(PHONES[ALPHABET.index(letter)] for letter in "a'b")]


def test_known_words_are_spoken_as_the_lexicon_says() -> None:
    assert Pronouncer(LEXICON).pronounce("read") == [sounds("R EH D"), sounds("R IY D")]


def test_short_unknown_words_are_also_spoken_as_letters() -> None:
    lstm = sounds("EH L EH S T IY EH M")
    assert Pronouncer(LEXICON).pronounce("lstm") == [lstm]
    assert lstm in Pronouncer(LEXICON, GraphemeToPhone(LetterSession)).pronounce("lstm")
    assert len(Pronouncer(LEXICON).pronounce("read", letter_names=True)) == 3


def test_a_word_that_nothing_pronounces_is_refused() -> None:
    with pytest.raises(AsrError, match="hochreiter=known words"):
        Pronouncer(LEXICON).pronounce("hochreiter")


def test_a_word_may_sound_like_others() -> None:
    assert Pronouncer(LEXICON).sounds_like("hoke writer") == [sounds("HH OW K R AY T ER")]
    assert len(Pronouncer(LEXICON).sounds_like("read read")) == 4


def test_without_phones_words_are_spelled_with_the_fewest_tokens() -> None:
    tokens = ("<blank>", "▁", "▁h", "a", "t", "at", "h", "▁ha")
    assert spellings("hat", tokens) == [(2, 5), (7, 4)]
    assert spellings("hot", tokens) == []
    assert Pronouncer(Lexicon.build([], tokens)).pronounce("hat") == [(2, 5), (7, 4)]
    with pytest.raises(AsrError, match="hot"):
        Pronouncer(Lexicon.build([], tokens)).pronounce("hot")


def test_a_dictionary_is_completed() -> None:
    dictionary = {
        "cat": [sounds("K AE T")],
        "dog": [sounds("D AO G")],
        "boss": [sounds("B AO S")],
        "dogs": [sounds("D AO G Z")],
    }
    words = ["cat", "cats", "dog's", "boss's", "dogs'", "bos", "zebra"]
    found, silent = complete(words, dictionary, TOKENS)
    assert {word: [" ".join(TOKENS[token] for token in way) for way in ways] for word, ways in found.items()} == {
        "cat": ["K AE T"],
        "cats": ["K AE T S"],
        "dog's": ["D AO G Z"],
        "boss's": ["B AO S IH Z"],
        "dogs'": ["D AO G Z"],
    }
    assert silent == ["bos", "zebra"]
    found, silent = complete(words, dictionary, TOKENS, GraphemeToPhone(LetterSession))
    assert set(found) == set(words)
    assert silent == []
