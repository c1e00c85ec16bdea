"""The memory recipes: sequences to remember, networks of equally many weights, their pictures; a small run of each."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install '.[train]'")

from click.testing import CliRunner

from asr.cli.train import train
from asr.training.comparison import CELLS, RecallComparison, SpeechComparison, draw_speech, shape_of
from asr.training.config import load_recipe
from asr.training.model import AcousticModel
from asr.training.recall import (
    QUESTION,
    SYMBOLS,
    TEST,
    VALIDATION,
    Recall,
    RecallRecipe,
    Shown,
    accuracy,
    batch_of,
    load_network,
    make_network,
    show,
)

RECIPES = Path(__file__).resolve().parent.parent / "recipes"


def test_the_symbol_stands_where_the_question_asks_for_it() -> None:
    shown = [Shown(symbol=7, distance=5, lead=3, seed=1), Shown(symbol=2, distance=5, lead=0, seed=2)]
    tokens, asked, symbols = batch_of(shown)
    assert tokens.shape == (2, 9) and asked.tolist() == [8, 5] and symbols.tolist() == [7, 2]
    for row, one in zip(tokens.tolist(), shown, strict=True):
        assert row[one.lead] == one.symbol and row[one.lead + 5] == QUESTION
        others = [token for place, token in enumerate(row) if place not in (one.lead, one.lead + 5)]
        assert all(SYMBOLS <= token < QUESTION for token in others) and len(set(others)) > 1
    validation, test = show(50, 40, VALIDATION), show(50, 40, TEST)
    assert not {one.seed for one in validation} & {one.seed for one in test}
    assert {one.distance for one in validation} == {50} and {one.lead for one in validation} > {0, 5, 9}


def test_networks_have_equally_many_weights() -> None:
    for cell in CELLS:
        for initialization in ("usual", "orthogonal", "long"):
            network = make_network(cell, 6000, initialization)
            assert 0.94 * 6000 < sum(weights.numel() for weights in network.parameters()) <= 6000
    comparison = load_recipe(RECIPES / "memory_speech.py")
    assert isinstance(comparison, SpeechComparison)
    heads = {"phones": 40, "spelling": 129}
    sizes = {
        cell: AcousticModel(member.shape, heads).parameters_in_all() for cell, member in comparison.members().items()
    }
    assert sizes["lstm"] == AcousticModel(comparison.speech.shape, heads).parameters_in_all()
    assert all(0.97 * sizes["lstm"] < size <= sizes["lstm"] for size in sizes.values())
    assert shape_of(comparison.speech.shape, "lstm", heads) == comparison.speech.shape


def test_a_long_memory_is_long_before_it_has_learnt_anything() -> None:
    """Half of a cell's content is left after 1 to 1000 steps (Tallec and Ollivier, 2018), and a plain RNN's stays."""
    torch.manual_seed(1)
    network = make_network("lstm", 6000, "long")
    width = network.answer.in_features
    kept = torch.sigmoid(network.memory.get_parameter("bias_ih_l0")[width : 2 * width].detach())
    steps = 1 / (1 - kept)
    assert 1 < steps.min().item() < 200 and 600 < steps.max().item() <= 1001
    assert torch.equal(make_network("rnn", 6000, "long").memory.weight_hh_l0, torch.eye(make_width("rnn")))


def make_width(cell: str) -> int:
    return make_network(cell, 6000, "usual").answer.in_features  # type: ignore[arg-type]


def test_a_network_that_remembers_is_seen_to() -> None:
    class Perfect(Recall):
        def forward(self, tokens, asked):  # type: ignore[no-untyped-def]
            symbols = tokens.masked_fill(tokens >= SYMBOLS, 0).sum(1)
            return torch.nn.functional.one_hot(symbols, SYMBOLS).float()

    assert accuracy(Perfect("none", 4), 300, 40, TEST) == 1.0
    assert accuracy(make_network("none", 600, "usual"), 300, 200, TEST) < 0.3


def test_the_recall_page_in_small(tmp_path: Path) -> None:
    small = [
        "epochs=4", "recall.distances=(3,)", "distances=(1,3,40)", "seeds=(1,)", "batches=60", "sequences=40",
        "validated=(1,3)", "initializations=('orthogonal',)", "learning_rates=(('lstm',0.02),('none',0.001))",
    ]  # fmt: skip
    options = [part for setting in small for part in ("--set", setting)]
    page = [str(RECIPES / "memory.py"), "--data", str(tmp_path), "--folder", str(tmp_path / "run")]
    done = CliRunner().invoke(train, [*page, *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "run" / "recall.json").read_text())
    assert found["distances"] == [1, 3, 40] and found["best"] == {"lstm": "orthogonal", "none": "orthogonal"}
    assert min(found["accuracy"]["lstm"]["orthogonal"][0][:2]) > 0.9
    assert max(found["accuracy"]["none"]["orthogonal"][0]) < 0.5
    assert "LSTM" in done.output and "no recurrence" in done.output
    assert (tmp_path / "run" / "recall.png").read_bytes().startswith(b"\x89PNG")
    network = load_network(tmp_path / "run" / "lstm-orthogonal-1" / "best.pt")
    assert accuracy(network, 3, 40, TEST) == found["accuracy"]["lstm"]["orthogonal"][0][1]
    again = CliRunner().invoke(train, [*page, *options, "--resume"], catch_exceptions=False)  # nothing is left to do
    assert json.loads((tmp_path / "run" / "recall.json").read_text()) == found, again.output


def test_every_network_of_the_page_has_a_seed_and_an_initialization() -> None:
    recipe = load_recipe(RECIPES / "memory.py")
    assert isinstance(recipe, RecallComparison)
    members = recipe.members()
    assert len(members) == 21 and isinstance(members["rnn-long-3"], RecallRecipe)
    assert members["rnn-long-3"].training.seed == 3 and members["lstm-usual-1"].training.learning_rate == 0.01
    assert max(recipe.recall.distances) == 200 and max(recipe.distances) == 1000


def test_a_picture_of_what_memory_is_worth(tmp_path: Path) -> None:
    names = [f"{kind}{reading} phones" for kind in ("", "loss ") for reading in ("first", "second")]
    lines = [{"epoch": epoch} | {name: 90 / epoch for name in names} for epoch in (1, 2, 3)]
    draw_speech({"lstm": lines, "none": lines}, tmp_path / "speech.png")
    assert (tmp_path / "speech.png").read_bytes().startswith(b"\x89PNG")
