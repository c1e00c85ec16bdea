"""How listening looks: in a terminal, in a pipe, as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

from asr.live import Started, Update
from asr.microphone import Notice
from asr.results import Segment

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

METER_FLOOR_DB = -60.0
METER_CELLS = 12
METER_STEPS = " ▏▎▍▌▋▊▉█"
# What a terminal is told: erase from the start of this line to the end of the screen, ...
ERASE, UP, NO_WRAP, WRAP = "\r\x1b[J", "\x1b[A", "\x1b[?7l", "\x1b[?7h"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class PipeView:
    """Final sentences alone, one a line, each out at once; what happens to the device goes to stderr."""

    def __init__(self, out: TextIO, timestamps: bool = False) -> None:
        self._out = out
        self._timestamps = timestamps

    def started(self, started: Started) -> None:
        print(started_line(started), file=sys.stderr, flush=True)

    def update(self, update: Update) -> None:
        for segment in update.finals:
            print(line_of(segment, self._timestamps), file=self._out, flush=True)

    def notice(self, notice: Notice) -> None:
        print(notice.text, file=sys.stderr, flush=True)

    def close(self) -> None:
        pass


class JsonView:
    """One JSON object a line: `listening`, `notice`, and an update whenever the text has changed."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._partial = ""

    def started(self, started: Started) -> None:
        self._print({"listening": {"device": started.device, "rate": started.rate, "channels": started.channels}})

    def update(self, update: Update) -> None:
        partial = update.partial.text if update.partial else ""
        if not update.finals and partial == self._partial:
            return
        self._partial = partial
        self._print(
            {
                "final": [segment_object(segment) for segment in update.finals],
                "partial": partial,
                "position": round(update.position, 3),
                "level_db": round(update.level_db, 1),
                "lag": round(update.lag_seconds, 3),
            }
        )

    def notice(self, notice: Notice) -> None:
        self._print({"notice": notice.kind, "text": notice.text})

    def close(self) -> None:
        pass

    def _print(self, what: dict[str, object]) -> None:
        print(json.dumps(what, ensure_ascii=False), file=self._out, flush=True)


class TerminalView:
    """Final sentences scroll up; below them stand the tentative words and a line with level and lag, redrawn in place.

    The two lower lines are cut to the terminal's width, and the cursor rests (hidden) at their beginning. So whatever
    a terminal that becomes narrower makes of them lies behind the cursor, and erasing needs to count no rows: nothing
    is left behind, and no sentence above is touched.
    """

    def __init__(self, timestamps: bool = False, redraw_seconds: float = 0.1) -> None:
        from rich.console import Console

        self._console: Console = Console(highlight=False, soft_wrap=True)
        self._timestamps = timestamps
        self._redraw_seconds = redraw_seconds
        self._last_drawn = 0.0
        self._write(HIDE_CURSOR)

    def started(self, started: Started) -> None:
        self._above(self._styled(started_line(started), "green"))

    def update(self, update: Update) -> None:
        for segment in update.finals:
            self._above(self._styled(line_of(segment, self._timestamps), ""))
        now = time.monotonic()
        if not update.finals and now - self._last_drawn < self._redraw_seconds:
            return
        self._last_drawn = now
        tentative = update.partial.text if update.partial else ""
        lag = f"  {update.lag_seconds:.1f} s behind" if update.lag_seconds >= 0.3 else ""
        self._draw(
            [self._styled(tail(tentative, self._width), "dim"), self._styled(meter(update.level_db) + lag, "cyan")]
        )

    def notice(self, notice: Notice) -> None:
        self._above(self._styled(notice.text, "yellow"))

    def close(self) -> None:
        self._write(ERASE + SHOW_CURSOR)

    def leave(self) -> None:
        """Before the program is stopped, at any moment: past the buffer, which may be in use."""
        os.write(self._console.file.fileno(), (ERASE + SHOW_CURSOR).encode())

    def come_back(self) -> None:
        """After `leave`; the next update draws again."""
        os.write(self._console.file.fileno(), HIDE_CURSOR.encode())

    @property
    def _width(self) -> int:
        return max(1, self._console.size.width - 1)  # a full last column would wrap in some terminals

    def _styled(self, text: str, style: str) -> Text:
        from rich.text import Text

        return Text(text, style, end="")

    def _above(self, line: Text) -> None:
        self._write(ERASE)
        self._console.print(line, end="\n")

    def _draw(self, lines: list[Text]) -> None:
        for line in lines:
            line.truncate(self._width)
        with self._console.capture() as captured:
            self._console.print(*lines, sep="\n", end="")
        # No wrapping meanwhile: while a window is being resized, the width that we know may be an old one.
        self._write(ERASE + NO_WRAP + captured.get() + WRAP + "\r" + UP * (len(lines) - 1))

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()


def started_line(started: Started) -> str:
    channels = "" if started.channels == 1 else f", {started.channels} channels"
    return f"Listening to {started.device!r} at {started.rate} Hz{channels}. Ctrl-C ends."


def line_of(segment: Segment, timestamps: bool) -> str:
    return f"[{clock(segment.start)} - {clock(segment.end)}] {segment.text}" if timestamps else segment.text


def clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:d}:{minutes:02d}:{rest:04.1f}"


def segment_object(segment: Segment) -> dict[str, object]:
    words = [
        {"text": word.text, "start": word.start, "end": word.end, "confidence": word.confidence}
        | ({} if word.written is None else {"written": word.written})
        for word in segment.words
    ]
    return {"id": segment.id, "text": segment.text, "start": segment.start, "end": segment.end, "words": words}


def tail(text: str, width: int) -> str:
    """The end of `text`, in at most `width` characters."""
    return text if len(text) <= width else "…" + text[len(text) - width + 1 :]


def meter(level_db: float) -> str:
    """A bar for the level, from -60 dB to full scale."""
    filled = max(0.0, min(1.0, 1 - level_db / METER_FLOOR_DB)) * METER_CELLS
    whole = int(filled)
    part = METER_STEPS[int((filled - whole) * 8)] if whole < METER_CELLS else ""
    return f"|{(METER_STEPS[-1] * whole + part).ljust(METER_CELLS)}|"
