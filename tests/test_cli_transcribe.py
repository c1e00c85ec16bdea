"""`asr transcribe` as a user calls it."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from asr.cli import main
from asr.cli.transcribe import Progress, in_order
from asr.cli.transcripts import Work
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


def written() -> list[str]:
    """The transcripts in the folder `out`."""
    return sorted(path.name for path in Path("out").iterdir() if not path.name.startswith("."))


def test_text_goes_to_standard_output(run, talk: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    result = run("talk.wav")
    assert (result.exit_code, result.stdout, result.stderr) == (0, text, "")


def test_one_other_type_goes_to_standard_output_too(run, tiny: Recognizer, talk: Path) -> None:  # type: ignore[no-untyped-def]
    assert run(talk, "-t", "srt").stdout == WRITERS["srt"](tiny.transcribe(talk), "talk")
    result = run(talk, "-t", "srt,txt")
    assert result.exit_code == 2 and "-o DIR" in result.stderr
    assert run(talk, "-t", "srt", "-t", "txt", "-o", "out").exit_code == 0
    assert written() == ["talk.srt", "talk.txt"]
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
    assert written() == sorted(f"{stem}.{kind}" for stem in ("one", "two") for kind in WRITERS)
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
    assert written() == sorted(["talk.wav.txt", "talk.flac.txt", "old-talk.flac.txt", "single.txt"])


def test_finished_files_are_skipped(run, talk: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    assert run(talk, "-o", "out").exit_code == 0
    Path("out/talk.txt").write_text("mine")
    result = run("./talk.wav", "-o", "out")
    assert (result.exit_code, result.stderr) == (0, "1 of 1 are already done (--force does them again).\n")
    assert run(talk, "-o", "out", "-t", "txt,srt").exit_code == 0  # what is missing is added
    assert written() == ["talk.srt", "talk.txt"] and Path("out/talk.txt").read_text() == "mine"
    Path("out/talk.srt").unlink()
    assert run(talk, "-o", "out", "-t", "txt,srt").exit_code == 0 and written() == ["talk.srt", "talk.txt"]
    assert run(talk, "-o", "out", "--force").exit_code == 0 and Path("out/talk.txt").read_text() == text


def test_what_was_made_of_something_else_is_not_done(run, talk: Path, speech: Samples, text: str) -> None:  # type: ignore[no-untyped-def]
    run(talk, "-o", "out", "-t", "txt,srt")
    assert run(talk, "-o", "out", "--no-second-reading", "-t", "txt,srt").stderr == ""  # other options
    assert Path("out/talk.txt").read_text() != text
    soundfile.write(talk, speech[-80000:], 16000)  # another recording in the same place
    assert run(talk, "-o", "out", "--no-second-reading").stderr == ""
    assert run(talk, "-o", "out", "--no-second-reading").stderr.startswith("1 of 1 are already done")
    assert written() == ["talk.srt", "talk.txt"]


def test_the_same_name_in_another_folder_is_another_recording(run, talk: Path, speech: Samples, text: str) -> None:  # type: ignore[no-untyped-def]
    for folder in ("talks", "other"):
        Path(folder).mkdir()
    talk.rename("talks/a.wav")
    soundfile.write("other/a.wav", speech[-80000:], 16000)
    assert run("talks", "-o", "out").stderr == run("other", "-o", "out").stderr == ""
    assert written() == ["a.txt", "a.wav.txt"] and Path("out/a.txt").read_text() == text
    assert run("talks", "other", "-o", "out").stderr.startswith("2 of 2 are already done")
    for _ in range(2):  # what comes through a pipe is new each time
        assert run("-", "-o", "out", given=Path("other/a.wav").read_bytes()).exit_code == 0
    assert written() == ["a.txt", "a.wav.txt", "stdin-2.txt", "stdin.txt"]


def test_files_of_somebody_else_are_never_overwritten(run, talk: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    Path("talk.txt").write_text("my notes")
    result = run(talk, "-o", ".")
    assert result.exit_code == 1 and "talk.txt was not written by this program" in result.stderr
    assert "--force" in result.stderr and Path("talk.txt").read_text() == "my notes"
    assert run(talk, "-o", ".", "--force").exit_code == 0 and Path("talk.txt").read_text() == text
    Path("talk.txt").write_text("corrected by hand")
    assert run(talk, "-o", ".").exit_code == 0  # it is done
    result = run(talk, "-o", ".", "--endpoint", "fast")
    assert result.exit_code == 1 and "changed since" in result.stderr
    assert Path("talk.txt").read_text() == "corrected by hand"


def test_output_into_a_file_is_refused(run, talk: Path) -> None:  # type: ignore[no-untyped-def]
    Path("out").write_text("a file where a folder should be")
    for name in ("out", "talk.srt"):
        result = run(talk, "-o", name)
        assert result.exit_code == 2 and "-o takes a folder" in result.stderr and f"> {name}" in result.stderr
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["out", "talk.wav"]
    result = run(talk, "-o", "out/deeper")
    assert result.exit_code == 1 and "out/deeper cannot be written to" in result.stderr


def test_hidden_files_in_folders_are_left_alone(run, talk: Path) -> None:  # type: ignore[no-untyped-def]
    Path("calls/.trash").mkdir(parents=True)
    for name in ("one.wav", "._one.wav", ".trash/two.wav"):
        Path("calls", name).write_bytes(talk.read_bytes())
    assert run("calls", "-o", "out").exit_code == 0 and written() == ["one.txt"]


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_bad_files_are_reported_at_the_end(run, talk: Path, text: str, jobs: str) -> None:  # type: ignore[no-untyped-def]
    Path("empty.mp3").touch()
    Path("letter.wav").write_text("Dear all,\n" * 200)
    Path("folder").mkdir()
    soundfile.write("nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    soundfile.write("nothing.wav", np.zeros(0), 16000)
    soundfile.write("slow.wav", np.zeros(1600), 100)
    bad = ["empty.mp3", "none.wav", "letter.wav", "nan.wav", "nothing.wav", "slow.wav"]
    result = run(*bad, "folder", "talk.wav", "--jobs", jobs)
    assert result.exit_code == 1
    assert result.stdout == f"==> talk.wav <==\n{text}"
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 7
    assert all(any(name in line for line in errors) for name in [*bad, "no recording in folder"])
    assert "Traceback" not in result.stderr


def test_a_damaged_file_gives_its_beginning_and_an_error(run, speech: Samples) -> None:  # type: ignore[no-untyped-def]
    soundfile.write("talk.flac", speech, 16000)
    whole = Path("talk.flac").read_bytes()
    Path("talk.flac").write_bytes(whole[:-100000])
    for _ in range(2):  # it is not done the next time
        result = run("talk.flac", "-o", "out")
        assert result.exit_code == 1 and "done" not in result.stderr
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: talk.flac ends after 15") and line.endswith("what comes before was transcribed.")
        beginning = Path("out/talk.txt").read_text()
    Path("talk.flac").write_bytes(whole)
    assert run("talk.flac", "-o", "out").exit_code == 0
    assert len(Path("out/talk.txt").read_text()) > len(beginning) > 100


def test_errors_name_the_recording(run, talk: Path) -> None:  # type: ignore[no-untyped-def]
    assert run(talk, "--channel", "2").stderr == f"Error: {talk}: There is no channel 2: the recording has 1.\n"
    result = run("-", given=b"Dear all,\n" * 200)
    assert result.exit_code == 1 and result.stderr.startswith("Error: standard input is not sound")


@pytest.mark.skipif(os.name != "posix", reason="names are text elsewhere")
def test_names_that_are_no_text(run, talk: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    Path("calls").mkdir()
    talk.rename(os.fsdecode(b"calls/caf\xe9.wav"))
    Path(os.fsdecode(b"calls/\xff.mp3")).touch()
    result = run("calls")
    assert result.exit_code == 1 and text in result.stdout and "Traceback" not in result.stderr
    assert "caf\\udce9.wav" in result.stdout and "\\udcff.mp3 is empty" in result.stderr
    assert run("calls", "-o", "out", "-t", "ctm,txt").exit_code == 1
    assert Path(os.fsdecode(b"out/caf\xe9.txt")).read_text() == text
    assert run("calls", "-o", "out", "-t", "ctm,txt").stderr.startswith("1 of 2 are already done")


def test_lists_that_are_not_utf_8(run, talk: Path) -> None:  # type: ignore[no-untyped-def]
    Path("words.txt").write_bytes("café\n".encode("latin1"))
    for option in ("--words", "--hotwords-file"):
        result = run(talk, option, "words.txt")
        assert result.exit_code == 1 and "words.txt" in result.stderr and "UTF-8" in result.stderr
        assert "Traceback" not in result.stderr


def test_types_that_cannot_follow_one_another(run, talk: Path) -> None:  # type: ignore[no-untyped-def]
    Path("other.wav").write_bytes(talk.read_bytes())
    result = run("talk.wav", "other.wav", "-t", "srt")
    assert result.exit_code == 2 and "srt of several recordings" in result.stderr
    assert run("talk.wav", "other.wav", "-t", "json").exit_code == 0
    result = run(talk, "--stream", "-t", "srt")
    assert result.exit_code == 2 and "--stream prints text" in result.stderr


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


def test_several_files_are_told_apart_while_they_stream(run, talk: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    Path("other.wav").write_bytes(talk.read_bytes())
    assert run("talk.wav", "other.wav", "--stream").stdout == run("talk.wav", "other.wav").stdout


def test_what_may_be_said(run, talk: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    words = sorted(text.split(), key=len)[:3]
    found = run(talk, "--grammar", "|".join(words)).stdout.split()
    assert found and set(found) <= set(words)
    Path("hot.txt").write_text("# names\nbonu:30\n")  # made of two of the small network's tokens
    assert "bonu" not in text and "bonu" in run(talk, "--hotwords-file", "hot.txt").stdout
    assert "bonu" in run(talk, "--hotwords", "bonu:30").stdout
    assert "bonu" in run(talk, "--hotwords", "hot.txt").stdout
    Path("phrases.txt").write_text("\n".join(words) + "\n")
    assert run(talk, "--grammar", "phrases.txt").stdout.split() == found
    for option, missing in (("--grammar", "nowhere.txt"), ("--hotwords", "lists/hot.words"), ("--hotwords", "/hot")):
        result = run(talk, option, missing)
        assert result.exit_code == 1 and result.stderr == f"Error: There is no file {missing}.\n"
    assert run(talk, "--hotwords", "di,bo/nu:30").exit_code == 0
    assert run(talk, "--hotwords", ",".join(["bonu:30"] * 60)).exit_code == 0  # too long for a file's name
    assert run(talk, "--grammar", f"{words[0]}/{words[1]}").exit_code == 0
    Path("phrases.txt").write_text(f"# {text.strip()}\n{words[0]}\n")
    assert set(run(talk, "--grammar", "phrases.txt").stdout.split()) <= {words[0]}
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


def test_several_readings_are_shown_in_json_only(run, talk: Path) -> None:  # type: ignore[no-untyped-def]
    result = run(talk, "--nbest", "3", "-t", "srt")
    assert result.exit_code == 2 and "--nbest 3 shows in json only: add -t json" in result.stderr
    assert run(talk, "--nbest", "3", "-t", "txt,json", "-o", "out").exit_code == 0
    result = run(talk, "--nbest", "2000", "-t", "json")
    assert result.exit_code == 2 and "2000 is not in the range 1<=x<=1000" in result.stderr


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


def test_an_interrupt_keeps_what_is_finished(tiny_model: Path, talk: Path, speech: Samples) -> None:
    command = [sys.executable, "-m", "asr", "transcribe", "--model", str(tiny_model), "--stream"]
    file = io.BytesIO()
    soundfile.write(file, speech, 16000, format="WAV")
    data = file.getvalue()
    out = talk.parent / "out"

    def heed_interrupts() -> None:  # a test run in the background hands on that it ignores them
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipe = subprocess.PIPE
    arguments = [*command, str(talk), "-", "-o", str(out)]
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=pipe, preexec_fn=heed_interrupts) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(data[:40] + b"\xff" * 4 + data[44:])  # of a length that is not known
        process.stdin.flush()
        while process.stdout.readline() != b"==> - <==\n":
            pass
        process.send_signal(signal.SIGINT)
        errors = process.stderr.read().decode()
    assert process.returncode == 130
    assert errors == f"Interrupted; 1 of 2 are finished in {out}, the same command goes on.\n"
    assert (out / "talk.txt").exists() and not (out / "stdin.txt").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_transcripts_are_let_go(jobs: int) -> None:
    class Result:
        pass

    made: list[weakref.ref[Result]] = []

    def run(item: Work) -> Result:
        result = Result()
        made.append(weakref.ref(result))
        return result

    todo = [Work(Path(f"{number}.wav"), str(number)) for number in range(6)]
    for number, (item, result) in enumerate(in_order(run, todo, jobs, Progress(todo))):  # type: ignore[arg-type]
        assert item is todo[number] and result is not None
        del item, result
        assert sum(reference() is not None for reference in made[:number]) == 0


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(tiny_model: Path, talk: Path) -> None:
    command = [sys.executable, "-m", "asr", "transcribe", "--model", str(tiny_model), str(talk)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0 and "No space left" in done.stderr and "Traceback" not in done.stderr


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
