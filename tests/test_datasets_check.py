"""Every problem that `asr data check` knows is found where it is, and nowhere else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from asr.cli import main
from asr.datasets import Utterance, read_manifest, write_manifest
from asr.datasets.check import KINDS, check, count_problems
from asr.datasets.stats import stats

RATE = 16000
TEXT = "the quick brown fox jumps over the lazy dog"  # 35 letters


def speech(seconds: float, seed: int, gain: float = 0.1, rate: int = RATE) -> np.ndarray:
    """Noise that comes and goes in syllables: enough of speech for levels, pauses and durations."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return gain * noise * np.abs(np.sin(2 * np.pi * 2 * time))


class Maker:
    """Writes clips into a folder and keeps their utterances."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Utterance] = []

    def add(
        self,
        name: str,
        samples: np.ndarray | None = None,
        text: str = TEXT,
        rate: int = RATE,
        speaker: str | None = "s",
    ) -> Utterance:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if samples is None:
            samples = speech(2.5, len(self.made))
        soundfile.write(path, samples, rate)
        self.made.append(Utterance(path, text, len(samples) / rate, speaker, "c", "dev"))
        return self.made[-1]


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "audio")


def problems(utterances: list[Utterance]) -> dict[str, list[str]]:
    return {c.utterance.audio.name: [p.kind for p in c.problems] for c in check({"m": utterances})}


def test_each_problem_alone(maker: Maker) -> None:
    maker.add("fine.wav")
    maker.add("low.wav", speech(2.5, 1, rate=8000), rate=8000)
    maker.add("silent.wav", speech(2.5, 2, gain=0.0005))
    maker.add("clipped.wav", np.clip(speech(2.5, 3, gain=2.0), -1, 1))
    maker.add("pause.wav", np.concatenate([np.zeros(4 * RATE), speech(2.5, 4)]))
    maker.add("figures.wav", text="привет")
    maker.add("no_text.wav", text="...")
    maker.add("short.wav", speech(0.8, 5))
    maker.add("long.wav", speech(40.0, 6), text=TEXT * 15)
    lasting = maker.add("lasting.wav")
    maker.made[-1] = replace(lasting, duration=3.5)
    maker.add("twice.wav", speech(2.5, 0))  # the same as fine.wav
    maker.made.append(Utterance(maker.folder / "gone.wav", TEXT, 1.0))
    (maker.folder / "noise.wav").write_bytes(b"RIFF not really")
    maker.made.append(Utterance(maker.folder / "noise.wav", TEXT, 1.0))
    (maker.folder / "empty.wav").write_bytes(b"")
    maker.made.append(Utterance(maker.folder / "empty.wav", TEXT, 1.0))
    maker.add("nothing.wav", np.zeros(0))
    assert problems(maker.made) == {
        "fine.wav": [],
        "low.wav": ["low sampling rate"],
        "silent.wav": ["silent"],
        "clipped.wav": ["clipped"],
        "pause.wav": ["long pause at an end"],
        "figures.wav": ["text outside the alphabet"],
        "no_text.wav": ["no text"],
        "short.wav": ["too short for its text"],
        "long.wav": ["very long"],
        "lasting.wav": ["duration is wrong"],
        "twice.wav": ["sound is there twice"],
        "gone.wav": ["file is missing"],
        "noise.wav": ["not decodable"],
        "empty.wav": ["not decodable"],
        "nothing.wav": ["not decodable"],
    }


def test_pace(maker: Maker) -> None:
    for index in range(40):
        maker.add(f"{index}.wav", speech(2.3 + 0.01 * index, index))
    maker.add("slow.wav", speech(9.0, 50))
    maker.add("fast.wav", speech(2.5, 51), text="the quick brown fox jumps over the lazy dog and then rests in shade")
    found = {name: kinds for name, kinds in problems(maker.made).items() if kinds}
    assert found == {"slow.wav": ["suspicious pace"], "fast.wav": ["suspicious pace"]}


def test_splits_share_no_speaker_and_no_sound(maker: Maker) -> None:
    train = [maker.add("a.wav", speaker="ann"), maker.add("b.wav", speaker="bob"), maker.add("c.wav", speaker=None)]
    valid = [
        maker.add("v1.wav", speaker="bob"),
        maker.add("v2.wav", speaker="bob"),
        maker.add("v3.wav", speech(2.5, 2), "another text", speaker=None),
    ]
    clips = check({"train": train, "valid": valid})
    found = [(c.manifest, c.utterance.audio.name, p.kind, p.detail) for c in clips for p in c.problems]
    assert found == [
        ("valid", "v1.wav", "speaker is in two manifests", "bob, also in train"),
        ("valid", "v3.wav", "sound is in two manifests", "the same as c.wav in train, with another text"),
    ]
    assert count_problems(clips) == {"sound is in two manifests": 1, "speaker is in two manifests": 1}
    assert all(p.serious for c in clips for p in c.problems)


def test_another_alphabet(maker: Maker) -> None:
    maker.add("a.wav", text="Über alles schön")
    maker.add("b.wav", text="naïve")
    clips = check({"m": maker.made}, alphabet="abcdefghijklmnopqrstuvwxyzäöüß")
    assert [[p.detail for p in c.problems] for c in clips] == [[], ["ï in 'naïve'"]]
    assert clips[0].spoken == "über alles schön"


def test_command_and_report(maker: Maker, tmp_path: Path) -> None:
    maker.add("fine.wav")
    maker.add("<b> & clipped.wav", np.clip(speech(2.5, 3, gain=2.0), -1, 1))
    manifest, report = tmp_path / "dev.jsonl", tmp_path / "reports/dev.html"
    write_manifest(manifest, maker.made)
    result = CliRunner().invoke(main, ["data", "check", str(manifest), "--report", str(report)])
    assert (result.exit_code, "look at         1  clipped" in result.output) == (0, True), result.output
    maker.made.append(Utterance(maker.folder / "gone.wav", "<script>alert(1)</script>", 1.0))
    maker.made[-1] = replace(maker.made[-1], text="<script>figures 12345678901234567890</script>")
    write_manifest(manifest, maker.made)
    result = CliRunner().invoke(main, ["data", "check", str(manifest), "--report", str(report)])
    assert result.exit_code == 1
    assert "unusable        1  file is missing" in result.output
    html = report.read_text()
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert html.index("file is missing:") < html.index("clipped:")  # the worst first
    (address,) = re.findall(r'<audio [^>]*src="([^"]+)"', html)  # a missing file has no player
    assert (report.parent / unquote(address)).samefile(maker.folder / "<b> & clipped.wav")
    assert html.count("<svg") == 5
    assert not re.search(r'(src|href)="(https?:|/)', html)  # nothing from elsewhere


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["data", "check", str(tmp_path / "no.jsonl")])
    assert result.exit_code == 1
    assert "Error: " in result.output and "no such manifest" in result.output


def test_an_empty_manifest(maker: Maker, tmp_path: Path) -> None:
    write_manifest(tmp_path / "full.jsonl", [maker.add("a.wav")])
    write_manifest(tmp_path / "empty.jsonl", [])
    arguments = [str(tmp_path / "full.jsonl"), str(tmp_path / "empty.jsonl"), "--report", str(tmp_path / "e.html")]
    result = CliRunner().invoke(main, ["data", "check", *arguments])
    assert (result.exit_code, "Error: empty.jsonl: holds no utterance" in result.output) == (1, True), result.output
    assert not (tmp_path / "e.html").exists()


def test_help_tells_what_training_reads() -> None:
    text = " ".join(CliRunner().invoke(main, ["data", "check", "--help"]).output.split())
    assert "training knows a-z and apostrophe only" in text


def test_stats(maker: Maker, tmp_path: Path) -> None:
    maker.add("a.wav", text="One, two!", speaker="x")
    maker.add("b.wav", text="two", speaker=None)
    maker.made.append(replace(maker.made[0], part="test", text="ω"))
    dev, test, everything = stats(maker.made)
    assert (dev.name, dev.utterances, dev.speakers, dev.words, dev.vocabulary, dev.unspoken) == ("c dev", 2, 1, 3, 2, 0)
    assert (test.name, test.words, test.unspoken) == ("c test", 0, 1)
    assert everything.name == "all" and everything.hours == pytest.approx(7.5 / 3600)
    assert dev.words_per_second == pytest.approx(3 / 5)
    assert stats([]) == []
    write_manifest(tmp_path / "m.jsonl", maker.made)
    assert "c test" in CliRunner().invoke(main, ["data", "stats", str(tmp_path / "m.jsonl")]).output


def test_prepare_and_convert_commands(maker: Maker, tmp_path: Path) -> None:
    clip = maker.add("ann/a.wav", text="one")
    clip.audio.with_suffix(".txt").write_text("one")

    def run(*arguments: str | Path) -> str:
        result = CliRunner().invoke(main, ["data", *map(str, arguments)])
        assert result.exit_code == 0, result.output
        return result.output

    assert "1 utterances, 0.00 hours" in run("prepare", "folder", "--root", maker.folder)
    manifest = maker.folder / "manifests/folder_all.jsonl"
    run("convert", manifest, tmp_path / "nemo.json", "--to", "nemo")
    run("convert", tmp_path / "nemo.json", tmp_path / "kaldi", "--to", "kaldi")
    run("convert", tmp_path / "kaldi", tmp_path / "back.jsonl")
    (back,) = read_manifest(tmp_path / "back.jsonl")
    (there,) = read_manifest(manifest)
    assert (back.audio, back.text, back.duration, back.speaker) == (clip.audio, "one", there.duration, "ann")
    result = CliRunner().invoke(main, ["data", "prepare", "common_voice", "--root", str(tmp_path), "--download"])
    assert result.exit_code == 1 and "needs an account" in result.output


def test_real_speech_is_fine() -> None:
    clips = check({"clips": read_manifest(Path(__file__).parent / "data/clips.jsonl")})
    found = {clip.utterance.audio.name: [problem.detail for problem in clip.problems] for clip in clips}
    found = {name: details for name, details in found.items() if details}
    assert found == {"cabin.opus": ["3.4 s after the speech"]}
    assert all(0.04 < clip.pace < 0.3 and -50 < clip.level_db < 0 and clip.pause_share < 0.8 for clip in clips)


def test_every_kind_is_tested() -> None:
    source = Path(__file__).read_text()
    assert [kind for kind in KINDS if source.count(f'"{kind}"') == 0] == []
