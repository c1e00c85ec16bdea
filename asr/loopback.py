"""A virtual microphone: whatever is played into it is what a program hears.

A PulseAudio server of its own, without hardware, holds one null sink; PortAudio reads the sink's monitor through ALSA's
`pulse` device. `asr listen --latency`, `tools/latency.py` and the live tests listen to recordings through it, over the
same path as a real microphone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from asr.errors import AudioError

NEEDED = {"pulseaudio": "pulseaudio", "pactl": "pulseaudio-utils", "paplay": "pulseaudio-utils"}  # program: package
BUFFER_MS = 200  # of playing: bridges a busy computer; when the sound is heard is measured where it is heard


class LoopbackError(AudioError):
    """A virtual microphone that cannot be made here."""


class Loopback:
    """A private sound server with one virtual microphone, for the time of a `with` block.

    This process (and those it starts) hears it as the default input device: `PULSE_SERVER` is set and set back.
    """

    def __init__(self, rate: int = 48000) -> None:
        if missing := [program for program in NEEDED if shutil.which(program) is None]:
            packages = " ".join(dict.fromkeys(NEEDED[program] for program in missing))
            raise LoopbackError(f"{missing[0]} is not installed: a virtual microphone needs the package(s) {packages}.")
        self.rate = rate
        self._module = ""

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="asr-loopback-"))
        socket = self._directory / "native"
        # No hardware, no D-Bus, no shared memory: it starts as root in a container too.
        command = [
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
            "--disable-shm=yes",
        ]
        command += ["--log-level=error", "-L", f"module-native-protocol-unix auth-anonymous=1 socket={socket}"]
        private = {"XDG_RUNTIME_DIR": str(self._directory), "HOME": str(self._directory)}
        self._log = (self._directory / "log").open("wb")
        self._server = subprocess.Popen(command, env=os.environ | private, stdout=self._log, stderr=self._log)
        self._before = os.environ.get("PULSE_SERVER")
        os.environ["PULSE_SERVER"] = f"unix:{socket}"
        deadline = time.monotonic() + 10
        while subprocess.run(["pactl", "info"], capture_output=True).returncode:
            if self._server.poll() is not None or time.monotonic() > deadline:
                reason = (self._directory / "log").read_text(errors="replace").strip()[-300:]
                self.__exit__(None, None, None)
                raise LoopbackError(f"pulseaudio did not start ({reason}): try `pulseaudio -n -vv` to see why.")
            time.sleep(0.02)
        self.plug()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.terminate()
        self._server.wait()
        if self._before is None:
            del os.environ["PULSE_SERVER"]
        else:
            os.environ["PULSE_SERVER"] = self._before
        self._log.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def plug(self) -> None:
        """The microphone is there."""
        # norewinds: without it the sink renders two seconds at a time until somebody hurries it
        command = ["pactl", "load-module", "module-null-sink", f"rate={self.rate}", "channels=1", "norewinds=1"]
        loaded = subprocess.run(command, check=True, capture_output=True, text=True)
        self._module = loaded.stdout.strip()

    def unplug(self) -> None:
        """The microphone goes away, as when a cable is pulled."""
        subprocess.run(["pactl", "unload-module", self._module], check=True, capture_output=True)

    def play(self, recording: Path) -> subprocess.Popen[bytes]:
        """Say a recording into the microphone; it goes on while this returns."""
        return subprocess.Popen(
            ["paplay", f"--latency-msec={BUFFER_MS}", str(recording)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
