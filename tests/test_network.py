"""The exported network: one step after the other equals all at once, nothing looks ahead, bad directories say so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.network import MOST_HELD, Network
from asr.recognizer import Recognizer, find_model

Samples = NDArray[np.float32]


def steps(network: Network, audio: Samples, lengths: list[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Hidden states and spelling log-probs of `audio`, read in steps of so many frames; the last takes the rest."""
    state, hidden, log_probs, at = network.initial_state(), [], [], 0
    for frames in [*lengths, len(audio)]:
        reading = network.first(audio[at : at + frames * network.frame_samples], state)
        state, at = reading.state, at + frames * network.frame_samples
        hidden.append(reading.hidden)
        log_probs.append(reading.log_probs["spelling"])
    return np.concatenate(hidden), np.concatenate(log_probs)


@given(lengths=st.lists(st.integers(0, 25), max_size=12))
def test_steps_of_any_length_agree(tiny: Recognizer, speech: Samples, lengths: list[int]) -> None:
    audio = speech[: 640 * 100]
    _, whole = steps(tiny.network, audio, [])
    _, pieces = steps(tiny.network, audio, lengths)
    assert whole.shape == (100, len(tiny.network.heads["spelling"]))
    assert np.abs(pieces - whole).max() < 1e-4


@given(frame=st.integers(0, 59), place=st.integers(0, 639))
def test_a_later_sample_changes_no_earlier_frame(tiny: Recognizer, speech: Samples, frame: int, place: int) -> None:
    audio = speech[: 640 * 60].copy()
    _, before = steps(tiny.network, audio, [])
    audio[640 * frame + place] += 0.5
    _, after = steps(tiny.network, audio, [])
    first = max(0, frame - tiny.network.look_ahead_frames)
    assert np.array_equal(before[:first], after[:first])
    assert not np.array_equal(before[first:], after[first:])


def test_reading_leaves_the_state_alone(tiny: Recognizer, speech: Samples) -> None:
    state = tiny.network.initial_state()
    once = tiny.network.first(speech[:6400], state)
    again = tiny.network.first(speech[:6400], state)
    assert all(not array.any() for array in state.values())
    assert np.array_equal(once.hidden, again.hidden)


def test_memory_does_not_pile_up(tiny: Recognizer, speech: Samples) -> None:
    """Cells that only ever count would hold hundreds of thousands after a day, and no gate would empty them."""
    network = tiny.network
    state = {
        name: np.where(name == "c", part + 1e6, part).astype(np.float32)
        for name, part in network.initial_state().items()
    }
    after = network.first(speech[:640], state).state
    assert np.abs(after["c"]).max() == MOST_HELD
    assert np.array_equal(after["samples"], network.first(speech[:640], network.initial_state()).state["samples"])


def test_log_probs_are_distributions(tiny: Recognizer, speech: Samples) -> None:
    reading = tiny.network.first(speech[:6400], tiny.network.initial_state())
    second = tiny.network.second(reading.hidden)
    assert set(reading.log_probs) == set(second) == set(tiny.network.heads)
    for head, tokens in tiny.network.heads.items():
        for log_probs in (reading.log_probs[head], second[head]):
            assert log_probs.shape == (10, len(tokens))
            assert np.exp(log_probs).sum(axis=1) == pytest.approx(1, abs=1e-4)


def test_the_second_reading_sees_what_follows(tiny: Recognizer, speech: Samples) -> None:
    hidden = tiny.network.first(speech[: 640 * 20], tiny.network.initial_state()).hidden
    whole, part = tiny.network.second(hidden)["spelling"], tiny.network.second(hidden[:15])["spelling"]
    assert not np.allclose(whole[:15], part)


# Directories that are no models


def change(directory: Path, **values: object) -> None:
    config = json.loads((directory / "model.json").read_text())
    (directory / "model.json").write_text(json.dumps(config | values))


def swap_networks(directory: Path) -> None:
    (directory / "first.onnx").rename(directory / "other")
    (directory / "second.onnx").rename(directory / "first.onnx")
    (directory / "other").rename(directory / "second.onnx")


def truncate(directory: Path) -> None:
    path = directory / "first.onnx"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda d: shutil.rmtree(d), "no model directory"),
        (lambda d: (d / "model.json").unlink(), "no model.json"),
        (lambda d: (d / "model.json").write_text("{"), "cannot be read"),
        (lambda d: (d / "model.json").write_bytes(b"\xff\xfe"), "cannot be read"),
        (lambda d: (d / "model.json").write_text("[]"), "not a model"),
        (lambda d: (d / "model.json").write_text('{"name": "x"}'), "no format number"),
        (lambda d: (d / "model.json").write_text('{"format": 2}'), "lacks name"),
        (lambda d: change(d, format=1), "format 1, this program reads 2"),
        (lambda d: change(d, front_end={"hop": 160}), "is damaged"),
        (lambda d: change(d, front_end={"hop": 0, "window": 400}), "is damaged"),
        (lambda d: change(d, front_end={"hop": 160, "window": 100}), "is damaged"),
        (lambda d: change(d, front_end={"hop": 150, "window": 400}), "is damaged"),
        (lambda d: change(d, front_end={"hop": 160, "window": 512}), "is damaged"),
        (lambda d: change(d, format=99), "format 99"),
        (lambda d: change(d, sample_rate=8000), "8000 Hz"),
        (lambda d: change(d, heads={"spelling": ["<blank>", "a"]}), "does not fit"),
        (lambda d: change(d, heads={}), "is damaged"),
        (lambda d: change(d, heads=["spelling"]), "is damaged"),
        (lambda d: change(d, state=[{"shape": [1]}]), "is damaged"),
        (lambda d: change(d, frame_samples="many"), "is damaged"),
        (lambda d: (d / "SHA256SUMS").write_text("0  words.lm\n0  card.md\n"), "There is no words.lm in"),
        (lambda d: change(d, state=[{"name": "samples", "shape": [1, 240]}]), "does not fit"),
        (lambda d: (d / "first.onnx").unlink(), "no first.onnx"),
        (lambda d: (d / "second.onnx").write_bytes(b"not a network"), "second.onnx is damaged"),
        (truncate, "first.onnx is damaged"),
        (swap_networks, "does not fit"),
    ],
)
def test_damaged_directories(tiny_model: Path, tmp_path: Path, harm: Callable[[Path], object], message: str) -> None:
    directory = tmp_path / "model"
    shutil.copytree(tiny_model, directory)
    harm(directory)
    with pytest.raises(ModelError, match=message):
        Network.load(directory)


def test_models_are_found_by_directory_or_name(tiny_model: Path, tmp_path: Path) -> None:
    assert find_model(tiny_model) == tiny_model
    with pytest.raises(ModelError, match="no model directory nothing"):
        find_model("nothing")
    with pytest.raises(ModelError, match="no model directory"):
        Recognizer(tmp_path / "none")
