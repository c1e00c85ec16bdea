"""The weights of a model directory's networks, read from the graphs by their structure, int8 or float.

Names of tensors are the exporter's business and change with its version; what computes what does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.network import read_config

Floats = NDArray[np.float32]

GATES = ("input", "output", "forget", "candidate")  # the order in ONNX, and of the first axis of an `Lstm`'s weights


@dataclass(frozen=True)
class Lstm:
    """One direction of an LSTM layer; gates in the order of `GATES`."""

    inputs: Floats  # [4, width, inputs]
    recurrent: Floats  # [4, width, width]
    bias: Floats  # [4, width]
    int8: bool = False  # the exported layer computes in integers: what it reads is rounded too
    limit: float | None = None  # and clipped to -limit ... limit, on whose scale it is rounded; None: on its own


@dataclass(frozen=True)
class Norm:
    """Layer normalization (Ba et al., 2016)."""

    scale: Floats  # [width]
    shift: Floats  # [width]
    epsilon: float


@dataclass(frozen=True)
class Head:
    """From hidden states to the scores of an alphabet's tokens."""

    weight: Floats  # [tokens, width]
    bias: Floats  # [tokens]


@dataclass(frozen=True)
class Sound:
    """From samples to normalized log-mel frames."""

    basis: Floats  # [2 * bins, window]: cosines, then sines, windowed
    mel: Floats  # [bins, bands]
    floor: float  # added to the power of each band before the logarithm
    mean: Floats  # [bands]
    deviation: Floats  # [bands]
    hop: int  # samples


@dataclass(frozen=True)
class Weights:
    """All that a model directory's networks learnt."""

    sound: Sound
    streaming: tuple[Lstm, ...]
    streaming_norms: tuple[Norm, ...]
    first_heads: Mapping[str, Head]
    second: tuple[tuple[Lstm, Lstm], ...]  # forwards, backwards
    second_norms: tuple[Norm, ...]
    second_heads: Mapping[str, Head]


def read_weights(directory: Path) -> Weights:
    """Reads first.onnx and second.onnx of a model directory; int8 weights come back as floats.

    Raises `ModelError` for files that are missing, damaged or of another structure, and where `onnx` is not installed.
    """
    config = read_config(directory)
    heads = list(config["heads"])
    first, second = Graph(directory / "first.onnx"), Graph(directory / "second.onnx")
    both = second.lstms()
    ahead = [lstm for lstm, reversed_input in both if not reversed_input]
    back = [lstm for lstm, reversed_input in both if reversed_input]
    weights = Weights(
        first.sound(int(config["front_end"]["hop"])),
        tuple(lstm for lstm, _ in first.lstms()),
        first.norms(),
        {head: first.head(head) for head in heads},
        tuple(zip(ahead, back, strict=False)),
        second.norms(),
        {head: second.head(head) for head in heads},
    )
    for path, layers, norms in (
        (first.path, len(weights.streaming), len(weights.streaming_norms)),
        (second.path, len(both) / 2, len(weights.second_norms)),
    ):
        if layers == 0:
            raise ModelError(f"{path} holds no LSTM: only a network with memory cells can be read here.")
        if layers != norms or len(ahead) != len(back):
            raise ModelError(f"{path} is built in a way that this program does not know: export the model again.")
    return weights


class Graph:
    """The nodes of an ONNX file, in the order in which they are computed, and the arrays they use."""

    def __init__(self, path: Path) -> None:
        try:
            import onnx
            from onnx import numpy_helper
        except ModuleNotFoundError as error:
            raise ModelError(
                "Reading a network's weights needs onnx, which the core package leaves out: "
                "pip install '.[plot]' in a checkout."
            ) from error
        if not path.is_file():
            raise ModelError(f"There is no {path.name} in {path.parent}: this is not a whole model directory.")
        try:
            graph = onnx.load(str(path)).graph
        except Exception as error:  # protobuf's own classes
            raise ModelError(f"{path} is damaged or no network (asr models verify {path.parent} says more).") from error
        self.path = path
        self.nodes: list[Any] = list(graph.node)
        self._arrays = {array.name: numpy_helper.to_array(array) for array in graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant":
                self._arrays[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self._makers = {name: node for node in self.nodes for name in node.output if name}

    def lstms(self) -> list[tuple[Lstm, bool]]:
        """All LSTMs in the order of computation, and whether each reads its input backwards."""
        found = []
        for node in self.nodes:
            if node.op_type not in ("LSTM", "DynamicQuantizeLSTM"):
                continue
            inputs, recurrent = self._lstm_matrix(node, 1), self._lstm_matrix(node, 2)  # [4 * width, ...]
            width = recurrent.shape[1]
            bias = self.array(node.input[3])[0].reshape(2, 4, width).sum(0)  # of the input and of the recurrence
            int8 = node.op_type == "DynamicQuantizeLSTM"
            source, limit = self._maker(node.input[0]), None
            if source is not None and source.op_type == "Pad":  # two columns that hold the limits of a fixed scale
                limit = float(self.array(source.input[2]))
                inputs = inputs[:, :-2]
                source = self._maker(self._before(self._maker(source.input[0]), "Pad").input[0])
            if source is not None and source.op_type == "Transpose":
                source = self._maker(source.input[0])
            lstm = Lstm(inputs.reshape(4, width, -1), recurrent.reshape(4, width, width), bias, int8, limit)
            found.append((lstm, source is not None and source.op_type == "Slice"))
        return found

    def _lstm_matrix(self, node: Any, position: int) -> Floats:
        """An LSTM's weights [4 * width, columns], dequantized (value = scale * (integer - zero point))."""
        matrix = self.array(node.input[position])[0]
        if node.op_type == "LSTM":
            return np.asarray(matrix, np.float32)
        scale = self.array(node.input[6 + 2 * position])[0]  # one number, or one for each row of the result
        zero = self.array(node.input[7 + 2 * position])[0]
        rows: Floats = ((matrix.astype(np.float32) - zero.astype(np.float32)) * scale).T
        return np.ascontiguousarray(rows)

    def norms(self) -> tuple[Norm, ...]:
        return tuple(
            Norm(
                self.array(node.input[1]),
                self.array(node.input[2]),
                next((float(a.f) for a in node.attribute if a.name == "epsilon"), 1e-5),
            )
            for node in self.nodes
            if node.op_type == "LayerNormalization"
        )

    def head(self, output: str) -> Head:
        """The matrix and bias whose log-softmax is the graph's `output`."""
        total = self._before(self._maker(output), "LogSoftmax")
        bias = self._array_among(total)
        product = self._before(total, "Add")
        return Head(np.ascontiguousarray(self._array_among(product).T), bias)

    def sound(self, hop: int) -> Sound:
        """The front-end: a convolution, mel bands, a logarithm and the training data's mean and deviation."""
        waves = self._only("Conv")
        logarithm = self._only("Log")
        floored = self._before(logarithm, "Log")
        centred = self._reader(logarithm.output[0], "Sub")
        scaled = self._reader(centred.output[0], "Div")
        return Sound(
            self.array(waves.input[1])[:, 0],
            self._array_among(self._before(floored, "Add")),
            float(self._array_among(floored)),
            self.array(centred.input[1]),
            self.array(scaled.input[1]),
            hop,
        )

    def array(self, name: str) -> NDArray[Any]:
        """The constant of this name. The exporter stores equal ones once, and the others as their copies."""
        while name not in self._arrays:
            node = self._makers.get(name)
            if node is None or node.op_type != "Identity":
                raise self._unknown()
            name = node.input[0]
        return self._arrays[name]

    def _array_among(self, node: Any) -> NDArray[Any]:
        """The one input of a node that is a constant."""
        for name in node.input:
            try:
                return self.array(name)
            except ModelError:
                continue
        raise self._unknown()

    def _maker(self, name: str) -> Any:
        node = self._makers.get(name)
        while node is not None and node.op_type == "Identity":
            node = self._makers.get(node.input[0])
        return node

    def _before(self, node: Any, kind: str) -> Any:
        """The node, not a constant, that a node of this kind takes its input from."""
        if node is None or node.op_type != kind:
            raise self._unknown()
        makers = [self._maker(name) for name in node.input]
        computed = [maker for maker in makers if maker is not None and maker.op_type != "Constant"]
        if len(computed) != 1:
            raise self._unknown()
        return computed[0]

    def _reader(self, name: str, kind: str) -> Any:
        return self._one([node for node in self.nodes if node.op_type == kind and name in node.input])

    def _only(self, kind: str) -> Any:
        return self._one([node for node in self.nodes if node.op_type == kind])

    def _one(self, nodes: list[Any]) -> Any:
        if len(nodes) != 1:
            raise self._unknown()
        return nodes[0]

    def _unknown(self) -> ModelError:
        return ModelError(f"{self.path} is built in a way that this program does not know: export the model again.")
