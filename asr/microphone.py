"""Input devices and capture: the only module that talks to PortAudio.

The audio callback copies bytes into a queue and returns; everything else (mixing down, resampling, the model) happens
in the thread that reads. A device that goes away is noticed, waited for and opened again.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType, TracebackType
from typing import Literal, Self, TextIO

import numpy as np
from numpy.typing import NDArray

from asr.errors import AudioError

PORTAUDIO_MISSING = (
    "PortAudio is not installed: install libportaudio2 (Debian, Ubuntu) or portaudio (Fedora, Arch, Homebrew), and try "
    "again."
)
NO_INPUT = (
    "No input device was found: plug in a microphone; where PulseAudio or PipeWire runs, install libasound2-plugins "
    "(Debian, Ubuntu) or alsa-plugins-pulseaudio (Fedora), then look again with `asr microphones`."
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


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should know, in one line."""

    kind: Literal["overflow", "lag", "lost", "back", "save"]
    text: str


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


def find_device(wanted: str | int | None = None) -> Device:
    """The device of that number, of that name or whose name holds `wanted`; None: the default.

    Raises MicrophoneError where there is none or more than one.
    """
    present = devices()
    if not present:
        raise MicrophoneError(NO_INPUT)
    if wanted is None:
        return next((device for device in present if device.default), present[0])
    if isinstance(wanted, int) or wanted.isdecimal():
        matches = [device for device in present if device.number == int(wanted)]
    else:
        matches = [device for device in present if device.name == wanted] or [
            device for device in present if wanted.lower() in device.name.lower()
        ]
    if len(matches) == 1:
        return matches[0]
    names = ", ".join(f"{device.number} {device.name!r}" for device in (matches or present))
    reason = "fits more than one input device" if matches else "is no input device"
    raise MicrophoneError(f"{wanted!r} {reason}; choose one of: {names}.")


def refresh() -> None:
    """Look for devices again: closes every open stream of this process."""
    sounddevice = _sounddevice()
    sounddevice._terminate()
    sounddevice._initialize()


def to_mono(samples: NDArray[np.int16], channel: int | None = None) -> NDArray[np.int16]:
    """[frames, channels] to [frames]: one channel (from 0) or the mean of all, rounded."""
    if channel is not None:
        return samples[:, channel]
    if samples.shape[1] == 1:
        return samples[:, 0]
    mixed: NDArray[np.int16] = np.rint(samples.mean(axis=1)).astype(np.int16)
    return mixed


class Microphone:
    """An open input device: `read` gives blocks and notices, in order, until `close`.

    One at a time in a process (finding a device again restarts PortAudio). Use it as a context manager, or call
    `open` and `close`.
    """

    def __init__(
        self,
        device: str | int | None = None,
        *,
        channel: int | None = None,
        rate: int | None = None,
        options: CaptureOptions | None = None,
    ) -> None:
        """`device` as in `find_device`, `channel` from 0, `rate` in Hz (default: the device's own)."""
        self.options = options or CaptureOptions()
        self.channel = channel
        self.device = find_device(device)
        self.rate = rate or 0  # Hz, granted
        self.channels = 0  # granted
        self.latency = 0.0  # seconds, granted
        self.dropped_blocks = 0  # because nobody read them
        self.overflows = 0  # reported by the sound system
        self._named = device is not None
        self._capture: _Capture | None = None
        self._lost_at: float | None = None
        self._next_try = 0.0
        self._limits = {kind: _Limit(self.options.notice_seconds) for kind in ("overflow", "lag")}
        self._reported_losses = 0
        self._reported_lag = 0.0
        if channel is not None and not 0 <= channel < self.device.channels:
            raise MicrophoneError(
                f"There is no channel {channel + 1}: {self.device.name!r} has {self.device.channels}."
            )

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def lag_seconds(self) -> float:
        """How much sound was heard and not yet read."""
        return self._capture.waiting_frames / self.rate if self._capture and self.rate else 0.0

    def open(self) -> None:
        """Start to capture, at the same rate as before where it was open before (a stream has one rate for its life).

        Raises MicrophoneError where the device refuses.
        """
        self._capture = _Capture(self.device, self.channel, self.options, self.rate)
        self.rate, self.channels, self.latency = self._capture.rate, self._capture.channels, self._capture.latency

    def reopen(self) -> None:
        """Look for the device again, by its name (or for the default one), and start to capture.

        Raises MicrophoneError where it is not there or refuses.
        """
        self.close()
        refresh()
        self.device = find_device(self.device.name if self._named else None)
        self.open()

    @property
    def is_open(self) -> bool:
        """Whether it captures, or waits for a lost device to come back."""
        return self._capture is not None or self._lost_at is not None

    def close(self) -> None:
        """Stop; what was heard and not yet read is gone."""
        self._lost_at = None
        if self._capture is not None:
            self._capture.close()
            self._capture = None

    def read(self, timeout: float = 0.1) -> Block | Notice | None:
        """The next block or notice; None where nothing came within `timeout` seconds."""
        if self._capture is None:
            return self._wait_for_return(timeout)
        if notice := self._losses() or self._lag():
            return notice
        if block := self._capture.get(timeout):
            return block
        if self._capture.is_gone():
            self.close()
            self._lost_at = time.monotonic()
            return Notice("lost", f"{self.device.name!r} has stopped giving sound: waiting for it to come back.")
        return None

    def _wait_for_return(self, timeout: float) -> Notice | None:
        if self._lost_at is None:
            raise MicrophoneError(f"{self.device.name!r} is not open: call open() first.")
        pause = self._next_try - time.monotonic()
        if pause > 0:
            time.sleep(min(timeout, pause))
            return None
        self._next_try = time.monotonic() + self.options.retry_seconds
        lost_at = self._lost_at
        try:
            self.reopen()
        except MicrophoneError:
            self._lost_at = lost_at
            return None
        away = time.monotonic() - lost_at
        return Notice("back", f"{self.device.name!r} is back after {away:.1f} s.")

    def _losses(self) -> Notice | None:
        assert self._capture is not None
        new_overflows, new_dropped = self._capture.take_losses()
        self.overflows += new_overflows
        self.dropped_blocks += new_dropped
        losses = self.overflows + self.dropped_blocks
        if losses == self._reported_losses or not self._limits["overflow"].passes():
            return None
        count, self._reported_losses = losses - self._reported_losses, losses
        return Notice("overflow", f"Sound was lost ({count} blocks): this computer is too busy to keep up.")

    def _lag(self) -> Notice | None:
        lag = self.lag_seconds
        if lag < self.options.lag_seconds / 2:
            self._reported_lag = 0.0
        if lag < self._reported_lag + self.options.lag_seconds or not self._limits["lag"].passes():
            return None
        self._reported_lag = lag
        return Notice("lag", f"Recognition is {lag:.1f} s behind the microphone and falling further back.")


class _Capture:
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
        self.rate, self._stream = self._start(device, (rate,) if rate else (int(device.rate), *FALLBACK_RATES))
        self.latency = float(self._stream.latency)

    def _start(self, device: Device, rates: tuple[int, ...]) -> tuple[int, _RawStream]:
        sounddevice = _sounddevice()
        refusal: Exception | None = None
        for rate in dict.fromkeys(rates):
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
                refusal = error
                continue
            return rate, stream
        raise MicrophoneError(
            f"{device.name!r} cannot be opened ({refusal}): close the program that uses it, or choose another one of "
            "`asr microphones`."
        )

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


@dataclass(slots=True)
class _Limit:
    """Lets one notice of a kind through in a time."""

    every_seconds: float
    _last: float = field(default=float("-inf"))

    def passes(self) -> bool:
        now = time.monotonic()
        if now - self._last < self.every_seconds:
            return False
        self._last = now
        return True


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
