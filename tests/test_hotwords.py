"""Hotwords: what a phrase adds in all, step by step, and what a mismatch takes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.hotwords import DEFAULT_BONUS, Matcher, parse_hotwords, read_hotwords, read_hotwords_file
from asr.lexicon import Lexicon

TOKENS = ("<blank>", "A", "B", "C")
LEXICON = Lexicon.build([("new", (1, 2)), ("york", (2, 3, 1)), ("newt", (1, 2, 3)), ("car", (3,))], TOKENS)
NUMBER = {word: LEXICON.find(word) or 0 for word in ("new", "york", "newt", "car")}


def matcher(phrases: dict[str, float]) -> Matcher:
    return Matcher([([NUMBER[word] for word in phrase.split()], bonus) for phrase, bonus in phrases.items()], LEXICON)


def step(one: Matcher, state: int, word: str) -> tuple[int, float]:
    states, gains = one.step(np.array([state], np.int32), np.array([NUMBER[word]], np.int32))
    return int(states[0]), float(gains[0])


def total(one: Matcher, text: str) -> float:
    """The bonus of a finished text: what was added, without what is owed for a phrase that has only begun."""
    state, score = 0, 0.0
    for word in text.split():
        state, gain = step(one, state, word)
        score += gain
    return score - float(one.owed[state])


def test_a_phrase_counts_each_time_it_is_said_whole() -> None:
    one = matcher({"new york": 6.0, "york": 1.0})
    assert total(one, "new york") == pytest.approx(7.0)
    assert total(one, "new york car new york") == pytest.approx(14.0)
    assert total(one, "new car york") == pytest.approx(1.0)
    assert total(one, "car newt") == 0.0


def test_a_phrase_is_favoured_as_it_grows_and_the_bonus_is_taken_back() -> None:
    one = matcher({"new york car": 6.0})
    state, gain = step(one, 0, "new")
    assert gain == pytest.approx(2.0)
    state, gain = step(one, state, "york")
    assert gain == pytest.approx(2.0)
    state, gain = step(one, state, "newt")
    assert (state, gain) == (0, pytest.approx(-4.0))


def test_where_a_phrase_breaks_another_may_go_on() -> None:
    one = matcher({"new york car": 6.0, "york newt": 2.0})
    assert total(one, "new york newt") == pytest.approx(2.0)
    assert total(one, "new new york car") == pytest.approx(6.0)


@given(st.lists(st.sampled_from(sorted(NUMBER)), max_size=12))
@settings(deadline=None)
def test_bonuses_equal_a_count_of_the_phrases(words: list[str]) -> None:
    phrases = {"new york": 5.0, "york york": 3.0, "york": 1.0, "car new york": 2.0, "newt": -4.0}
    expected = sum(
        bonus
        for phrase, bonus in phrases.items()
        for begin in range(len(words))
        if words[begin : begin + len(phrase.split())] == phrase.split()
    )
    assert total(matcher(phrases), " ".join(words)) == pytest.approx(expected)


def test_inside_a_word_the_bonus_comes_sound_by_sound() -> None:
    one = matcher({"york": 6.0, "new york": 9.0})
    tree = LEXICON.tree
    first = int(tree.root_child[2])
    second = int(tree.children[tree.child_begin[first]])
    third = int(tree.children[tree.child_begin[second]])
    states = np.zeros(4, np.int32)
    positions = np.array([2, first, second, third], np.int32)
    assert one.ahead(states, positions) == pytest.approx([0, 2, 4, 6])
    begun, _ = step(one, 0, "new")
    other = int(tree.root_child[3])
    assert one.ahead(np.full(2, begun, np.int32), np.array([first, other], np.int32)) == pytest.approx(
        [(6 + 4.5) / 3, -4.5]
    )


def test_hotwords_are_read() -> None:
    assert parse_hotwords("lstm:6,new york, hochreiter=hoke writer:8.5,") == {
        "lstm": 6.0,
        "new york": DEFAULT_BONUS,
        "hochreiter=hoke writer": 8.5,
    }
    lstm, told = read_hotwords({"LSTM": 6.0, "Hochreiter=hoke writer": 2.0})
    assert (lstm.phrase, lstm.initials) == ("lstm", {"lstm"})
    assert (told.phrase, told.sounds_like, told.bonus) == ("hochreiter", "hoke writer", 2.0)


@pytest.mark.parametrize("text", ["lstm:x", "=a", "a=", "two words=a", "r2d2", "a:1000", "a:nan"])
def test_what_is_no_hotword_is_refused(text: str) -> None:
    with pytest.raises(AsrError):
        read_hotwords(parse_hotwords(text))


def test_a_file_of_hotwords(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("# names\nhochreiter=hoke writer:8\n\nnew york\n", encoding="utf-8")
    assert read_hotwords_file(path) == {"hochreiter=hoke writer": 8.0, "new york": DEFAULT_BONUS}
    with pytest.raises(AsrError, match="nowhere"):
        read_hotwords_file(tmp_path / "nowhere")


def test_states_are_for_begun_phrases_alone() -> None:
    assert len(matcher({"york": 5.0, "newt": 5.0, "car": 5.0}).owed) == 1
    assert len(matcher({"york": 5.0, "new york": 5.0, "new york car": 5.0}).owed) == 3
