"""Best-path decoding, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.errors import AsrError
from asr.greedy import Greedy, Hypothesis, collapse

TOKENS = ("<blank>", "▁car", "ry", "▁a", "s")


def log_probs(path: list[int], probability: float = 0.9) -> NDArray[np.float32]:
    """[frames, tokens] whose best path is `path`."""
    rest = (1 - probability) / (len(TOKENS) - 1)
    table = np.full((len(path), len(TOKENS)), rest, np.float32)
    table[np.arange(len(path)), path] = probability
    return np.log(table)


def decode(*parts: NDArray[np.float32]) -> Hypothesis:
    decoder = Greedy(TOKENS)
    state = decoder.start()
    for part in parts:
        state = decoder.step(state, part)
    return decoder.best(state)[0]


def test_words_times_and_confidences() -> None:
    found = decode(log_probs([0, 1, 1, 0, 0, 2, 3, 0]))
    assert [(word.text, word.start_frame, word.end_frame) for word in found.words] == [("carry", 1, 6), ("a", 6, 7)]
    assert [word.confidence for word in found.words] == pytest.approx([0.9, 0.9])
    assert found.score == pytest.approx(8 * np.log(0.9))


def test_confidence_is_the_mean_of_the_best_frames() -> None:
    found = decode(log_probs([1], 0.9), log_probs([1], 0.6), log_probs([2], 0.4))
    assert found.words[0].confidence == pytest.approx((0.9 * 0.4) ** 0.5)


def test_repeated_tokens_need_a_blank_between_them() -> None:
    assert [word.text for word in decode(log_probs([1, 4, 4, 0, 4])).words] == ["carss"]


def test_what_begins_in_the_middle_of_a_word() -> None:
    assert [word.text for word in decode(log_probs([2, 1])).words] == ["ry", "car"]


def test_nothing() -> None:
    assert decode().words == decode(log_probs([0, 0])).words == decode(log_probs([])).words == ()


@given(path=st.lists(st.integers(0, 4), max_size=30), cuts=st.lists(st.integers(0, 30), max_size=5))
def test_steps_do_not_matter(path: list[int], cuts: list[int]) -> None:
    table = log_probs(path)
    assert decode(*np.split(table, sorted(cuts))) == decode(table)
    assert [token for _, token in collapse(np.array(path, np.intp))] == [
        token for i, token in enumerate(path) if token and (i == 0 or path[i - 1] != token)
    ]


def test_hotwords_are_refused_not_ignored() -> None:
    for wanted in ({"hotwords": {"hochreiter": 6.0}}, {"grammar": ["yes", "no"]}, {"words": ["gui"]}):
        with pytest.raises(AsrError, match="knows no hotwords"):
            Greedy(TOKENS).start(**wanted)  # type: ignore[arg-type]


def test_completed_words() -> None:
    decoder = Greedy(TOKENS)
    state = decoder.step(decoder.start(), log_probs([0, 1, 2, 0, 3, 0, 0]))
    assert [word.text for word in decoder.partial(state)] == ["carry"]
    state = decoder.step(state, log_probs([0] * 4))
    assert [word.text for word in decoder.partial(state)] == ["carry", "a"]


@given(path=st.lists(st.integers(0, 4), max_size=20), cut=st.integers(0, 20))
def test_a_stored_state_goes_on(path: list[int], cut: int) -> None:
    decoder = Greedy(TOKENS)
    state = decoder.step(decoder.start(), log_probs(path[:cut]))
    restored = decoder.step(decoder.restore(state.to_arrays()), log_probs(path[cut:]))
    assert decoder.best(restored) == [decode(log_probs(path))]
    for name, array in state.to_arrays().items():
        with pytest.raises(AsrError, match="damaged"):
            decoder.restore(state.to_arrays() | {name: array[:-1]})
