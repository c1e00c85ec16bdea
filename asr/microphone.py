"""A microphone: a device found by name or number, whose sound goes on when the device goes away and comes back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from asr.audio import Resampler, as_float
from asr.portaudio import Block, Capture, CaptureOptions, Device, MicrophoneError, devices, refresh

NO_INPUT = (
    "No input device was found: plug in a microphone; where PulseAudio or PipeWire runs, install libasound2-plugins "
    "(Debian, Ubuntu) or alsa-plugins-pulseaudio (Fedora), then look again with `asr microphones`."
)

NoticeKind = Literal["overflow", "lag", "lost", "back", "save", "record", "output"]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should know, in one line."""

    kind: NoticeKind  # the last three: the stream's state, the recording, transcripts cannot be written
    text: str


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
        matches = _fitting(wanted, present)
    if len(matches) == 1:
        return matches[0]
    names = ", ".join(f"{device.number} {device.name!r}" for device in (matches or present))
    reason = "fits more than one input device" if matches else "is no input device"
    raise MicrophoneError(f"{wanted!r} {reason}; choose one of: {names}.")


def find_again(device: Device, wanted: str | int) -> Device:
    """A device that was away, by its name or else by what was `wanted`; of several the one that has its old number.

    Raises MicrophoneError where it is not there.
    """
    present = devices()
    matches = [one for one in present if one.name == device.name]
    if not matches and isinstance(wanted, str) and not wanted.isdecimal():
        matches = _fitting(wanted, present)
    if not matches:
        raise MicrophoneError(f"{device.name!r} is not there: plug it in.")
    return next((one for one in matches if one.number == device.number), matches[0])


def _fitting(name: str, present: Sequence[Device]) -> list[Device]:
    """The devices of that name, or else those whose name holds it."""
    return [device for device in present if device.name == name] or [
        device for device in present if name.lower() in device.name.lower()
    ]


def to_mono(samples: NDArray[np.int16], channel: int | None = None) -> NDArray[np.int16]:
    """[frames, channels] to [frames]: one channel (from 0) or the mean of all, rounded; that too where there is no
    such channel, for a device may come back with fewer of them."""
    if channel is not None and channel < samples.shape[1]:
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
        """`device` as in `find_device`, `channel` from 0, `rate` of the blocks in Hz (default: the device's own)."""
        self.options = options or CaptureOptions()
        self.channel = channel
        self.device = find_device(device)
        self.rate = rate or 0  # Hz, of every block; 0: not known before it is open
        self.channels = 0  # granted
        self.latency = 0.0  # seconds, granted
        self.dropped_blocks = 0  # because nobody read them
        self.overflows = 0  # reported by the sound system
        self._wanted = device
        self._capture: Capture | None = None
        self._resampler: Resampler | None = None  # where the device refuses `rate`
        self._lost_at: float | None = None  # and not heard since
        self._first: Block | None = None  # heard since; to be read next
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
        return self._capture.waiting_frames / self._capture.rate if self._capture else 0.0

    def open(self) -> None:
        """Start to capture. Blocks have the same rate as before where it was open before (a stream has one rate for
        its life); they are resampled where the device refuses it.

        Raises MicrophoneError where the device refuses.
        """
        capture = self._capture = Capture(self.device, self.channel, self.options, self.rate)
        self.rate = self.rate or capture.rate
        self.channels, self.latency = capture.channels, capture.latency
        self._resampler = None
        if capture.rate != self.rate:
            self._resampler = Resampler(capture.rate, self.rate, self.options.block_seconds)

    def reopen(self) -> None:
        """Look for the device again, by its name (or for the default one), and start to capture.

        Raises MicrophoneError where it is not there or refuses.
        """
        self.close()
        refresh()
        self.device = find_device() if self._wanted is None else find_again(self.device, self._wanted)
        self.open()

    @property
    def is_open(self) -> bool:
        """Whether it captures, or waits for a lost device to come back."""
        return self._capture is not None or self._lost_at is not None

    def close(self) -> None:
        """Stop; what was heard and not yet read is gone."""
        self._lost_at = self._first = None
        if self._capture is not None:
            self._capture.close()
            self._capture = None

    def read(self, timeout: float = 0.1) -> Block | Notice | None:
        """The next block or notice; None where nothing came within `timeout` seconds."""
        if self._capture is None:
            self._try_to_reopen(timeout)
            return None
        if self._first is not None:
            first, self._first = self._first, None
            return self._at_rate(first)
        if notice := self._losses() or self._lag():
            return notice
        if block := self._capture.get(timeout):
            return self._at_rate(block) if self._lost_at is None else self._back(self._lost_at, block)
        return self._lost() if self._capture.is_gone() else None

    def _at_rate(self, block: Block) -> Block:
        """The block at the rate that all have; one that was resampled has one channel."""
        if (resampler := self._resampler) is None:
            return block
        resampled = resampler.feed(as_float(to_mono(block.samples, self.channel)))
        samples = np.clip(np.rint(resampled * 32768), -32768, 32767).astype(np.int16)
        return Block(samples[:, None], self.rate, block.captured - resampler.waiting / resampler.rate, block.received)

    def _lost(self) -> Notice | None:
        """Lets the device go; a notice, but for one that was opened again and never heard."""
        lost_at = self._lost_at
        self.close()
        self._lost_at = lost_at or time.monotonic()
        if lost_at is not None:
            return None
        return Notice("lost", f"{self.device.name!r} has stopped giving sound: waiting for it to come back.")

    def _back(self, lost_at: float, first: Block) -> Notice:
        self._lost_at, self._first = None, first
        text = f"{self.device.name!r} is back after {time.monotonic() - lost_at:.1f} s"
        if self.channel is not None and self.channel >= self.channels:
            return Notice("back", f"{text}, without channel {self.channel + 1}: what it has is mixed.")
        return Notice("back", f"{text}.")

    def _try_to_reopen(self, timeout: float) -> None:
        if self._lost_at is None:
            raise MicrophoneError(f"{self.device.name!r} is not open: call open() first.")
        pause = self._next_try - time.monotonic()
        if pause > 0:
            time.sleep(min(timeout, pause))
            return
        self._next_try = time.monotonic() + self.options.retry_seconds
        lost_at = self._lost_at
        with suppress(MicrophoneError):
            self.reopen()
        self._lost_at = lost_at

    def _losses(self) -> Notice | None:
        assert self._capture is not None
        new_overflows, new_dropped = self._capture.take_losses()
        self.overflows += new_overflows
        self.dropped_blocks += new_dropped
        losses = self.overflows + self.dropped_blocks
        if losses == self._reported_losses or not self._limits["overflow"].passes():
            return None
        count, self._reported_losses = losses - self._reported_losses, losses
        reason = "this computer is too busy, or whatever reads the output is slow"
        return Notice("overflow", f"Sound was lost ({count} blocks): {reason}.")

    def _lag(self) -> Notice | None:
        lag = self.lag_seconds
        if lag < self.options.lag_seconds / 2:
            self._reported_lag = 0.0
        if lag < self._reported_lag + self.options.lag_seconds or not self._limits["lag"].passes():
            return None
        self._reported_lag = lag
        return Notice("lag", f"Recognition is {lag:.1f} s behind the microphone and falling further back.")


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
