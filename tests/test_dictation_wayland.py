"""Typing under Wayland, into a terminal of a real compositor without a screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live.stand import needs, wait_for

from asr.dictation.keyboards import Clipboard, KeyboardOptions, Wtype, choose, is_wayland
from asr.dictation.typist import UNKNOWN_FOCUS, Typist

pytestmark = [pytest.mark.live, needs("sway", "wtype", "foot", "wl-copy", "setpriv")]

NOBODY = 65534


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The file that a terminal with the focus writes what it gets to."""
    runtime = Path(tempfile.mkdtemp(prefix="asr-wayland-", dir="/tmp"))  # short enough for a socket
    configuration = runtime / "config"
    configuration.write_text("xwayland disable\n")
    environment = {"XDG_RUNTIME_DIR": str(runtime), "WLR_BACKENDS": "headless", "WLR_LIBINPUT_NO_DEVICES": "1"}
    environment |= {"WLR_RENDERER": "pixman", "HOME": str(runtime), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    command = ["sway", "-c", str(configuration)]
    if os.getuid() == 0:  # sway does not run as root; root may still use its socket
        os.chown(runtime, NOBODY, NOBODY)
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
    nothing = subprocess.DEVNULL
    compositor = subprocess.Popen(command, env=environment, stdout=nothing, stderr=nothing)
    try:
        wait_for(lambda: list(runtime.glob("wayland-?")), what="the compositor's socket")
        for name, value in (environment | {"WAYLAND_DISPLAY": next(runtime.glob("wayland-?")).name}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("DISPLAY", raising=False)
        file = tmp_path / "typed"
        script = f"stty -echo -icanon; echo ready > '{file}.ready'; exec cat > '{file}'"
        keyboard = subprocess.Popen(["wtype", "-s", "100000"])  # as on a desk, there is one all the time
        terminal = subprocess.Popen(["foot", "sh", "-c", script], stdout=nothing, stderr=nothing)

        def takes_keys() -> bool:
            subprocess.run(["wtype", "."])
            time.sleep(0.2)
            return bool(file.read_text())

        try:
            wait_for(Path(f"{file}.ready").exists, 20, "the terminal")
            wait_for(takes_keys, 20, "the terminal's keyboard")
            yield file
        finally:
            for process in (terminal, keyboard):
                process.kill()
                process.wait()
    finally:
        compositor.terminate()
        compositor.wait()
        shutil.rmtree(runtime)


def test_text_arrives_and_is_never_taken_back(typed: Path) -> None:
    assert is_wayland() and choose(os.environ) == "wtype"
    before = typed.read_text()
    told: list[str] = []
    typist = Typist(Wtype(KeyboardOptions()), None, told.append)
    assert typist.settle("Hello, world! Zoë 東京?") and typist.settle(" It's me.")
    wait_for(lambda: typed.read_text() == before + "Hello, world! Zoë 東京? It's me.", what="the text in the terminal")
    assert not typist.take_back(1) and told == [UNKNOWN_FOCUS]
    assert typed.read_text() == before + "Hello, world! Zoë 東京? It's me."


def test_pasting_puts_the_clipboard_back(typed: Path) -> None:
    before, nothing = typed.read_text(), subprocess.DEVNULL
    subprocess.run(["wl-copy", "mine"], check=True, stdout=nothing, stderr=nothing)
    Clipboard(None, KeyboardOptions(paste_key="ctrl+shift+v")).write("Zoë 東京")
    wait_for(lambda: typed.read_text() == before + "Zoë 東京", what="the text in the terminal")
    kept = subprocess.run(["wl-paste", "--no-newline"], capture_output=True, text=True, check=True)
    assert kept.stdout == "mine"
