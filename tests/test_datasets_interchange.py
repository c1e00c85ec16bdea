"""The neighbours' manifests, read and written: what comes back is what went out; pieces of recordings are cut."""

from __future__ import annotations

import json
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio import read_audio
from asr.datasets import Utterance
from asr.datasets.kaldi import read_kaldi, write_kaldi
from asr.datasets.nemo import is_nemo, read_nemo, write_nemo
from asr.errors import AsrError

RATE = 16000


def record(path: Path, seconds: float) -> Path:
    """A recording whose every sample tells where it lies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((np.arange(round(seconds * RATE)) // 4).astype("<i2").tobytes())
    return path


def utterances(folder: Path) -> list[Utterance]:
    return [
        Utterance(record(folder / "b.wav", 1.0), "two words", 1.0, "bob", "c", "dev", {"id": "bob-b"}),
        Utterance(record(folder / "a b.wav", 0.5), "ünïcode", 0.5, "ann", "c", "dev", {"id": "ann-a_b"}),
    ]


def test_kaldi_round_trip(tmp_path: Path) -> None:
    written = utterances(tmp_path / "wav")
    write_kaldi(tmp_path / "dev", written)
    read = read_kaldi(tmp_path / "dev")
    assert read == [replace(u, corpus="dev", part="dev") for u in reversed(written)]  # sorted by name


def test_kaldi_directory_as_kaldi_wants_it(tmp_path: Path) -> None:
    record(tmp_path / "x" / "1.wav", 0.5)
    clip, other = tmp_path / "x" / "1.wav", tmp_path / "y z" / "1.flac"
    write_kaldi(
        tmp_path / "data",
        [
            Utterance(clip, "one\n two", 0.5, "s 2"),
            Utterance(clip, "again", 0.5, "s 2"),
            Utterance(other, "three", 0.5, "s1"),
            Utterance(other, "nobody", 0.5),
        ],
    )
    tables = {path.name: path.read_text().splitlines() for path in (tmp_path / "data").iterdir()}
    assert tables["text"] == ["1 nobody", "s1-1 three", "s_2-1 one two", "s_2-1-2 again"]
    assert tables["utt2spk"] == ["1 1", "s1-1 s1", "s_2-1 s_2", "s_2-1-2 s_2"]
    assert tables["spk2utt"] == ["1 1", "s1 s1-1", "s_2 s_2-1 s_2-1-2"]
    assert tables["wav.scp"][2] == f"s_2-1 {clip}"
    assert tables["wav.scp"][1] == f"s1-1 ffmpeg -v error -i '{other}' -ac 1 -ar 16000 -f wav - |"
    for table in tables.values():
        assert [row.split()[0] for row in table] == sorted(row.split()[0] for row in table)


@pytest.mark.parametrize("name", ["a.opus", "it's a.flac", "-v.FLAC"])
def test_kaldi_round_trip_of_sound_that_kaldi_cannot_read(tmp_path: Path, name: str) -> None:
    form, subtype = ("OGG", "OPUS") if name.endswith("opus") else ("FLAC", "PCM_16")
    soundfile.write(tmp_path / name, np.zeros(RATE), RATE, format=form, subtype=subtype)
    written = Utterance(tmp_path / name, "two words", 1.0, "bob", "dev", "dev", {"id": "bob-b"})
    write_nemo(tmp_path / "nemo.jsonl", [written])
    write_kaldi(tmp_path / "dev", read_nemo(tmp_path / "nemo.jsonl"))
    assert "ffmpeg" in (tmp_path / "dev/wav.scp").read_text()
    assert read_kaldi(tmp_path / "dev") == [written]


def test_kaldi_segments(tmp_path: Path) -> None:
    recording = record(tmp_path / "long.wav", 3.0)
    data = tmp_path / "data"
    data.mkdir()
    (data / "wav.scp").write_text("rec1 ../long.wav\n")
    (data / "text").write_text("u1 one\nu2 two\nempty\n")
    (data / "utt2spk").write_text("u1 s\nu2 s\n")
    (data / "segments").write_text("u1 rec1 0.5 1.25\nu2 rec1 2.0 -1\nuntold rec1 0 1\n")
    with pytest.raises(AsrError, match="--clips"):
        read_kaldi(data)
    one, two = read_kaldi(data, clips=tmp_path / "clips")
    assert (one.text, one.speaker, one.duration, two.duration) == ("one", "s", 0.75, 1.0)
    whole = read_audio(recording)
    assert np.abs(read_audio(one.audio) - whole[8000:20000]).max() < 1e-4
    assert np.abs(read_audio(two.audio) - whole[32000:]).max() < 1e-4
    (data / "segments").write_text("u1 rec1 2.5 9.0\n")
    with pytest.raises(AsrError, match=r"u1 from 2.5 s to 9 s lies outside its 3.00 s"):
        read_kaldi(data, clips=tmp_path / "clips")
    (data / "segments").write_text("u1 rec1 x 9.0\n")
    with pytest.raises(AsrError, match="not recording, start, end"):
        read_kaldi(data, clips=tmp_path / "clips")


def test_kaldi_commands_are_never_run(tmp_path: Path) -> None:
    recording = record(tmp_path / "a.wav", 0.5)
    for command, understood in (
        (f"flac -c -d -s {recording} |", True),
        (f"cat {recording} |", True),
        (f"cat {recording} | touch {tmp_path / 'ran'} |", False),
        (f"touch {tmp_path / 'ran'} |", False),
        ("cat 'no end |", False),
        (f"ffmpeg -v error -i {recording} -ac 1 -ar 16000 -f wav - |", False),  # ours is not for WAV
        (f"ffmpeg -v error -i a.mp3 -ac 1 -ar 16000 -f wav - | touch {tmp_path / 'ran'} |", False),
        (f"ffmpeg -v error -i $(touch {tmp_path / 'ran'}) -ac 1 -ar 16000 -f wav - |", False),
    ):
        (tmp_path / "wav.scp").write_text(f"u1 {command}\n")
        (tmp_path / "text").write_text("u1 hello\n")
        if understood:
            assert read_kaldi(tmp_path)[0].audio == recording
        else:
            with pytest.raises(AsrError, match="commands of others are not run"):
                read_kaldi(tmp_path)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(AsrError, match=r"no wav\.scp"):
        read_kaldi(tmp_path / "nothing")


def test_nemo_round_trip(tmp_path: Path) -> None:
    written = utterances(tmp_path / "wav")
    write_nemo(tmp_path / "dev.json", written)
    assert is_nemo(tmp_path / "dev.json")
    assert read_nemo(tmp_path / "dev.json") == written
    first = json.loads((tmp_path / "dev.json").read_text().splitlines()[0])
    assert first["audio_filepath"] == "wav/b.wav"


def test_nemo_offsets(tmp_path: Path) -> None:
    whole = read_audio(record(tmp_path / "long.wav", 3.0))
    lines = [
        {"audio_filepath": "long.wav", "text": "one", "duration": 1.0, "offset": 0.0},
        {"audio_filepath": "long.wav", "text": "two", "duration": 1.5, "offset": 1.25},
        {"audio_filepath": "long.wav", "text": "all", "duration": 3.0},
        {"audio_filepath": "long.wav", "text": "all", "duration": 3.0, "offset": None},
    ]
    path = tmp_path / "nemo.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(AsrError, match="--clips"):
        read_nemo(path)
    one, two, three, four = read_nemo(path, clips=tmp_path / "clips")
    assert np.abs(read_audio(one.audio) - whole[:16000]).max() < 1e-4
    assert np.abs(read_audio(two.audio) - whole[20000:44000]).max() < 1e-4
    assert three.audio == four.audio == tmp_path / "long.wav"


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"audio_filepath": "a"}', '{"audio_filepath": 1, "text": "", "duration": 1}']
)
def test_nemo_broken_lines(tmp_path: Path, line: str) -> None:
    (tmp_path / "nemo.json").write_text(line)
    with pytest.raises(AsrError, match=r"nemo\.json, line 1: .*correct it"):
        read_nemo(tmp_path / "nemo.json")
