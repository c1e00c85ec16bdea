"""Nobody who is learned from is tested on: a manifest in two."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from asr.cli import main
from asr.datasets import Utterance, read_manifest, write_manifest
from asr.datasets.split import draw_speakers, split_speakers, split_utterances
from asr.errors import AsrError

TALK = [Utterance(Path(f"/c/{n}.wav"), "a word", 1.0, f"s{n % 5}" if n else None, "c", "p") for n in range(20)]


def test_speakers_are_drawn_alike_whatever_the_order() -> None:
    chosen = draw_speakers(TALK, 2)
    assert len(set(chosen)) == 2 and chosen == draw_speakers(TALK[::-1], 2)
    assert any(draw_speakers(TALK, 2, seed) != chosen for seed in range(2, 9))
    test, train = split_speakers(TALK, chosen)
    assert {u.speaker for u in test} == set(chosen) and not {u.speaker for u in train} & set(chosen)
    assert sorted(u.audio for u in test + train) == sorted(u.audio for u in TALK)
    with pytest.raises(AsrError, match="5 of 5 speakers leave nobody"):
        draw_speakers(TALK, 5)
    with pytest.raises(AsrError, match="speakers nobody"):
        split_speakers(TALK, ["s1", "nobody"])


def test_utterances_keep_their_order() -> None:
    test, train = split_utterances(TALK, 6)
    assert len(test) == 6 and len(train) == 14 and set(map(id, test)) | set(map(id, train)) == set(map(id, TALK))
    assert test == sorted(test, key=TALK.index) and train == sorted(train, key=TALK.index)
    with pytest.raises(AsrError, match="nothing to learn from"):
        split_utterances(TALK, 20)


def test_command(tmp_path: Path) -> None:
    """The parts may lie anywhere: their audio is still found."""
    write_manifest(tmp_path / "data/manifests/all.jsonl", [
        Utterance(tmp_path / "data/audio" / u.audio.name, u.text, u.duration, u.speaker) for u in TALK
    ])  # fmt: skip
    arguments = ["data", "split", str(tmp_path / "data/manifests/all.jsonl"), str(tmp_path / "test.jsonl"),
                 str(tmp_path / "elsewhere/manifests/train.jsonl")]  # fmt: skip
    result = CliRunner().invoke(main, [*arguments, "--speaker", "s1", "--speaker", "s3"])
    assert "test.jsonl: 8 utterances, 0.00 hours, 2 speakers" in result.output
    found = read_manifest(tmp_path / "test.jsonl") + read_manifest(tmp_path / "elsewhere/manifests/train.jsonl")
    assert {u.audio for u in found} == {tmp_path / "data/audio" / u.audio.name for u in TALK}
    assert CliRunner().invoke(main, [*arguments, "--utterances", "3"]).exit_code == 0
    assert "say what to choose" in CliRunner().invoke(main, arguments).output
