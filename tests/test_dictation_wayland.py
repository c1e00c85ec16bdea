"""Typing under Wayland, into a terminal of a real compositor without a screen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live.stand import needs, wait_for

from asr.dictation.keyboards import Clipboard, KeyboardOptions, Wtype, choose, is_wayland
from asr.dictation.programs import KeyboardError
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


def copy(content: bytes, *options: str) -> None:
    nothing = subprocess.DEVNULL
    subprocess.run(["wl-copy", *options], input=content, check=True, stdout=nothing, stderr=nothing)


def pasted(*options: str) -> str:
    return subprocess.run(["wl-paste", *options], capture_output=True, text=True).stdout


def test_pasting_puts_the_clipboard_back(typed: Path) -> None:
    before = typed.read_text()
    clipboard = Clipboard(None, KeyboardOptions(paste_key="ctrl+shift+v"))
    clipboard.write("Zoë 東京")
    wait_for(lambda: typed.read_text() == before + "Zoë 東京", what="the text in the terminal")
    wait_for(lambda: not pasted("--list-types"), what="a clipboard that is as empty as before")
    copy("<svg>é</svg>\n".encode(), "--type", "text/plain")
    clipboard.write(" and")
    wait_for(lambda: typed.read_text() == before + "Zoë 東京 and", what="the text in the terminal")
    assert pasted("--no-newline") == "<svg>é</svg>\n"


def test_what_is_copied_while_a_text_is_pasted_stays(typed: Path) -> None:
    before = typed.read_text()
    copy(b"mine")
    clipboard = Clipboard(None, KeyboardOptions(paste_key="ctrl+shift+v", paste_seconds=2))
    pasting = threading.Thread(target=clipboard.write, args=["Zoë"])
    pasting.start()
    wait_for(lambda: typed.read_text() == before + "Zoë", what="the text in the terminal")
    copy(b"newer")
    pasting.join()
    assert pasted("--no-newline") == "newer"


@pytest.mark.parametrize("kind", ["image/png", "image/svg+xml"])
def test_a_picture_in_the_clipboard_is_not_destroyed(typed: Path, kind: str) -> None:
    before = typed.read_text()
    copy(b"<svg/>" if "svg" in kind else b"\x89PNG\xff", "--type", kind)
    with pytest.raises(KeyboardError, match="holds something other than text"):
        Clipboard(None, KeyboardOptions()).write("x")
    assert kind in pasted("--list-types") and typed.read_text() == before


def test_a_clipboard_whose_owner_hangs_is_named(typed: Path) -> None:
    nothing = subprocess.DEVNULL
    owner = subprocess.Popen(["wl-copy", "--foreground", "mine"], stdout=nothing, stderr=nothing)
    try:
        wait_for(lambda: pasted("--no-newline") == "mine", what="the clipboard")
        owner.send_signal(signal.SIGSTOP)
        with pytest.raises(KeyboardError, match="the program that holds the clipboard has stopped"):
            Clipboard(None, KeyboardOptions(clipboard_seconds=0.5)).write("x")
        owner.send_signal(signal.SIGCONT)
        assert pasted("--no-newline") == "mine"
    finally:
        owner.kill()
        owner.wait()
