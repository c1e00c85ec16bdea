"""The streaming LSTM computed step by step in numpy, so that its gates and memory cells can be looked at.

An exported network gives its hidden states and nothing of what happens inside. The equations are those of Hochreiter
and Schmidhuber (1997) with the forget gate of Gers, Schmidhuber and Cummins (2000):

    c = forget * c + input * candidate          h = output * tanh(c)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from asr.memory.weights import Lstm, Norm, Sound, Weights
from asr.network import State

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LayerTrace:
    """What one LSTM layer did, frame by frame; every array is [frames, width]."""

    cell: Floats  # the memory, after the frame
    hidden: Floats  # what the cell shows of it, -1 to 1
    input: Floats  # gates, 0 (shut) to 1 (open)
    forget: Floats
    output: Floats

    def half_lives(self) -> Floats:
        """How many frames each cell takes to forget half of what it holds, at its mean forget gate. [width]"""
        mean = self.forget.mean(axis=0, dtype=np.float64)
        lives: Floats = (np.log(0.5) / np.log(np.clip(mean, 1e-12, 1 - 1e-12))).astype(np.float32)
        return lives


@dataclass(frozen=True)
class Trace:
    """The streaming layers over some sound."""

    features: Floats  # log-mel, before normalization [10 ms frames, bands]
    layers: tuple[LayerTrace, ...]
    hidden: Floats  # what the network gives to its heads and to the second reading [frames, width]


def trace(weights: Weights, samples: Floats, state: State) -> Trace:
    """Runs the streaming layers as one call of the network does, over 16 kHz samples [n], n a multiple of its frame.

    `state` is the network's before these samples (`Network.initial_state`, or the last reading's).
    """
    features = log_mel(weights.sound, np.concatenate([state["samples"][0], samples]))
    bands = features.shape[1]
    stack = weights.streaming[0].inputs.shape[2] // bands
    normalized = (features - weights.sound.mean) / weights.sound.deviation
    x = normalized.reshape(-1, stack * bands)  # [frames, stack * bands]
    layers: list[LayerTrace] = []
    total = np.zeros((), np.float32)
    for number, (lstm, norm) in enumerate(zip(weights.streaming, weights.streaming_norms, strict=True)):
        layer = run_lstm(lstm, x, state["h"][number, 0], state["c"][number, 0])
        total = total + layer.hidden  # each layer adds to what the layers below found
        x = layer_norm(norm, total)
        layers.append(layer)
    return Trace(features, tuple(layers), x)


def joined(traces: Sequence[Trace]) -> Trace:
    """Traces of one step after the other as one."""
    layers = zip(*(trace.layers for trace in traces), strict=True)
    return Trace(
        np.concatenate([trace.features for trace in traces]),
        tuple(
            LayerTrace(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(LayerTrace)))
            for parts in layers
        ),
        np.concatenate([trace.hidden for trace in traces]),
    )


def run_lstm(lstm: Lstm, x: Floats, h: Floats, c: Floats) -> LayerTrace:
    """One layer over [frames, inputs], from the hidden state h and the cell state c [width] of the frame before."""
    width = lstm.bias.shape[1]
    if lstm.int8:
        x = round_to_8_bits(x, lstm.limit)
    driven = np.einsum("gwi,ti->tgw", lstm.inputs, x, optimize=True) + lstm.bias  # [frames, 4, width]
    recurrent = lstm.recurrent.reshape(4 * width, width)
    kept: list[tuple[Floats, ...]] = []
    for frame in driven:
        heard = round_to_8_bits(h) if lstm.int8 else h
        gates = frame + (recurrent @ heard).reshape(4, width)
        opened, shown, held = sigmoid(gates[:3])  # input, output, forget
        c = held * c + opened * np.tanh(gates[3])
        h = shown * np.tanh(c)
        kept.append((c, h, opened, held, shown))
    return LayerTrace(*np.array(kept, np.float32).reshape(-1, 5, width).transpose(1, 0, 2))


def round_to_8_bits(x: Floats, limit: float | None = None) -> Floats:
    """As onnxruntime's DynamicQuantizeLSTM rounds what it multiplies: 256 steps from the least value to the largest, or
    between limits."""
    low, high = min(0.0, float(x.min())), max(0.0, float(x.max()))
    if limit is not None:
        low, high = -limit, limit
    if low == high:
        return x
    scale = np.float32((high - low) / 255)
    zero = np.round(-low / scale)
    rounded: Floats = ((np.clip(np.round(x / scale) + zero, 0, 255) - zero) * scale).astype(np.float32)
    return rounded


def log_mel(sound: Sound, samples: Floats) -> Floats:
    """Natural log of mel band powers. [history + n * hop] -> [n, bands]; a window exceeds a hop by the history."""
    window = sound.basis.shape[1]
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[:: sound.hop]  # [n, window]
    real, imaginary = np.split(frames @ sound.basis.T, 2, axis=1)
    bands: Floats = np.log((real**2 + imaginary**2) @ sound.mel + np.float32(sound.floor))
    return bands


def layer_norm(norm: Norm, x: Floats) -> Floats:
    """[frames, width], each frame with mean 0 and variance 1, then scaled and shifted."""
    centred = x - x.mean(axis=1, keepdims=True)
    variance = np.square(centred).mean(axis=1, keepdims=True)
    scaled: Floats = centred / np.sqrt(variance + norm.epsilon) * norm.scale + norm.shift
    return scaled


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    found: Floats = 0.5 * (1 + np.tanh(0.5 * x))
    return found
