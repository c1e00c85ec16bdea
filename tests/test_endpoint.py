"""The three rules that end a segment, on frames made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from asr.endpoint import PRESETS, Detector, Endpoint, Rule, endpoint_options, levels
from asr.errors import AsrError

FRAME = 0.04
SPEECH, SILENCE, NOISE = (0.1, -20.0), (0.99, -60.0), (0.99, -22.0)  # blank probability, dB


def run(detector: Detector, *parts: tuple[tuple[float, float], float]) -> list[tuple[int, Rule]]:
    """Feeds each kind of frame for so many seconds, up to the first rule that fires: (frames so far, rule)."""
    for kind, seconds in parts:
        for _ in range(round(seconds / FRAME)):
            if rule := detector.frame(*kind):
                return [(len(detector), rule)]
    return []


def detector(options: Endpoint = PRESETS["normal"]) -> Detector:
    found = Detector(options, FRAME)
    run(found, (SILENCE, 1.0), (SPEECH, 2.0))  # it has heard what silence and speech are here
    found.drop(len(found))
    return found


def test_silence_after_words() -> None:
    assert run(detector(), (SPEECH, 1.0), (SILENCE, 1.0)) == [(25 + 15, "pause")]


def test_a_short_pause_is_no_end() -> None:
    assert not run(detector(), (SPEECH, 1.0), (SILENCE, 0.5), (SPEECH, 1.0), (SILENCE, 0.5))


def test_loud_frames_without_words_count_half() -> None:
    assert run(detector(), (SPEECH, 1.0), (NOISE, 2.0)) == [(25 + 30, "pause")]


def test_steady_noise_is_silence_once_it_is_known() -> None:
    found = Detector(PRESETS["normal"], FRAME)
    speech_in_noise, noise = (0.1, -19.0), (0.99, -25.0)
    for _ in range(3):
        run(found, (noise, 4.9), (speech_in_noise, 2.0))
        found.drop(len(found))
    assert run(found, (speech_in_noise, 1.0), (noise, 1.0)) == [(25 + 15, "pause")]


def test_nothing_said() -> None:
    assert run(detector(), (SILENCE, 6.0)) == [(125, "nothing")]
    assert run(detector(), (NOISE, 6.0)) == [(125, "nothing")]


def test_longest_sentence_is_cut_where_it_is_least_like_speech() -> None:
    found = detector()
    assert run(found, (SPEECH, 12.0), ((0.9, -45.0), 0.24), (SPEECH, 9.0)) == [(375, "length")]
    assert 300 <= found.quietest() <= 306


def test_in_a_long_sentence_shorter_pauses_do() -> None:
    assert not run(detector(), (SPEECH, 5.0), (SILENCE, 0.4), (SPEECH, 1.0))
    ((frames, rule),) = run(detector(), (SPEECH, 12.0), (SILENCE, 0.4), (SPEECH, 1.0))
    assert rule == "pause" and 300 < frames <= 310
    ((frames, rule),) = run(detector(), (SPEECH, 14.6), (SILENCE, 0.4))
    assert rule == "pause" and frames == 365 + 6  # 0.24 s


def test_the_length_counts_from_the_first_word() -> None:
    assert run(detector(), (SILENCE, 4.0), (SPEECH, 20.0)) == [(100 - 10 + 375, "length")]


def test_the_silence_is_divided() -> None:
    found = detector()
    run(found, (SILENCE, 3.0), (SPEECH, 1.0), (SILENCE, 1.0))
    assert (len(found), found.divide()) == (75 + 25 + 15, 75 + 25 + 8)
    assert run(detector(endpoint_options("fast")), (SPEECH, 1.0), (SILENCE, 1.0)) == [(25 + 9, "pause")]


def test_levels() -> None:
    audio = np.concatenate([np.zeros(640), np.full(640, 0.1)]).astype(np.float32)
    assert levels(audio, 640) == pytest.approx([-100, -20], abs=1e-3)


def test_state_as_an_array() -> None:
    found = detector()
    run(found, (SILENCE, 0.4), (SPEECH, 1.0), (SILENCE, 0.3))
    again = Detector.from_array(found.options, FRAME, found.to_array())
    assert run(found, (SILENCE, 1.0)) == run(again, (SILENCE, 1.0)) != []
    assert found.to_array().tolist() == again.to_array().tolist()


def test_options() -> None:
    assert endpoint_options("patient", longest=20.0) == Endpoint(5 * 2, 1.2, 20.0)
    assert "0.6 s" in str(PRESETS["normal"])
    short = endpoint_options("normal", longest=5.0, nothing_said=0.3)
    assert (short.longest, short.search, short.nothing_said, short.lead_in) == (5.0, 2.5, 0.3, 0.15)
    found = detector(short)
    assert run(found, (SPEECH, 20.0)) == [(125, "length")] and 62 <= found.quietest() < 125
    for name, value in (("longest", 0.5), ("nothing_said", 0.0), ("silence_after_words", 61.0)):
        with pytest.raises(AsrError, match=rf"--{name.replace('_', '-')}\) must lie between .* s, not {value:g}\.$"):
            endpoint_options("normal", **{name: value})
    with pytest.raises(AsrError, match="fast, normal, patient"):
        endpoint_options("slow")
    with pytest.raises(AsrError, match="longest"):
        Endpoint(longest=1000)
    for wrong in ({"silence_after_words": 0.0}, {"silence_after_words": np.nan}, {"nothing_said": 1e9}):
        with pytest.raises(AsrError, match="between 0 and 60 s"):
            Endpoint(**wrong)
    with pytest.raises(AsrError, match="blank probability"):
        Endpoint(speech=1.5)
