"""Every corpus in its real layout, small: from the archive on a web server to the manifest of each official split."""

from __future__ import annotations

import hashlib
import io
import math
import tarfile
import wave
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.datasets import CORPORA, Utterance, read_manifest
from asr.datasets import prepare as preparation
from asr.datasets.download import Archive, Patience
from asr.datasets.prepare import corpus, fetch, prepare
from asr.errors import AsrError
from tests.web import serve

FAST = Patience(attempts=2, wait_seconds=0.0)


def sound(seconds: float, rate: int = 16000, form: str = "WAV") -> bytes:
    tone = 0.1 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)
    buffer = io.BytesIO()
    soundfile.write(buffer, tone, rate, format=form)
    return buffer.getvalue()


def tarball(files: dict[str, bytes], compression: str = "gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


def libri(part: str, speaker: str, texts: Iterable[str]) -> dict[str, bytes]:
    chapter = f"LibriSpeech/{part}/{speaker}/77"
    keys = {f"{speaker}-77-{number:04d}": text for number, text in enumerate(texts)}
    return {
        "LibriSpeech/SPEAKERS.TXT": b";ID | SEX\n",
        **{f"{chapter}/{key}.flac": sound(1.0 + index, form="FLAC") for index, key in enumerate(keys)},
        f"{chapter}/{speaker}-77.trans.txt": "".join(f"{key} {text}\n" for key, text in keys.items()).encode(),
    }


def speechocean() -> dict[str, bytes]:
    files = {"speechocean762/README.md": b"speechocean762"}
    for part, speaker, key in (("train", "0001", "000010011"), ("test", "0003", "000030012")):
        audio = f"WAVE/SPEAKER{speaker}/{key}.WAV"
        files |= {
            f"speechocean762/{audio}": sound(2.5),
            f"speechocean762/{part}/wav.scp": f"{key}\t{audio}\n".encode(),
            f"speechocean762/{part}/text": f"{key}\tWE CALL IT BEAR\n".encode(),
            f"speechocean762/{part}/utt2spk": f"{key}\t{speaker}\n".encode(),
        }
    return files


YESNO = ["0_0_0_0_1_1_1_1", "0_0_0_1_0_0_0_1", "1_1_1_1_1_1_1_1"]
ARCHIVES = {
    "librispeech": {
        "dev-clean.tar.gz": tarball(libri("dev-clean", "1272", ["MISTER QUILTER", "NOR IS"])),
        "train-clean-100.tar.gz": tarball(libri("train-clean-100", "19", ["CHAPTER ONE"])),
    },
    "mini_librispeech": {
        "train-clean-5.tar.gz": tarball(libri("train-clean-5", "1088", ["AS YOU KNOW"])),
        "dev-clean-2.tar.gz": tarball(libri("dev-clean-2", "1272", ["MISTER QUILTER"])),
    },
    "ljspeech": {
        "LJSpeech-1.1.tar.bz2": tarball(
            {
                "LJSpeech-1.1/README": b"LJSpeech",
                "LJSpeech-1.1/metadata.csv": (
                    "LJ001-0001|Printing, in 1450|Printing, in fourteen fifty\nLJ001-0002|“A|B\n"
                ).encode(),
                "LJSpeech-1.1/wavs/LJ001-0001.wav": sound(1.5, 22050),
                "LJSpeech-1.1/wavs/LJ001-0002.wav": sound(0.5, 22050),
            },
            "bz2",
        )
    },
    "vctk": {
        "VCTK-Corpus-0.92.zip": zipped(
            {
                "wav48_silence_trimmed/log.txt": b"",
                "wav48_silence_trimmed/p225/p225_001_mic1.flac": sound(2.0, 48000, "FLAC"),
                "wav48_silence_trimmed/p225/p225_001_mic2.flac": sound(2.0, 48000, "FLAC"),
                "wav48_silence_trimmed/p315/p315_001_mic1.flac": sound(2.0, 48000, "FLAC"),  # text lost
                "txt/p225/p225_001.txt": b"Please call Stella.\n",
                "txt/p362/p362_001.txt": b"No sound.\n",
                "speaker-info.txt": b"ID AGE\n",
            }
        )
    },
    "speech_commands": {
        "speech_commands_v0.02.tar.gz": tarball(
            {
                **{
                    f"./{word}/{speaker}_nohash_{take}.wav": sound(1.0)
                    for word, speaker, take in (
                        ("down", "aa", 0),
                        ("down", "bb", 0),
                        ("bed", "cc", 0),
                        ("bed", "aa", 1),
                    )
                },
                "./_background_noise_/running_tap.wav": sound(3.0),
                "./validation_list.txt": b"down/bb_nohash_0.wav\n",
                "./testing_list.txt": b"bed/cc_nohash_0.wav\n",
            }
        )
    },
    "yesno": {"waves_yesno.tar.gz": tarball({f"waves_yesno/{name}.wav": sound(6.0, 8000) for name in YESNO})},
    "speechocean762": {"speechocean762.tar.gz": tarball(speechocean())},
}
# What must come out: part -> (file name, text, speaker, seconds)
EXPECTED = {
    "librispeech": {
        "train-clean-100": [("19-77-0000.flac", "CHAPTER ONE", "libri-19", 1.0)],
        "dev-clean": [
            ("1272-77-0000.flac", "MISTER QUILTER", "libri-1272", 1.0),
            ("1272-77-0001.flac", "NOR IS", "libri-1272", 2.0),
        ],
    },
    "mini_librispeech": {
        "train-clean-5": [("1088-77-0000.flac", "AS YOU KNOW", "libri-1088", 1.0)],
        "dev-clean-2": [("1272-77-0000.flac", "MISTER QUILTER", "libri-1272", 1.0)],
    },
    "ljspeech": {
        "1.1": [("LJ001-0001.wav", "Printing, in fourteen fifty", "lj", 1.5), ("LJ001-0002.wav", "B", "lj", 0.5)]
    },
    "vctk": {"0.92": [("p225_001_mic1.flac", "Please call Stella.", "vctk-p225", 2.0)]},
    "speech_commands": {
        "train": [("aa_nohash_1.wav", "bed", "sc-aa", 1.0), ("aa_nohash_0.wav", "down", "sc-aa", 1.0)],
        "valid": [("bb_nohash_0.wav", "down", "sc-bb", 1.0)],
        "test": [("cc_nohash_0.wav", "bed", "sc-cc", 1.0)],
    },
    "yesno": {
        "train": [
            ("0_0_0_0_1_1_1_1.wav", "no no no no yes yes yes yes", "yesno", 6.0),
            ("1_1_1_1_1_1_1_1.wav", "yes yes yes yes yes yes yes yes", "yesno", 6.0),
        ],
        "test": [("0_0_0_1_0_0_0_1.wav", "no no no yes no no no yes", "yesno", 6.0)],
    },
    "speechocean762": {
        "train": [("000010011.WAV", "WE CALL IT BEAR", "so-0001", 2.5)],
        "test": [("000030012.WAV", "WE CALL IT BEAR", "so-0003", 2.5)],
    },
}


def summary(utterances: list[Utterance]) -> list[tuple[str, str, str | None, float]]:
    assert all(utterance.audio.is_file() for utterance in utterances)
    return [(u.audio.name, u.text, u.speaker, u.duration) for u in utterances]


def small(name: str) -> dict[str, Archive]:
    """The corpus's own archives, those that the test has, with the checksums of the small ones."""
    archives = {}
    for part, archive in corpus(name).ARCHIVES.items():
        if archive.name in ARCHIVES[name]:
            digest = hashlib.sha256(ARCHIVES[name][archive.name]).hexdigest()
            archives[part] = Archive(archive.url, f"sha256:{digest}", archive.folder)
    return archives


@pytest.mark.parametrize("name", ARCHIVES)
def test_download_and_prepare(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus(name), "ARCHIVES", small(name))
    with serve({f"/{file}": content for file, content in ARCHIVES[name].items()}) as site:
        site.break_after, site.breaks = 200, 1
        for _ in range(2):  # the second time everything is there
            fetch(name, tmp_path, mirror=site.address, patience=FAST)
        assert len(site.requests) == len(ARCHIVES[name]) + 1
    prepared = prepare(name, tmp_path)
    assert prepared.problems == []
    found = {path.stem.removeprefix(f"{name}_"): summary(read_manifest(path)) for path in sorted(prepared.manifests)}
    assert found == EXPECTED[name]
    assert all(u.corpus == name for us in prepared.manifests.values() for u in us)


def test_the_archives_are_those_that_are_published() -> None:
    for name in CORPORA:
        for archive in corpus(name).ARCHIVES.values():
            assert archive.url.startswith(("https://", "http://download.tensorflow.org/"))
            if archive.checksum is None:
                assert name == "speechocean762"
            else:
                kind, _, digest = archive.checksum.partition(":")
                assert len(digest) == {"sha256": 64, "md5": 32}[kind]
    assert len(corpus("librispeech").ARCHIVES) == 7


COLUMNS = "client_id\tpath\tsentence\tup_votes\n"


def common_voice(folder: str, tables: dict[str, list[tuple[str, str, str]]]) -> dict[str, bytes]:
    clips = {path for rows in tables.values() for _, path, _ in rows}
    return {
        **{f"{folder}/clips/{path}": sound(1.0, 32000, "MP3") for path in clips},
        **{
            f"{folder}/{table}.tsv": (COLUMNS + "".join(f"{a}\t{b}\t{c}\t2\n" for a, b, c in rows)).encode()
            for table, rows in tables.items()
        },
    }


def test_common_voice(tmp_path: Path) -> None:
    german = {"train": [("ab" * 64, "a.mp3", 'Er sagte "ja".')], "dev": [("cd" * 64, "b.mp3", "Über uns")], "test": []}
    english = {"validated": [("ef" * 64, "c.mp3", "Hello")], "other": [("ef" * 64, "d.mp3", "not checked")]}
    (tmp_path / "de.tar.gz").write_bytes(tarball(common_voice("cv-corpus-20.0-2024-12-06/de", german)))
    (tmp_path / "en.tar.gz").write_bytes(tarball(common_voice("cv-corpus-20.0-delta-2024-12-06/en", english)))
    root = tmp_path / "root"
    prepared = prepare("common_voice", root, archives=[tmp_path / "de.tar.gz", tmp_path / "en.tar.gz"])
    assert [path.name for path in prepared.manifests] == [
        "common_voice_de_train.jsonl",
        "common_voice_de_dev.jsonl",
        "common_voice_de_test.jsonl",
        "common_voice_en_validated.jsonl",
    ]
    (clip,) = read_manifest(root / "manifests/common_voice_de_train.jsonl")
    assert (clip.text, clip.speaker, clip.part) == ('Er sagte "ja".', "cv-" + "ab" * 8, "20.0-2024-12-06")
    assert clip.duration == pytest.approx(1.0, abs=0.1)
    assert len(prepare("common_voice", root, ["de"]).manifests) == 3
    assert len(prepare("common_voice", root, ["en_validated"]).manifests) == 1
    with pytest.raises(AsrError, match=r"needs an account.*--archive"):
        fetch("common_voice", root)


def test_two_releases_of_common_voice(tmp_path: Path) -> None:
    clips = {"train": [("ab" * 64, "a.mp3", "Hello")], "test": [("cd" * 64, "b.mp3", "You")]}
    new = {"validated": [("ef" * 64, "c.mp3", "Yes")]}
    releases = ("cv-corpus-20.0-2024-12-06/en", clips), ("cv-corpus-21.0-delta-2025-03-14/en", new)
    for folder, tables in (*releases, ("cv-corpus-20.0-2024-12-06/de", clips)):
        for name, content in common_voice(folder, tables).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    assert len(prepare("common_voice", tmp_path).manifests) == 5  # a delta stands beside a release
    (tmp_path / "cv-corpus-21.0-delta-2025-03-14").rename(tmp_path / "cv-corpus-21.0-2025-03-14")
    message = r"two releases of en, cv-corpus-20.0-2024-12-06 and cv-corpus-21.0-2025-03-14, .*move one of them"
    for parts in ([], ["en"], ["en_test"]):
        with pytest.raises(AsrError, match=message):
            prepare("common_voice", tmp_path, parts)
    assert len(prepare("common_voice", tmp_path, ["de"]).manifests) == 2


def test_a_folder_of_recordings(tmp_path: Path) -> None:
    for name, text in (("ann/1", "one\ntwo \n"), ("ann/2", "two"), ("top", "three")):
        (tmp_path / f"{name}.wav").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.wav").write_bytes(sound(0.5))
        (tmp_path / f"{name}.txt").write_text(text)
    (tmp_path / "notes.txt").write_text("no recording")
    (tmp_path / "broken.wav").write_bytes(b"RIFF....WAVE")
    (tmp_path / "broken.txt").write_text("broken")
    prepared = prepare("folder", tmp_path)
    assert summary(prepared.manifests[tmp_path / "manifests/folder_all.jsonl"]) == [
        ("1.wav", "one two", "ann", 0.5),
        ("2.wav", "two", "ann", 0.5),
        ("top.wav", "three", None, 0.5),
    ]
    (problem,) = prepared.problems
    assert "broken.wav" in problem
    with pytest.raises(AsrError, match="no recording with its text"):
        prepare("folder", tmp_path / "ann" / "nothing")


def test_a_folder_tells_what_it_leaves_out(tmp_path: Path) -> None:
    for name in ("UP.WAV", "uu.wav", "latin.wav", "mute.wav", "mute2.Mp3", "uu.flac"):
        (tmp_path / name).write_bytes(sound(0.5, form={"c": "FLAC", "3": "MP3"}.get(name[-1], "WAV")))
    for name in ("UP.txt", "uu.TXT", "latin.txt"):
        (tmp_path / name).write_bytes("schön".encode("latin-1" if name == "latin.txt" else "utf-8"))
    prepared = prepare("folder", tmp_path)
    (utterances,) = prepared.manifests.values()
    assert [u.audio.name for u in utterances] == ["UP.WAV", "uu.flac"]
    textless, doubled, unreadable = prepared.problems
    assert textless == f"2 recordings without a .txt beside them, the first is {tmp_path / 'mute.wav'}"
    assert doubled == f"1 recordings beside another of the same name, the first is {tmp_path / 'uu.wav'}"
    assert "1 recordings whose text cannot be read" in unreadable and "latin.txt: is not UTF-8" in unreadable
    for name in ("UP.txt", "uu.TXT"):
        (tmp_path / name).unlink()
    with pytest.raises(AsrError, match=r"no recording with its text.*latin\.txt: is not UTF-8 text; save it as UTF-8"):
        prepare("folder", tmp_path)


def test_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus("librispeech"), "ARCHIVES", small("librispeech"))
    with serve({f"/{file}": content for file, content in ARCHIVES["librispeech"].items()}) as site:
        with pytest.raises(AsrError, match=r"did you mean dev-clean\?"):
            fetch("librispeech", tmp_path, ["dev-claen"], mirror=site.address)
        assert site.requests == []
        fetch("librispeech", tmp_path, ["dev-clean"], mirror=site.address, patience=FAST)
        assert len(site.requests) == 1
    assert [path.name for path in prepare("librispeech", tmp_path).manifests] == ["librispeech_dev-clean.jsonl"]
    with pytest.raises(AsrError, match="train-clean-100: is not there"):
        prepare("librispeech", tmp_path, ["train-clean-100"])


@pytest.mark.parametrize("name", [name for name in ARCHIVES if len(ARCHIVES[name]) == 1])
def test_parts_of_one_archive_are_checked_first(name: str, tmp_path: Path) -> None:
    with serve({}) as site:
        with pytest.raises(AsrError, match="there is no part called 'typo'"):
            fetch(name, tmp_path, ["typo"], mirror=site.address, patience=FAST)
        assert site.requests == []
    with pytest.raises(AsrError, match="there is no part called 'typo'"):
        prepare(name, tmp_path, ["typo"], archives=[tmp_path / "unopened.zip"])
    assert set(corpus(name).PARTS) == set(EXPECTED[name])


@pytest.mark.parametrize("name", [name for name in CORPORA if name != "folder"])
def test_a_corpus_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=f"asr data prepare {name} --root DIR"):
        prepare(name, tmp_path)


def test_common_voice_that_is_not_there_cannot_be_downloaded(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match="--archive FILE") as error:
        prepare("common_voice", tmp_path)
    assert "--download" not in str(error.value)


def test_archives_brought_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "speech_commands_v0.02.tar.gz"
    file.write_bytes(ARCHIVES["speech_commands"][file.name])
    with pytest.raises(AsrError, match="is damaged: it has sha256:"):  # not the published one
        prepare("speech_commands", tmp_path / "root", archives=[file])
    monkeypatch.setattr(corpus("speech_commands"), "ARCHIVES", small("speech_commands"))
    assert len(prepare("speech_commands", tmp_path / "one", archives=[file]).manifests) == 3
    renamed = file.rename(tmp_path / "my_copy.tar.gz")
    assert len(prepare("speech_commands", tmp_path / "two", archives=[renamed]).manifests) == 3
    with pytest.raises(AsrError, match="no such file"):
        prepare("yesno", tmp_path / "root", archives=[tmp_path / "none.tar.gz"])


def test_an_interrupted_unpacking_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus("yesno"), "ARCHIVES", small("yesno"))
    unpack = preparation.extract

    def interrupted(archive: Path, folder: Path) -> None:
        unpack(archive, folder)
        next(folder.rglob("*.wav")).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "extract", interrupted)
    with serve({f"/{file}": content for file, content in ARCHIVES["yesno"].items()}) as site:
        with pytest.raises(KeyboardInterrupt):
            fetch("yesno", tmp_path, mirror=site.address, patience=FAST)
        monkeypatch.setattr(preparation, "extract", unpack)
        fetch("yesno", tmp_path, mirror=site.address, patience=FAST)
        assert len(site.requests) == 1  # the archive was whole
    assert sum(len(us) for us in prepare("yesno", tmp_path).manifests.values()) == 3


def test_no_duration_stays_unmeasured(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(sound(0.25))
    (tmp_path / "a.txt").write_text("a")
    ((_, (utterance,)),) = corpus("folder").find(tmp_path).items()
    assert math.isnan(utterance.duration)
    (measured,) = next(iter(prepare("folder", tmp_path).manifests.values()))
    assert measured.duration == 0.25
    with wave.open(str(measured.audio)) as file:
        assert file.getnframes() == 4000
