"""Log-probs of recordings for those who want no segments: alignment, tuning, measuring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE, Audio, Resampler, as_mono
from asr.errors import AudioError
from asr.network import BLANK, Network

Floats = NDArray[np.float32]
Reading = Literal["first", "second"]

STEP_SECONDS = 1.0
WINDOW_SECONDS = 20.0  # longest stretch that the second reading sees at once
_SEARCH_SECONDS = 8.0  # a window is cut at the surest blank of its last seconds


def mono_blocks(audio: Audio, channel: int | None = None) -> Iterator[Floats]:
    """16 kHz mono blocks of an open recording; of a damaged one those up to there, then `AudioError`."""
    if channel is not None and channel >= audio.channels:
        raise AudioError(f"{audio.name} has no channel {channel + 1}: it has {audio.channels}.")
    resampler = Resampler(audio.rate, SAMPLE_RATE)
    damage = None
    try:
        for block in audio.blocks():
            yield resampler.feed(as_mono(block, channel))
    except AudioError as error:
        damage = error
    yield resampler.tail()
    if damage:
        raise damage


def log_probs(network: Network, blocks: Iterable[Floats], reading: Reading = "second") -> Iterator[dict[str, Floats]]:
    """Log-probs [frames, tokens] of all heads, piece by piece, for 16 kHz samples of any length in bounded memory.

    The network's state runs through; the second reading is done over windows that end in a pause.
    """
    step = round(STEP_SECONDS / network.frame_seconds) * network.frame_samples
    longest = round(WINDOW_SECONDS / network.frame_seconds)
    state = network.initial_state()
    ahead = network.look_ahead_frames  # the first outputs belong to no sound
    hidden: list[Floats] = []
    blanks: list[Floats] = []
    held = 0
    for samples in _steps(blocks, step, network.frame_samples, ahead):
        read = network.first(samples, state)
        state = read.state
        skipped = min(ahead, len(read.hidden))
        ahead -= skipped
        if reading == "first":
            yield {head: values[skipped:] for head, values in read.log_probs.items()}
            continue
        hidden.append(read.hidden[skipped:])
        blanks.append(next(iter(read.log_probs.values()))[skipped:, BLANK])
        held += len(hidden[-1])
        while held > longest:
            joined, blank = np.concatenate(hidden), np.concatenate(blanks)
            cut = longest - _surest(blank[:longest][::-1], round(_SEARCH_SECONDS / network.frame_seconds))
            yield network.second(joined[:cut])
            hidden, blanks, held = [joined[cut:]], [blank[cut:]], held - cut
    if held:
        yield network.second(np.concatenate(hidden))


def utterance_log_probs(network: Network, samples: Floats, reading: Reading = "second") -> dict[str, Floats]:
    """Log-probs [frames, tokens] of all heads for one short recording at 16 kHz."""
    pieces = list(log_probs(network, [samples], reading))
    return {head: np.concatenate([piece[head] for piece in pieces]) for head in (pieces[0] if pieces else {})}


def _surest(blank: Floats, frames: int) -> int:
    """The middle of the longest run of blanks among the first frames."""
    sure = np.concatenate([[False], blank[:frames] > np.log(0.9), [False]])
    edges = np.flatnonzero(sure[1:] != sure[:-1]).reshape(-1, 2)
    if not len(edges):
        return int(blank[:frames].argmax())
    begin, end = edges[(edges[:, 1] - edges[:, 0]).argmax()]
    return int(begin + end) // 2


def _steps(blocks: Iterable[Floats], step: int, frame: int, look_ahead: int) -> Iterator[Floats]:
    """Samples in steps of one length; the last one is filled with zeros up to a frame and the look-ahead."""
    waiting = np.zeros(0, np.float32)
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        for begin in range(0, len(waiting) - step + 1, step):
            yield waiting[begin : begin + step]
        waiting = waiting[len(waiting) // step * step :]
    frames = -(-len(waiting) // frame) + look_ahead
    if frames:
        yield np.concatenate([waiting, np.zeros(frames * frame - len(waiting), np.float32)])
