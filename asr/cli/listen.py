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

from asr.cli.expected import grammar_from, hotwords_from
from asr.endpoint import PRESETS, Endpoint, endpoint_options
from asr.errors import AsrError
from asr.recognizer import Recognizer, make_transcript
from asr.results import Segment
from asr.writers import WRITERS, write_file

if TYPE_CHECKING:
    from asr.live import View

NORMAL = Endpoint()
FILE = click.Path(path_type=Path, dir_okay=False)


def _types(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    types = list(dict.fromkeys(name.strip().lower() for name in value.split(",") if name.strip()))
    if unknown := [name for name in types if name not in WRITERS]:
        raise click.BadParameter(f"{', '.join(unknown)}: take some of {', '.join(WRITERS)}.")
    return types


@click.command()
@click.option(
    "--device", metavar="NAME|NUMBER", help="Input device, as `asr microphones` lists it (default: its default)."
)
@click.option("--channel", type=click.IntRange(1), help="Only this channel, counted from 1 (default: all, mixed).")
@click.option("--model", metavar="DIR", help="Model directory, or the name of a shipped model.")
@click.option("--plain", is_flag=True, help="Bare words: no marks, capitals or figures.")
@click.option("--every-sound", is_flag=True, help="Words even where the sound is probably no speech.")
@click.option("--numbers", type=click.Choice(["digits", "words"]), default="digits", show_default=True, help="Numbers.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per update.")
@click.option("--timestamps", is_flag=True, help="Start and end before each sentence.")
@click.option(
    "--endpoint", type=click.Choice(list(PRESETS)), default="normal", show_default=True, help="When a sentence ends."
)
@click.option(
    "--nothing-said", type=float, metavar="S", help=f"Give up a segment without a word ({NORMAL.nothing_said:g})."
)
@click.option(
    "--silence-after-words", type=float, metavar="S", help=f"Ends a sentence ({NORMAL.silence_after_words:g})."
)
@click.option("--longest", type=float, metavar="S", help=f"A sentence is cut here at the latest ({NORMAL.longest:g}).")
@click.option("--hotwords", metavar="LIST|FILE", help='Words to expect: "hochreiter:6,lstm", or a file, one a line.')
@click.option(
    "--grammar", metavar="LIST|FILE", help='All that may be said: "yes|no|[unk]", or a file, a phrase a line.'
)
@click.option("--until-silence", type=float, metavar="S", help="Hear one utterance: end after S seconds of silence.")
@click.option("--timeout", type=float, metavar="S", help="End after S seconds.")
@click.option("--save", type=FILE, help="Keep the stream's state here, every 10 s and at the end.")
@click.option(
    "--resume", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Go on from a saved state."
)
@click.option("--record", type=FILE, metavar="FILE.flac", help="Keep the sound.")
@click.option("-o", "--output", type=FILE, help="Write transcripts here; the type replaces the file's ending.")
@click.option("-t", "--types", default="txt", callback=_types, help=f"Types of -o, some of {','.join(WRITERS)}.")
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
    grammar: str | None,
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
    single = {"nothing_said": nothing_said, "silence_after_words": silence_after_words, "longest": longest}
    changes = {name: value for name, value in single.items() if value is not None}
    if resume is not None and (changes or endpoint != "normal" or grammar is not None):
        raise AsrError("A resumed stream keeps the endpoint rules and the grammar that it was saved with: name none.")
    rules = endpoint_options(endpoint, **changes)
    recognizer = Recognizer(model, plain=plain, numbers=numbers, every_sound=every_sound)
    if latency is not None:
        from asr.latency import measure

        with quiet_native_errors():
            click.echo(measure(recognizer, [(latency, None)], endpoint=rules).report())
        return
    if resume is not None:
        stream = recognizer.restore(resume.read_bytes())
        if hotwords is not None:
            stream.hotwords = hotwords_from(hotwords)
    else:
        phrases = grammar_from(grammar) if grammar is not None else None
        expected = hotwords_from(hotwords) if hotwords is not None else None
        stream = recognizer.stream(hotwords=expected, grammar=phrases, endpoint=rules)
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
