"""Histories: lattices by hand, and forgetting that changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from asr.history import NOTHING, History, SaidWord


def ints(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(values, np.int32)


def small() -> tuple[History, list[int]]:
    """Word 0 or word 1 (at 70 to 30), then word 2 or nothing."""
    history = History(2)  # grows on the way
    first = history.words(ints(NOTHING, NOTHING), ints(0, 1), ints(0, 1), 3)
    met = history.meetings(first[:1], np.array([0, 0]), first, np.array([0.7, 0.3], np.float32))
    last = history.words(met, ints(2), ints(5), 6)
    return history, [*first.tolist(), *met.tolist(), *last.tolist()]


def said(words: list[SaidWord]) -> list[int]:
    return [one.word for one in words]


def test_posteriors_flow_back_through_meetings() -> None:
    history, (_, _, met, last) = small()
    mass = history.posteriors({last: 0.9, met: 0.1})
    assert mass == pytest.approx([0.7, 0.3, 1.0, 0.9])
    words = history.with_posteriors(history.path(last), {last: 0.9, met: 0.1})
    assert [(one.word, one.posterior) for one in words] == [(0, pytest.approx(0.7)), (2, pytest.approx(0.9))]
    assert (words[1].start, words[1].end) == (5, 6)


def test_alternatives_come_in_order_with_their_probabilities() -> None:
    history, (_, _, met, last) = small()
    found = history.alternatives({last: 0.9, met: 0.1}, 10)
    assert [said(words) for words, _ in found] == [[0, 2], [1, 2], [0], [1]]
    assert [probability for _, probability in found] == pytest.approx([0.63, 0.27, 0.07, 0.03])
    assert [said(words) for words, _ in history.alternatives({last: 0.9, met: 0.1}, 2)] == [[0, 2], [1, 2]]


def test_the_same_words_at_other_times_are_one_alternative() -> None:
    history = History()
    first = history.words(ints(NOTHING, NOTHING), ints(4, 4), ints(0, 0), 3)
    met = history.meetings(first[:1], np.array([0, 0]), first, np.array([0.6, 0.4], np.float32))
    assert history.alternatives({int(met[0]): 1.0}, 5) == [([SaidWord(4, 0, 3)], pytest.approx(1.0))]
    assert history.with_posteriors(history.path(int(met[0])), {int(met[0]): 1.0})[0].posterior == pytest.approx(1.0)


def test_sameness_is_of_words_after_the_same_words() -> None:
    history = History()
    numbers = history.words(ints(NOTHING, NOTHING, NOTHING), ints(4, 4, 5), ints(0, 1, 0), 3)
    first, second, third = numbers[:, None]
    nothing = ints(NOTHING)
    for one, other, same in [(first, second, True), (first, third, False), (nothing, nothing, True),
                             (first, nothing, False)]:  # fmt: skip
        assert history.same(one, other).tolist() == [same]
    assert History().same(nothing, nothing).tolist() == [True]


def test_collecting_forgets_only_what_nobody_needs() -> None:
    history, (_, _, _, last) = small()
    history.words(ints(NOTHING), ints(9), ints(0), 6)  # a hypothesis that has died
    before = history.alternatives({last: 1.0}, 5)
    (held,) = history.collect(ints(last), before=0).tolist()
    assert history.size == 4
    assert history.alternatives({held: 1.0}, 5) == before
    assert history.committed == []


def test_old_meetings_keep_the_heaviest_path_and_shared_words_are_committed() -> None:
    history, (_, _, _, last) = small()
    more = history.words(ints(last, last), ints(7, 8), ints(8, 8), 9)
    held = history.collect(more, before=5)
    assert said(history.committed) == [0, 2]
    assert history.size == 2
    assert [said(history.path(record)) for record in held.tolist()] == [[0, 2, 7], [0, 2, 8]]
    alternatives = history.alternatives({int(held[0]): 0.6, int(held[1]): 0.4}, 5)
    assert [(said(words), probability) for words, probability in alternatives] == [
        ([0, 2, 7], pytest.approx(0.6)),
        ([0, 2, 8], pytest.approx(0.4)),
    ]


def test_a_word_that_a_hypothesis_still_ends_with_is_not_committed() -> None:
    history, (_, _, _, last) = small()
    more = history.words(ints(last), ints(7), ints(8), 9)
    held = history.collect(np.array([last, more[0]], np.int32), before=5)
    assert said(history.committed) == [0]
    assert [said(history.path(record)) for record in held.tolist()] == [[0, 2], [0, 2, 7]]


def test_storing_changes_nothing_and_damage_is_refused() -> None:
    history, (_, _, _, last) = small()
    restored = History.from_arrays(history.to_arrays())
    assert restored.alternatives({last: 1.0}, 5) == history.alternatives({last: 1.0}, 5)
    restored.words(ints(last), ints(3), ints(7), 8)
    assert said(restored.path(restored.size - 1)) == [0, 2, 3]
    assert history.size == 4
    arrays = history.to_arrays()
    for name, value in (("records", arrays["records"] + 5), ("edges", arrays["edges"][:, :0]), ("shares", ints())):
        with pytest.raises(ValueError, match=r"tables|records"):
            History.from_arrays({**arrays, name: value})
