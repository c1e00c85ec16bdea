"""Speech as it is heard elsewhere: rooms, noises, levels, narrow lines, and holes in the log-mel picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.audio import through_opus

Samples = npt.NDArray[np.float32]
RATE = 16_000


@dataclass(frozen=True)
class Augmentation:
    """How often and how hard; probabilities are per utterance and epoch."""

    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)  # of a recording played faster or slower, pitch included
    tempos: tuple[float, ...] = (1.0,)  # of speech at its own pitch
    room: float = 0.2  # probability of reverberation
    noise: float = 0.4  # probability of noise
    noise_decibels: tuple[float, float] = (5.0, 30.0)  # signal-to-noise ratio, uniform between
    gain: float = 0.8  # probability of another level
    gain_decibels: tuple[float, float] = (-30.0, 10.0)
    telephone: float = 0.05  # probability of an 8 kHz mu-law line
    opus: float = 0.0  # probability of a pass through Opus, as in voice messages; takes 30 ms for a second of speech
    opus_kilobits: tuple[float, float] = (6.0, 12.0)  # a second, uniform between
    frequency_masks: int = 2
    frequency_width: int = 20  # bands, at most
    time_masks_per_second: float = 0.3
    time_width: float = 0.4  # seconds, at most
    growth_epochs: float = 4.0  # the masks reach their full number after so many epochs


class Acoustics:
    """Noises and rooms held in memory, applied with a generator that the caller seeds."""

    def __init__(self, settings: Augmentation, noises: list[Samples], rooms: list[Samples]) -> None:
        self.settings = settings
        self._noises = noises
        self._rooms = rooms

    def speed(self, random: np.random.Generator) -> float:
        return float(random.choice(self.settings.speeds))

    def tempo(self, random: np.random.Generator) -> float:
        return float(random.choice(self.settings.tempos))

    def noise_of(self, samples: int, random: np.random.Generator) -> Samples:
        """A stretch of a random noise, repeated if it is short. Silence if there are no noises."""
        if not self._noises:
            return np.zeros(samples, np.float32)
        noise = self._noises[random.integers(len(self._noises))]
        start = int(random.integers(max(1, len(noise) - samples + 1)))
        return np.resize(noise[start:], samples) if len(noise) - start < samples else noise[start : start + samples]

    def __call__(self, speech: Samples, random: np.random.Generator) -> Samples:
        """One utterance made harder. [samples] -> [samples], in [-1, 1]"""
        settings = self.settings
        if self._rooms and random.random() < settings.room:
            speech = reverberate(speech, self._rooms[random.integers(len(self._rooms))])
        if self._noises and random.random() < settings.noise:
            speech = mix(speech, self.noise_of(len(speech), random), random.uniform(*settings.noise_decibels))
        if random.random() < settings.telephone:
            speech = telephone(speech)
        if settings.opus and random.random() < settings.opus:
            speech = through_opus(speech, random.uniform(*settings.opus_kilobits))
        if random.random() < settings.gain:
            speech = speech * np.float32(10 ** (random.uniform(*settings.gain_decibels) / 20))
        return np.clip(speech, -1.0, 1.0)

    def mask(self, features: npt.NDArray[np.float32], epoch: int, random: np.random.Generator) -> None:
        """SpecAugment (Park et al., 2019) in place, on normalized features [frames, bands], whose mean is zero."""
        settings = self.settings
        frames, bands = features.shape
        grown = min(1.0, (epoch + 1) / max(settings.growth_epochs, 1e-9))
        for _ in range(round(settings.frequency_masks * grown)):
            width = int(random.integers(settings.frequency_width + 1))
            low = int(random.integers(max(1, bands - width)))
            features[:, low : low + width] = 0.0
        for _ in range(random.poisson(settings.time_masks_per_second * grown * frames / 100)):
            width = int(random.integers(1 + min(round(settings.time_width * 100), frames // 5)))
            start = int(random.integers(max(1, frames - width)))
            features[start : start + width] = 0.0


def reverberate(speech: Samples, room: Samples) -> Samples:
    """Speech in a room, at its own level and in its own time: the direct sound stays where it was."""
    size = 1 << (len(speech) + len(room) - 2).bit_length()
    heard = np.fft.irfft(np.fft.rfft(speech, size) * np.fft.rfft(room, size), size)
    direct = int(np.abs(room).argmax())
    early: Samples = heard[direct : direct + len(speech)].astype(np.float32)
    return early * np.float32(level(speech) / max(level(early), 1e-9))


def mix(speech: Samples, noise: Samples, decibels: float) -> Samples:
    """Speech with noise `decibels` below it, both measured over the whole utterance."""
    loudness = level(noise)
    if loudness < 1e-7:
        return speech
    return speech + noise * np.float32(level(speech) / loudness / 10 ** (decibels / 20))


def telephone(speech: Samples) -> Samples:
    """Speech over an 8 kHz line with 8-bit mu-law (ITU-T G.711), back at 16 kHz."""
    spectrum = np.fft.rfft(speech)
    hertz = np.fft.rfftfreq(len(speech), 1 / RATE)
    spectrum[(hertz < 200) | (hertz > 3600)] = 0
    narrow = np.clip(np.fft.irfft(spectrum, len(speech)), -1, 1)
    companded = np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256)
    coded = np.round(companded * 127) / 127
    return (np.sign(coded) * np.expm1(np.abs(coded) * np.log(256)) / 255).astype(np.float32)


def level(samples: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
