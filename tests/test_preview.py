"""The second reading ahead of its time: the same whenever somebody looks, at a constant cost, and nearly final."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.audio import read_audio
from asr.evaluate.scores import Score, score_words
from asr.greedy import Greedy, GreedyState, collapse
from asr.network import Network
from asr.preview import AHEAD, BEHIND, PIECE, read_ahead
from asr.recognizer import Recognizer

Floats = NDArray[np.float32]


class Watched(Network):
    """A network whose second reading only notes how much it is given."""

    def __init__(self, tokens: int) -> None:
        self.given: list[int] = []
        self._tokens = tokens

    def second(self, hidden: Floats) -> dict[str, Floats]:
        self.given.append(len(hidden))
        return {"spelling": np.log(np.full((len(hidden), self._tokens), 1 / self._tokens, np.float32))}


@given(looks=st.lists(st.integers(0, 120), max_size=20), before=st.integers(0, 30))
def test_it_is_the_same_whenever_somebody_looks(looks: list[int], before: int) -> None:
    greedy = Greedy(("<blank>", "▁a", "b"))
    hidden = list(np.random.default_rng(before).normal(size=(before + 120, 3)).astype(np.float32))
    table = np.log(np.random.default_rng(1).dirichlet([0.3] * 3, 200)).astype(np.float32)

    class Echo(Watched):
        """What it reads depends on which frames it is given."""

        def second(self, hidden: Floats) -> dict[str, Floats]:
            return {"spelling": np.roll(table[: len(hidden)], round(100 * float(hidden.sum())), axis=0)}

    state, done = greedy.start(), 0
    for frames in [*sorted(looks), 120]:
        state, done = read_ahead(Echo(3), greedy, state, hidden[: before + frames], before, done)
    once, frames = read_ahead(Echo(3), greedy, greedy.start(), hidden, before, 0)
    assert done == frames == (120 - AHEAD) // PIECE * PIECE
    for name, array in once.to_arrays().items():
        assert np.array_equal(array, state.to_arrays()[name]), name


def test_a_look_costs_the_same_however_long_the_segment_is() -> None:
    network, greedy = Watched(3), Greedy(("<blank>", "▁a", "b"))
    state, done = greedy.start(), 0
    for frames in range(2, 400, 2):
        calls = len(network.given)
        state, done = read_ahead(network, greedy, state, [np.zeros(3, np.float32)] * frames, 0, done)
        assert len(network.given) - calls <= 1
    assert max(network.given) == BEHIND + PIECE + AHEAD


class Kept(Greedy):
    """Keeps the log-probs that it is given."""

    def __init__(self, tokens: Sequence[str], head: str) -> None:
        super().__init__(tokens)
        self.head = head
        self.rows: list[Floats] = []

    def step(self, state: GreedyState, log_probs: Floats) -> GreedyState:
        self.rows.extend(log_probs)
        return super().step(state, log_probs)


def test_it_is_nearer_to_the_final_reading_than_the_first_one_is(shipped: Recognizer, clips: Path) -> None:
    network = shipped.network

    def phones(rows: Sequence[Floats]) -> str:
        return " ".join(network.heads["phones"][token] for _, token in collapse(np.array(rows).argmax(axis=1)))

    ahead, first = [], []
    for name in ("prisoners", "ferdinand", "monday", "wagon"):
        samples = read_audio(clips / f"{name}.opus")
        reading = network.first(samples[: len(samples) // 640 * 640], network.initial_state())
        kept = Kept(network.heads["phones"], "phones")
        _, frames = read_ahead(network, kept, kept.start(), list(reading.hidden), 0, 0)
        final = phones(network.second(reading.hidden)["phones"][:frames])
        ahead.append(score_words(final, phones(kept.rows)))
        first.append(score_words(final, phones(reading.log_probs["phones"][:frames])))
    assert Score.sum(ahead).rate < 0.6 * Score.sum(first).rate
