"""The network in training: whole or in steps the same, causal, and nothing leaks from padding or other rows."""

import itertools

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install '.[train]'")

from hypothesis import given
from hypothesis import strategies as st

from asr.training.model import AcousticModel, Shape, SteadyDropout, reverse

HEADS = {"phones": 7, "spelling": 11}
SMALL = {"bands": 5, "stack": 2, "streaming_layers": 3, "streaming_width": 8, "second_layers": 2, "second_width": 6}


def network(cell: str = "lstm") -> AcousticModel:
    torch.manual_seed(3)
    return AcousticModel(Shape(cell=cell, **SMALL), HEADS).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", ["lstm", "rnn", "none"])
@given(cuts=st.lists(st.integers(0, 12), max_size=5))
def test_steps_give_what_the_whole_gives(cell: str, cuts: list[int]) -> None:
    model = network(cell)
    features = torch.randn(2, 24, 5, generator=torch.Generator().manual_seed(1))
    whole, last = model.streaming(features, model.streaming.initial_state(2))
    state, parts = model.streaming.initial_state(2), []
    edges = [0, *sorted(2 * cut for cut in cuts), 24]
    for start, end in itertools.pairwise(edges):
        if end > start:
            part, state = model.streaming(features[:, start:end], state)
            parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-5)
    for found, expected in zip(state, last, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_later_sound_changes_no_earlier_output() -> None:
    model = network()
    features = torch.randn(1, 24, 5)
    other = features.clone()
    other[:, 14:] += 1.0
    lengths = torch.tensor([12])
    first, second, _ = model(features, lengths, model.streaming.initial_state(1))
    first_other, second_other, _ = model(other, lengths, model.streaming.initial_state(1))
    for head in HEADS:
        torch.testing.assert_close(first[head][:, :7], first_other[head][:, :7], atol=0, rtol=0)
        assert not torch.allclose(first[head][:, 7:], first_other[head][:, 7:])
        assert not torch.allclose(second[head][:, :7], second_other[head][:, :7])  # the second reading sees it all


def test_padding_and_other_rows_never_leak() -> None:
    model = network()
    short, long = torch.randn(1, 10, 5), torch.randn(1, 24, 5)
    state = tuple(torch.randn(3, 2, 8) for _ in range(2))
    alone = model(short, torch.tensor([5]), tuple(part[:, :1].contiguous() for part in state))
    padded = torch.cat([torch.nn.functional.pad(short, (0, 0, 0, 14), value=9.0), long])
    both = model(padded, torch.tensor([5, 12]), state)
    for reading in (0, 1):
        for head in HEADS:
            torch.testing.assert_close(both[reading][head][:1, :5], alone[reading][head], atol=1e-5, rtol=1e-5)


def test_the_memory_of_the_state_matters_for_lstm_and_rnn_only() -> None:
    features = torch.randn(1, 8, 5)
    for cell, remembers in (("lstm", True), ("rnn", True), ("none", False)):
        model = network(cell)
        zero = model.streaming.initial_state(1)
        other = tuple(torch.ones_like(part) for part in zero)
        assert torch.equal(model.streaming(features, zero)[0], model.streaming(features, other)[0]) != remembers


def test_forget_gates_start_open() -> None:
    cell = network().streaming.cells[0]
    assert torch.equal(cell.bias_ih_l0[8:16] + cell.bias_hh_l0[8:16], torch.ones(8))


def test_dropout_is_the_same_in_every_frame() -> None:
    dropped = SteadyDropout(0.5).train()(torch.ones(4, 9, 50))
    assert torch.equal(dropped[:, :1].expand_as(dropped), dropped)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(SteadyDropout(0.5).eval()(torch.ones(1, 2, 3)), torch.ones(1, 2, 3))


def test_reverse_turns_each_row_within_its_length() -> None:
    rows = torch.arange(10.0).reshape(2, 5, 1)
    turned = reverse(rows, torch.tensor([3, 5]))[:, :, 0].tolist()
    assert turned == [[2, 1, 0, 3, 4], [9, 8, 7, 6, 5]]
    assert torch.equal(reverse(rows, None), rows.flip(1))
