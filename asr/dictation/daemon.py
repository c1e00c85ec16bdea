"""The running dictation: commands from the socket, sound from the microphone, text to the typist."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from asr.dictation.config import ConfigError
from asr.dictation.control import Answer, Request
from asr.dictation.spoken import Phrases, Rendered, render
from asr.dictation.typist import Typist
from asr.errors import AsrError
from asr.microphone import Microphone, to_mono
from asr.portaudio import Block, MicrophoneError
from asr.results import Segment, Word
from asr.stream import Stream

Phase = Literal["waiting", "dictating", "suspended"]
NO_SOUND = "Waiting for the microphone: it is open and gives no sound yet."


@dataclass(frozen=True, slots=True)
class DictationOptions:
    tentative: Literal["hold", "type"] = "hold"  # whether words that may still change are typed
    pre_roll: float = 0.0  # seconds of sound kept from before `begin`; 0: the microphone is closed until then
    silent_seconds: float = 2.0  # without a first sound, whoever said `begin` is told so
    tail_seconds: float = 0.3  # at `end`, wait at most so long for sound that is under way
    idle_seconds: float = 0.2  # between looks at the desktop while nothing is dictated
    read_seconds: float = 0.05
    show_seconds: float = 0.08  # between two looks at the tentative words


@dataclass(slots=True)
class _Pending:
    """A command that is under way."""

    request: Request | None
    phase: Phase  # what it leads to
    since: float  # time.monotonic()
    told: bool = False  # that it takes long


class Dictation:
    """Owns the stream and the microphone of a dictation. `report` is told what the user should know."""

    def __init__(
        self,
        stream: Stream,
        microphone: Microphone,
        typist: Typist,
        phrases: Phrases,
        options: DictationOptions,
        report: Callable[[str], None],
    ) -> None:
        self.phase: Phase = "waiting"
        self._stream = stream
        self._microphone = microphone
        self._typist = typist
        self._phrases = phrases
        self._options = options
        self._report = report
        self._said: list[str] = []  # the final texts since `begin`
        self._before: deque[Block] = deque()  # sound from before `begin`
        self._starting: _Pending | None = None  # waits for its first sound
        self._ending: _Pending | None = None  # waits for the last sound
        self._last_shown = 0.0

    def run(self, requests: queue.SimpleQueue[Request], stop: threading.Event, begin: bool = True) -> None:
        """Serves commands until `stop` is set or `quit` comes; what is being said then is still typed."""
        if begin:
            self._begin(None)
        elif self._options.pre_roll:
            self._open()
        while not stop.is_set():
            if self._microphone.is_open:
                self._listen()
                self._take_requests(requests, stop)
            else:
                self._typist.context()  # sees when somebody types or the focus moves
                self._take_requests(requests, stop, self._options.idle_seconds)
        if self.phase == "dictating":
            self._end(None, "waiting")
            while self._ending is not None:
                self._listen()
        self._microphone.close()
        self._stream.finish()

    # Commands

    def _take_requests(self, requests: queue.SimpleQueue[Request], stop: threading.Event, wait: float = 0.0) -> None:
        try:
            request = requests.get(timeout=wait) if wait else requests.get_nowait()
        except queue.Empty:
            return
        try:
            self._obey(request, stop)
        except AsrError as error:
            request.answer({"error": str(error)})

    def _obey(self, request: Request, stop: threading.Event) -> None:
        command = request.command
        if command == "toggle":
            command = "end" if self.phase == "dictating" else "resume" if self.phase == "suspended" else "begin"
        if self._ending is not None and command in ("begin", "resume", "end", "suspend"):
            request.answer(self._answer())
        elif command in ("begin", "resume") and self.phase != "dictating":
            self._begin(request)
        elif command == "end" and self.phase == "dictating":
            self._end(request, "waiting")
        elif command == "suspend" and self.phase == "dictating":
            self._end(request, "suspended")
        elif command == "end" and self.phase == "suspended":
            self._stop("waiting")
            request.answer(self._answer())
        elif command == "cancel" and self.phase != "waiting":
            self._cancel()
            request.answer(self._answer())
        else:
            if command == "quit":
                stop.set()
            request.answer(self._answer())

    def _answer(self, since: float | None = None) -> Answer:
        answer: Answer = {"state": self.phase, "text": "".join(self._said)}
        if since is not None:
            answer["milliseconds"] = round((time.monotonic() - since) * 1000)
        return answer

    def _begin(self, request: Request | None) -> None:
        since = time.monotonic()
        if self.phase == "waiting":
            self._said = []
        self._open()
        self.phase = "dictating"
        self._starting = _Pending(request, "dictating", since)
        while self._before:
            self._hear(self._before.popleft())

    def _open(self) -> None:
        if self._microphone.is_open:
            return
        try:
            self._microphone.open()
        except MicrophoneError:  # perhaps it was plugged in again since
            self._microphone.reopen()

    def _end(self, request: Request | None, phase: Phase) -> None:
        self._ending = _Pending(request, phase, time.monotonic())

    def _cancel(self) -> None:
        """Drops what is not final and takes back what was typed of it."""
        self._stop("waiting")
        self._stream.end_segment()
        self._typist.discard()

    def _stop(self, phase: Phase) -> None:
        self.phase = phase
        for pending in (self._starting, self._ending):
            if pending and pending.request:
                pending.request.answer(self._answer())
        self._starting = self._ending = None
        if phase == "waiting" and self._options.pre_roll:
            self._open()
        else:
            self._microphone.close()

    # Sound

    def _listen(self) -> None:
        event = self._microphone.read(self._options.read_seconds)
        if isinstance(event, Block):
            if self.phase == "dictating":
                self._hear(event)
            else:
                self._keep(event)
        elif event is not None:
            self._report(event.text)
        if (starting := self._starting) and time.monotonic() - starting.since > self._options.silent_seconds:
            self._tell_of_silence(starting)
        if (ending := self._ending) and self._heard_all(ending, event if isinstance(event, Block) else None):
            self._ending = None
            self._write(self._stream.end_segment())
            self._stop(ending.phase)
            if ending.request:
                ending.request.answer(self._answer(ending.since))

    def _tell_of_silence(self, starting: _Pending) -> None:
        """The microphone is open and gives no sound (it is switched off, or its sound server suspends it)."""
        if not starting.told:
            self._report(NO_SOUND)
            starting.told = True
        if starting.request:
            starting.request.answer(self._answer(starting.since) | {"notice": NO_SOUND})
            starting.request = None

    def _heard_all(self, ending: _Pending, block: Block | None) -> bool:
        if block is not None and block.captured >= ending.since:
            return True
        return time.monotonic() - ending.since > self._options.tail_seconds

    def _keep(self, block: Block) -> None:
        """Sound from before `begin`: the last seconds of it."""
        self._before.append(block)
        while sum(len(kept.samples) for kept in self._before) > self._options.pre_roll * block.rate:
            self._before.popleft()

    def _hear(self, block: Block) -> None:
        if self._starting is not None:
            starting, self._starting = self._starting, None
            if starting.request:
                starting.request.answer(self._answer(starting.since))
            self._report("Listening.")
        finals = self._stream.feed(to_mono(block.samples, self._microphone.channel), block.rate)
        if finals:
            self._write(finals)
        elif self._options.tentative == "type" and time.monotonic() - self._last_shown >= self._options.show_seconds:
            self._show()

    # Text

    def _write(self, finals: Sequence[Segment]) -> None:
        for i, segment in enumerate(finals):
            self._settle(segment.words, [word for later in finals[i + 1 :] for word in later.words])

    def _settle(self, words: Sequence[Word], rest: Sequence[Word]) -> None:
        """Writes final words, and after them what is tentative."""
        pieces = list(self._typist.context())
        rendered = self._render(words, pieces)
        with self._reporting(rendered.text):
            taken, erased = rendered.taken, rendered.erased
            if (taken or erased) and self._typist.take_back(taken, erased):
                del self._said[max(0, len(self._said) - taken) :]
                if erased and self._said:
                    self._said[-1] = self._said[-1][:-erased]
            tentative = ""
            if self._options.tentative == "type":
                following = [*rest, *self._stream.partial.words]
                tentative = self._render(following, [*self._typist.context(), rendered.text]).text
            if rendered.text or self._typist.tentative:
                self._typist.settle(rendered.text, tentative)
        if rendered.text:
            self._said.append(rendered.text)

    def _show(self) -> None:
        """Types what is tentative."""
        self._last_shown = time.monotonic()
        rendered = self._render(self._stream.partial.words, self._typist.context())
        with self._reporting():
            self._typist.show(rendered.text)

    def _render(self, words: Sequence[Word], pieces: Sequence[str]) -> Rendered:
        try:
            return render(words, pieces, self._phrases)
        except ConfigError as error:  # the user's hook: what was said must not be lost by it
            self._report(str(error))
            return render(words, pieces, replace(self._phrases, hook=None))

    @contextlib.contextmanager
    def _reporting(self, final: str = "") -> Iterator[None]:
        """Says why typing failed, and the final text, which is in no window now."""
        try:
            yield
        except AsrError as error:
            self._typist.forget()
            self._report(f"{error} Final text: {final.strip()!r}." if final.strip() else str(error))
