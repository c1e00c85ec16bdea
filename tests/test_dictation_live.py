"""The whole of dictation: a voice in a virtual microphone, commands over the socket, text in a window."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live.stand import Desktop, needs, sound_missing, wait_for, write_wav
from live.tones import make_tone_model, speak

from asr.dictation.control import Answer, ControlError, send, socket_path
from asr.loopback import Loopback

WORDS = "hello world comma full stop new line scratch that one two three my mail".split()
ASR = [sys.executable, "-c", "from asr.cli import main; main()"]

pytestmark = [
    pytest.mark.live,
    needs(*Desktop.programs),
    pytest.mark.skipif(bool(sound_missing()), reason=sound_missing() or "sound is there"),
]


class Room:
    """A desktop with a text window, a microphone, and a dictation that types what is spoken."""

    def __init__(self, desktop: Desktop, loopback: Loopback, folder: Path) -> None:
        self.desktop, self.loopback, self.folder = desktop, loopback, folder
        self.model = make_tone_model(folder / "model", WORDS)
        self.typed = folder / "typed"
        self.typed.touch()
        self.window = desktop.entry("notes", self.typed)
        self.config = folder / "dictation.toml"
        self.config.write_text('[replacements]\n"my mail" = "me@example.org"\n')
        self.told: list[str] = []

    @contextmanager
    def dictation(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """`asr dictate --wait OPTIONS`, ready for commands, in an empty window."""
        self.desktop.focus(self.window)
        self.desktop.xdotool("key", "ctrl+Home", "ctrl+shift+End", "BackSpace")
        wait_for(lambda: not self.typed.read_text(), what="an empty window")
        arguments = ["dictate", "--wait", "--model", str(self.model), "--config", str(self.config), *options]
        process = subprocess.Popen(
            [*ASR, *arguments], env=self.desktop.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            wait_for(lambda: process.poll() is not None or self.answers(), what="a dictation that answers")
            yield process
            if process.poll() is None:
                self.command("quit")
                process.wait(10)
        finally:
            process.kill()
            self.told = process.communicate()[1].splitlines()

    def answers(self) -> bool:
        try:
            return bool(self.command("status")["state"] == "waiting")
        except ControlError:
            return False

    def command(self, name: str) -> Answer:
        return send(name, socket_path())

    def say(self, text: str, tail: float = 0.05) -> None:
        """Plays the words and returns when they have been said."""
        recording = write_wav(self.folder / "said.wav", speak(text, WORDS, 48000, lead=0.2, tail=tail), 48000)
        assert self.loopback.play(recording).wait() == 0

    def shows(self, text: str) -> None:
        deadline = time.monotonic() + 5
        while self.typed.read_text() != text and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self.typed.read_text() == text

    def microphone_is_open(self) -> bool:
        return bool(subprocess.run(["pactl", "list", "short", "source-outputs"], capture_output=True).stdout)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("room")
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    with Loopback() as loopback:
        desktop = Desktop()
        try:
            yield Room(desktop, loopback, folder)
        finally:
            desktop.close()
            if before is None:
                del os.environ["XDG_RUNTIME_DIR"]
            else:
                os.environ["XDG_RUNTIME_DIR"] = before


def test_push_to_talk_types_what_was_said_and_closes_the_microphone(room: Room) -> None:
    with room.dictation():
        assert not room.microphone_is_open()
        answer = room.command("begin")
        assert answer["state"] == "dictating" and room.microphone_is_open()
        room.say("hello comma world full stop my mail")
        answer = room.command("end")  # no pause: the key's release ends the sentence
        assert answer["text"] == "hello, world. Me@example.org" and answer["state"] == "waiting"
        room.shows("hello, world. Me@example.org")
        assert not room.microphone_is_open()
        room.say("two two two")  # nobody listens
        room.command("begin")
        room.say("one")
        assert room.command("end")["text"] == " one"
        room.shows("hello, world. Me@example.org one")


def test_sentences_are_typed_as_they_end_and_taken_back_on_command(room: Room) -> None:
    with room.dictation():
        room.command("begin")
        room.say("one two", tail=0.8)
        room.shows("one two")
        room.say("new line three", tail=0.8)
        room.shows("one two\nThree")
        room.say("hello", tail=0.8)
        room.say("scratch that", tail=0.8)
        room.shows("one two\nThree")
        room.desktop.xdotool("key", "exclam")
        room.say("scratch that", tail=0.8)  # the user has typed: nothing may go
        room.say("world", tail=0.8)
        room.command("end")
        room.shows("one two\nThree!world")
    assert any("You have typed or clicked since" in line for line in room.told)


def test_tentative_words_are_typed_at_once_if_wanted(room: Room) -> None:
    with room.dictation("--tentative", "type"):
        room.command("begin")
        recording = write_wav(room.folder / "long.wav", speak("one two three one two three", WORDS, 48000), 48000)
        player = room.loopback.play(recording)
        wait_for(lambda: room.typed.read_text().startswith("one two"), what="tentative words in the window")
        assert player.poll() is None  # the sentence was still being said
        player.wait()
        room.shows("one two three one two three")
        room.say("hello world")
        wait_for(lambda: "hello" in room.typed.read_text(), what="tentative words in the window")
        room.command("cancel")
        room.shows("one two three one two three")
        assert room.command("status")["state"] == "waiting"


def test_suspend_keeps_and_cancel_drops(room: Room) -> None:
    with room.dictation():
        room.command("begin")
        room.say("one")
        assert room.command("suspend") | {"milliseconds": 0} == {"state": "suspended", "text": "one", "milliseconds": 0}
        assert not room.microphone_is_open()
        room.say("three")
        assert room.command("toggle")["state"] == "dictating"
        room.say("two")
        room.command("cancel")
        room.shows("one")
        assert room.command("toggle")["state"] == "dictating"
        room.say("three")
        assert room.command("toggle")["state"] == "waiting"
        room.shows("one three")


def test_pre_roll_hears_the_word_before_the_key(room: Room) -> None:
    with room.dictation("--pre-roll", "2"):
        assert room.microphone_is_open()
        room.say("one two")
        room.command("begin")
        room.say("three")
        assert room.command("end")["text"] == "one two three"
        assert room.microphone_is_open()
    assert any("The microphone stays open: the last 2 s are kept" in line for line in room.told)


def test_a_microphone_that_comes_back_goes_on_in_the_same_dictation(room: Room) -> None:
    with room.dictation():
        room.command("begin")
        room.say("one", tail=0.3)
        room.loopback.unplug()
        time.sleep(1.5)
        room.loopback.plug()
        time.sleep(1.0)
        room.say("two", tail=0.3)
        assert room.command("end")["text"] == "one two"
    assert any("has stopped giving sound" in line for line in room.told)


def test_ctrl_c_types_what_was_said_last_and_a_second_dictation_is_refused(room: Room) -> None:
    with room.dictation() as process:
        second = subprocess.run(
            [*ASR, "dictate", "--model", str(room.model)], env=room.desktop.environment, capture_output=True, text=True
        )
        assert second.returncode == 1 and "A dictation runs already" in second.stderr
        room.command("begin")
        room.say("one two")
        process.terminate()
        assert process.wait(10) == 0
        room.shows("one two")
        assert not socket_path().exists()


def test_commands_on_the_command_line(room: Room) -> None:
    def asr(name: str) -> str:
        done = subprocess.run([*ASR, "dictate", name], env=room.desktop.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with room.dictation("--type", "stdout") as process:
        assert asr("begin") == ""
        room.say("one two")
        assert asr("end") == "one two\n"
        assert asr("quit") == "one two\n"
        assert process.wait(10) == 0 and process.stdout is not None
        assert process.stdout.read() == "one two"
