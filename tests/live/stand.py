"""What the live tests stand on: a loud virtual microphone, a desktop with windows, a terminal; and why they skip."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

PACKAGES = Path(__file__).with_name("packages.txt")


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skips where one of these programs is missing, and says what to install."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"{', '.join(missing)} not installed (apt install $(grep -v '#' {PACKAGES.name}))"
    )


def sound_missing() -> str:
    """Why nothing can be heard here, or ""."""
    for program in ("pulseaudio", "pactl", "paplay"):
        if shutil.which(program) is None:
            return f"{program} is not installed (pulseaudio, pulseaudio-utils): no virtual microphone"
    try:
        import sounddevice  # noqa: F401
    except OSError:
        return "PortAudio is not installed (libportaudio2): no microphone"
    if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        return "ALSA's pulse plugin is not installed (libasound2-plugins): PortAudio cannot hear PulseAudio"
    return ""


def write_wav(path: Path, samples: NDArray[np.float32], rate: int = 16000) -> Path:
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def wait_for(condition: Callable[[], object], seconds: float = 10, what: str = "the condition") -> None:
    """Until `condition` holds; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come true within {seconds} s")
        time.sleep(0.02)


@contextlib.contextmanager
def command(*arguments: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """`asr ARGUMENTS` as a process with pipes; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from asr.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


class Desktop:
    """An X server without a screen, with a window manager and the US layout."""

    programs = ("Xvfb", "openbox", "xdotool", "xterm", "setxkbmap")

    def __init__(self) -> None:
        reader, writer = os.pipe()
        self._server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writer), "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"],
            pass_fds=[writer],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(writer)
        with os.fdopen(reader) as numbers:
            self.display = f":{numbers.readline().strip()}"
        self.environment = {name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"}
        self.environment["DISPLAY"] = self.display
        subprocess.run(["setxkbmap", "us"], env=self.environment, check=True)
        self._clients = [self.start("openbox")]
        # a window that is made while the window manager starts may stay hidden for ever
        wait_for(lambda: self.xdotool("get_num_desktops") not in ("", "0"), what="the window manager")

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        nothing = subprocess.DEVNULL
        return subprocess.Popen(arguments, env=self.environment, stdin=nothing, stdout=nothing, stderr=nothing)

    def xdotool(self, *arguments: str) -> str:
        done = subprocess.run(["xdotool", *arguments], env=self.environment, capture_output=True, text=True)
        return done.stdout.strip()

    def terminal(self, title: str, typed: Path) -> int:
        """An xterm that writes what is typed into it to a file, once it has the focus. Gives its window."""
        script = f"stty -echo -icanon; exec cat > '{typed}'"
        self._clients.append(self.start("xterm", "-T", title, "-e", "sh", "-c", script))
        return self._focused(title)

    def entry(self, title: str, content: Path) -> int:
        """A text field of a toolkit (Tk), whose content is written to a file at each change. Gives its window."""
        script = (
            "import sys, tkinter, pathlib\n"
            "root = tkinter.Tk(); root.title(sys.argv[1]); text = tkinter.Text(root); text.pack(); text.focus_force()\n"
            "file = pathlib.Path(sys.argv[2])\n"
            "def keep(event=None):\n"
            "    file.write_text(text.get('1.0', 'end-1c')); text.edit_modified(False)\n"
            "text.bind('<<Modified>>', keep)\n"
            "root.mainloop()\n"
        )
        self._clients.append(self.start(sys.executable, "-c", script, title, str(content)))
        return self._focused(title)

    def focus(self, window: int) -> None:
        def focused() -> bool:
            self.xdotool("windowactivate", str(window))  # in vain until the window manager is there
            return self.active() == window

        wait_for(focused, what=f"the focus on window {window}")

    def active(self) -> int:
        return int(self.xdotool("getactivewindow") or 0)

    def close(self) -> None:
        for process in reversed(self._clients):
            process.kill()
            process.wait()
        self._server.terminate()
        self._server.wait()

    def _focused(self, title: str) -> int:
        def found() -> Sequence[str]:
            return self.xdotool("search", "--onlyvisible", "--name", f"^{title}$").split()

        wait_for(found, what=f"the window {title!r}")
        window = int(found()[-1])
        self.focus(window)
        return window
