"""Grammars: exactly their phrases, one after another, have a finite score."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from asr.errors import AsrError
from asr.g2p import Pronouncer
from asr.grammar import UNKNOWN, Grammar, GrammarOptions, grammar_entries, read_grammar
from asr.lexicon import Lexicon

TOKENS = ("<blank>", "A", "B", "C")
KNOWN = Lexicon.build([("turn", (1,)), ("on", (2,)), ("off", (2, 1)), ("light", (3,))], TOKENS)


def make(grammar: str, options: GrammarOptions | None = None) -> tuple[Grammar, Lexicon]:
    phrases = read_grammar(grammar)
    lexicon = Lexicon.build(grammar_entries(phrases, Pronouncer(KNOWN), TOKENS), TOKENS)
    return Grammar(phrases, lexicon, options), lexicon


def score(grammar: Grammar, lexicon: Lexicon, words: list[str]) -> float:
    states, total = np.array([grammar.start], np.int64), 0.0
    for word in words:
        probability, states = grammar.score(states, np.array([lexicon.find(word)]))
        total += float(probability[0])
    return total + float(grammar.end_score(states)[0])


def test_exactly_sequences_of_phrases_are_allowed() -> None:
    phrases = ["turn on", "turn on light", "light off", "on"]
    grammar, lexicon = make("|".join(phrases))
    allowed = {"": 0}
    for _ in range(4):
        allowed |= {f"{said} {phrase}".strip(): 0 for said in list(allowed) for phrase in phrases}
    for length in range(5):
        for words in itertools.product(["turn", "on", "off", "light"], repeat=length):
            assert (score(grammar, lexicon, list(words)) > -np.inf) == (" ".join(words) in allowed), words


def test_phrases_after_the_first_cost_more_and_silence_has_its_price() -> None:
    options = GrammarOptions(nothing=-3.0, next_phrase=-5.0)
    grammar, lexicon = make("on|turn on", options)
    one = score(grammar, lexicon, ["on"])
    assert one == pytest.approx(-np.log(2))
    assert score(grammar, lexicon, ["turn", "on"]) == pytest.approx(one)
    assert score(grammar, lexicon, ["on", "turn", "on"]) == pytest.approx(2 * one - 5.0)
    assert score(grammar, lexicon, []) == pytest.approx(-3.0)


def test_unknown_speech_has_any_length() -> None:
    grammar, lexicon = make("turn [UNK] on|[unk]")
    assert set(lexicon.pronunciations(UNKNOWN)) == {(1,), (2,), (3,)}
    assert score(grammar, lexicon, ["turn", UNKNOWN, "on"]) > -np.inf
    assert score(grammar, lexicon, ["turn", *[UNKNOWN] * 9, "on"]) > -np.inf
    assert score(grammar, lexicon, ["turn", "on"]) == -np.inf
    assert score(grammar, lexicon, [UNKNOWN, UNKNOWN]) < score(grammar, lexicon, [UNKNOWN])


def test_grammars_are_read() -> None:
    assert read_grammar("Yes | no|Turn the light on|[unk]|yes|") == ("yes", "no", "turn the light on", "[unk]")
    assert read_grammar(["It's on"]) == ("it's on",)
    for nonsense in ("", "|", [], "включи"):
        with pytest.raises(AsrError):
            read_grammar(nonsense)
