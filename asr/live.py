"""A microphone read by a stream: one loop that listening and measuring share."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.audio import Recording
from asr.doctor import level_db
from asr.errors import AsrError
from asr.microphone import Microphone, Notice, NoticeKind, to_mono
from asr.portaudio import Block
from asr.results import Segment
from asr.stream import Stream


@dataclass(frozen=True, slots=True)
class Started:
    """The first sound has really arrived."""

    device: str
    rate: int  # Hz
    channels: int


@dataclass(frozen=True, slots=True)
class Update:
    """What one step of listening brought."""

    finals: tuple[Segment, ...]  # each once, in order
    partial: Segment | None  # everything not final yet; None where nobody asked for it
    level_db: float  # of the newest sound; full scale is 0
    lag_seconds: float  # sound that was heard and not yet read
    position: float  # seconds of sound read so far
    heard: float  # time.monotonic() when the sound at `position` was captured
    at: float  # time.monotonic() of this update


@dataclass(frozen=True, slots=True)
class ListenOptions:
    partials: bool = True  # whether tentative words are wanted: they cost a decoder's step
    update_seconds: float = 0.08  # between two updates without final text
    until_silence: float | None = None  # seconds of silence after something was said that end it
    timeout: float | None = None  # seconds of listening that end it
    save: Path | None = None  # where the stream's state goes
    save_seconds: float = 10.0


class View(Protocol):
    """Something that shows what is heard."""

    def started(self, started: Started) -> None: ...
    def update(self, update: Update) -> None: ...
    def notice(self, notice: Notice) -> None: ...
    def close(self) -> None: ...


def listen(
    stream: Stream,
    microphone: Microphone,
    options: ListenOptions,
    stop: threading.Event,
    recording: Recording | None = None,
) -> Iterator[Started | Update | Notice]:
    """Feeds the open microphone to the stream until `stop` is set, or as `options` say; then reads the tail.

    The stream is finished afterwards. A device that was lost and came back goes on in the same stream. What cannot be
    written (state, recording) is no reason to stop: a notice says so. Raises AsrError where the state cannot be written
    at the beginning.
    """
    session = _Session(stream, microphone, options, recording)
    started = False
    while not stop.is_set() and not session.is_over():
        event = microphone.read()
        if isinstance(event, Block):
            if not started:
                started = True
                yield Started(microphone.device.name, microphone.rate, microphone.channels)
            if update := session.take(event):
                yield update
            session.save_if_due()
            yield from session.notices()
        elif event:
            yield event
    yield session.finish()
    yield from session.notices()


class Attempts:
    """Writing that may fail while listening goes on: the first of several failures in a row is worth a notice."""

    def __init__(self, kind: NoticeKind) -> None:
        self._kind = kind
        self._failing = False

    def try_to(self, write: Callable[[], None]) -> Notice | None:
        before, self._failing = self._failing, False
        try:
            write()
        except AsrError as error:
            self._failing = True
            return None if before else Notice(self._kind, str(error))
        return None


class _Session:
    def __init__(
        self, stream: Stream, microphone: Microphone, options: ListenOptions, recording: Recording | None
    ) -> None:
        self._stream = stream
        self._microphone = microphone
        self._options = options
        self._recording = recording
        self._heard = self._began = time.monotonic()
        self._last_update = self._last_save = self._began
        self._level = -100.0
        self._last_word: float | None = None  # seconds of the stream where the last word ended
        self._notices: list[Notice] = []
        self._saving, self._writing = Attempts("save"), Attempts("record")
        if options.save:
            self._save(options.save)  # where nothing can be written, better know it now

    def take(self, block: Block) -> Update | None:
        """Reads a block; an update where there is something final, or it is time for one."""
        finals = self._read(block)
        now = time.monotonic()
        if not finals and now - self._last_update < self._options.update_seconds:
            return None
        return self._update(finals)

    def save_if_due(self) -> None:
        """Keeps the state from time to time."""
        if time.monotonic() - self._last_save >= self._options.save_seconds:
            self._try_to_save()

    def notices(self) -> list[Notice]:
        """What went wrong since the last time."""
        notices, self._notices = self._notices, []
        return notices

    def is_over(self) -> bool:
        timeout, silence = self._options.timeout, self._options.until_silence
        if timeout is not None and time.monotonic() - self._began >= timeout:
            return True
        if silence is None or self._last_word is None:
            return False
        return self._stream.position - self._last_word >= silence

    def finish(self) -> Update:
        """Reads what was heard up to now and the tail."""
        finals: list[Segment] = []
        while self._microphone.lag_seconds > 0 and (event := self._microphone.read(0)):
            if isinstance(event, Block):
                finals += self._read(event)
        self._try_to_save()
        position = self._stream.position
        finals += self._stream.finish()
        return Update(tuple(finals), None, self._level, 0.0, position, self._heard, time.monotonic())

    def _read(self, block: Block) -> list[Segment]:
        samples = to_mono(block.samples, self._microphone.channel)
        self._record(samples)
        self._level = level_db(samples)
        self._heard = block.captured
        return self._stream.feed(samples, block.rate)

    def _update(self, finals: list[Segment]) -> Update:
        wanted = self._options.partials or self._options.until_silence is not None
        partial = self._stream.partial if wanted else None
        ends = [segment.words[-1].end for segment in (*finals, partial) if segment and segment.words]
        self._last_word = max([*ends, self._last_word or 0.0]) if ends else self._last_word
        self._last_update = time.monotonic()
        lag = self._microphone.lag_seconds
        return Update(tuple(finals), partial, self._level, lag, self._stream.position, self._heard, self._last_update)

    def _record(self, samples: NDArray[np.int16]) -> None:
        if (recording := self._recording) is None:
            return
        if notice := self._writing.try_to(lambda: recording.write(samples)):
            self._notices.append(notice)
            self._recording = None  # what came later would follow a gap

    def _try_to_save(self) -> None:
        if (path := self._options.save) is None:
            return
        if notice := self._saving.try_to(lambda: self._save(path)):
            self._notices.append(notice)
        self._last_save = time.monotonic()

    def _save(self, path: Path) -> None:
        """The stream's state, as a file that is whole at any moment."""
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(self._stream.save())
            part.replace(path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise AsrError(f"{path} cannot be written: {error.strerror}.") from error
