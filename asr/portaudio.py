"""PortAudio: which input devices there are, and their sound as blocks. The only module that talks to it.

The audio callback copies bytes into a queue and returns; whoever reads the queue does all the rest.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from asr.errors import AudioError

PORTAUDIO_MISSING = (
    "PortAudio is not installed: install libportaudio2 (Debian, Ubuntu) or portaudio (Fedora, Arch, Homebrew), and try "
    "again."
)
FALLBACK_RATES = (48000, 44100, 32000, 16000, 8000)  # tried where a device refuses the rate that it names
VIRTUAL_CHANNELS = 16  # a device that claims this many is a sound server: it mixes down itself


class MicrophoneError(AudioError):
    """An input device that is missing, busy or refuses to be opened."""


@dataclass(frozen=True, slots=True)
class Device:
    """An input device as PortAudio lists it."""

    number: int
    name: str
    channels: int
    rate: float  # Hz, native
    default: bool
    host: str  # the sound system: ALSA, Core Audio, ...


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """How a device is opened and when it counts as gone."""

    block_seconds: float = 0.02
    buffer_seconds: float = 0.1  # asked of the sound system: bridges a busy computer, delays nothing
    queue_seconds: float = 30.0  # heard but not yet read; what comes on top is dropped and counted
    lost_seconds: float = 1.0  # without a callback: the device is gone
    first_seconds: float = 5.0  # the same before the first callback (a headset may have to wake up)
    retry_seconds: float = 0.5  # between attempts to open a lost device again
    lag_seconds: float = 1.0  # unread sound that is worth a notice, and every further growth by as much
    notice_seconds: float = 10.0  # at most one notice of a kind in this time


@dataclass(frozen=True, slots=True)
class Block:
    """Sound as it came from the device."""

    samples: NDArray[np.int16]  # [frames, channels]
    rate: int
    captured: float  # time.monotonic() when the last sample was heard, by PortAudio's own clock
    received: float  # time.monotonic() when the callback got it


def devices() -> list[Device]:
    """The input devices there are now (PortAudio looks once, when it starts: see `refresh`)."""
    sounddevice = _sounddevice()
    default = sounddevice.default.device[0]
    hosts = [host["name"] for host in sounddevice.query_hostapis()]
    return [
        Device(
            number=number,
            name=str(info["name"]),
            channels=int(info["max_input_channels"]),
            rate=float(info["default_samplerate"]),
            default=number == default,
            host=str(hosts[info["hostapi"]]),
        )
        for number, info in enumerate(sounddevice.query_devices())
        if info["max_input_channels"] > 0
    ]


def refresh() -> None:
    """Look for devices again: closes every open stream of this process."""
    sounddevice = _sounddevice()
    sounddevice._terminate()
    sounddevice._initialize()


class Capture:
    """One PortAudio stream and the queue behind it."""

    def __init__(self, device: Device, channel: int | None, options: CaptureOptions, rate: int) -> None:
        self._options = options
        self._queue: queue.SimpleQueue[Block] = queue.SimpleQueue()
        self._written = self._read = 0  # frames; each has one writer
        self._overflows = self._dropped = 0  # counted by the callback
        self._taken = (0, 0)
        self._opened = time.monotonic()
        self._last_callback = 0.0
        needed = 1 if channel is None else channel + 1
        self.channels = needed if device.channels >= VIRTUAL_CHANNELS else device.channels
        wanted = (rate, int(device.rate)) if rate else (int(device.rate),)
        self.rate, self._stream = self._start(device, tuple(dict.fromkeys((*wanted, *FALLBACK_RATES))))
        self.latency = float(self._stream.latency)

    def _start(self, device: Device, rates: tuple[int, ...]) -> tuple[int, _RawStream]:
        sounddevice = _sounddevice()
        refusals: list[Exception] = []
        for rate in rates:
            self.rate = rate
            self._limit = int(self._options.queue_seconds * rate)
            try:
                stream: _RawStream = sounddevice.RawInputStream(
                    device=device.number,
                    samplerate=rate,
                    channels=self.channels,
                    dtype="int16",
                    blocksize=round(self._options.block_seconds * rate),
                    latency=self._options.buffer_seconds,
                    callback=self._callback,
                )
                stream.start()
            except (sounddevice.PortAudioError, ValueError) as error:
                refusals.append(error)
                continue
            return rate, stream
        raise MicrophoneError(f"{device.name!r} cannot be opened: {_why(refusals, rates)}")

    def _callback(self, data: memoryview, frames: int, times: _Times, status: _Status) -> None:
        now = time.monotonic()
        self._last_callback = now
        if status.input_overflow:
            self._overflows += 1
        if self._written - self._read > self._limit:
            self._dropped += 1
            return
        delay = max(0.0, times.currentTime - times.inputBufferAdcTime - frames / self.rate)
        samples = np.frombuffer(bytes(data), np.int16).reshape(frames, self.channels)
        self._written += frames
        self._queue.put(Block(samples, self.rate, now - delay, now))

    @property
    def waiting_frames(self) -> int:
        return self._written - self._read

    def get(self, timeout: float) -> Block | None:
        try:
            block = self._queue.get(timeout=timeout)
        except queue.Empty:
            return None
        self._read += len(block.samples)
        return block

    def take_losses(self) -> tuple[int, int]:
        now = (self._overflows, self._dropped)
        before, self._taken = self._taken, now
        return now[0] - before[0], now[1] - before[1]

    def is_gone(self) -> bool:
        if not self._stream.active:
            return True
        if not self._last_callback:
            return time.monotonic() - self._opened > self._options.first_seconds
        return time.monotonic() - self._last_callback > self._options.lost_seconds

    def close(self) -> None:
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)


HOST_ERROR, BAD_RATE, UNAVAILABLE = -9999, -9997, -9985  # PortAudio's numbers


def _why(refusals: Sequence[Exception], rates: Sequence[int]) -> str:
    """What is likely to be wrong with a device that refuses all these rates, and what to do."""
    others = [error for error in refusals if _code(error) != BAD_RATE]
    another = "choose another one of `asr microphones`."
    if not others:
        return f"it offers none of the rates {', '.join(map(str, rates))} Hz; {another}"
    code = _code(others[0])
    if code == HOST_ERROR:
        return f"it is probably unplugged or switched off; plug it in, or {another}"
    if code == UNAVAILABLE:
        return f"another program seems to use it; close that one, or {another}"
    return f"{others[0]}; close the program that uses it, or {another}"


def _code(error: Exception) -> object:
    """PortAudio's number for an error."""
    return error.args[1] if len(error.args) > 1 else None


class _Times:  # what PortAudio hands to a callback
    currentTime: float  # noqa: N815
    inputBufferAdcTime: float  # noqa: N815


class _Status:
    input_overflow: bool


class _RawStream:  # sounddevice has no types
    active: bool
    latency: float
    samplerate: float

    def start(self) -> None: ...
    def abort(self, ignore_errors: bool) -> None: ...
    def close(self, ignore_errors: bool) -> None: ...


@contextlib.contextmanager
def quiet_native_errors() -> Iterator[None]:
    """For commands: Python's own stderr goes on; what C libraries print there (ALSA, PortAudio) is dropped."""
    try:
        descriptor = os.dup(2)
    except OSError:  # no stderr at all
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    python_stderr: TextIO = sys.stderr
    ours = os.fdopen(os.dup(descriptor), "w", buffering=1, errors="backslashreplace")
    os.dup2(nowhere, 2)
    if python_stderr is sys.__stderr__:
        sys.stderr = ours
    try:
        yield
    finally:
        os.dup2(descriptor, 2)
        if sys.stderr is ours:
            sys.stderr = python_stderr
        ours.close()
        os.close(nowhere)
        os.close(descriptor)


def _sounddevice() -> ModuleType:
    """PortAudio's wrapper, imported when first needed: the import fails where the C library is missing."""
    try:
        import sounddevice
    except OSError as error:
        raise MicrophoneError(PORTAUDIO_MISSING) from error
    module: ModuleType = sounddevice
    return module
