"""The front-end: frames where design says they are, speed as if resampled, and the exported graph the same."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install '.[train]'")

import soxr
from numpy.typing import NDArray

from asr.training.export import WaveFrontEnd
from asr.training.features import FrontEnd, log_mel

FRONT_END = FrontEnd()


def test_a_frame_covers_its_own_samples_and_no_other() -> None:
    samples = torch.zeros(1600)
    quiet = log_mel(samples, FRONT_END)
    assert quiet.shape == (10, 80)
    assert torch.allclose(quiet, torch.tensor(1e-6).log())
    samples[480] = 1.0
    touched = (log_mel(samples, FRONT_END) != quiet).any(-1).nonzero().flatten().tolist()
    assert touched == [3, 4]  # frame t covers [160 t - 240, 160 t + 160); the window's ends are zero


def test_a_tone_is_loudest_in_its_band() -> None:
    time = torch.arange(16000) / 16000
    for hertz in (300.0, 1000.0, 4000.0):
        loudest = int(log_mel(torch.sin(2 * torch.pi * hertz * time), FRONT_END)[50].argmax())
        mel = 2595 * np.log10(1 + hertz / 700)
        low, high = (2595 * np.log10(1 + edge / 700) for edge in (20.0, 7600.0))
        assert abs(loudest - ((mel - low) / (high - low) * 81 - 1)) < 1


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_speed_is_what_resampling_gives(speed: float, speech: NDArray[np.float32]) -> None:
    speech = speech[:64000]
    faster = soxr.resample(speech, 16000 * speed, 16000)
    expected = log_mel(torch.from_numpy(faster), FRONT_END)
    found = log_mel(torch.from_numpy(speech), FRONT_END, speed)
    frames = min(len(expected), len(found))
    loud = expected[:frames, :70] > -6  # 0.9 times: nothing is above 7200 Hz
    assert abs(len(expected) - len(found)) <= 1
    assert (
        float((expected[:frames, :70] - found[:frames, :70])[loud].abs().mean()) < 0.25
    )  # narrow bands of few bins differ


def test_tempo_takes_frames_away_and_leaves_the_others_as_they_are(speech: NDArray[np.float32]) -> None:
    samples = torch.from_numpy(speech)
    twice = log_mel(samples, FRONT_END, tempo=2.0)
    torch.testing.assert_close(twice, log_mel(samples, FRONT_END)[1::2][: len(twice)])
    assert len(log_mel(samples, FRONT_END, speed=1.2, tempo=1.25)) == len(samples) // 240


def test_the_exported_graph_has_the_same_front_end(speech: NDArray[np.float32]) -> None:
    samples = torch.from_numpy(speech[: len(speech) // 640 * 640])
    expected = log_mel(samples, FRONT_END)
    front_end = WaveFrontEnd(FRONT_END)
    found = front_end(torch.nn.functional.pad(samples, (FRONT_END.history, 0))[None], torch.tensor(FRONT_END.hop))[0]
    assert float((expected - found).abs().max()) < 1e-3
    slower = log_mel(samples, FRONT_END, tempo=0.75)
    found = front_end(torch.nn.functional.pad(samples, (400 - 120, 0))[None], torch.tensor(120))[0]
    assert float((slower - found).abs().max()) < 1e-3
