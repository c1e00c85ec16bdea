"""Late echo is taken out of speech, and speech without any stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from asr.dereverberation import dereverberated

Samples = NDArray[np.float32]


def in_a_room(speech: Samples, seconds: float) -> Samples:
    """Speech and the echo of a room in which it takes so long to fall by 60 dB, half of it after 50 ms."""
    random = np.random.default_rng(3)
    times = np.arange(round(seconds * 16000)) / 16000
    echo = random.normal(0, 1, len(times)) * 10 ** (-3 * times / seconds) * (times > 0.004)
    response = 0.7 * echo / np.sqrt(np.square(echo).sum())
    response[0] = 1.0
    return np.convolve(speech, response)[: len(speech)].astype(np.float32)


def levels(samples: Samples) -> NDArray[np.float64]:
    """In decibels, of bands 250 Hz wide in windows of 32 ms, those that are 60 dB below the loudest all the same."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, 512)[::256] * np.hanning(512)
    power = np.square(np.abs(np.fft.rfft(windows)[:, :256])).reshape(len(windows), 32, 8).sum(axis=2)
    decibels: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-6 * power.max()))
    return decibels


@pytest.mark.parametrize("seconds, closer", [(0.5, 0.8), (0.8, 0.8)])
def test_speech_from_a_room_comes_closer_to_what_was_said(speech: Samples, seconds: float, closer: float) -> None:
    heard = in_a_room(speech, seconds)
    said, before, after = (levels(samples) for samples in (speech, heard, dereverberated(heard)))
    assert np.abs(after - said).mean() < closer * np.abs(before - said).mean()


def test_speech_without_echo_stays_nearly_as_it_is(speech: Samples) -> None:
    assert (
        np.abs(levels(dereverberated(speech)) - levels(speech)).mean()
        < 0.4 * np.abs(levels(in_a_room(speech, 0.5)) - levels(speech)).mean()
    )


def test_only_the_past_is_taken_away(speech: Samples) -> None:
    """The first frames of a sound are as they were: nothing was said before that could come back."""
    samples = np.concatenate([np.zeros(16000, np.float32), in_a_room(speech[20000:52000], 0.6)])
    dry = dereverberated(samples)
    np.testing.assert_allclose(dry[: 16000 + 100], samples[: 16000 + 100], atol=1e-4)
    assert np.abs(dry - samples)[20000:].max() > 0.01
    assert dry.dtype == np.float32 and len(dry) == len(samples)


@pytest.mark.parametrize("length", [0, 1, 159, 400, 5000])
def test_short_sound_and_silence(length: int) -> None:
    assert not dereverberated(np.zeros(length, np.float32)).any()
    assert len(dereverberated(np.ones(length, np.float32))) == length


def test_loudness_makes_no_difference(speech: Samples) -> None:
    loud, quiet = dereverberated(speech[:48000]), dereverberated(speech[:48000] / 8)
    np.testing.assert_allclose(8 * quiet, loud, atol=2e-3)
