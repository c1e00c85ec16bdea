"""Manifests: what is written is read again, and a broken line is named."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.datasets import Utterance, read_manifest, write_manifest
from asr.errors import AsrError

LINE = {"audio": "audio/a.flac", "text": "one two", "duration": 1.5, "speaker": "s1", "corpus": "c", "part": "dev"}


def test_paths_start_above_a_folder_called_manifests(tmp_path: Path) -> None:
    for folder, root in (("data/manifests", "data"), ("lists", "lists")):
        path = tmp_path / folder / "dev.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(LINE) + "\n\n" + json.dumps({**LINE, "audio": "/elsewhere/b.wav"}) + "\n")
        first, second = read_manifest(path)
        assert first.audio == tmp_path / root / "audio/a.flac"
        assert second.audio == Path("/elsewhere/b.wav")
        assert read_manifest(path, root=tmp_path)[0].audio == tmp_path / "audio/a.flac"


def test_a_folder_with_its_manifests_can_move(tmp_path: Path) -> None:
    inside = Utterance(tmp_path / "old/audio/a.flac", "one", 1.0)
    write_manifest(tmp_path / "old/manifests/dev.jsonl", [inside])
    (tmp_path / "old").rename(tmp_path / "new")
    assert read_manifest(tmp_path / "new/manifests/dev.jsonl")[0].audio == tmp_path / "new/audio/a.flac"


utterances = st.builds(
    Utterance,
    audio=st.text("abc é/", min_size=1, max_size=8).map(lambda name: Path("/data") / f"x{name}.wav"),
    text=st.text(st.characters(exclude_categories=["Cs"])),
    duration=st.floats(0, 1e6),
    speaker=st.none() | st.text("abc1"),
    corpus=st.text("ab"),
    part=st.text("ab"),
    extra=st.dictionaries(st.text("xyz", min_size=1), st.none() | st.booleans() | st.integers() | st.text("ab")),
)


@given(st.lists(utterances, max_size=4))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, written: list[Utterance]) -> None:
    path = tmp_path_factory.mktemp("round") / "m.jsonl"
    write_manifest(path, written, root=Path("/data"))
    assert read_manifest(path, root=Path("/data")) == written


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"text": "a", "duration": 1}', '"audio" is missing'),
        ('{"audio": "a", "duration": 1}', '"text" is missing'),
        ('{"audio": "a", "text": "a", "duration": "1"}', '"duration" is missing'),
        ('{"audio": "a", "text": "a", "duration": NaN}', "not a number of seconds"),
        ('{"audio": "a", "text": "a", "duration": -1}', "not a number of seconds"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text(json.dumps(LINE) + "\n" + line + "\n")
    with pytest.raises(AsrError, match=f"broken.jsonl, line 2: .*{complaint}"):
        read_manifest(path)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match="no such manifest"):
        read_manifest(tmp_path / "none.jsonl")
    (tmp_path / "noise.jsonl").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(AsrError, match="not UTF-8"):
        read_manifest(tmp_path / "noise.jsonl")


def test_a_failed_write_leaves_the_old_manifest(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, [Utterance(tmp_path / "a.wav", "old", 1.0)])
    broken = Utterance(tmp_path / "b.wav", "new", 1.0, extra={"x": object()})
    with pytest.raises(TypeError):
        write_manifest(path, [broken])
    assert [u.text for u in read_manifest(path)] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["m.jsonl"]


@pytest.mark.skipif("ASR_DATA" not in os.environ, reason="ASR_DATA is not set: the folder with the shared corpora")
def test_the_shared_manifests() -> None:
    valid = read_manifest(Path(os.environ["ASR_DATA"]) / "manifests/valid.jsonl")
    assert len(valid) == 1068
    assert all(u.audio.is_file() for u in valid)
    assert {u.corpus for u in valid} == {"librispeech", "common_voice"}
