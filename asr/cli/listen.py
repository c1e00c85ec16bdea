"""`asr listen`: text of what is said, as it is said."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Literal

import click

from asr.cli.expected import grammar_from, hotwords_from, words_from
from asr.cli.options import (
    endpoint_option,
    every_sound_option,
    grammar_option,
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
from asr.recognizer import Recognizer, make_transcript
from asr.results import Segment
from asr.writers import WRITERS, write_file

if TYPE_CHECKING:
    from asr.live import View

NORMAL = Endpoint()
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
@words_option
@grammar_option
@no_second_reading_option
@click.option("--until-silence", type=float, metavar="S", help="Hear one utterance: end after S seconds of silence.")
@click.option("--timeout", type=float, metavar="S", help="End after S seconds.")
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
    from asr.live import ListenOptions, Started, Update
    from asr.live import listen as listen_to
    from asr.microphone import Microphone
    from asr.portaudio import quiet_native_errors

    if record is not None and record.exists():
        raise AsrError(f"{record} exists already: choose another name.")
    if latency is not None:
        given = {
            "--device": device, "--channel": channel, "--record": record, "-o": output, "--save": save,
            "--resume": resume, "--timeout": timeout, "--until-silence": until_silence, "--json": as_json or None,
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
    favoured = None if hotwords is None else hotwords_from(hotwords)
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
        try:
            for event in listen_to(stream, microphone, options, stop, recording):
                if isinstance(event, Started):
                    view.started(event)
                elif isinstance(event, Update):
                    view.update(event)
                    if transcripts:
                        transcripts.add(event.finals, event.position)
                else:
                    view.notice(event)
        finally:
            view.close()
            if transcripts:
                transcripts.write()
            if recording:
                recording.close()


def refuse_beside_latency(given: Sequence[str]) -> None:
    if given:
        raise click.UsageError(f"--latency plays a recording and prints a table: leave out {', '.join(given)}")


def choose_view(as_json: bool, timestamps: bool) -> View:
    from asr.terminal import JsonView, PipeView, TerminalView

    if as_json:
        return JsonView(sys.stdout)
    return TerminalView(timestamps) if sys.stdout.isatty() else PipeView(sys.stdout, timestamps)


def stop_at_signals() -> threading.Event:
    """An event that the first Ctrl-C (or SIGTERM) sets; the second one ends the program at once."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop


class Transcripts:
    """Files that are written again, whole, whenever a sentence is finished.

    Once that takes long (hours of them), it is done less often: at most a twentieth of the time goes into it.
    """

    share = 0.05

    def __init__(self, model: str, output: Path, types: Sequence[str]) -> None:
        self._model = model
        self._files = {kind: output.with_suffix(f".{kind}") for kind in types}
        self._segments: list[Segment] = []
        self._position = 0.0
        self._not_before = 0.0

    def add(self, finals: Sequence[Segment], position: float) -> None:
        self._segments += finals
        self._position = position
        if finals and time.monotonic() >= self._not_before:
            self.write()

    def write(self) -> None:
        began = time.monotonic()
        transcript = make_transcript(self._segments, self._position, self._model)
        for kind, path in self._files.items():
            write_file(path, WRITERS[kind](transcript, path.stem))
        ended = time.monotonic()
        self._not_before = ended + (ended - began) / self.share
