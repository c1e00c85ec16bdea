"""Whole recordings, and what the shipped model makes of them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import asr
from asr.audio import Audio, read_audio
from asr.decoders import SPELLING
from asr.grammar import UNKNOWN
from asr.posteriors import utterance_log_probs
from asr.recognizer import Recognizer
from asr.text import normalize

Samples = NDArray[np.float32]


def test_files_arrays_and_open_recordings_agree(tiny: Recognizer, speech: Samples, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    soundfile.write(path, speech, 16000, subtype="FLOAT")
    expected = tiny.transcribe(path)
    assert tiny.transcribe(speech, rate=16000) == expected
    assert tiny.transcribe(str(path)) == tiny.transcribe(Audio(path)) == expected
    assert tiny.transcribe(io.BytesIO(path.read_bytes())) == expected
    with Audio(path) as audio:
        heard: list[float] = []
        assert tuple(tiny.segments(audio, heard=heard.append)) == expected.segments
    assert expected.duration == pytest.approx(len(speech) / 16000, abs=1e-3)
    assert heard == pytest.approx([*range(1, len(heard)), expected.duration], abs=1e-3)
    assert expected.text == " ".join(segment.text for segment in expected.segments) != ""
    assert expected.model == tiny.model == f"{tiny.network.config['name']} {tiny.network.config['version']}"
    assert [segment.id for segment in expected.segments] == list(range(len(expected.segments)))
    times = [time for word in expected.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(0 < word.confidence <= 1 for word in expected.words)


def test_a_file_is_a_stream_of_one_second_steps(tiny: Recognizer, speech: Samples) -> None:
    stream = tiny.stream(step_seconds=1.0, second_reading="inline")
    segments = stream.feed(speech) + stream.finish()
    assert tiny.transcribe(speech, rate=16000).segments == tuple(segments)


def test_channels(tiny: Recognizer, speech: Samples) -> None:
    one, other = speech[: 5 * 16000], speech[5 * 16000 : 10 * 16000]
    both = np.stack([one, other], axis=1)
    alone = [tiny.transcribe(channel, rate=16000) for channel in (one, other)]
    for number in range(2):
        assert tiny.transcribe(both, rate=16000, channel=number).segments == alone[number].segments
    separate = tiny.transcribe(both, rate=16000, channel="separate")
    for number in range(2):
        found = tuple(segment.words for segment in separate.segments if segment.channel == number)
        assert found == tuple(segment.words for segment in alone[number].segments)
    assert sorted(segment.id for segment in separate.segments) == list(range(len(separate.segments)))
    starts = [segment.start for segment in separate.segments]
    assert starts == sorted(starts)
    assert tiny.transcribe(both, rate=16000).words == tiny.transcribe((one + other) / 2, rate=16000).words
    with pytest.raises(asr.AudioError, match="no channel 3"):
        tiny.transcribe(both, rate=16000, channel=2)


def test_samples_need_their_rate(tiny: Recognizer, speech: Samples) -> None:
    with pytest.raises(asr.AudioError, match="rate"):
        tiny.transcribe(speech)


def test_silence_and_nothing(tiny: Recognizer) -> None:
    nothing = tiny.transcribe(np.zeros(0, np.float32), rate=16000)
    assert (nothing.text, nothing.segments, nothing.duration) == ("", (), 0)


def test_a_damaged_recording_gives_its_segments_before_the_error(
    tiny: Recognizer, speech: Samples, tmp_path: Path
) -> None:
    path = tmp_path / "talk.flac"
    soundfile.write(path, speech, 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    found: list[asr.Segment] = []
    with pytest.raises(asr.AudioError, match=r"talk\.flac ends after"), Audio(path) as audio:
        found.extend(tiny.segments(audio))
    assert found and found[-1].end > 8
    with pytest.raises(asr.AudioError, match=r"talk\.flac ends after"):
        tiny.transcribe(path)


def test_clipped_sound(tiny: Recognizer, speech: Samples) -> None:
    loud = np.clip(speech * 20, -1, 1)
    assert tiny.transcribe(speech * 20, rate=16000) == tiny.transcribe(loud, rate=16000)


def test_public_names() -> None:
    for name in asr.__all__:
        assert getattr(asr, name).__doc__


# The shipped model

GOLDEN = Path(__file__).parent / "data" / "golden.json"  # python tests/make_golden.py makes it again


def test_golden(shipped: Recognizer, clips: Path) -> None:
    """Text exactly; log-probs of the int8 network within 0.05 between processors."""
    network = shipped.network
    assert GOLDEN.exists(), "a new model: run tools/release.py, or python tests/make_golden.py alone"
    golden = json.loads(GOLDEN.read_text())
    assert golden["fingerprint"] == network.fingerprint, "of another model: run tools/release.py"
    for name, expected in golden["clips"].items():
        samples = read_audio(clips / name)
        assert shipped.transcribe(samples, rate=16000).text == expected["text"]
        for head, values in expected["first"].items():
            reading = network.first(samples[: len(values) * network.frame_samples], network.initial_state())
            assert np.abs(reading.log_probs[head].max(axis=1) - values).max() < 0.05


def test_real_speech_is_recognized(shipped: Recognizer, clips: Path) -> None:
    """Most words of easy clips: not a measurement, a sign that all parts fit together."""
    right = total = 0
    for line in (clips / "clips.jsonl").read_text().splitlines():
        clip = json.loads(line)
        words = normalize(clip["text"]).split()
        found = shipped.transcribe(clips / clip["audio"]).text.lower().split()
        right += sum(word in found for word in words)
        total += len(words)
    assert right > total / 3


def test_words_stand_where_they_were_said(shipped: Recognizer, clips: Path) -> None:
    samples = read_audio(clips / "prisoners.opus")
    alone = shipped.transcribe(samples, rate=16000)
    later = shipped.transcribe(np.concatenate([np.zeros(32000, np.float32), samples]), rate=16000)
    assert 0 < len(alone.words) <= 12 and alone.words[-1].end <= 3.1
    assert later.words[-1].end - alone.words[-1].end == pytest.approx(2, abs=0.3)


def test_a_stream_of_one_utterance_reads_what_the_whole_utterance_says(shipped: Recognizer, clips: Path) -> None:
    """No silence is cut off, no sound is missed because the first reading took it for silence."""
    decoder = shipped._model.second_decoder
    for name in ("prisoners.opus", "monday.opus", "wagon.opus", "tennis.opus"):
        samples = read_audio(clips / name)
        heads = utterance_log_probs(shipped.network, samples)
        whole = decoder.best(decoder.step(decoder.start(), heads[decoder.head]), 1, heads[SPELLING])[0].words
        endpoint = asr.Endpoint(silence_after_words=3.0, nothing_said=10.0)
        found = shipped.transcribe(samples, rate=16000, endpoint=endpoint)
        assert [word.text for word in found.words] == [word.text for word in whole] != []


def test_no_words_out_of_silence(shipped: Recognizer) -> None:
    noise = np.random.default_rng(0).normal(0, 1e-3, 60 * 16000).astype(np.float32)
    assert len(shipped.transcribe(noise, rate=16000).words) <= 1
    assert shipped.transcribe(np.zeros(60 * 16000, np.float32), rate=16000).text == ""


@pytest.mark.parametrize(
    "grammar", ["to find a phone and call the police department of new york", f"{UNKNOWN} wagon wheel", "on monday"]
)
def test_a_grammar_says_whole_phrases_or_nothing(shipped: Recognizer, clips: Path, grammar: str) -> None:
    text = shipped.transcribe(clips / "monday.opus", grammar=grammar).text
    assert text == "" or text.replace(UNKNOWN, "").endswith(grammar.replace(UNKNOWN, ""))


def test_alternatives_of_a_grammar_come_best_first(shipped: Recognizer, clips: Path) -> None:
    grammar = f"on|monday|the|tide|was|reversed|worst|time|{UNKNOWN}"
    (segment,) = shipped.transcribe(clips / "monday.opus", grammar=grammar, nbest=6).segments
    scores = [one.score for one in segment.alternatives]
    assert len(scores) > 3
    assert scores == sorted(scores, reverse=True)
