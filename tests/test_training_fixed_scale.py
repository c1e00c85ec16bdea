"""int8 networks whose inputs are rounded on a fixed scale."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="training needs torch: pip install '.[train]'")

from asr.memory.cells import trace
from asr.memory.weights import read_weights
from asr.network import Network
from asr.recognizer import Recognizer
from asr.training.export import quantize, write_networks
from asr.training.features import FrontEnd
from asr.training.fixed_scale import fix_scale
from tests.test_training_from_model import network_of


@pytest.fixture(scope="module")
def directory(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network, in int8 as it is exported."""
    scratch, found = tmp_path_factory.mktemp("float"), tmp_path_factory.mktemp("int8")
    shutil.copy(tiny_model / "model.json", found)
    write_networks(network_of(tiny_model), FrontEnd(), scratch, found, int8=True)
    return found


def test_no_later_sample_of_a_call_changes_an_earlier_frame(directory: Path, speech: NDArray[np.float32]) -> None:
    network = Network.load(directory)
    samples = speech[64000:80000]
    changed = samples.copy()
    changed[-1280:] = np.sign(changed[-1280:])  # as loud as can be
    one, other = (network.first(audio, network.initial_state()).hidden for audio in (samples, changed))
    assert np.array_equal(one[:-2], other[:-2])
    assert not np.array_equal(one[-2:], other[-2:])


def test_what_reads_the_weights_knows_the_scale(directory: Path, tiny_model: Path, speech: NDArray[np.float32]) -> None:
    weights, network = read_weights(directory), Network.load(directory)
    assert [lstm.limit for lstm in weights.streaming] == [5.0, 5.0]
    shapes = [lstm.inputs.shape for lstm in weights.streaming]
    assert shapes == [lstm.inputs.shape for lstm in read_weights(tiny_model).streaming]
    samples = speech[64000:65280]
    found = trace(weights, samples, network.initial_state()).hidden
    assert np.abs(found - network.first(samples, network.initial_state()).hidden).max() < 0.01


def test_steps_of_80_ms_and_of_1_s_hear_the_same(
    shipped: Recognizer, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    shutil.copytree(shipped.network.directory, tmp_path / "model")
    if read_weights(tmp_path / "model").streaming[0].limit is None:  # a model that was exported before
        fix_scale(tmp_path / "model" / "first.onnx")
    network = Network.load(tmp_path / "model")
    heard = []
    for step in (1280, 16000):
        state, parts = network.initial_state(), []
        for begin in range(0, 10 * 16000, step):
            reading = network.first(speech[begin : begin + step], state)
            state = reading.state
            parts.append(reading.log_probs["phones"].argmax(axis=1))
        heard.append(np.concatenate(parts))
    assert (heard[0] != heard[1]).sum() <= 1


def test_float_networks_stay_as_they_are(tiny_model: Path, tmp_path: Path) -> None:
    quantize(tiny_model / "first.onnx", tmp_path / "first.onnx", int8=False)
    fix_scale(tmp_path / "first.onnx")
    shutil.copy(tiny_model / "second.onnx", tmp_path)
    shutil.copy(tiny_model / "model.json", tmp_path)
    assert read_weights(tmp_path).streaming[0].limit is None
