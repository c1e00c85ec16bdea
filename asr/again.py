"""Listening again, before a text is final: fast speech slower, unclear speech without echo, faint speech louder.

Unclear is what leaves doubt, from echo or from noise; where it is noise, taking out echo does no good.

The network was taught by people who read aloud. Fast speech has too few frames for each phone; a shorter hop gives it
as many as it is used to, at the same pitch (frame rate normalization: Chu and Povey, ICASSP 2010). How fast somebody
speaks is known once the segment was read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.dereverberation import dereverberated
from asr.endpoint import SILENT_DB, levels
from asr.errors import ModelError
from asr.greedy import collapse
from asr.network import BLANK, Network
from asr.rejection import doubt

Floats = NDArray[np.float32]

LONGEST_GAP = 0.32  # seconds: longer ones between two tokens are pauses, and count as this
FEWEST = 5  # tokens that a rate can be told from
LEAST_PACE = 0.62  # of the usual hop
QUIET = -48.0  # dB of full scale that a segment's loud frames keep below; recordings are rarely so quiet
USUAL = -20.0  # dB that they are then amplified to: half of the speech that the shipped model was tuned on is louder
FAST = 1.2  # times the usual rate: from here on slower listening was found to help
CLEAR = 0.85  # of the speech that a model was tuned on is clear enough: of the rest rooms are told apart best
AROUND = 1.0  # seconds that are heard before and after a segment's words
FRAMES_AT_ONCE = 25  # a whole segment in one call would take 20 MB


@dataclass(frozen=True)
class Limits:
    """When a segment is listened to again; by default never."""

    usual_rate: float = math.inf  # tokens in a second of speech that the network reads best
    fast_rate: float = math.inf  # above this one it is listened to slower
    clear: float = math.inf  # nats of doubt (`asr.rejection`); where there are more, the echo is taken out

    @property
    def ever(self) -> bool:
        """Whether there is speech that is listened to again."""
        return self != Limits()


def find_limits(rates: NDArray[np.float64], doubts: NDArray[np.float64]) -> Limits:
    """Limits by what a network reads best: the speech that a model was tuned on, for each utterance its speaking rate
    (0 where it is not known) and doubt."""
    known = rates[rates > 0]
    if not len(known):
        return Limits()
    usual = round(float(np.median(known)), 2)
    return Limits(usual, round(FAST * usual, 2), round(float(np.quantile(doubts, CLEAR)), 3))


def limits_of(network: Network) -> Limits:
    """From a model's decoding settings, "again". Raises `ModelError` for what is no such setting."""
    try:
        stored: Mapping[str, Any] = network.config.get("decoding", {}).get("again", {})
        limits = Limits(**{name: float(value) for name, value in stored.items()})
        fits = 0 < limits.usual_rate <= limits.fast_rate and not math.isnan(limits.clear)
    except (AttributeError, TypeError, ValueError):
        fits = False
    if not fits:
        raise ModelError(f"{network.directory / 'model.json'} is damaged (decoding, again): copy it again.")
    return limits


@dataclass(frozen=True)
class Manner:
    """How to listen to a segment again."""

    hop: int  # samples
    dry: bool = False  # without echo
    gain: float = 1.0  # of the samples


def manner(network: Network, limits: Limits, log_probs: Floats, sound: Floats) -> Manner | None:
    """What would help a segment of these log-probs [frames, tokens] and samples; None if nothing would."""
    if not limits.ever or not len(log_probs):
        return None
    hop = network.hop
    rate = speaking_rate(log_probs, network.frame_seconds)
    slower = round(hop * max(LEAST_PACE, limits.usual_rate / rate)) if rate > limits.fast_rate else hop
    dry = doubt(log_probs[:, BLANK]) > limits.clear
    loud = float(np.quantile(levels(sound, network.frame_samples), 0.9))
    gain = 10 ** ((USUAL - loud) / 20) if SILENT_DB < loud < QUIET else 1.0
    found = Manner(slower, dry, gain)
    return None if found == Manner(hop) else found


def speaking_rate(log_probs: Floats, frame_seconds: float) -> float:
    """Tokens in a second of speech, pauses left out; 0 for too few of them."""
    frames = np.array([frame for frame, _ in collapse(log_probs.argmax(axis=1))])
    if len(frames) < FEWEST:
        return 0.0
    gaps = np.minimum(np.diff(frames) * frame_seconds, LONGEST_GAP)
    return float(len(gaps) / gaps.sum())


@dataclass(frozen=True)
class Heard:
    """What a segment sounds like the second time."""

    log_probs: dict[str, Floats]  # head -> [frames, tokens]
    begin: float  # where the first of these frames begins, in usual frames from the segment's first
    pace: float  # usual frames in each of them


def listen_again(network: Network, sound: Floats, begin: int, before: int, log_probs: Floats, manner: Manner) -> Heard:
    """A segment in another manner, from a second before its first token to a second after its last one.

    `sound` are its samples with what is around it: `before` usual frames, the first of which the stream took as its
    frame `begin`, then those of `log_probs` [frames, tokens], then what followed. The frames begin where they would if
    all of the stream were heard like this, so that the pause in which a segment begins or ends makes no difference.
    """
    usual = network.frame_samples
    size = usual // network.hop * manner.hop  # samples of a frame
    tokens = np.flatnonzero(log_probs.argmax(axis=1) != BLANK)
    around = round(AROUND / network.frame_seconds)
    first = max(0, before + int(tokens[0]) - around) if len(tokens) else 0
    last = before + int(tokens[-1]) + 1 + around if len(tokens) else before + len(log_probs)
    heard = sound[first * usual : last * usual] * np.float32(manner.gain)
    if manner.dry:
        heard = dereverberated(heard)
    skipped = -(begin + first) * usual % size
    padded = np.pad(heard[skipped:], (0, -len(heard[skipped:]) % size))
    state, parts = network.initial_state(manner.hop), []
    for place in range(0, len(padded), FRAMES_AT_ONCE * size):
        reading = network.first(padded[place : place + FRAMES_AT_ONCE * size], state, manner.hop)
        state = reading.state
        parts.append(reading.hidden)
    hidden = np.concatenate(parts)
    lag = network.look_ahead_frames

    def frame_at(place: int) -> int:
        """The frame that begins nearest to a usual one, counted from the first of `sound`."""
        return max(0, round(((place - lag - first) * usual - skipped) / size) + lag)

    own = slice(frame_at(max(first, before)), frame_at(before + len(log_probs)))
    return Heard(
        {head: table[own] for head, table in network.second(hidden).items()},
        (skipped + (own.start - lag) * size) / usual + lag + first - before,
        manner.hop / network.hop,
    )
