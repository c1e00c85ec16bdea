"""`asr transcribe` as a user calls it."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from asr.cli import main
from asr.recognizer import Recognizer
from asr.writers import WRITERS, from_json

Samples = NDArray[np.float32]


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path, given: bytes | None = None) -> Result:
        words = ["transcribe", "--model", str(tiny_model), *map(str, arguments)]
        return CliRunner().invoke(main, words, input=given)

    return call


@pytest.fixture
def talk(speech: Samples, tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    soundfile.write(path, speech[: 6 * 16000], 16000)
    return path


@pytest.fixture
def text(tiny: Recognizer, talk: Path) -> str:
    return WRITERS["txt"](tiny.transcribe(talk), "talk")


def test_text_goes_to_standard_output(run, talk: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    result = run("talk.wav")
    assert (result.exit_code, result.stdout, result.stderr) == (0, text, "")


def test_one_other_type_goes_to_standard_output_too(run, tiny: Recognizer, talk: Path) -> None:  # type: ignore[no-untyped-def]
    assert run(talk, "-t", "srt").stdout == WRITERS["srt"](tiny.transcribe(talk), "talk")
    result = run(talk, "-t", "srt,txt")
    assert result.exit_code == 2 and "-o DIR" in result.stderr
    result = run(talk, "-t", "doc")
    assert result.exit_code == 2 and "doc" in result.stderr


def test_standard_input(run, talk: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    assert run("-", given=talk.read_bytes()).stdout == text
    result = run("-", "-t", "txt,json", "-o", "out", given=talk.read_bytes())
    assert result.exit_code == 0 and Path("out/stdin.txt").read_text() == text
    result = run("-", given=b"")
    assert result.exit_code == 1 and "standard input is empty" in result.stderr


def test_raw_pcm(run, tiny: Recognizer, speech: Samples) -> None:  # type: ignore[no-untyped-def]
    whole = (speech[: 4 * 8000] * 32767).astype("<i2")
    expected = tiny.transcribe(whole, rate=8000).text
    assert run("-", "--raw-rate", "8000", given=whole.tobytes()).stdout.split() == expected.split()
    Path("talk.raw").write_bytes(np.stack([whole, whole], axis=1).tobytes())
    assert run("talk.raw", "--raw-rate", "8000", "--raw-channels", "2").stdout.split() == expected.split()


def test_json_has_everything(run, tiny: Recognizer, talk: Path) -> None:  # type: ignore[no-untyped-def]
    found = json.loads(run(talk, "-t", "json").stdout)
    assert found["model"] == {"name": tiny.network.config["name"], "version": tiny.network.config["version"]}
    assert found["duration"] == 6 and found["text"]
    assert set(found["segments"][0]) == {"id", "start", "end", "text", "words"}
    assert set(found["segments"][0]["words"][0]) == {"text", "start", "end", "confidence"}
    assert from_json(json.dumps(found)) == tiny.transcribe(talk)


def test_folders_and_all_types(run, talk: Path, speech: Samples, text: str) -> None:  # type: ignore[no-untyped-def]
    folder = Path("calls/may")
    folder.mkdir(parents=True)
    talk.rename(folder / "one.wav")
    soundfile.write("calls/two.FLAC", speech[:48000], 16000, format="FLAC")
    Path("calls/notes.txt").write_text("no recording")
    result = run("calls", "-t", ",".join(WRITERS), "-o", "out")
    assert result.exit_code == 0 and result.stdout == ""
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(
        f"{stem}.{kind}" for stem in ("one", "two") for kind in WRITERS
    )
    assert Path("out/one.txt").read_text() == text
    assert Path("out/one.ctm").read_text().startswith("one 1 ")


def test_several_files_to_standard_output_are_told_apart(run, talk: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    talk.with_name("other.wav").write_bytes(talk.read_bytes())
    expected = f"==> talk.wav <==\n{text}==> other.wav <==\n{text}"
    assert run("talk.wav", "other.wav").stdout == expected
    assert run("talk.wav", "other.wav", "--jobs", "2").stdout == expected
    assert run("talk.wav", "talk.wav").stdout == text


def test_outputs_of_the_same_name_are_told_apart(run, talk: Path, speech: Samples) -> None:  # type: ignore[no-untyped-def]
    soundfile.write("talk.flac", speech[:32000], 16000)
    Path("old").mkdir()
    soundfile.write("old/talk.flac", speech[:16000], 16000)
    soundfile.write("single.ogg", speech[:16000], 16000)
    assert run("talk.wav", "talk.flac", "old", "single.ogg", "-o", "out").exit_code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(
        ["talk.wav.txt", "talk.flac.txt", "old-talk.flac.txt", "single.txt"]
    )


def test_finished_files_are_skipped(run, talk: Path) -> None:  # type: ignore[no-untyped-def]
    assert run(talk, "-o", "out", "-t", "txt,srt").exit_code == 0
    Path("out/talk.txt").write_text("mine")
    result = run(talk, "-o", "out", "-t", "txt,srt")
    assert result.exit_code == 0 and "1 of 1 are already done" in result.stderr
    assert Path("out/talk.txt").read_text() == "mine"
    Path("out/talk.srt").unlink()  # half done is not done
    run(talk, "-o", "out", "-t", "txt,srt")
    assert Path("out/talk.txt").read_text() != "mine"
    Path("out/talk.txt").write_text("mine")
    assert run(talk, "-o", "out", "--force").exit_code == 0
    assert Path("out/talk.txt").read_text() != "mine"


def test_nothing_half_written_is_left(run, talk: Path) -> None:  # type: ignore[no-untyped-def]
    Path("out").write_text("a file where a folder should be")
    result = run(talk, "-o", "out")
    assert result.exit_code == 1 and "cannot be written" in result.stderr
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["out", "talk.wav"]


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_bad_files_are_reported_at_the_end(run, talk: Path, text: str, jobs: str) -> None:  # type: ignore[no-untyped-def]
    Path("empty.mp3").touch()
    Path("letter.wav").write_text("Dear all,\n" * 200)
    Path("folder").mkdir()
    soundfile.write("nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    bad = ["empty.mp3", "none.wav", "letter.wav", "nan.wav"]
    result = run(*bad, "folder", "talk.wav", "--jobs", jobs)
    assert result.exit_code == 1
    assert result.stdout == f"==> talk.wav <==\n{text}"
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 5
    assert all(any(name in line for line in errors) for name in [*bad, "no recording in folder"])
    assert "Traceback" not in result.stderr


def test_a_damaged_file_gives_its_beginning_and_an_error(run, speech: Samples) -> None:  # type: ignore[no-untyped-def]
    soundfile.write("talk.flac", speech, 16000)
    Path("talk.flac").write_bytes(Path("talk.flac").read_bytes()[:-100000])
    result = run("talk.flac", "-o", "out")
    assert result.exit_code == 1 and "talk.flac is damaged" in result.stderr
    assert Path("out/talk.txt").read_text()


def test_channels(run, tiny: Recognizer, speech: Samples) -> None:  # type: ignore[no-untyped-def]
    one, other = speech[: 3 * 16000], speech[5 * 16000 : 8 * 16000]
    soundfile.write("call.wav", np.stack([one, other], axis=1), 16000)
    alone = [tiny.transcribe(np.round(side * 32768).astype(np.int16), rate=16000).text for side in (one, other)]
    for number in (1, 2):
        assert run("call.wav", "--channel", str(number)).stdout.split() == alone[number - 1].split()
        separate = run("call.wav", "--channels", "separate").stdout.splitlines()
        label = f"Channel {number}: "
        assert " ".join(line.removeprefix(label) for line in separate if line.startswith(label)) == alone[number - 1]
    assert run("call.wav", "--channels", "mix").stdout == run("call.wav").stdout
    assert run("call.wav", "--channel", "1", "--channels", "mix").exit_code == 2
    result = run("call.wav", "--channel", "3")
    assert result.exit_code == 1 and "no channel 3" in result.stderr


def test_stream_prints_the_same_text(run, talk: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    assert run(talk, "--stream").stdout == text
    result = run(talk, "--stream", "-o", "out")
    assert result.stdout == Path("out/talk.txt").read_text() == text


def test_what_may_be_said(run, talk: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    words = sorted(text.split(), key=len)[:3]
    found = run(talk, "--grammar", "|".join(words)).stdout.split()
    assert found and set(found) <= set(words)
    Path("hot.txt").write_text("# names\nbonu:30\n")  # made of two of the small network's tokens
    assert "bonu" not in text and "bonu" in run(talk, "--hotwords-file", "hot.txt").stdout
    assert "bonu" in run(talk, "--hotwords", "bonu:30").stdout
    result = run(talk, "--hotwords", "bonu:much")
    assert result.exit_code == 1 and "bonu" in result.stderr and "Traceback" not in result.stderr


def test_several_readings(run, tiny: Recognizer, talk: Path) -> None:  # type: ignore[no-untyped-def]
    segment = json.loads(run(talk, "-t", "json", "--nbest", "3").stdout)["segments"][0]
    texts = [other["text"] for other in segment["alternatives"]]
    assert texts[0] == segment["text"] and 1 < len(set(texts)) == len(texts) <= 3
    scores = [other["score"] for other in segment["alternatives"]]
    assert scores == sorted(scores, reverse=True)
    expected = tiny.transcribe(talk, second_reading=None, nbest=2)
    assert run(talk, "--no-second-reading").stdout.split() == expected.text.split() != tiny.transcribe(talk).text
    assert len(expected.segments[0].alternatives) == 2


def test_a_model_that_is_not_there(run, talk: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    result = CliRunner().invoke(main, ["transcribe", str(talk), "--model", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: There is no model directory") and "Traceback" not in result.stderr


def test_text_appears_while_a_pipe_is_read(tiny_model: Path, speech: Samples) -> None:
    """With --stream and raw samples, the first segment is printed before the sound has ended."""
    command = [
        sys.executable,
        "-m",
        "asr",
        "transcribe",
        "--model",
        str(tiny_model),
        "--stream",
        "--raw-rate",
        "16000",
        "-",
    ]
    whole = (speech * 32767).astype("<i2").tobytes()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdin.write(whole)
        process.stdin.flush()
        first = process.stdout.readline()  # would wait for ever if it came at the end only
        process.stdin.close()
        rest = process.stdout.read()
    assert first.strip() and rest.strip()


def test_progress_on_a_terminal_only(tiny_model: Path, talk: Path, text: str) -> None:
    command = [sys.executable, "-m", "asr", "transcribe", "--model", str(tiny_model), str(talk)]
    piped = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (piped.stdout, piped.stderr) == (text, "")
    ours, theirs = pty.openpty()
    # The progress is drawn ten times a second: an interval of 0 makes sure that something is drawn of a short clip.
    code = "import asr.cli.transcribe as t; t.Progress.interval = 0; from asr.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *command[3:]], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    out, _ = process.communicate()
    drawn = b""
    try:
        while part := os.read(ours, 65536):
            drawn += part
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert out.decode() == text
    assert b"talk.wav: 0:03 of 0:06" in drawn
    assert drawn.endswith(b"\r\x1b[K")


def test_a_reader_that_leaves(tiny_model: Path, talk: Path) -> None:
    command = [sys.executable, "-m", "asr", "transcribe", "--model", str(tiny_model), str(talk), str(talk.resolve())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait()
    process.stderr.close()


def test_only_commands_that_can_run_are_listed() -> None:
    listed = CliRunner().invoke(main, ["--help"]).stdout
    assert "transcribe" in listed and "models" in listed
    assert CliRunner().invoke(main, ["nonsense"]).exit_code == 2


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout.startswith("asr, version 0")


def test_pipe_of_a_wav_whose_length_is_not_known(run, talk: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    data = io.BytesIO(talk.read_bytes()).getvalue()
    data = data[:4] + b"\xff\xff\xff\xff" + data[8:40] + b"\xff\xff\xff\xff" + data[44:]
    assert run("-", given=data).stdout == text
