"""`asr listen`: text of what is said, as it is said."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from asr.cli.expected import grammar_from, hotwords_from, words_from
from asr.cli.options import (
    endpoint_option,
    every_sound_option,
    grammar_option,
    hotwords_file_option,
    hotwords_option,
    model_option,
    no_second_reading_option,
    numbers_option,
    plain_option,
    types_option,
    words_option,
)
from asr.endpoint import Endpoint, endpoint_options
from asr.errors import AsrError
from asr.heap import share_one_heap
from asr.live import Attempts, ListenOptions, Started, Update
from asr.live import listen as listen_to
from asr.recognizer import Recognizer, make_transcript
from asr.results import Segment
from asr.writers import WRITERS, write_file

if TYPE_CHECKING:
    from asr.audio import Recording
    from asr.live import View
    from asr.microphone import Notice
    from asr.terminal import TerminalView

REPEAT_SECONDS = 1.0  # Ctrl-C pressed again within this time is one Ctrl-C
FILES = {"save", "record", "output"}  # notices of what could not be written
NORMAL = Endpoint()
SECONDS = click.FloatRange(0, min_open=True)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--device", metavar="NAME|NUMBER", help="Input device, as `asr microphones` lists it (default: its default)."
)
@click.option("--channel", type=click.IntRange(1), help="Only this channel, counted from 1 (default: all, mixed).")
@model_option
@plain_option
@every_sound_option
@numbers_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object per update.")
@click.option("--timestamps", is_flag=True, help="Start and end before each sentence.")
@endpoint_option
@click.option(
    "--nothing-said", type=float, metavar="S", help=f"Give up a segment without a word ({NORMAL.nothing_said:g})."
)
@click.option(
    "--silence-after-words", type=float, metavar="S", help=f"Ends a sentence ({NORMAL.silence_after_words:g})."
)
@click.option("--longest", type=float, metavar="S", help=f"A sentence is cut here at the latest ({NORMAL.longest:g}).")
@hotwords_option
@hotwords_file_option
@words_option
@grammar_option
@no_second_reading_option
@click.option("--until-silence", type=SECONDS, metavar="S", help="Hear one utterance: end after S seconds of silence.")
@click.option("--timeout", type=SECONDS, metavar="S", help="End after S seconds.")
@click.option("--save", type=FILE, help="Keep the stream's state here, every 10 s and at the end.")
@click.option(
    "--resume", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Go on from a saved state."
)
@click.option("--record", type=FILE, metavar="FILE.flac", help="Keep the sound.")
@click.option("-o", "--output", type=FILE, help="Write transcripts here; the type replaces the file's ending.")
@types_option
@click.option(
    "--latency",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="RECORDING",
    help="Play this through a virtual microphone and measure how late its words appear.",
)
def listen(
    device: str | None,
    channel: int | None,
    model: str | None,
    plain: bool,
    every_sound: bool,
    numbers: Literal["digits", "words"],
    as_json: bool,
    timestamps: bool,
    endpoint: str,
    nothing_said: float | None,
    silence_after_words: float | None,
    longest: float | None,
    hotwords: str | None,
    hotwords_file: Path | None,
    words: Path | None,
    grammar: str | None,
    no_second_reading: bool,
    until_silence: float | None,
    timeout: float | None,
    save: Path | None,
    resume: Path | None,
    record: Path | None,
    output: Path | None,
    types: list[str],
    latency: Path | None,
) -> None:
    """Text of what the microphone hears, as it is said.

    In a terminal, tentative words stand below the finished sentences; in a pipe there are finished sentences only.
    Ctrl-C ends: what was heard last is read and printed.
    """
    from asr.audio import Recording
    from asr.microphone import Microphone
    from asr.portaudio import quiet_native_errors

    refuse_as_files(record, output)
    if latency is not None:
        given = {
            "--device": device, "--channel": channel, "--record": record, "-o": output, "--save": save,
            "--resume": resume, "--timeout": timeout, "--until-silence": until_silence, "--json": as_json or None,
            "--timestamps": timestamps or None,
        }  # fmt: skip
        refuse_beside_latency([name for name, value in given.items() if value is not None])
    single = {"nothing_said": nothing_said, "silence_after_words": silence_after_words, "longest": longest}
    changes = {name: value for name, value in single.items() if value is not None}
    if resume is not None and (changes or endpoint != "normal" or grammar is not None or words or no_second_reading):
        kept = "the endpoint rules, the grammar, the words and the readings"
        raise AsrError(f"A resumed stream keeps {kept} that it was saved with: name none.")
    rules = endpoint_options(endpoint, **changes)
    share_one_heap()
    recognizer = Recognizer(model, plain=plain, numbers=numbers, every_sound=every_sound)
    favoured = hotwords_from(hotwords, hotwords_file)
    phrases = None if grammar is None else grammar_from(grammar)
    new_words = () if words is None else words_from(words)
    if latency is not None:
        from asr.latency import LatencyOptions, measure

        how = LatencyOptions(second_reading=not no_second_reading, hotwords=favoured, grammar=phrases, words=new_words)
        with quiet_native_errors():
            click.echo(measure(recognizer, [(latency, None)], rules, how).report())
        return
    if resume is not None:
        stream = recognizer.restore(resume.read_bytes())
        if favoured is not None:
            stream.hotwords = favoured
    else:
        stream = recognizer.stream(
            hotwords=favoured,
            grammar=phrases,
            words=new_words,
            endpoint=rules,
            second_reading=None if no_second_reading else "background",
        )
        click.echo(f"What ends a sentence: {rules}.", err=True)
    options = ListenOptions(as_json or sys.stdout.isatty(), 0.08, until_silence, timeout, save)
    transcripts = Transcripts(recognizer.model, output, types) if output else None
    stop = stop_at_signals()
    pick = None if channel is None else channel - 1
    with quiet_native_errors(), Microphone(device, channel=pick, rate=stream.rate) as microphone:
        recording = Recording(record, microphone.rate) if record else None
        view = choose_view(as_json, timestamps)
        told = show(listen_to(stream, microphone, options, stop, recording), view, transcripts, recording)
    if told & FILES:
        sys.exit(1)


def show(
    events: Iterable[Started | Update | Notice],
    view: View,
    transcripts: Transcripts | None,
    recording: Recording | None,
) -> set[str]:
    """Shows what comes, until it ends, and closes all; gives the kinds of the notices."""
    told: set[str] = set()

    def tell(notice: Notice | None) -> None:
        if notice is not None:
            told.add(notice.kind)
            view.notice(notice)

    try:
        for event in events:
            if isinstance(event, Started):
                view.started(event)
            elif isinstance(event, Update):
                view.update(event)
                tell(transcripts.add(event.finals, event.position) if transcripts else None)
            else:
                tell(event)
    finally:
        last = [transcripts.write() if transcripts else None]
        if recording:
            unclosed = Attempts("record").try_to(recording.close)
            last.append(None if "record" in told else unclosed)
        try:
            for notice in last:
                tell(notice)
        finally:
            view.close()
    return told


def refuse_as_files(record: Path | None, output: Path | None) -> None:
    if record is not None and record.suffix.lower() != ".flac":
        raise click.UsageError(f"--record writes FLAC: name a file that ends in .flac, not {record}")
    if record is not None and record.exists():
        raise AsrError(f"{record} exists already: choose another name.")
    named = click.get_current_context().get_parameter_source("types") is not ParameterSource.DEFAULT
    if named and output is None:
        raise click.UsageError("-t says what is written to -o: name a file with -o")


def refuse_beside_latency(given: Sequence[str]) -> None:
    if given:
        raise click.UsageError(f"--latency plays a recording and prints a table: leave out {', '.join(given)}")


def choose_view(as_json: bool, timestamps: bool) -> View:
    from asr.terminal import JsonView, PipeView, TerminalView

    if as_json:
        return JsonView(sys.stdout)
    if not sys.stdout.isatty():
        return PipeView(sys.stdout, timestamps)
    view = TerminalView(timestamps)
    leave_terminal_when_stopped(view)
    return view


def leave_terminal_when_stopped(view: TerminalView) -> None:
    """At Ctrl-Z the terminal gets its cursor back, until the program goes on."""
    if sys.platform == "win32":
        return

    def handle(number: int, frame: FrameType | None) -> None:
        view.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        view.come_back()

    signal.signal(signal.SIGTSTP, handle)


def stop_at_signals() -> threading.Event:
    """An event that Ctrl-C (or SIGTERM) sets; one that comes some time later ends the program at once."""
    stop = threading.Event()
    began = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal began
        if not stop.is_set():
            began = time.monotonic()
            stop.set()
            atexit.register(signal.signal, number, signal.SIG_IGN)  # Python takes handlers away before it is gone
        elif time.monotonic() - began > REPEAT_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop


class Transcripts:
    """Files that are written again, whole, whenever a sentence is finished.

    Once that takes long (hours of them), it is done less often: at most a twentieth of the time goes into it.
    Raises `AsrError` at the beginning where files of these names exist or cannot be written.
    """

    share = 0.05

    def __init__(self, model: str, output: Path, types: Sequence[str]) -> None:
        self._model = model
        self._files = {kind: output.with_suffix(f".{kind}") for kind in types}
        self._segments: list[Segment] = []
        self._position = 0.0
        self._not_before = 0.0
        self._attempts = Attempts("output")
        if present := [path for path in self._files.values() if path.exists()]:
            raise AsrError(f"{present[0]} exists already: choose another name for -o, or move that file away.")
        self._try_out()

    def add(self, finals: Sequence[Segment], position: float) -> Notice | None:
        """Takes what has become final; a notice where it cannot be written."""
        self._segments += finals
        self._position = position
        return self.write() if finals and time.monotonic() >= self._not_before else None

    def write(self) -> Notice | None:
        return self._attempts.try_to(self._write)

    def _try_out(self) -> None:
        """Writes once, and leaves nothing behind: what is never heard leaves no files."""
        try:
            self._write()
        finally:
            for path in self._files.values():
                with suppress(OSError):
                    path.unlink()

    def _write(self) -> None:
        began = time.monotonic()
        transcript = make_transcript(self._segments, self._position, self._model)
        for kind, path in self._files.items():
            write_file(path, WRITERS[kind](transcript, path.stem))
        ended = time.monotonic()
        self._not_before = ended + (ended - began) / self.share
