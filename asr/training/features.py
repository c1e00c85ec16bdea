"""The front-end in training: batches of samples to log-mel bands, with speed perturbation at no cost."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache

import torch
import torchaudio.functional
from torch import Tensor


@dataclass(frozen=True)
class FrontEnd:
    """Framing and bands; `asr.training.export` builds the same front-end into the exported network."""

    sample_rate: int = 16_000
    hop: int = 160  # samples: 10 ms
    window: int = 400  # samples: 25 ms
    fft: int = 512
    bands: int = 80
    lowest_hz: float = 20.0
    highest_hz: float = 7600.0
    floor: float = 1e-6  # added to each band's power before the logarithm

    @property
    def history(self) -> int:
        """Samples before a frame's own hop that its window reaches back: the state of the front-end."""
        return self.window - self.hop


@cache
def mel_matrix(front_end: FrontEnd, sample_rate: int) -> Tensor:
    """Triangular bands on the HTK scale. [fft / 2 + 1, bands]"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at higher speeds a low band may fall between two frequencies, and is empty
        matrix: Tensor = torchaudio.functional.melscale_fbanks(
            front_end.fft // 2 + 1,
            front_end.lowest_hz,
            front_end.highest_hz,
            front_end.bands,
            sample_rate,
            norm=None,
            mel_scale="htk",
        )
    return matrix


@cache
def hann_window(length: int) -> Tensor:
    return torch.hann_window(length)


def log_mel(samples: Tensor, front_end: FrontEnd, speed: float = 1.0, tempo: float = 1.0) -> Tensor:
    """Natural log of mel band powers of samples in [-1, 1]. [..., samples] -> [..., frames, bands]

    Frame t covers the samples from `hop * t - history` to `hop * (t + 1)`; before the start there are zeros.

    `speed` 1.1 gives what a recording played 1.1 times faster gives (Ko et al., 2015), without resampling: hop, window
    and the frequencies of the bands are scaled instead, so that a frame covers 1.1 times as many samples. `tempo`
    scales the hop alone, as if somebody spoke faster in the same voice.
    """
    hop, window = round(front_end.hop * speed * tempo), round(front_end.window * speed)
    padded = torch.nn.functional.pad(samples, (window - hop, 0))
    frames = padded.unfold(-1, window, hop) * (hann_window(window) / speed)  # [..., frames, window]
    power = torch.fft.rfft(frames, n=front_end.fft).abs().square()
    return (power @ mel_matrix(front_end, round(front_end.sample_rate * speed)) + front_end.floor).log()
