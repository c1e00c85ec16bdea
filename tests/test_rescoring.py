"""The spelling head's say over whole readings, against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from asr.beam import DecoderOptions
from asr.decoder import Decoder
from asr.errors import AsrError
from asr.lexicon import Lexicon
from asr.rescoring import Speller

TOKENS = ("<blank>", "▁a", "a", "b", "▁ab")  # "▁ab" is merged first, being the only merge


def random_log_probs(seed: int, frames: int) -> np.ndarray:
    logits = 2 * np.random.default_rng(seed).normal(size=(frames, len(TOKENS)))
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


@pytest.mark.parametrize("seed", range(4))
def test_the_sum_over_alignments_equals_brute_force(seed: int) -> None:
    log_probs = random_log_probs(seed, 5)
    texts = {"": (), "a": (1,), "ab": (4,), "aa ab": (1, 2, 4), "aaa": (1, 2, 2), "ab ab ab ab ab ab": (4,) * 6}
    mass = dict.fromkeys(texts.values(), 0.0)
    for path in itertools.product(range(len(TOKENS)), repeat=5):
        said = tuple(token for token, _ in itertools.groupby(path) if token)
        if said in mass:
            mass[said] += float(np.exp(log_probs[range(5), path].sum()))
    with np.errstate(divide="ignore"):
        expected = np.log([mass[tokens] for tokens in texts.values()])
    assert Speller(TOKENS).score(log_probs, list(texts)) == pytest.approx(expected)
    assert Speller(TOKENS).score(log_probs.astype(np.float32), ["aa ab"])[0] == pytest.approx(expected[3], abs=1e-4)


def test_a_letter_that_nobody_can_spell_is_refused() -> None:
    with pytest.raises(AsrError, match="alphabet"):
        Speller(TOKENS).score(random_log_probs(0, 5), ["abc"])


def test_spelling_decides_between_words_that_sound_alike() -> None:
    phones = ("<blank>", "X", "Y")
    lexicon = Lexicon.build([("a", (1,)), ("ab", (1,)), ("b", (2,))], phones, {"a": -1.0, "ab": -2.0, "b": -1.0})
    heard = np.log([[0.01, 0.98, 0.01], [0.98, 0.01, 0.01]])
    spelled = np.log([[0.02, 0.1, 0.04, 0.04, 0.8], [0.96, 0.01, 0.01, 0.01, 0.01]])

    def words(weight: float, spelling: np.ndarray | None) -> list[tuple[str, ...]]:
        decoder = Decoder(phones, lexicon, None, DecoderOptions(spelling_weight=weight), speller=Speller(TOKENS))
        found = decoder.best(decoder.step(decoder.start(), heard), 2, spelling)
        assert found[0].score >= found[1].score
        return [tuple(word.text for word in one.words) for one in found]

    assert words(1.0, spelled) == [("ab",), ("a",)]
    assert words(1.0, spelled[:, [0, 4, 2, 3, 1]]) == [("a",), ("ab",)]
    assert sorted(words(0.0, spelled)) == sorted(words(1.0, None)) == [("a",), ("ab",)]
    assert words(1.0, np.log(spelled[:0] + 1)) == words(0.0, None)  # no frames
    decoder = Decoder(phones, lexicon, None, DecoderOptions(), speller=Speller(TOKENS[:3]))
    assert decoder.best(decoder.step(decoder.start(), heard), 1, spelled)  # "b" cannot be spelled: nothing to say
    decoder = Decoder(phones, lexicon, None, DecoderOptions(), speller=Speller(TOKENS))
    ((word, evidence),) = decoder.evidence(decoder.step(decoder.start(), heard), spelled)
    assert word == "ab" and 0 < evidence.posterior < 1
