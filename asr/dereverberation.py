"""Speech without the late echo of its room: weighted prediction error (Nakatani et al., 2010), for one microphone.

What was said a moment ago comes back from the walls as a sum of its past. In each frequency band a linear filter
predicts this sum from frames that are hardly part of the sound itself any more, and it is taken away. The filter is the
one with the least error, that of each frame divided by the power that was heard around it; the paper estimates the
power of the speech alone and goes over it several times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

WINDOW, HOP = 400, 160  # samples at 16 kHz: 25 and 10 ms
DELAY = 2  # frames from a sound to what may be its echo
TAPS = 32  # frames that a filter reaches back from there
NEAR = 2  # frames on each side that help to say how strong speech is in a frame
EXPONENT = 0.7  # of the power that an error is divided by; 1 is the maximum likelihood of the paper
BANDS_AT_ONCE, FRAMES_AT_ONCE = 32, 32  # products of 32 x 32 x 32 are too small for other cores to be woken
_LEAST, _LOADING = 1e-6, 1e-3  # of a band's mean power; of a matrix's mean diagonal


def dereverberated(samples: Floats) -> Floats:
    """16 kHz samples [n] without late echo, as long as before."""
    if len(samples) == 0:
        return samples
    shape: Floats = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    padded = np.pad(samples, (WINDOW - HOP, WINDOW))
    heard = np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * shape).astype(np.complex64).T
    dry = np.concatenate([_dry(heard[band : band + BANDS_AT_ONCE]) for band in range(0, len(heard), BANDS_AT_ONCE)])
    frames = np.fft.irfft(dry.T, WINDOW).astype(np.float32) * shape
    total, weight = np.zeros(len(padded), np.float32), np.zeros(len(padded), np.float32)
    for number, frame in enumerate(frames):
        place = slice(number * HOP, number * HOP + WINDOW)
        total[place] += frame
        weight[place] += shape**2
    own = slice(WINDOW - HOP, WINDOW - HOP + len(samples))
    return np.asarray(total[own] / np.maximum(weight[own], 1e-3), np.float32)


def _dry(heard: Spectrum) -> Spectrum:
    """Some bands without what their own past predicts. [bands, frames]"""
    frames = heard.shape[1]
    around = np.pad(heard.real**2 + heard.imag**2, ((0, 0), (NEAR, NEAR)), mode="edge")
    power: Floats = np.lib.stride_tricks.sliding_window_view(around, 2 * NEAR + 1, axis=1).mean(axis=2)
    weight = (power + _LEAST * power.mean(axis=1, keepdims=True) + np.float32(1e-12)) ** np.float32(-EXPONENT)
    past = np.pad(heard, ((0, 0), (TAPS + DELAY - 1, 0)))
    past = np.lib.stride_tricks.sliding_window_view(past, TAPS, axis=1)[:, :frames]  # [bands, frames, taps]
    places = [slice(begin, begin + FRAMES_AT_ONCE) for begin in range(0, frames, FRAMES_AT_ONCE)]
    matrix, target = np.zeros((len(heard), TAPS, TAPS), np.complex64), np.zeros((len(heard), TAPS, 1), np.complex64)
    for place in places:
        own = np.ascontiguousarray(past[:, place])
        weighted = own.conj().transpose(0, 2, 1) * weight[:, None, place]  # [bands, taps, frames]
        matrix += weighted @ own
        target += weighted @ heard[:, place, None]
    load = _LOADING * np.trace(matrix, axis1=1, axis2=2).real / TAPS + np.float32(1e-12)
    filters = np.linalg.solve(matrix + load[:, None, None] * np.eye(TAPS, dtype=np.complex64), target)
    echo = [(np.ascontiguousarray(past[:, place]) @ filters)[..., 0] for place in places]
    dry: Spectrum = heard - np.concatenate(echo, axis=1)
    return dry
