"""What is no speech gives no words: how doubt is measured, and what a stream does with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from live.stand import needs
from oracle import speak, write_oracle

from asr.audio import read_audio
from asr.recognizer import Recognizer
from asr.rejection import FREE, MARGIN, Rejection, doubt, find_most_doubt

ROOT = Path(__file__).resolve().parent.parent


def test_doubt_is_the_entropy_of_blank_or_not_for_each_sounded_frame() -> None:
    frames = np.log([0.5] * 10)
    assert doubt(frames) == pytest.approx((10 * np.log(2) - FREE) / 5)
    assert doubt(np.log([0.001, 0.999] * 50)) < 0 < doubt(np.log([0.1, 0.9] * 50))
    assert doubt(np.zeros(100)) < 0  # nothing but silence
    assert doubt([]) == 0


def test_the_doubt_to_allow_keeps_nearly_all_of_the_right_words() -> None:
    doubts = np.linspace(0, 1, 1001)
    assert find_most_doubt(doubts) == pytest.approx(MARGIN * 0.999, abs=1e-3)
    assert find_most_doubt(doubts[:0]) == float("inf")
    assert Rejection.of({"second": {"most_doubt": 0.5}}) == Rejection(float("inf"), 0.5)


@pytest.mark.parametrize("reading", ["first", "second"])
def test_a_segment_with_too_much_doubt_has_no_words(tmp_path: Path, reading: str) -> None:
    """Whichever reading decides; what is tentative follows the first."""
    model = write_oracle(tmp_path / "model")
    speak(tmp_path / "said.wav", "one two")
    path = model / "model.json"
    second: Literal["inline"] | None = "inline" if reading == "second" else None

    def words(recognizer: Recognizer) -> tuple[str, str]:
        stream = recognizer.stream(second_reading=second)
        stream.feed(read_audio(tmp_path / "said.wav"))
        return stream.partial.text, " ".join(segment.text for segment in stream.finish())

    assert words(Recognizer(model))[1] == "one two"
    config = json.loads(path.read_text())
    config.setdefault("decoding", {})[reading] = {"most_doubt": -100.0}  # more than any speech can keep
    path.write_text(json.dumps(config))
    tentative, final = words(Recognizer(model))
    assert final == "" and bool(tentative) == (reading == "second")
    assert words(Recognizer(model, every_sound=True))[1] == "one two"


@needs("fluidsynth")
def test_the_shipped_model_tells_music_from_speech(shipped: Recognizer, clips: Path, tmp_path: Path) -> None:
    if "most_doubt" not in shipped.network.config["decoding"]["second"]:
        pytest.skip("the model was not tuned")
    command = [sys.executable, str(ROOT / "tools" / "noises.py"), "--minutes", "1", "--only", "music"]
    words = []
    for more in ([], ["--every-sound"]):
        found = tmp_path / "words.json"
        subprocess.run([*command, "--json", str(found), *more], check=True, cwd=ROOT)
        words.append(len(json.loads(found.read_text())["music"]))
    assert words[0] <= 1 and words[0] <= words[1]
    everything = Recognizer(every_sound=True)
    for name in ("prisoners", "monday", "cabin"):
        speech = read_audio(clips / f"{name}.opus")
        assert shipped.transcribe(speech, rate=16000) == everything.transcribe(speech, rate=16000)
