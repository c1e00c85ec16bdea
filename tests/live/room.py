"""A room where somebody dictates: a desktop with a text window, a virtual microphone, and `asr dictate`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from live.stand import Desktop, wait_for, write_wav
from live.tones import make_tone_model, speak

from asr.dictation.control import Answer, ControlError, send, socket_path
from asr.loopback import Loopback

WORDS = "hello world comma full stop new line scratch that one two three my mail".split()
ASR = [sys.executable, "-c", "from asr.cli import main; main()"]


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

    def mute(self, silent: bool) -> None:
        """The microphone is there and gives no sound at all, not even silence."""
        subprocess.run(["pactl", "suspend-sink", "@DEFAULT_SINK@", str(int(silent))], check=True)

    def shows(self, text: str) -> None:
        deadline = time.monotonic() + 5
        while self.typed.read_text() != text and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self.typed.read_text() == text

    def microphone_is_open(self) -> bool:
        return bool(subprocess.run(["pactl", "list", "short", "source-outputs"], capture_output=True).stdout)


@contextmanager
def room_in(folder: Path) -> Iterator[Room]:
    """A room whose socket, window and sounds are in `folder`."""
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    try:
        with Loopback() as loopback:
            desktop = Desktop()
            try:
                yield Room(desktop, loopback, folder)
            finally:
                desktop.close()
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
