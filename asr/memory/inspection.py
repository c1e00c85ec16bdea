"""A stretch of a recording as the network heard it: what it read, word by word, and what its memory held meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE
from asr.errors import AudioError
from asr.memory.cells import LayerTrace, Trace, joined, trace
from asr.memory.weights import Weights, read_weights
from asr.network import Network, State
from asr.recognizer import Recognizer
from asr.results import Word

Floats = NDArray[np.float32]

# As live sound is read. Each step starts from the network's own state: where a value lies on the edge between two of an
# int8 layer's roundings, both go different ways, and within a second that grows to ten times as much.
STEP_SECONDS = 0.08


@dataclass(frozen=True)
class Inspection:
    """All arrays cover the seconds from `start` to `end` of the recording."""

    model: str
    start: float
    end: float
    frame_seconds: float
    samples: Floats  # 16 kHz
    features: Floats  # log-mel [10 ms frames, bands]
    band_hz: Floats  # middle of each band
    words: tuple[Word, ...]  # final: those of the second reading
    tokens: Mapping[str, tuple[str, ...]]  # of each head
    log_probs: Mapping[str, Floats]  # of the first reading's heads [frames, tokens]
    layers: tuple[LayerTrace, ...]
    difference: float  # the largest between hidden states computed here and those of the network

    def half_lives(self, layer: int) -> Floats:
        """Seconds in which each cell of a layer (from 0) forgets half of what it holds. [width]"""
        return self.layers[layer].half_lives() * np.float32(self.frame_seconds)


def inspect_memory(recognizer: Recognizer, samples: Floats, start: float = 0.0, seconds: float = 8.0) -> Inspection:
    """Reads 16 kHz samples [n] from their beginning and keeps what happened in the `seconds` after `start`.

    Raises `AudioError` if nothing is left there, `ModelError` for a network without LSTM or if `onnx` is missing.
    """
    network = recognizer.network
    frame = network.frame_samples
    first = round(start / network.frame_seconds)
    count = min(round(seconds / network.frame_seconds), -(-len(samples) // frame) - first)
    if count < 1:
        raise AudioError(f"The recording has {len(samples) / SAMPLE_RATE:.1f} s: nothing is left after {start:g} s.")
    samples = samples[: (first + count) * frame]
    weights = read_weights(network.directory)
    spans, log_probs, difference = _run(network, weights, samples, first)
    begin, end = first * network.frame_seconds, (first + count) * network.frame_seconds
    words = recognizer.transcribe(samples, rate=SAMPLE_RATE).words
    return Inspection(
        model=network.name,
        start=begin,
        end=end,
        frame_seconds=network.frame_seconds,
        samples=samples[first * frame :],
        features=spans.features,
        band_hz=weights.sound.mel.argmax(axis=0) * np.float32(SAMPLE_RATE / 2 / (len(weights.sound.mel) - 1)),
        words=tuple(word for word in words if word.start < end and word.end > begin),
        tokens=network.heads,
        log_probs=log_probs,
        layers=spans.layers,
        difference=difference,
    )


def _run(network: Network, weights: Weights, samples: Floats, first: int) -> tuple[Trace, dict[str, Floats], float]:
    """The network and, beside it, its LSTM in numpy, from frame `first` on; up to there the network alone."""
    frame = network.frame_samples
    padded = np.concatenate([samples, np.zeros(-len(samples) % frame, np.float32)])
    step = round(STEP_SECONDS / network.frame_seconds) * frame
    state: State = network.initial_state()
    for place in range(0, first * frame, step):
        state = network.first(padded[place : min(place + step, first * frame)], state).state
    traces: list[Trace] = []
    log_probs: list[dict[str, Floats]] = []
    difference = 0.0
    for place in range(first * frame, len(padded), step):
        block = padded[place : place + step]
        reading = network.first(block, state)
        traces.append(trace(weights, block, state))
        log_probs.append(reading.log_probs)
        difference = max(difference, float(np.abs(traces[-1].hidden - reading.hidden).max()))
        state = reading.state
    together = {head: np.concatenate([piece[head] for piece in log_probs]) for head in network.heads}
    return joined(traces), together, difference
