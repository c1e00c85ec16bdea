"""Listening with a real sound server: the same text as from a file, in terminals and pipes, through trouble."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from live.stand import needs, sound_missing, wait_for, write_wav
from live.tones import make_tone_model, speak

from asr.audio import Audio, Recording, read_audio
from asr.cli import main
from asr.cli.listen import stop_at_signals
from asr.errors import AsrError
from asr.live import Started, Update
from asr.loopback import Loopback
from asr.portaudio import Block, Device
from asr.recognizer import Recognizer
from asr.results import Segment, Word
from asr.terminal import JsonView, PipeView, clock, meter, tail

WORDS = "one two three four five six seven eight nine ten".split()
ASR = [sys.executable, "-c", "from asr.cli import main; main()"]
live = pytest.mark.live
hears = pytest.mark.skipif(bool(sound_missing()), reason=sound_missing() or "sound is there")


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tone_model(tmp_path_factory.mktemp("tones"), WORDS)


class Listening:
    """`asr listen` as a process with pipes."""

    def __init__(self, model: Path, *options: str) -> None:
        pipe = subprocess.PIPE
        command = [*ASR, "listen", "--model", str(model), *options]
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
        self.told = ""

    def __enter__(self) -> Listening:
        assert self.process.stderr is not None and self.process.stdout is not None
        if "--json" in self.process.args:  # type: ignore[operator]
            self.wait_for_line(self.process.stdout, '{"listening"')
        else:
            self.wait_for_line(self.process.stderr, "Listening to")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def wait_for_line(self, pipe: IO[str], beginning: str) -> str:
        while line := pipe.readline():
            self.told += line
            if line.startswith(beginning):
                return line
        pytest.fail(f"no line {beginning!r} in {self.told!r}")

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def stop(self) -> tuple[str, str]:
        """Ctrl-C, by somebody whose finger trembles; what came on stdout and stderr after that."""
        for _ in range(4):
            self.process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        out, err = self.process.communicate(timeout=10)
        assert self.process.returncode == 0, err
        return out, err


def say(loopback: Loopback, folder: Path, text: str, tail: float = 0.8) -> subprocess.Popen[bytes]:
    return loopback.play(write_wav(folder / "said.wav", speak(text, WORDS, 48000, tail=tail), 48000))


@live
@hears
def test_what_is_heard_live_is_what_the_recording_holds(loopback: Loopback, model: Path, tmp_path: Path) -> None:
    """Text, times and confidences of a microphone, and of its recording fed to a stream of the same step length."""
    recording, out = tmp_path / "talk.flac", tmp_path / "out.txt"
    with Listening(model, "--record", str(recording), "-o", str(out), "-t", "json,srt") as listening:
        assert say(loopback, tmp_path, "one two three").wait() == 0
        assert listening.line() == "one two three"  # at once, while it goes on listening
        assert json.loads((tmp_path / "out.json").read_text())["text"] == "one two three"
        assert say(loopback, tmp_path, "four five six seven", tail=0.05).wait() == 0
        rest, _ = listening.stop()
        assert rest == "four five six seven\n"  # Ctrl-C reads the tail
    stream = Recognizer(model).stream()
    with Audio(recording) as audio:
        segments = [segment for block in audio.blocks(0.1) for segment in stream.feed(block, audio.rate)]
    segments += stream.finish()
    written = json.loads((tmp_path / "out.json").read_text())["segments"]
    assert [segment.text for segment in segments] == [segment["text"] for segment in written]
    heard = [(word["start"], word["end"], word["confidence"]) for segment in written for word in segment["words"]]
    assert heard == [(word.start, word.end, word.confidence) for segment in segments for word in segment.words]
    assert (tmp_path / "out.srt").read_text().count("-->") == 2


@live
@hears
def test_speech_is_heard_as_its_recording_is(
    loopback: Loopback, shipped: Recognizer, clips: Path, tmp_path: Path
) -> None:
    """The shipped model hears the same words, to the last confidence, in a microphone and in what it recorded."""
    recording = tmp_path / "talk.flac"
    speech = np.concatenate([read_audio(clips / f"{name}.opus", 48000) for name in ("prisoners", "monday")])
    with Listening(shipped.network.directory, "--record", str(recording), "--json") as listening:
        assert loopback.play(write_wav(tmp_path / "said.wav", speech, 48000)).wait() == 0
        out, _ = listening.stop()
    heard = [segment for line in out.splitlines() for segment in json.loads(line).get("final", [])]
    stream = shipped.stream(second_reading="inline")
    with Audio(recording) as audio:
        read = [segment for block in audio.blocks(0.5) for segment in stream.feed(block, audio.rate)]
    read += stream.finish()
    assert [segment["text"] for segment in heard] == [segment.text for segment in read]
    words = [(word["start"], word["end"], word["confidence"]) for segment in heard for word in segment["words"]]
    assert words == [(word.start, word.end, word.confidence) for segment in read for word in segment.words]
    assert len(words) > 8


@live
@hears
def test_a_killed_recording_is_playable_and_its_state_goes_on(loopback: Loopback, model: Path, tmp_path: Path) -> None:
    recording, state = tmp_path / "talk.flac", tmp_path / "state.bin"
    with Listening(model, "--record", str(recording), "--save", str(state), "--timestamps") as listening:
        assert say(loopback, tmp_path, "one two three").wait() == 0
        assert listening.line().endswith("] one two three")
        listening.process.kill()
        listening.process.wait()
    stream = Recognizer(model).stream(second_reading="inline")
    texts = [segment.text for segment in (*stream.feed(read_audio(recording)), *stream.finish())]
    assert texts == ["one two three"]
    with Listening(model, "--save", str(state), "--silence-after-words", "3") as listening:
        assert say(loopback, tmp_path, "four five", tail=0.05).wait() == 0
        assert listening.stop()[0] == "four five\n"
    with Listening(model, "--resume", str(state), "--until-silence", "1.5") as listening:
        assert say(loopback, tmp_path, "six", tail=0.1).wait() == 0
        assert listening.line() == "four five six"  # one sentence, though two programs heard it
        assert listening.process.wait(5) == 0
    refused = subprocess.run([*ASR, "listen", "--model", str(model), "--record", str(recording)], capture_output=True)
    assert refused.returncode == 1 and b"exists already" in refused.stderr
    again = ["--resume", str(state), "--endpoint", "fast"]
    refused = subprocess.run([*ASR, "listen", "--model", str(model), *again], capture_output=True)
    assert refused.returncode == 1 and b"keeps the endpoint rules" in refused.stderr
    nowhere = str(tmp_path / "none" / "state")
    refused = subprocess.run([*ASR, "listen", "--model", str(model), "--save", nowhere], capture_output=True)
    assert refused.returncode == 1 and b"cannot be written" in refused.stderr


@live
@hears
def test_json_tells_of_every_change_and_of_a_device_that_goes_and_comes_back(
    loopback: Loopback, model: Path, tmp_path: Path
) -> None:
    pipe = subprocess.PIPE
    command = [*ASR, "listen", "--model", str(model), "--json", "--timeout", "8"]
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    updates = [json.loads(process.stdout.readline())]
    assert set(updates[0]) == {"listening"} and updates[0]["listening"]["channels"] == 1
    say(loopback, tmp_path, "one two", tail=0.8).wait()
    loopback.unplug()
    time.sleep(1.5)
    loopback.plug()
    time.sleep(0.8)
    say(loopback, tmp_path, "three", tail=0.8).wait()
    out, _ = process.communicate(timeout=15)
    assert process.returncode == 0  # the time is over
    updates = [json.loads(line) for line in out.splitlines()]
    partials = [update["partial"] for update in updates if "partial" in update]
    assert partials[:3] == ["one", "one two", ""] or partials[:2] == ["one two", ""]
    finals = [segment for update in updates for segment in update.get("final", [])]
    assert [segment["text"] for segment in finals] == ["one two", "three"]
    assert [segment["id"] for segment in finals] == [0, 1]
    assert [update["notice"] for update in updates if "notice" in update] == ["lost", "back"]
    assert all(update["lag"] < 1 and -100 <= update["level_db"] <= 0 for update in updates if "lag" in update)


@live
@hears
@needs("tmux")
def test_in_a_terminal_the_tentative_words_are_redrawn_in_place(
    loopback: Loopback, model: Path, tmp_path: Path
) -> None:
    socket = ["tmux", "-S", str(tmp_path / "tmux")]

    def tmux(*arguments: str) -> str:
        return subprocess.run([*socket, *arguments], capture_output=True, text=True, check=True).stdout

    def screen() -> list[str]:
        return tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def screen_with(holds: Callable[[str], bool], what: str) -> list[str]:
        """The screen as it is when one of its lines is as it should be: a moment later it may be another."""
        seen: list[str] = []

        def look() -> bool:
            seen[:] = screen()
            return any(map(holds, seen))

        wait_for(look, what=what)
        return seen

    python = f"'{sys.executable}' -c 'from asr.cli import main; main()'"
    environment = [f"-e{name}={os.environ[name]}" for name in ("PULSE_SERVER", "PYTHONPATH") if name in os.environ]
    tmux("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "20", *environment, "sh")
    try:
        tmux("send-keys", f"PS1='$ '; clear; {python} listen --model '{model}'", "Enter")
        wait_for(lambda: any("Listening to" in line for line in screen()), what="listening in the terminal")
        say(loopback, tmp_path, "one two three").wait()
        wait_for(lambda: "one two three" in screen(), what="the first sentence")
        player = say(loopback, tmp_path, " ".join(WORDS * 2), tail=1.2)
        wide = screen_with(lambda line: "eight nine" in line, "tentative words")
        assert sum(line.startswith("one two three four") for line in wide) == 1  # redrawn, not repeated
        assert sum("|" in line for line in wide) == 1  # one meter
        tmux("resize-window", "-x", "36", "-y", "20")
        narrow = screen_with(lambda line: line.startswith("…"), "a line cut to the width")
        assert all(len(line) <= 36 for line in narrow)
        assert sum("|" in line for line in narrow) == 1
        assert "one two three" in narrow  # nothing above was erased
        tmux("resize-window", "-x", "120", "-y", "20")
        player.wait()
        sentence = " ".join(WORDS * 2)
        wait_for(lambda: sentence in " ".join(screen()), what="the second sentence")
        assert tmux("display-message", "-p", "#{cursor_flag}") == "0\n"
        tmux("send-keys", "C-z")
        wait_for(lambda: screen()[-1].startswith("$"), what="the prompt, while it is stopped")
        assert tmux("display-message", "-p", "#{cursor_flag}") == "1\n"
        assert not any("|" in line for line in screen())
        tmux("send-keys", "clear; fg", "Enter")
        wait_for(lambda: any("|" in line for line in screen()), what="the meter, drawn again")
        assert tmux("display-message", "-p", "#{cursor_flag}") == "0\n"
        say(loopback, tmp_path, " ".join(WORDS * 2), tail=1.2).wait()
        wait_for(lambda: sentence in " ".join(screen()), what="the third sentence")
        tmux("send-keys", "C-c")
        wait_for(lambda: screen()[-1].startswith("$"), what="the prompt")
        final = screen()
        assert not any("…" in line or "|" in line for line in final)
        assert sum(line.startswith("one two three") for line in final) == 1  # the rest was cleared away
    finally:
        tmux("kill-server")


@live
@hears
def test_a_slow_reader_of_the_pipe_and_one_that_leaves_break_nothing(
    loopback: Loopback, model: Path, tmp_path: Path
) -> None:
    with Listening(model) as listening:
        assert listening.process.stdout is not None
        listening.process.stdout.close()  # as `head` does
        say(loopback, tmp_path, "one two").wait()
        assert listening.process.wait(10) == 0


# Without sound

SAY = speak("one two three", WORDS)


class Heard:
    """A microphone that has some sound; then Ctrl-C is pressed. Something may happen before the last half second."""

    device = Device(0, "heard", 1, 16000.0, True, "none")
    rate, channels, channel, lag_seconds = 16000, 1, None, 0.0

    def __init__(self, stop: threading.Event, trouble: Callable[[], None] = lambda: None) -> None:
        pcm = np.rint(SAY * 32767).astype(np.int16)[:, None]
        self._blocks = np.split(pcm, range(320, len(pcm), 320))
        self._stop = stop
        self._trouble = trouble

    def __enter__(self) -> Heard:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, timeout: float = 0.1) -> Block | None:
        if len(self._blocks) == 25:
            self._trouble()
        if not self._blocks:
            self._stop.set()
            return None
        return Block(self._blocks.pop(0), 16000, 0.0, 0.0)


@pytest.fixture
def hear(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`asr listen` in this process and in an empty folder, which hears "one two three"."""
    monkeypatch.chdir(tmp_path)

    def run(*options: str, trouble: Callable[[], None] = lambda: None) -> Result:
        stop = threading.Event()
        monkeypatch.setattr("asr.cli.listen.stop_at_signals", lambda: stop)
        monkeypatch.setattr("asr.microphone.Microphone", lambda *_, **__: Heard(stop, trouble))
        return CliRunner().invoke(main, ["listen", "--model", str(model), *options])

    return run


def become_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


def test_a_state_that_cannot_be_saved_costs_no_words(hear: Callable[..., Result]) -> None:
    folder = Path("states")
    folder.mkdir()
    result = hear("--save", "states/s.bin", "--silence-after-words", "3", trouble=lambda: become_a_file(folder))
    assert result.stdout == "one two three\n"  # the tail
    assert result.stderr.count("states/s.bin cannot be written: Not a directory.\n") == 1 and result.exit_code == 1


def test_transcripts_that_cannot_be_written_are_told_of_and_listening_goes_on(hear: Callable[..., Result]) -> None:
    folder = Path("texts")
    result = hear("-o", "texts/t", "--endpoint", "fast", trouble=lambda: become_a_file(folder))
    assert result.stdout == "one two three\n"
    assert result.stderr.count("texts/t.txt cannot be written") == 1 and result.exit_code == 1


def test_a_recording_that_ends_early_is_told_of_once(
    hear: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        def fail(*_: object) -> None:
            raise soundfile.LibsndfileError(2)

        monkeypatch.setattr(soundfile.SoundFile, "write", fail)

    result = hear("--record", "talk.flac", trouble=full)
    assert result.stdout == "one two three\n"
    assert result.stderr.count("talk.flac cannot be written any more: it ends after") == 1 and result.exit_code == 1
    assert len(read_audio("talk.flac")) > 0.5 * len(SAY)


def test_files_that_exist_or_cannot_be_are_refused_before_anything_is_heard(hear: Callable[..., Result]) -> None:
    assert hear("-o", "talk", "-t", "txt,json").exit_code == 0
    assert Path("talk.txt").read_text() == "one two three\n" and Path("talk.json").exists()
    result = hear("-o", "talk.json", "-t", "srt,json")
    assert result.exit_code == 1 and "talk.json exists already: choose another name for -o" in result.stderr
    assert not Path("talk.srt").exists()
    result = hear("-o", "talk.txt/more")
    assert result.exit_code == 1 and "talk.txt/more.txt cannot be written" in result.stderr and not result.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--record", "a.wav"], "ends in .flac, not a.wav"),
        (["-t", "srt"], "name a file with -o"),
        (["--latency", __file__, "--timestamps"], "leave out --timestamps"),
        (["--timeout", "-1"], "'--timeout'"),
        (["--until-silence", "0"], "'--until-silence'"),
    ],
)
def test_options_that_would_do_nothing_are_refused(hear: Callable[..., Result], options: list[str], says: str) -> None:
    result = hear(*options)
    assert result.exit_code == 2 and says in result.stderr and not result.stdout
    assert not Path("a.wav").exists()


def test_ctrl_c_twice_at_once_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        stop = stop_at_signals()
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        monkeypatch.setattr("asr.cli.listen.REPEAT_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):  # so that the cursor is shown again, and transcripts are written
            signal.raise_signal(signal.SIGINT)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)


def segment(text: str, final: bool = True) -> Segment:
    return Segment(0, text, 61.04, 3725.96, (Word(text, 61.04, 3725.96, 0.5),), final)


def update(finals: tuple[Segment, ...], partial: str) -> Update:
    return Update(finals, segment(partial, False), -30.0, 0.0, 1.0, 0.0, 0.0)


def test_a_pipe_gets_finished_sentences_alone_flushed_at_once(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out:
        view = PipeView(out)
        view.update(update((), "tentative"))
        view.update(update((segment("done"),), "tentative"))
        assert (tmp_path / "out").read_text() == "done\n"  # not in a buffer
        PipeView(out, timestamps=True).update(update((segment("done"),), ""))
        assert (tmp_path / "out").read_text().splitlines()[1] == "[0:01:01.0 - 1:02:06.0] done"


def test_json_repeats_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    view = JsonView(sys.stdout)
    view.started(Started("mic", 48000, 2))
    for partial in ("", "a", "a", "a b"):
        view.update(update((), partial))
    view.update(update((segment("a b"),), ""))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("partial") for line in lines] == [None, "a", "a b", ""]
    assert lines[-1]["final"][0]["words"] == [{"text": "a b", "start": 61.04, "end": 3725.96, "confidence": 0.5}]
    written = Segment(1, "A.", 0.0, 1.0, (Word("a", 0.0, 1.0, 0.5, "A."),), True)
    view.update(update((written,), ""))
    assert json.loads(capsys.readouterr().out)["final"][0]["words"][0]["written"] == "A."


@pytest.mark.parametrize(("text", "width", "shown"), [("abc", 3, "abc"), ("abcd", 3, "…cd"), ("abcd", 1, "…")])
def test_tentative_words_are_cut_at_their_beginning(text: str, width: int, shown: str) -> None:
    assert tail(text, width) == shown


def test_the_meter_spans_sixty_decibels() -> None:
    assert meter(-100) == meter(-60) == "|" + " " * 12 + "|"
    assert meter(0) == "|" + "█" * 12 + "|"
    assert meter(-30) == "|" + "█" * 6 + " " * 6 + "|"
    assert clock(0) == "0:00:00.0"


@pytest.mark.parametrize("frames", [0, 1, 4096, 4097, 50000])
def test_a_recording_whose_program_is_killed_holds_what_came(tmp_path: Path, frames: int) -> None:
    samples = np.random.default_rng(0).integers(-9000, 9000, frames).astype(np.int16)
    path = tmp_path / "r.flac"
    script = (
        "import sys, os, numpy as np; from pathlib import Path; from asr.audio import Recording\n"
        "samples = np.random.default_rng(0).integers(-9000, 9000, int(sys.argv[2])).astype(np.int16)\n"
        "recording = Recording(Path(sys.argv[1]), 16000)\n"
        "for i in range(0, len(samples), 320): recording.write(samples[i : i + 320])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path), str(frames)])
    if frames > 4096:
        heard = np.rint(read_audio(path) * 32768)
        assert len(heard) == (frames - 1) // 4096 * 4096 and np.array_equal(heard, samples[: len(heard)])
    whole = Recording(tmp_path / "whole.flac", 16000)
    whole.write(samples)
    whole.close()
    if frames:
        assert np.array_equal(np.rint(read_audio(tmp_path / "whole.flac") * 32768), samples)


def test_a_recording_on_a_full_disk_says_so_and_holds_what_came(tmp_path: Path) -> None:
    script = (
        "import resource, sys, numpy as np; from pathlib import Path; from asr.audio import Recording\n"
        "from asr.errors import AudioError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))\n"
        "samples = np.random.default_rng(0).integers(-9000, 9000, 50000).astype(np.int16)\n"
        "recording = Recording(Path(sys.argv[1]), 16000)\n"
        "try:\n    for i in range(0, 50000, 320): recording.write(samples[i : i + 320])\n"
        "except AudioError as error: print(error)\n"
        "recording.close()\n"
    )
    path = tmp_path / "r.flac"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert done.stdout.startswith(f"{path} cannot be written any more: it ends after 1 s"), done.stderr
    assert len(read_audio(path)) >= 12288


def test_a_recording_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AsrError, match=r"talk.flac cannot be written"):
        Recording(tmp_path / "file" / "talk.flac", 16000)
