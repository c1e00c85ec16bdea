"""The beam search against brute force, and what must hold for any input."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.beam import DecoderOptions
from asr.decoder import Decoder, DecoderState, timed
from asr.errors import AsrError, StreamError
from asr.greedy import Greedy
from asr.lexicon import Lexicon

TOKENS = ("<blank>", "A", "B", "C")
ENTRIES = [
    ("ab", (1, 2)),
    ("abc", (1, 2, 3)),
    ("a", (1,)),
    ("aa", (1, 1)),
    ("b", (2,)),
    ("bee", (2,)),  # a homophone
    ("cab", (3, 1, 2)),
    ("cab", (3, 2)),  # spoken in two ways
]
EXACT = DecoderOptions(
    beam=100_000, beam_score=np.inf, token_score=-np.inf, blank_skip=1.0, lm_weight=0.7, word_bonus=0.3
)


class Bigram:
    """A random bigram over the words of the lexicon; states are the last word, or all words so far."""

    start = 0

    def __init__(self, seed: int, words: list[str], histories: bool = False) -> None:
        random = np.random.default_rng(seed)
        self.words = ["<unk>", *words]
        self.table = np.log(random.dirichlet(np.ones(len(self.words) + 1), len(self.words) + 1))
        self.histories = histories
        self.seen: dict[int, int] = {}

    def word_ids(self, words: Iterable[str]) -> NDArray[np.int64]:
        return np.array([self.words.index(word) if word in self.words else 0 for word in words], np.int64)

    def _last(self, states: NDArray[np.int64]) -> NDArray[np.int64]:
        size = len(self.words) + 1
        return states % size

    def score(self, states: NDArray[np.int64], words: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        size = len(self.words) + 1
        history = states * size if self.histories else 0
        return self.table[self._last(states), words + 1], history + words + 1

    def end_score(self, states: NDArray[np.int64]) -> NDArray[Any]:
        return self.table[self._last(states), 0]


def random_log_probs(seed: int, frames: int, tokens: int = 4, sharpness: float = 1.5) -> NDArray[np.float64]:
    logits = sharpness * np.random.default_rng(seed).normal(size=(frames, tokens))
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


def brute_force(
    log_probs: NDArray[np.float64], model: Bigram | None, options: DecoderOptions
) -> dict[tuple[str, ...], float]:
    """The score of every word sequence: a sum over all alignments, pronunciations and homophones."""
    mass: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        collapsed = tuple(token for token, _ in itertools.groupby(path) if token)
        mass[collapsed] += float(np.exp(sum(log_probs[frame, token] for frame, token in enumerate(path))))
    totals: dict[tuple[str, ...], float] = defaultdict(float)

    def extend(rest: tuple[int, ...], said: tuple[str, ...], weight: float) -> None:
        if not rest:
            totals[said] += weight
        for word, sounds in ENTRIES:
            if rest[: len(sounds)] == sounds:
                extend(rest[len(sounds) :], (*said, word), weight)

    for sounds, weight in mass.items():
        extend(sounds, (), weight)
    scores = {}
    for said, weight in totals.items():
        score = np.log(weight) + options.word_bonus * len(said)
        if model is not None:
            state = np.array([model.start])
            for word in said:
                probability, state = model.score(state, model.word_ids([word]))
                score += options.lm_weight * float(probability[0])
            score += options.lm_weight * float(model.end_score(state)[0])
        scores[said] = float(score)
    return scores


def words_of(decoder: Decoder, log_probs: NDArray[np.float64], n: int = 1) -> list[tuple[tuple[str, ...], float]]:
    found = decoder.best(decoder.step(decoder.start(), log_probs), n)
    return [(tuple(word.text for word in one.words), one.score) for one in found]


def make_decoder(model: Bigram | None, options: DecoderOptions = EXACT, scores: bool = True) -> Decoder:
    unigram = {word: float(-number) for number, (word, _) in enumerate(ENTRIES)} if scores else None
    return Decoder(TOKENS, Lexicon.build(ENTRIES, TOKENS, unigram), model, options)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("look_ahead", [False, True])
def test_an_unlimited_beam_equals_brute_force(seed: int, look_ahead: bool) -> None:
    model = Bigram(seed, sorted({word for word, _ in ENTRIES}), histories=True)
    log_probs = random_log_probs(seed, 5)
    expected = brute_force(log_probs, model, EXACT)
    found = words_of(make_decoder(model, EXACT, look_ahead), log_probs, n=10)
    best = max(expected, key=lambda said: expected[said])
    assert found[0] == (best, pytest.approx(expected[best], abs=1e-6))
    for said, score in found:
        # The mass of the same words at other times may be found after the tenth reading.
        assert expected[said] - 0.3 < score < expected[said] + 0.05


@pytest.mark.parametrize("seed", range(8))
def test_no_score_exceeds_the_total_and_all_mass_is_found(seed: int) -> None:
    model = Bigram(seed, sorted({word for word, _ in ENTRIES}))
    log_probs = random_log_probs(seed, 5)
    total = np.logaddexp.reduce(list(brute_force(log_probs, model, EXACT).values()))
    decoder = make_decoder(model)
    state = decoder.step(decoder.start(), log_probs)
    found = decoder.best(state, 2000)
    assert all(one.score <= total + 1e-9 for one in found)
    assert np.logaddexp.reduce([one.score for one in found]) == pytest.approx(total, abs=0.02)


def test_a_wider_beam_is_at_least_as_good_on_average() -> None:
    model = Bigram(3, sorted({word for word, _ in ENTRIES}))
    means = []
    for beam in (1, 3, 10, 100_000):
        options = DecoderOptions(**{**vars(EXACT), "beam": beam})
        decoder = make_decoder(model, options)
        scores = [words_of(decoder, random_log_probs(seed, 12))[0][1] for seed in range(40)]
        means.append(np.mean(scores))
    assert means == sorted(means)
    assert means[-1] > means[0] + 0.1


@given(st.integers(0, 10_000), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_with_maxima_a_beam_of_one_without_lexicon_is_greedy(seed: int, frames: int) -> None:
    tokens = ("<blank>", "▁a", "b", "▁", "c", "'s")
    log_probs = random_log_probs(seed, frames, len(tokens), 3.0)
    options = DecoderOptions(beam=1, maximum=True, blank_skip=1.0)
    greedy, decoder = Greedy(tokens), Decoder(tokens, None, None, options)
    expected = greedy.best(greedy.step(greedy.start(), log_probs.astype(np.float32)))[0]
    found = decoder.best(decoder.step(decoder.start(), log_probs))[0]
    assert [word.text for word in found.words] == [word.text for word in expected.words]
    assert found.score == pytest.approx(expected.score, abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_without_a_lexicon_sums_equal_brute_force(seed: int) -> None:
    tokens = ("<blank>", "▁a", "▁b")
    log_probs = random_log_probs(seed, 6, 3)
    mass: dict[str, float] = defaultdict(float)
    for path in itertools.product(range(3), repeat=6):
        text = " ".join(tokens[token][1:] for token, _ in itertools.groupby(path) if token)
        mass[text] += float(np.exp(log_probs[range(6), path].sum()))
    decoder = Decoder(tokens, None, None, EXACT)
    best = decoder.best(decoder.step(decoder.start(), log_probs))[0]
    text = " ".join(word.text for word in best.words)
    assert text == max(mass, key=lambda said: mass[said])
    assert best.score == pytest.approx(np.log(mass[text]), abs=1e-9)


def practical(seed: int = 0, hotwords: bool = False) -> tuple[Decoder, DecoderState]:
    model = Bigram(seed, sorted({word for word, _ in ENTRIES}))
    decoder = make_decoder(model, DecoderOptions(beam=20, beam_score=8.0, blank_skip=0.8))
    return decoder, decoder.start({"cab a": 3.0, "bee": 2.0} if hotwords else None)


@given(st.integers(0, 1000), st.lists(st.integers(1, 20), max_size=6), st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_chunking_gives_the_same_result(seed: int, cuts: list[int], hotwords: bool) -> None:
    log_probs = random_log_probs(seed, 40, sharpness=3.0)
    decoder, whole = practical(seed % 5, hotwords)
    decoder.step(whole, log_probs)
    _, pieces = practical(seed % 5, hotwords)
    for piece in np.split(log_probs, sorted(set(np.cumsum(cuts).clip(max=40)))):
        decoder.step(pieces, piece)
    assert decoder.best(pieces, 5) == decoder.best(whole, 5)


@given(st.integers(0, 1000), st.integers(0, 40), st.booleans())
@settings(max_examples=40, deadline=None)
def test_saving_and_restoring_changes_nothing(seed: int, cut: int, hotwords: bool) -> None:
    log_probs = random_log_probs(seed, 40, sharpness=3.0)
    decoder, state = practical(seed % 5, hotwords)
    decoder.step(state, log_probs[:cut])
    twin, _ = practical(seed % 5)
    restored = twin.restore(state.to_arrays())
    decoder.step(state, log_probs[cut:])
    twin.step(restored, log_probs[cut:])
    assert twin.best(restored, 5) == decoder.best(state, 5)
    assert twin.partial(restored) == decoder.partial(state)


def test_a_damaged_state_is_refused() -> None:
    decoder, state = practical()
    arrays = decoder.step(state, random_log_probs(1, 30)).to_arrays()
    for name, value in (("states", 10_000), ("states", -5), ("records", 10_000)):
        damaged = {**arrays, name: np.full_like(arrays[name], value)}
        with pytest.raises(StreamError):
            decoder.restore(damaged)
    with pytest.raises(StreamError):
        decoder.restore({**arrays, "mass": arrays["mass"][:, 1:]})
    with pytest.raises(StreamError):
        decoder.restore({name: value for name, value in arrays.items() if name != "shares"})


def test_a_copy_is_independent() -> None:
    decoder, state = practical()
    log_probs = random_log_probs(5, 30)
    decoder.step(state, log_probs[:15])
    before = decoder.best(state, 3)
    decoder.step(state.copy(), log_probs[15:])
    assert decoder.best(state, 3) == before


@pytest.mark.parametrize("blank", [0.0, -20.0])
def test_nothing_is_said_in_blanks_and_nothing_crashes(blank: float) -> None:
    log_probs = np.full((50, 4), -1e9)
    log_probs[:, 0] = blank
    for decoder in (make_decoder(None, DecoderOptions()), Decoder(TOKENS, Lexicon.build([], TOKENS))):
        state = decoder.step(decoder.start(), log_probs)
        assert decoder.best(state, 3)[0].words == ()
        assert decoder.partial(state) == ()
        assert decoder.best(decoder.start())[0].words == ()


def test_an_empty_vocabulary_hears_nothing() -> None:
    decoder = Decoder(TOKENS, Lexicon.build([], TOKENS), Bigram(0, []), DecoderOptions())
    assert decoder.best(decoder.step(decoder.start(), random_log_probs(0, 30)), 4)[0].words == ()


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_times_are_in_order_and_within_the_segment(seed: int) -> None:
    decoder, state = practical()
    words = decoder.best(decoder.step(state, random_log_probs(seed, 60)))[0].words
    for word, following in itertools.pairwise(words):
        assert word.start_frame < word.end_frame <= following.start_frame
    assert all(word.start_frame >= 0 and word.end_frame <= 60 and 0 <= word.confidence <= 1 for word in words)


def spoken(*tokens: int, certainty: float = 0.9) -> NDArray[np.float64]:
    """Log-probs of a clear voice: each token in a frame of its own, blanks between."""
    frames = np.full((2 * len(tokens) + 1, 4), (1 - certainty) / 3)
    frames[::2, 0] = certainty
    for number, token in enumerate(tokens):
        frames[2 * number + 1, token] = certainty
    return np.asarray(np.log(frames))


def test_times_are_those_of_the_first_and_last_token() -> None:
    decoder = make_decoder(None, DecoderOptions(word_bonus=-1.0))
    words = decoder.best(decoder.step(decoder.start(), spoken(3, 1, 2, 1, 1, certainty=0.99)))[0].words
    assert [(word.text, word.start_frame, word.end_frame) for word in words] == [("cab", 1, 6), ("aa", 7, 10)]


def test_constant_delays_are_taken_out_and_words_do_not_overlap() -> None:
    decoder = make_decoder(None, DecoderOptions(word_bonus=-1.0, start_shift=-1.5, end_shift=2.0))
    words = decoder.best(decoder.step(decoder.start(), spoken(3, 1, 2, 1, 1, certainty=0.99)))[0].words
    assert [(word.start_frame, word.end_frame) for word in words] == [(0, 5.5), (5.5, 11)]


def test_partial_has_completed_words_alone() -> None:
    entries = [("abc", (1, 2, 3)), ("cba", (3, 2, 1))]
    decoder = Decoder(TOKENS, Lexicon.build(entries, TOKENS))
    state = decoder.step(decoder.start(), spoken(1, 2, 3, 3, 2))
    assert [word.text for word in decoder.partial(state)] == ["abc"]
    decoder.step(state, spoken(1))
    assert [word.text for word in decoder.partial(state)] == ["abc", "cba"]


def test_a_word_that_is_shown_stays_with_less_agreement() -> None:
    options = DecoderOptions(partial_agreement=0.5, partial_stay=0.3, word_bonus=0.1, blank_skip=1.0)
    decoder = Decoder(TOKENS, Lexicon.build([("a", (1,)), ("ab", (1, 2))], TOKENS), None, options)
    log_probs = np.log([[0.01, 0.97, 0.01, 0.01], [0.6, 0.05, 0.3, 0.05]])  # a half, then perhaps the other half
    unseen, state = decoder.start(), decoder.step(decoder.start(), log_probs[:1])
    assert decoder.partial(decoder.step(unseen, log_probs)) == ()
    waited = 0
    while not decoder.partial(unseen):  # silence: nothing new is learnt, but the longer it lasts, the less is needed
        waited += 1
        assert waited < options.partial_wait
        decoder.step(unseen, np.log([[0.97, 0.01, 0.01, 0.01]]))
    assert waited > 2
    assert [word.text for word in decoder.partial(unseen)] == ["a"]  # by now it may be shown
    assert [word.text for word in decoder.partial(state)] == ["a"]
    decoder.step(state, log_probs[1:])
    for same in (decoder.restore(state.to_arrays()), state.copy(), state):
        assert [word.text for word in decoder.partial(same)] == ["a"]
    decoder.step(state, np.log([[0.05, 0.05, 0.85, 0.05]]))
    assert "a" not in [word.text for word in decoder.partial(state)]


def test_a_history_of_any_length_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    log_probs = random_log_probs(7, 3000, sharpness=4.0)
    decoder, whole = practical()
    expected = decoder.best(decoder.step(whole, log_probs))[0]
    monkeypatch.setattr("asr.decoder._RECORDS", 300)
    monkeypatch.setattr("asr.decoder._LATTICE_FRAMES", 20)
    _, state = practical()
    sizes = []
    for piece in np.split(log_probs, 300):
        decoder.step(state, piece)
        sizes.append(state.history.size)
    assert max(sizes) < 1500
    found = decoder.best(state)[0]
    assert [word.text for word in found.words] == [word.text for word in expected.words]
    assert found.score == pytest.approx(expected.score)
    assert len(state.history.committed) > 500


def test_words_of_the_user_are_heard_at_run_time() -> None:
    decoder = Decoder(TOKENS, Lexicon.build([("abc", (1, 2, 3)), ("b", (2,)), ("c", (3,))], TOKENS))
    log_probs = spoken(3, 2, 2, 3, certainty=0.97)
    assert [word.text for word in decoder.best(decoder.step(decoder.start(), log_probs))[0].words] != ["seabee", "sea"]
    state = decoder.step(decoder.start(words=["seabee=c b b", "sea=c"], hotwords={"seabee sea": 4.0}), log_probs)
    assert [word.text for word in decoder.best(state)[0].words] == ["seabee", "sea"]
    with pytest.raises(AsrError, match="zebra"):
        decoder.start(words=["zebra"])


def test_a_grammar_allows_its_phrases_alone() -> None:
    decoder = make_decoder(Bigram(0, sorted({word for word, _ in ENTRIES})), DecoderOptions())
    log_probs = spoken(1, 2, 3, 3, certainty=0.7)

    def heard(grammar: str, log_probs: NDArray[np.float64] = log_probs) -> str:
        state = decoder.step(decoder.start(grammar=grammar), log_probs)
        return " ".join(word.text for word in decoder.best(state)[0].words)

    assert heard("abc|cab a") == "abc"
    assert heard("b|cab a") in {"b", "cab a"}
    assert heard("b a") in {"b a", ""}
    assert heard("[unk]|b a", spoken(3, 3, 3, 3, certainty=0.97)) == "[unk]"
    assert heard("abc [unk]", spoken(1, 2, 3, 3, 3, certainty=0.97)) == "abc [unk]"
    with pytest.raises(AsrError):
        decoder.start(grammar=" | ")


def test_another_models_lexicon_is_refused() -> None:
    with pytest.raises(ValueError, match="tokens"):
        Decoder(("<blank>", "X"), Lexicon.build(ENTRIES, TOKENS))


def test_no_words_have_no_times() -> None:
    assert timed((), 25.0, -1.75, 2.25) == ()
