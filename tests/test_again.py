"""Which segments are listened to again, and what is heard then."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live.stand import needs
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from asr.again import (
    FAST,
    FEWEST,
    LEAST_PACE,
    Heard,
    Limits,
    Manner,
    find_limits,
    limits_of,
    listen_again,
    manner,
    speaking_rate,
)
from asr.audio import read_audio
from asr.dereverberation import dereverberated
from asr.errors import ModelError
from asr.greedy import collapse
from asr.network import BLANK, Network
from asr.posteriors import utterance_log_probs
from asr.recognizer import Recognizer
from asr.text import normalize

Samples = NDArray[np.float32]


def heard(frames: int, tokens: list[int], sure: float = 0.999) -> NDArray[np.float32]:
    """Log-probs of two tokens in turn in these frames, blanks in all others."""
    table = np.full((frames, 3), (1 - sure) / 2)
    table[:, BLANK] = sure
    for number, frame in enumerate(tokens):
        table[frame] = (1 - sure) / 2
        table[frame, 1 + number % 2] = sure
    return np.log(table).astype(np.float32)


def test_pauses_make_nobody_slow() -> None:
    words = list(range(10, 40, 3))
    assert speaking_rate(heard(50, words), 0.04) == pytest.approx(1 / 0.12)
    apart = [*words[:5], *(frame + 100 for frame in words[5:])]
    assert speaking_rate(heard(150, apart), 0.04) == pytest.approx(9 / (8 * 0.12 + 0.32))
    assert speaking_rate(heard(50, words[: FEWEST - 1]), 0.04) == 0.0


def test_who_is_fast_is_heard_slower_who_is_unclear_without_echo_who_is_faint_louder(tiny: Recognizer) -> None:
    limits = Limits(usual_rate=8.0, fast_rate=10.0, clear=0.5)
    slow, fast = heard(50, list(range(10, 40, 3))), heard(50, list(range(10, 40, 2)))
    loud = np.full(640 * 50, 0.1, np.float32)  # -20 dB
    assert manner(tiny.network, limits, slow, loud) is None
    assert manner(tiny.network, limits, fast, loud) == Manner(round(160 * 8 * 0.08))
    assert manner(tiny.network, limits, heard(50, list(range(50))), loud) == Manner(round(160 * LEAST_PACE))
    assert manner(tiny.network, limits, heard(50, list(range(10, 40, 3)), 0.6), loud) == Manner(160, dry=True)
    faint = manner(tiny.network, limits, slow, loud / 100)
    assert faint and faint == Manner(160, gain=faint.gain) and faint.gain == pytest.approx(100, rel=1e-3)
    assert manner(tiny.network, limits, slow, loud / 20) is None
    assert manner(tiny.network, limits, slow, np.zeros(640 * 50, np.float32)) is None
    assert manner(tiny.network, Limits(), fast, loud / 100) is None
    assert manner(tiny.network, limits, fast[:0], loud[:0]) is None


def test_limits_come_from_the_speech_that_a_model_was_tuned_on() -> None:
    limits = find_limits(np.array([0.0, 10.0, 12.0, 14.0]), np.linspace(0, 1, 101))
    assert limits == Limits(12.0, round(12 * FAST, 2), 0.85)
    assert not find_limits(np.zeros(3), np.ones(3)).ever


def test_limits_of_a_model_directory(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((model / "model.json").read_text())
    for stored, found in (({}, Limits()), ({"usual_rate": 3, "clear": 0.5}, Limits(3.0, clear=0.5))):
        (model / "model.json").write_text(json.dumps(config | {"decoding": {"again": stored}}))
        assert limits_of(Network.load(model)) == found
    hostile: list[Any] = [{"pace": 1}, {"clear": "much"}, [], 7, {"clear": np.nan}, {"fast_rate": 10}]
    hostile += [{"usual_rate": usual, "fast_rate": 10} for usual in (30, 0, -1, np.nan)]
    for damaged in hostile:
        (model / "model.json").write_text(json.dumps(config | {"decoding": {"again": damaged}}))
        with pytest.raises(ModelError, match="decoding, again"):
            Recognizer(model)


def test_at_the_usual_pace_it_hears_the_same_in_the_same_places(tiny: Recognizer, speech: Samples) -> None:
    network = tiny.network
    sound = speech[: 640 * 145]  # as much as is heard around the segment
    hidden = network.first(sound, network.initial_state()).hidden
    expected = network.second(hidden)
    own = expected["phones"][20:120].copy()
    own[[0, -1], BLANK] = -50  # sounds from end to end, so that all there is is heard
    again = listen_again(network, sound, 7, 20, own, Manner(160, False))
    assert (again.begin, again.pace) == (0.0, 1.0)
    for head, table in expected.items():
        np.testing.assert_array_equal(again.log_probs[head], table[20:120])
    louder = listen_again(network, sound / 8, 7, 20, own, Manner(160, gain=8.0))
    np.testing.assert_array_equal(louder.log_probs["phones"], again.log_probs["phones"])
    dry = listen_again(network, sound, 7, 20, own, Manner(160, True))
    hidden = network.first(dereverberated(sound), network.initial_state()).hidden
    np.testing.assert_array_equal(dry.log_probs["phones"], network.second(hidden)["phones"][20:120])


@pytest.mark.parametrize("hop", [100, 117, 144])
def test_slower_frames_lie_where_the_sound_is(tiny: Recognizer, speech: Samples, hop: int) -> None:
    """Frames of the whole sound begin at multiples of their length in the stream, whatever a segment is cut from."""
    network = tiny.network
    size = 4 * hop
    own = heard(100, list(range(60, 90, 2)))
    later = listen_again(network, speech[: 640 * 150], 40, 20, own, Manner(hop, False))
    start = (later.begin + 60) * 640  # samples, in the stream
    assert start == pytest.approx(round(start / size) * size)
    assert abs(later.begin - 60 + 25) <= 1  # a second before the first token, in the segment's frames
    assert len(later.log_probs["phones"]) * later.pace == pytest.approx(100 - later.begin, abs=1.0)
    assert later.pace == hop / 160


def test_with_look_ahead_the_frames_lie_where_they_come_out(tiny: Recognizer, speech: Samples) -> None:
    """What a network hears `lag` frames late it hears as many of the other frames late."""
    network, lag = tiny.network, 3
    late = Network(network.directory, network.config | {"look_ahead_frames": lag}, network._first, network._second)
    own = heard(100, list(range(60, 90, 2)))
    usual = listen_again(late, speech[: 640 * 150], 40, 20, own, Manner(160, False))
    # the first token's sound is `lag` frames before it, and so is the second of context
    assert usual.begin == 60 - 25 and len(usual.log_probs["phones"]) == 100 - (60 - 25)
    slower = listen_again(late, speech[: 640 * 150], 40, 20, own, Manner(120, False))
    assert abs(slower.begin - usual.begin) <= 0.5 + lag
    assert slower.begin + len(slower.log_probs["phones"]) * slower.pace == pytest.approx(100, abs=0.5 + lag)


def test_where_a_segment_begins_makes_no_difference(tiny: Recognizer, speech: Samples) -> None:
    own = heard(120, list(range(60, 90, 2)))
    one = listen_again(tiny.network, speech[: 640 * 160], 40, 20, own, Manner(117, True))
    other = listen_again(tiny.network, speech[640 * 13 : 640 * 160], 53, 20, own[13:], Manner(117, True))
    np.testing.assert_array_equal(one.log_probs["phones"], other.log_probs["phones"])
    assert one.begin == pytest.approx(other.begin + 13)


@needs("ffmpeg")
def test_fast_speech_is_understood_better_and_keeps_its_times(shipped: Recognizer, clips: Path, tmp_path: Path) -> None:
    once = Recognizer()
    once._model = replace(once._model, again=Limits())
    errors = {"once": 0, "again": 0}
    compared = 0
    for line in (clips / "clips.jsonl").read_text().splitlines():
        clip = json.loads(line)
        fast = tmp_path / "fast.wav"
        subprocess.run(
            ["ffmpeg", "-loglevel", "error", "-y", "-i", clips / clip["audio"], "-af", "atempo=1.5", fast], check=True
        )
        said = normalize(clip["text"]).split()
        found = {name: one.transcribe(fast).words for name, one in (("once", once), ("again", shipped))}
        for name, words in found.items():
            errors[name] += Levenshtein.distance(said, [word.text for word in words])
        times = {word.text: word for word in shipped.transcribe(clips / clip["audio"]).words}
        for word in found["again"]:
            if word.text in times and len(word.text) > 5:
                compared += 1
                assert word.start == pytest.approx(times[word.text].start / 1.5, abs=0.2)
                assert word.end == pytest.approx(times[word.text].end / 1.5, abs=0.2)
    assert errors["again"] < 0.9 * errors["once"]
    assert compared > 10


def test_without_the_echo_of_a_room_sounds_are_nearer_to_what_was_said(shipped: Recognizer, clips: Path) -> None:
    """Sounds of the best path, in the room and without its echo, against those without any room."""

    def sounds(samples: Samples) -> list[int]:
        path = utterance_log_probs(shipped.network, samples)["phones"].argmax(axis=1)
        return [token for _, token in collapse(path)]

    random = np.random.default_rng(5)
    times = np.arange(9600) / 16000
    room = random.normal(0, 1, len(times)) * 10 ** (-3 * times / 0.6) * (times > 0.004)
    room *= 0.5 / np.sqrt(np.square(room).sum())
    room[0] = 1.0
    wrong = dry = 0
    for line in (clips / "clips.jsonl").read_text().splitlines():
        samples = read_audio(clips / json.loads(line)["audio"])
        there = np.convolve(samples, room)[: len(samples)].astype(np.float32) / 2
        wrong += Levenshtein.distance(sounds(samples), sounds(there))
        dry += Levenshtein.distance(sounds(samples), sounds(dereverberated(there)))
    assert dry < 0.8 * wrong


def test_a_stream_hands_over_the_sound_of_its_segments(
    tiny: Recognizer, speech: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spy(network: Network, sound: Samples, begin: int, *rest: Any) -> Heard:
        given.append(np.array_equal(sound, padded[begin * 640 : begin * 640 + len(sound)]))
        return listen_again(network, sound, begin, *rest)

    given: list[bool] = []
    padded = np.pad(speech, (0, -len(speech) % 640))
    monkeypatch.setattr("asr.reading.listen_again", spy)
    eager = Recognizer(tiny.network.directory)
    eager._model = replace(eager._model, again=Limits(clear=-1e9))
    eager.transcribe(speech, rate=16000)
    assert len(given) > 1 and all(given)
