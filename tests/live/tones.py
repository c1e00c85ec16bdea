"""A language of tones: a hand-made model directory whose words are pure tones, and a voice that speaks them.

What the live tests check (capture, typing, commands, latency) must not depend on how well a trained model hears, so
they speak a language that is understood perfectly: word number k is a tone of 500 + 150 k Hz. The network is a real
one, run by the same code as any other: the power of each tone in each frame of 40 ms, and a threshold.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FRAME = 640  # samples
WORD_SECONDS = 0.2
GAP_SECONDS = 0.12
LOUDNESS = 0.3
THRESHOLD = 3e-4  # of a tone's power in a frame, against 0.022 when it is spoken

Floats = NDArray[np.float32]


def frequency(number: int) -> float:
    return 500.0 + 150.0 * number


def speak(text: str, words: Sequence[str], rate: int = 16000, lead: float = 0.3, tail: float = 1.0) -> Floats:
    """The words of `text` as tones, with silence around them. [samples]"""
    time = np.arange(round(WORD_SECONDS * rate)) / rate
    fade = np.minimum(1, np.minimum(time, time[::-1]) / 0.01)
    parts = [np.zeros(round(lead * rate))]
    for word in text.split():
        parts += [LOUDNESS * fade * np.sin(2 * np.pi * frequency(words.index(word)) * time)]
        parts += [np.zeros(round(GAP_SECONDS * rate))]
    return np.concatenate([*parts, np.zeros(round(tail * rate))]).astype(np.float32)


def make_tone_model(directory: Path, words: Sequence[str]) -> Path:
    """A model directory that understands `words` (at most 40)."""
    directory.mkdir(parents=True, exist_ok=True)
    count = len(words)
    angle = 2 * np.pi * np.outer(np.arange(FRAME) / 16000, [frequency(k) for k in range(count)])
    window = np.hanning(FRAME)[:, None] / (FRAME / 2)
    constants = {
        "frames": np.array([1, -1, FRAME], np.int64),
        "cosines": (np.cos(angle) * window * np.sqrt(2)).astype(np.float32),  # [640, words]
        "sines": (np.sin(angle) * window * np.sqrt(2)).astype(np.float32),
        "threshold": np.array([THRESHOLD], np.float32),
        "sharpness": np.array([3e4], np.float32),
        "first": np.array([0], np.int64),
        "last": np.array([-1], np.int64),
        "one": np.array([1], np.int64),
    }
    to_power = [
        helper.make_node("Reshape", ["audio", "frames"], ["framed"]),
        helper.make_node("MatMul", ["framed", "cosines"], ["real"]),
        helper.make_node("MatMul", ["framed", "sines"], ["imaginary"]),
        helper.make_node("Mul", ["real", "real"], ["real2"]),
        helper.make_node("Mul", ["imaginary", "imaginary"], ["imaginary2"]),
        helper.make_node("Add", ["real2", "imaginary2"], ["hidden"]),  # [1, time, words]
    ]
    to_scores = [
        helper.make_node("Sub", ["hidden", "threshold"], ["above"]),
        helper.make_node("Mul", ["above", "sharpness"], ["scores"]),
        helper.make_node("Slice", ["scores", "first", "one", "two"], ["any"]),
        helper.make_node("Sub", ["any", "any"], ["blank"]),  # zeros [1, time, 1]
        helper.make_node("Concat", ["blank", "scores"], ["all"], axis=2),
        helper.make_node("LogSoftmax", ["all"], ["spelling"], axis=2),
    ]
    constants["two"] = np.array([2], np.int64)  # the axis that is sliced
    audio = helper.make_tensor_value_info("audio", TensorProto.FLOAT, [1, "samples"])
    hop = helper.make_tensor_value_info("hop", TensorProto.INT64, [])
    hidden = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [1, "time", count])
    spelling = helper.make_tensor_value_info("spelling", TensorProto.FLOAT, [1, "time", count + 1])
    _save(directory / "first.onnx", to_power + to_scores, [audio, hop], [hidden, spelling], constants)
    _save(directory / "second.onnx", to_scores, [hidden], [spelling], constants)
    config = {
        "format": 2,
        "name": "tones",
        "version": "1",
        "sample_rate": 16000,
        "frame_samples": FRAME,
        "look_ahead_frames": 0,
        "heads": {"spelling": ["<blank>", *("▁" + word for word in words)]},
        "state": [],
        "hidden": count,
        "front_end": {"hop": FRAME, "window": 2 * FRAME},
        "fingerprint": "tones of " + " ".join(words),
    }
    (directory / "model.json").write_text(json.dumps(config), encoding="utf-8")
    return directory


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, NDArray[np.generic]],
) -> None:
    used = {name for node in nodes for name in node.input}
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items() if name in used]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
