"""The memory is what the network computes: gates and cells from its weights agree with its own hidden states."""

from __future__ import annotations

import base64
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE, read_audio
from asr.cli import main
from asr.errors import AsrError, AudioError, ModelError
from asr.memory.cells import LayerTrace, joined, layer_norm, round_to_8_bits, run_lstm, trace
from asr.memory.inspection import STEP_SECONDS, Inspection, inspect_memory
from asr.memory.weights import GATES, Lstm, read_weights
from asr.network import Network
from asr.recognizer import Recognizer

pytest.importorskip("onnx", reason="reads networks' weights: pip install '.[plot]'")

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def clip(clips: Path) -> Floats:
    samples = read_audio(clips / "prisoners.opus")
    return samples[: len(samples) // 640 * 640]


def both(network: Network, samples: Floats, step: int) -> tuple[Floats, Floats]:
    """Hidden states of the network, and those computed in numpy, each from the network's state before the step."""
    weights, state = read_weights(network.directory), network.initial_state()
    expected, found = [], []
    for place in range(0, len(samples), step):
        reading = network.first(samples[place : place + step], state)
        found.append(trace(weights, samples[place : place + step], state))
        expected.append(reading.hidden)
        state = reading.state
    return np.concatenate(expected), joined(found).hidden


@pytest.mark.parametrize("name", ["prisoners", "monday"])
def test_the_shipped_networks_hidden_states(shipped: Recognizer, clips: Path, name: str) -> None:
    samples = read_audio(clips / f"{name}.opus")
    expected, found = both(shipped.network, samples[: len(samples) // 640 * 640], round(STEP_SECONDS * SAMPLE_RATE))
    assert np.abs(expected).max() > 1
    assert np.abs(found - expected).max() < 0.05
    assert np.abs(found - expected).mean() < 1e-3


def test_a_float_network_agrees_closely_and_from_its_own_state(tiny: Recognizer, clip: Floats) -> None:
    network = tiny.network
    expected, found = both(network, clip, len(clip))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    reading = network.first(clip, network.initial_state())
    layers = trace(read_weights(network.directory), clip, network.initial_state()).layers
    for number, layer in enumerate(layers):
        np.testing.assert_allclose(layer.hidden[-1], reading.state["h"][number, 0], atol=1e-4)
        np.testing.assert_allclose(layer.cell[-1], reading.state["c"][number, 0], atol=1e-3)
        np.testing.assert_allclose(layer.hidden, layer.output * np.tanh(layer.cell), atol=1e-6)
        assert all(((gate >= 0) & (gate <= 1)).all() for gate in (layer.input, layer.forget, layer.output))


def test_the_heads_and_the_second_readings_weights(tiny: Recognizer, clip: Floats) -> None:
    """Both readings' log-probs from the weights alone: forwards and backwards are told apart, heads by name."""
    network = tiny.network
    weights = read_weights(network.directory)
    reading = network.first(clip, network.initial_state())
    again = network.second(reading.hidden)
    zero = np.zeros(weights.second[0][0].bias.shape[1], np.float32)
    ahead, back = weights.second[0]
    hidden = np.concatenate(
        [
            run_lstm(ahead, reading.hidden, zero, zero).hidden,
            run_lstm(back, reading.hidden[::-1], zero, zero).hidden[::-1],
        ],
        axis=1,
    )
    hidden = layer_norm(weights.second_norms[0], hidden)
    for name in network.heads:
        for x, head, expected in (
            (reading.hidden, weights.first_heads[name], reading.log_probs[name]),
            (hidden, weights.second_heads[name], again[name]),
        ):
            scores = x @ head.weight.T + head.bias
            log_probs = scores - np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1, keepdims=True))
            np.testing.assert_allclose(log_probs - scores.max(1, keepdims=True), expected, atol=1e-3)


def test_a_step_computed_by_hand() -> None:
    """One cell, one input of 1, gate weights 1 2 3 4 in ONNX's order, from h = 0.5 and c = 2."""
    lstm = Lstm(
        np.array([1, 2, 3, 4], np.float32).reshape(4, 1, 1),
        np.full((4, 1, 1), 2, np.float32),
        np.full((4, 1), -1, np.float32),
    )
    assert GATES == ("input", "output", "forget", "candidate")
    layer = run_lstm(lstm, np.ones((1, 1), np.float32), np.array([0.5], np.float32), np.array([2], np.float32))
    opened, shown, held = (1 / (1 + np.exp(-x)) for x in (1, 2, 3))  # weight + 2 * 0.5 - 1
    candidate = np.tanh(4)
    cell = held * 2 + opened * candidate
    for found, expected in (
        (layer.input, opened), (layer.output, shown), (layer.forget, held),
        (layer.cell, cell), (layer.hidden, shown * np.tanh(cell)),
    ):  # fmt: skip
        assert found[0, 0] == pytest.approx(expected, abs=1e-6)


def test_half_lives_by_hand() -> None:
    forget = np.array([[0.25, 0.5, 1.0], [0.75, 0.5, 1.0]], np.float32)
    lives = LayerTrace(forget, forget, forget, forget, forget).half_lives()
    assert lives[:2] == pytest.approx([1, 1]) and lives[2] > 1e9
    a_second = 0.5 ** (1 / 25)  # 25 frames of 40 ms
    gate = np.full((9, 1), a_second, np.float32)
    assert LayerTrace(gate, gate, gate, gate, gate).half_lives()[0] == pytest.approx(25, rel=1e-4)


def test_rounding_to_8_bits() -> None:
    x = np.array([-1.0, 0.0, 0.3, 1.55], np.float32)
    step = 2.55 / 255
    rounded = round_to_8_bits(x)
    assert rounded == pytest.approx([-1, 0, 0.3, 1.55], abs=step / 2 + 1e-6) and rounded[1] == 0
    assert rounded / step == pytest.approx(np.round(rounded / step), abs=1e-3)
    assert np.array_equal(round_to_8_bits(np.zeros(3, np.float32)), np.zeros(3))


@pytest.fixture(scope="module")
def found(tiny: Recognizer, speech: Floats) -> Inspection:
    return inspect_memory(tiny, speech, start=1.0, seconds=2.5)


def test_a_part_of_a_recording_remembers_what_came_before(tiny: Recognizer, speech: Floats, found: Inspection) -> None:
    whole = inspect_memory(tiny, speech, seconds=3.52)
    assert (found.start, found.end) == pytest.approx((1.0, 3.52), abs=0.05)
    frames = len(found.layers[0].cell)
    assert (
        frames == round((found.end - found.start) / 0.04) == len(found.log_probs["phones"]) == len(found.features) / 4
    )
    assert len(found.samples) == frames * 640
    for part, all_of_it in zip(found.layers, whole.layers, strict=True):
        np.testing.assert_allclose(part.cell, all_of_it.cell[25 : 25 + frames], atol=1e-3)
    assert found.difference < 1e-3
    assert all(word.end > found.start and word.start < found.end for word in found.words)
    assert inspect_memory(tiny, speech[:5000]).end == pytest.approx(8 * 0.04)
    with pytest.raises(AudioError, match="nothing is left after 60 s"):
        inspect_memory(tiny, speech, start=60)


class Page(HTMLParser):
    """What a page shows and what it takes from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_page_that_needs_nothing_else(tiny_model: Path, clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="draws: pip install '.[plot]'")
    path = tmp_path / "memory.html"
    done = CliRunner().invoke(
        main, ["inspect", str(clips / "prisoners.opus"), "-o", str(path), "--model", str(tiny_model), "--seconds", "2"]
    )
    assert done.exit_code == 0, done.output
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    kinds = [re.match(r"data:([a-z/]+);base64,(.*)", source) for source in page.sources]
    assert all(kinds) and [kind[1] for kind in kinds if kind] == ["audio/flac"] + 5 * ["image/png"]
    sound = tmp_path / "sound.flac"
    sound.write_bytes(base64.b64decode(kinds[0][2]))  # type: ignore[index]
    assert len(read_audio(sound)) == 2 * SAMPLE_RATE
    text = " ".join(page.text)
    for word in ("forget gate", "input gate", "output gate", "half-life", "layer 2", "prisoners.opus", "tiny 0.0.1"):
        assert word in text


def test_a_picture_and_where_it_cannot_go(found: Inspection, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="draws: pip install '.[plot]'")
    from asr.memory.report import write_report

    write_report(tmp_path / "memory.png", found, "talk")
    data = (tmp_path / "memory.png").read_bytes()
    assert data.startswith(b"\x89PNG") and len(data) > 100_000
    with pytest.raises(AsrError, match=r"neither .html nor .png"):
        write_report(tmp_path / "memory.gif", found, "talk")
    with pytest.raises(AsrError, match="cannot be written"):
        write_report(tmp_path / "nowhere" / "memory.html", found, "talk")


@pytest.mark.parametrize("library", ["onnx", "matplotlib"])
def test_a_missing_extra_is_named(
    library: str, tiny_model: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    output = tmp_path / "memory.png"
    done = CliRunner().invoke(
        main, ["inspect", str(clips / "wagon.opus"), "-o", str(output), "--model", str(tiny_model)]
    )
    assert done.exit_code == 1 and "Traceback" not in done.output
    assert library in done.output and "pip install '.[plot]'" in done.output
    assert not output.exists()


def test_networks_that_cannot_be_read(tiny_model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "model.json").write_bytes((tiny_model / "model.json").read_bytes())
    with pytest.raises(ModelError, match=r"no first\.onnx"):
        read_weights(damaged)
    (damaged / "first.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match="damaged or no network"):
        read_weights(damaged)


def test_a_network_without_cells_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="makes a network")
    from asr.training.export import write_networks
    from asr.training.features import FrontEnd
    from asr.training.model import AcousticModel, Shape

    scratch, directory = tmp_path / "scratch", tmp_path / "model"
    scratch.mkdir()
    directory.mkdir()
    shape = Shape(cell="none", streaming_layers=1, streaming_width=8, second_width=8)
    model = AcousticModel(shape, {"phones": 40, "spelling": 61})
    write_networks(model.eval(), FrontEnd(), scratch, directory, int8=False)
    (directory / "model.json").write_bytes((tiny_model / "model.json").read_bytes())
    with pytest.raises(ModelError, match="holds no LSTM"):
        read_weights(directory)
