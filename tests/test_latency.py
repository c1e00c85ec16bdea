"""The measuring of live listening: latency through the virtual microphone, hours of sound, words out of nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from live.stand import needs, sound_missing, write_wav
from live.tones import GAP_SECONDS, WORD_SECONDS, make_tone_model, speak

from asr.audio import read_audio
from asr.errors import AsrError
from asr.latency import measure, to_wav
from asr.recognizer import Recognizer

ROOT = Path(__file__).resolve().parent.parent
WORDS = "one two three four five six".split()
live = pytest.mark.live
hears = pytest.mark.skipif(bool(sound_missing()), reason=sound_missing() or "sound is there")


def tool(name: str, *arguments: str | Path) -> str:
    command = [sys.executable, str(ROOT / "tools" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@live
@hears
def test_words_are_timed_from_their_ends_in_the_recording(tmp_path: Path) -> None:
    """Tones whose ends are known: a word is shown a step or two after it, final when the pause is long enough."""
    model = make_tone_model(tmp_path / "model", WORDS)
    text = " ".join(WORDS)
    recording = write_wav(tmp_path / "talk.wav", speak(text, WORDS, tail=0.1))
    latency = measure(Recognizer(model), [(recording, text)] * 2)
    assert len(latency.first_shown) == len(latency.final) == 2 * len(WORDS)
    assert latency.shown_words == 2 * len(WORDS) and latency.changed_words == 0
    assert len(latency.sentence) == len(latency.endpoint) == 2
    word = WORD_SECONDS + GAP_SECONDS
    # Alignment may put a word's end up to one gap away from the tone's; the machine may be busy.
    assert -word < np.median(latency.first_shown) < 0.5
    assert 0.5 < np.median(latency.sentence) < 1.5
    assert max(latency.endpoint) < 0.5
    assert latency.final[0] - latency.final[5] == pytest.approx(5 * word, abs=0.1)
    assert "end of word to first appearance" in latency.report()


@live
@hears
def test_the_command_line_measures_too(tmp_path: Path) -> None:
    model = make_tone_model(tmp_path / "model", WORDS)
    recording = write_wav(tmp_path / "talk.wav", speak("one two", WORDS, tail=0.1))
    (tmp_path / "talk.txt").write_text("one two")
    printed = tool("latency.py", recording, "--model", model, "--json", tmp_path / "values.json")
    assert "1 recordings, endpoint normal" in printed and "shown words that later changed       0.0% of 2" in printed
    assert "word errors, live and from a file    0.0%   0.0% of 2" in printed
    assert len(json.loads((tmp_path / "values.json").read_text())["first_shown"]) == 2
    call = [sys.executable, "-c", "from asr.cli import main; main()", "listen", "--model", str(model)]
    listened = subprocess.run([*call, "--latency", str(recording)], capture_output=True, text=True, cwd=ROOT)
    assert "end of last word to final text" in listened.stdout, listened.stderr


def test_what_cannot_be_played_is_refused_and_all_else_made_playable(tmp_path: Path) -> None:
    model = make_tone_model(tmp_path / "model", WORDS)
    (tmp_path / "notes.txt").write_text("no sound " * 100)
    with pytest.raises(AsrError, match=r"notes\.txt"):
        measure(Recognizer(model), [(tmp_path / "notes.txt", None)])
    coded = Path(__file__).parent / "data" / "cabin.opus"
    original = read_audio(coded, 48000)
    wav = to_wav(coded, tmp_path / "cabin.wav")
    assert wav.read_bytes()[:4] == b"RIFF"
    assert np.abs(read_audio(wav, 48000) - original).max() < 1e-4


@pytest.mark.slow
def test_twenty_minutes_of_sound_neither_grow_nor_slow_a_stream(tiny_model: Path, clips: Path, tmp_path: Path) -> None:
    tool("soak.py", clips / "clips.jsonl", "--model", tiny_model, "--hours", "0.33", "--json", tmp_path / "soak.json")
    found = json.loads((tmp_path / "soak.json").read_text())
    assert found["hours"] == pytest.approx(0.33, abs=0.01) and found["words"] > 100
    assert found["memory_end_mb"] - found["memory_start_mb"] < 5
    assert found["last_p99_ms"] < 1.5 * found["first_p99_ms"]


@needs("fluidsynth")
def test_words_out_of_nothing_are_counted(tmp_path: Path) -> None:
    model = make_tone_model(tmp_path / "model", WORDS)
    tool("noises.py", "--model", model, "--minutes", "0.2", "--json", tmp_path / "words.json")
    found = json.loads((tmp_path / "words.json").read_text())
    assert list(found) == ["silence", "pink noise", "hum", "key clicks", "music"]
    assert found["silence"] == []
    assert found["music"]  # a model of tones takes them for words
