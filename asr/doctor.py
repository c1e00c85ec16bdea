"""What is wrong with a microphone, from a few seconds of its sound, each finding with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    name: str
    value: str
    advice: str = ""  # what to do; "" where nothing is wrong

    @property
    def fine(self) -> bool:
        return not self.advice


@dataclass(frozen=True, slots=True)
class Limits:
    """What still counts as good."""

    frame_seconds: float = 0.02
    quiet_db: float = -42.0  # speech below this is hard to hear (full scale: 0)
    faint_db: float = -60.0  # nothing that could be speech
    noise_db: float = -45.0
    clear_db: float = 15.0  # speech over noise
    clipped_share: float = 1e-4
    full_scale: int = 32700
    offset_share: float = 0.01
    dead_share: float = 0.05  # of frames whose samples are all the same
    narrow_hz: float = 4600.0  # a band that ends below this is a telephone's
    edge_db: float = 50.0  # the band ends where a voice's loudest moments fall this far below its strongest part
    stands_out_db: float = 12.0  # and rise this far above the background of their band
    band_hz: float = 250.0


def examine(samples: Samples, rate: int, lost_blocks: int = 0, limits: Limits | None = None) -> list[Finding]:
    """The findings on `samples` [frames, channels] of some seconds of speech at `rate` Hz."""
    limits = limits or Limits()
    channel = samples[:, int(np.argmax(np.abs(samples.astype(np.float32)).sum(axis=0)))]  # the one with the voice
    frame = round(limits.frame_seconds * rate)
    frames = channel[: len(channel) // frame * frame].reshape(-1, frame).astype(np.float64)
    dead = float((np.ptp(frames, axis=1) == 0).mean()) if len(frames) else 1.0
    if dead == 1.0:
        advice = (
            "The device sends zeros: unmute it in the sound settings, check its switch and this program's permission."
        )
        return [Finding("Level", "digital silence", advice), _losses(lost_blocks)]
    levels = 10 * np.log10((frames - frames.mean()).var(axis=1) / 32768**2 + 1e-10)
    return [
        *_levels(levels, limits),
        _clipping(channel, limits),
        _offset(channel, limits),
        _dead(dead, limits),
        *_channels(samples),
        _losses(lost_blocks),
        _bandwidth(frames, levels, rate, limits),
    ]


def level_db(samples: Samples) -> float:
    """Root mean square of a block in dB; full scale is 0, digital silence -100."""
    power = float(np.mean(np.square(samples.astype(np.float64)))) / 32768**2 if samples.size else 0.0
    return float(10 * np.log10(power + 1e-10))


def _levels(levels: NDArray[np.float64], limits: Limits) -> list[Finding]:
    speech, noise = float(np.percentile(levels, 95)), float(np.percentile(levels, 10))
    level, background = f"{speech:.0f} dB", f"{noise:.0f} dB, speech {speech - noise:.0f} dB above it"
    if speech < limits.faint_db:
        level_advice = (
            "Next to nothing was heard: speak during the test, choose another device, raise the input volume."
        )
    elif speech < limits.quiet_db:
        level_advice = "The voice is faint: raise the input volume or come nearer to the microphone."
    else:
        level_advice = ""
    if noise > limits.noise_db:
        noise_advice = "The room or the device is loud: turn off what hums, come nearer, lower the gain."
    elif speech - noise < limits.clear_db:
        noise_advice = "The voice hardly stands out: speak during the test, come nearer, or use a headset."
    else:
        noise_advice = ""
    return [Finding("Level", level, level_advice), Finding("Background", background, noise_advice)]


def _clipping(channel: Samples, limits: Limits) -> Finding:
    share = float((np.abs(channel.astype(np.int32)) >= limits.full_scale).mean())
    advice = "Loud moments are cut off: lower the input volume." if share > limits.clipped_share else ""
    return Finding("Clipping", f"{share:.2%} of the samples" if share else "none", advice)


def _offset(channel: Samples, limits: Limits) -> Finding:
    offset = float(channel.mean()) / 32768
    advice = ""
    if abs(offset) > limits.offset_share:
        advice = (
            "The signal is shifted: try another socket or adapter; recognition bears it, loud speech clips earlier."
        )
    return Finding("DC offset", f"{offset:+.2%} of full scale", advice)


def _dead(share: float, limits: Limits) -> Finding:
    advice = ""
    if share > limits.dead_share:
        advice = "The sound stops again and again: turn off noise gate and voice detection in the driver or headset."
    return Finding("Digital silence", f"{share:.0%} of the time", advice)


def _channels(samples: Samples) -> list[Finding]:
    if samples.shape[1] == 1:
        return []
    silent = [number + 1 for number in range(samples.shape[1]) if not samples[:, number].any()]
    if not silent:
        return [Finding("Channels", f"{samples.shape[1]}, all with sound")]
    live = next(number for number in range(1, samples.shape[1] + 1) if number not in silent)
    names = ", ".join(map(str, silent))
    return [
        Finding("Channels", f"silent: {names} of {samples.shape[1]}", f"Mixing halves the level: use --channel {live}.")
    ]


def _losses(lost_blocks: int) -> Finding:
    advice = "This computer was too busy to take the sound: close other programs." if lost_blocks else ""
    return Finding("Dropped blocks", str(lost_blocks), advice)


def _bandwidth(frames: NDArray[np.float64], levels: NDArray[np.float64], rate: int, limits: Limits) -> Finding:
    """The highest frequency that holds speech: in each band the loudest hundredth of the frames, against the strongest
    band. Hisses reach up to half the rate; behind an 8 kHz headset or telephone line there is nothing above 4 kHz."""
    unknown = Finding("Bandwidth", "unknown", "Speak during the test: only a voice tells how high the device hears.")
    if float(np.percentile(levels, 95)) < limits.faint_db:
        return unknown
    spectra = np.square(np.abs(np.fft.rfft(frames * np.hanning(frames.shape[1]), axis=1)))  # [frames, bins]
    bins = round(limits.band_hz * limits.frame_seconds)
    bands = spectra[:, 1 : 1 + spectra.shape[1] // bins * bins - bins].reshape(len(spectra), -1, bins).mean(axis=2)
    background, loudest = 10 * np.log10(np.percentile(bands, (10, 99), axis=0) + 1e-3)
    speech = (loudest > loudest.max() - limits.edge_db) & (loudest > background + limits.stands_out_db)
    present = np.flatnonzero(speech)
    if not len(present):
        return unknown
    edge = float((present[-1] + 1) * limits.band_hz)
    value = f"up to {edge / 1000:.1f} kHz of {rate / 2000:.1f}"
    if edge < limits.narrow_hz:
        advice = "This is telephone quality: a Bluetooth headset falls back to it; use its other profile, or a cable."
        return Finding("Bandwidth", value, advice)
    return Finding("Bandwidth", value)
