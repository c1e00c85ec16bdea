"""A model directory whose network does not guess: sound says which token it is, frame by frame.

Frames of the constant value 500 k / 32768 are token k of both heads. The second reading hears `SLIP` as token 1, so
that the two readings differ. Made with the `onnx` package, run by the project's own network, stream and recognizer.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FRAME = 640  # samples
SPELLING = ["<blank>", "▁one", "▁two", "▁three", "s", "▁slip"]
PHONES = ["<blank>", "AA", "B", "CH", "S", "Z"]
SLIP = 5
DICTIONARY = "one AA\none B\ntwo B\nthree CH\nones AA S\ntwos B S\nthrees CH S\nslip Z\n"
_STEP = 500


def speak(path: Path, text: str) -> float:
    """Write a sound in which `text` (of one, two, three, slip, each perhaps with an s) is said; gives its seconds."""
    words = {token.removeprefix("▁"): number for number, token in enumerate(SPELLING)}
    frames = [0] * 5
    for word in text.split():
        stem = word.removesuffix("s")
        frames += [words[stem], words[stem], 0]
        if word != stem:
            frames += [words["s"], 0]
        frames += [0] * 3
    samples = np.repeat(np.array(frames, np.int16) * _STEP, FRAME)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return len(samples) / 16000


def write_oracle(directory: Path, heads: Sequence[str] = ("phones", "spelling")) -> Path:
    """Write the model directory."""
    directory.mkdir(parents=True, exist_ok=True)
    size = len(SPELLING)
    heard = list(range(size))
    heard[SLIP] = 1
    constants = {
        "shape": np.array([1, -1, FRAME]),
        "zero": np.array(0),
        "last": np.array([2]),
        "scale": np.array(32768 / _STEP, np.float32),
        "least": np.array(0, np.int64),
        "most": np.array(size - 1, np.int64),
        "depth": np.array(size),
        "off_on": np.array([-20.0, -0.001], np.float32),
        "heard": np.array(heard),
    }
    constant = {name: numpy_helper.from_array(value, name) for name, value in constants.items()}
    node = helper.make_node
    first = [
        node("Reshape", ["audio", "shape"], ["frames"]),
        node("Gather", ["frames", "zero"], ["values"], axis=2),
        node("Mul", ["values", "scale"], ["scaled"]),
        node("Round", ["scaled"], ["rounded"]),
        node("Cast", ["rounded"], ["codes"], to=TensorProto.INT64),
        node("Clip", ["codes", "least", "most"], ["tokens"]),
        node("Cast", ["tokens"], ["floats"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["floats", "last"], ["hidden"]),
        *(node("OneHot", ["tokens", "depth", "off_on"], [head]) for head in heads),
        node("Identity", ["memory"], ["next_memory"]),
    ]
    second = [
        node("Squeeze", ["hidden", "last"], ["floats"]),
        node("Cast", ["floats"], ["codes"], to=TensorProto.INT64),
        node("Gather", ["heard", "codes"], ["tokens"]),
        *(node("OneHot", ["tokens", "depth", "off_on"], [head]) for head in heads),
    ]

    def value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    scores = [value(head, 1, "t", size) for head in heads]
    hop = helper.make_tensor_value_info("hop", TensorProto.INT64, [])
    for name, nodes, inputs, outputs in (
        ("first", first, [value("audio", 1, "n"), hop, value("memory", 1, 1)],
         [value("hidden", 1, "t", 1), *scores, value("next_memory", 1, 1)]),
        ("second", second, [value("hidden", 1, "t", 1)], scores),
    ):  # fmt: skip
        used = {name for made in nodes for name in made.input}
        graph = helper.make_graph(nodes, name, inputs, outputs, [constant[key] for key in constant if key in used])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, str(directory / f"{name}.onnx"))
    config = {
        "format": 2,
        "name": "oracle",
        "version": "1",
        "sample_rate": 16000,
        "frame_samples": FRAME,
        "look_ahead_frames": 0,
        "heads": {head: {"phones": PHONES, "spelling": SPELLING}[head] for head in heads},
        "state": [{"name": "memory", "shape": [1, 1]}],
        "hidden": 1,
        "front_end": {"hop": FRAME, "window": 2 * FRAME},
        "decoding": {},
        "calibration": {},
        "licences": [],
        "training": {},
        "fingerprint": "oracle",
    }
    (directory / "model.json").write_text(json.dumps(config), encoding="utf-8")
    return directory
