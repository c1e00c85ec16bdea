"""`tools/readable.py` says how readable texts are: on made-up tables and transcripts, and on real speech."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import readable
import release

from asr.recognizer import Recognizer
from asr.results import Segment, Transcript, Word
from asr.writers import WRITERS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def measure(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str | Path) -> dict[str, Any]:
        readable.main([str(argument) for argument in arguments])
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return run


def test_numbers(measure: Any, tmp_path: Path) -> None:
    table = tmp_path / "table.tsv"
    table.write_text("# spoken and written\nten dollars\t$10 | 10 dollars\nten cats\t11 cats\n", encoding="utf-8")
    found = measure("numbers", table)
    assert found["forms"] == 2 and found["right %"] == 50.0
    assert found["wrong"] == [{"spoken": "ten cats", "wanted": "11 cats", "written": "10 cats"}]


def test_subtitles(measure: Any, tmp_path: Path) -> None:
    words = tuple(Word(word, i / 10, i / 10 + 0.09, 1.0, word) for i, word in enumerate(["quick"] * 60))
    transcript = Transcript("", (Segment(0, "", 0.0, 6.0, words, True),), 6.0, "made up")
    talk = tmp_path / "talk.json"
    talk.write_text(WRITERS["json"](transcript, "talk"), encoding="utf-8")
    found = measure("subtitles", talk)
    assert found["cues"] > 1 and found["rules"].keys() <= {"too fast, and there was time", "shorter than it may be"}


def test_speech(measure: Any, clips: Path, shipped: Recognizer) -> None:
    """Two sentences without a mark inside but one comma; the pauses heard are shares of all words heard right."""
    pytest.importorskip("torch", reason="the simulated pauses are those of the training")
    found = measure("speech", clips / "clips.jsonl", "--corpus", "common_voice")
    assert found["utterances"] == 2
    for kind in ("with pauses", "without pauses"):
        assert sum(found[kind]["what stands there"].values()) == 2
        assert found[kind]["begins large %"] == 100.0
        assert found[kind]["words"] > 5
    shares = found["pauses, % of words"]
    heard, simulated = (
        [float(share) for share in shares[f"{kind} behind no mark"].split()] for kind in ("heard", "simulated")
    )
    assert sum(heard) == pytest.approx(100, abs=1) and sum(simulated) == pytest.approx(100, abs=1)
    assert heard[0] + heard[1] > 60


def test_the_documents_say_it() -> None:
    kind = {"macro F1": 0.6, "F1 of ,": 0.5, "F1 of .": 0.7, "F1 of ?": 0.6, "case right, own marks %": 95.0}
    found = {"books": kind, "everyday": kind, "both": kind | {"words": 9000}, "ms per 100 words": 7, "tagger MB": 1.8}
    own = {"right mark at the end %": 91.6, "case of words heard right %": 94.2}
    text = release.written({"readable": found}, ROOT)
    assert text is not None and "| full stop, F1 | 0.700 | 0.700 | 0.700 |" in text and "Common Voice" not in text
    text = release.written({"readable": found, "readable_speech": {"utterances": 294, "with pauses": own}}, ROOT)
    assert (
        text is not None and "Of 294 utterances" in text and "92 % end with the right mark" in text and "94 %" in text
    )
