"""`asr transcribe`: text of recordings."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TextIO

import click

from asr.audio import Audio
from asr.cli.expected import grammar_from, hotwords_from, words_from
from asr.cli.options import (
    SoundPath,
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
from asr.cli.transcripts import STDIN, Ledger, Work, digest, find_recordings, plan, still_to_do
from asr.errors import AsrError, AudioError
from asr.network import read_config
from asr.recognizer import Recognizer, StreamOptions, find_model, make_transcript
from asr.results import Segment, Transcript
from asr.writers import WRITERS, to_txt, write_file

ONE_RECORDING = ("srt", "vtt", "tsv", "textgrid")  # what cannot be told apart where it follows one another


@click.command(short_help="Text of recordings.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=SoundPath())
@types_option
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write DIR/<stem>.<type> files.")
@click.option("--force", is_flag=True, help="Do again what the output folder already has.")
@click.option("--stream", is_flag=True, help="Print text while it is decoded, a segment a line.")
@click.option("--channel", type=click.IntRange(1), metavar="N", help="Only this channel, from 1 (default: all, mixed).")
@click.option("--channels", type=click.Choice(["mix", "separate"]), help="All channels mixed, or each by itself.")
@click.option("--raw-rate", type=click.IntRange(1000), metavar="HZ", help="Input is raw 16-bit little-endian PCM.")
@click.option("--raw-channels", type=click.IntRange(1, 64), default=1, show_default=True, help="Channels of raw PCM.")
@click.option("--jobs", type=click.IntRange(1), help="Files at once (default: one for each processor core).")
@endpoint_option
@hotwords_option
@hotwords_file_option
@words_option
@grammar_option
@click.option(
    "--nbest", type=click.IntRange(1, 1000), default=1, metavar="N", help="Readings of each segment, in json."
)
@no_second_reading_option
@plain_option
@every_sound_option
@numbers_option
@model_option
def transcribe(
    paths: tuple[Path, ...],
    types: list[str],
    output: Path | None,
    force: bool,
    stream: bool,
    channel: int | None,
    channels: str | None,
    raw_rate: int | None,
    raw_channels: int,
    jobs: int | None,
    endpoint: str,
    hotwords: str | None,
    hotwords_file: Path | None,
    words: Path | None,
    grammar: str | None,
    nbest: int,
    no_second_reading: bool,
    plain: bool,
    every_sound: bool,
    numbers: Literal["digits", "words"],
    model: str | None,
) -> None:
    """Text of recordings: files, folders (all audio in them), - for standard input.

    wav, flac, ogg, opus, mp3 at any rate; m4a, aac, webm, mp4 and others where the ffmpeg program is installed.
    Without -o the text goes to standard output.

    With -o, a recording that has its transcripts there, from the same file, model and options, is skipped.
    """
    if channel is not None and channels is not None:
        raise click.UsageError("Take --channel or --channels, not both.")
    refuse_what_cannot_be_shown(output, types, stream, nbest)
    pick: int | Literal["separate"] | None = "separate" if channels == "separate" else None
    if channel is not None:
        pick = channel - 1
    options = StreamOptions(
        hotwords=hotwords_from(hotwords, hotwords_file) or {},
        grammar=None if grammar is None else grammar_from(grammar),
        words=words_from(words) if words else (),
        endpoint=endpoint,
        nbest=nbest,
        second_reading=None if no_second_reading else "inline",
    )
    ledger = None
    if output is not None:
        described = read_config(find_model(model))
        ledger = Ledger(output, digest([described, plain, every_sound, numbers, pick, raw_rate, raw_channels, options]))
    problems: list[str] = []
    work = plan(find_recordings(paths, problems, raw_rate is not None), types, output, ledger)
    if output is None and len(work) > 1 and types[0] in ONE_RECORDING:
        raise click.UsageError(f"{types[0]} of several recordings needs a folder to go to: -o DIR.")
    todo = work if ledger is None or force else still_to_do(work, ledger, problems)
    if done := sum(not item.targets for item in work) if ledger else 0:
        click.echo(f"{done} of {len(work)} are already done (--force does them again).", err=True)
    if todo:
        recognizer = Recognizer(model, plain=plain, numbers=numbers, every_sound=every_sound)
        recognizer.stream(**options)  # refuses what the model cannot use, before any file is read
        if ledger is not None:
            ledger.prepare()
        progress = Progress(todo)
        finished = 0

        def run(item: Work) -> Transcript | None:
            nonlocal finished
            try:
                with open_recording(item.path, raw_rate, raw_channels) as audio:
                    item.seconds = audio.seconds
                    reading = recognizer.segments(audio, channel=pick, heard=progress.heard(item), **options)
                    title = f"==> {item.path} <==" if len(todo) > 1 else ""
                    segments, damage = collect(shown(reading, progress, title) if stream else reading, audio)
                    transcript = make_transcript(segments, audio.position, recognizer.model)
                if damage:
                    problems.append(damage)
                elif audio.position == 0:
                    raise AudioError(f"{audio.name} holds no sound (0 samples): record or save it again.")
                if ledger is None:
                    return transcript
                texts = {kind: WRITERS[kind](transcript, item.name) for kind in item.targets}
                ledger.write(item, texts, damage is None, write_file)
                finished += 1
            except AsrError as error:
                known = str(item.path) in str(error) or item.path == STDIN
                problems.append(str(error) if known else f"{item.path}: {error}")
            return None

        jobs = 1 if stream or STDIN in paths else min(jobs or os.cpu_count() or 1, len(todo))
        try:
            for item, transcript in in_order(run, todo, jobs, progress):
                if transcript is not None and not stream:
                    progress.clear()
                    if len(todo) > 1 and types == ["txt"]:
                        click.echo(f"==> {item.path} <==")
                    click.echo(WRITERS[types[0]](transcript, item.name), nl=False)
        except KeyboardInterrupt:
            progress.clear()
            kept = f"; {finished} of {len(todo)} are finished in {output}, the same command goes on" if output else ""
            click.echo(f"Interrupted{kept}.", err=True)
            raise
        progress.clear()
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        sys.exit(1)


def refuse_what_cannot_be_shown(output: Path | None, types: Sequence[str], stream: bool, nbest: int) -> None:
    """Raises `click.UsageError` for options that do not go together."""
    if output is None and len(types) > 1:
        raise click.UsageError("Several types need a folder to go to: -o DIR.")
    if output is None and stream and types != ["txt"]:
        raise click.UsageError(f"--stream prints text as it comes: leave -t {types[0]} out, or give -o DIR for it.")
    if output is not None and (output.is_file() or (output.suffix[1:] in WRITERS and not output.exists())):
        raise click.UsageError(
            f"-o takes a folder, and {output} {'is' if output.exists() else 'looks like'} a file: "
            f"for one recording, leave -o out and write `> {output}`."
        )
    if nbest > 1 and "json" not in types:
        raise click.UsageError(f"--nbest {nbest} shows in json only: add -t json, or leave --nbest out.")


def collect(reading: Iterator[Segment], audio: Audio) -> tuple[list[Segment], str | None]:
    """All segments, and what is wrong with a recording that could only be read in part. Raises `AudioError`."""
    segments: list[Segment] = []
    try:
        for segment in reading:
            segments.append(segment)
    except AudioError as error:
        if audio.position == 0:
            raise
        return segments, f"{str(error).rstrip('.')}; what comes before was transcribed."
    return segments, None


def shown(reading: Iterator[Segment], progress: Progress, title: str) -> Iterator[Segment]:
    """The segments, each printed at once, under a title if there is one."""
    for segment in reading:
        progress.clear()
        if title:
            click.echo(title)
            title = ""
        click.echo(to_txt(make_transcript([segment], 0, "")), nl=False)
        sys.stdout.flush()
        yield segment


def open_recording(path: Path, raw_rate: int | None = None, raw_channels: int = 1) -> Audio:
    if path != STDIN:
        return Audio(path, raw_rate=raw_rate, raw_channels=raw_channels)
    if sys.stdin is None or sys.stdin.isatty():
        raise AsrError("Nothing is piped into standard input: give it sound, as in `< talk.mp3`.")
    return Audio(sys.stdin.buffer, name="standard input", raw_rate=raw_rate, raw_channels=raw_channels)


def in_order(
    function: Callable[[Work], Transcript | None], todo: Sequence[Work], jobs: int, progress: Progress
) -> Iterator[tuple[Work, Transcript | None]]:
    """Each item and its result, in the order of the items, `jobs` at a time."""
    if jobs == 1:
        yield from ((item, function(item)) for item in todo)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(jobs) as executor:
        try:
            waiting = deque((item, executor.submit(function, item)) for item in todo)
            while waiting:
                item, future = waiting.popleft()  # nobody else holds the result
                yield item, future.result()
        except BaseException:
            progress.stopped = True
            executor.shutdown(cancel_futures=True)
            raise


class Stopped(Exception):  # noqa: N818  no error
    """Another thread has ended the work."""


class Progress:
    """One line on a terminal's standard error, redrawn: how far, how fast."""

    interval = 0.1  # seconds between two drawings

    def __init__(self, todo: Sequence[Work]) -> None:
        self._todo = todo
        self._lock = threading.Lock()
        self._begin = self._drawn = time.monotonic()
        self._visible = False
        self._terminal: TextIO | None = None
        if sys.stderr.isatty():  # of its own: decoders that write notes are kept away from standard error
            self._terminal = open(os.dup(sys.stderr.fileno()), "w", errors="backslashreplace")  # noqa: PTH123, SIM115
        self.stopped = False

    def heard(self, item: Work) -> Callable[[float], None]:
        """What is called with the seconds of `item` that have been read."""

        def update(position: float) -> None:
            if self.stopped:
                raise Stopped
            item.position = position
            if self._terminal:
                self._draw(item, self._terminal)

        return update

    def clear(self) -> None:
        with self._lock:
            if self._visible and self._terminal:
                self._terminal.write("\r\033[K")
                self._terminal.flush()
                self._visible = False

    def _draw(self, item: Work, terminal: TextIO) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._drawn < self.interval:
                return
            self._drawn = now
            heard = sum(item.position for item in self._todo)
            parts = [
                f"{item.path.name}: {_clock(item.position)}" + (f" of {_clock(item.seconds)}" if item.seconds else "")
            ]
            if len(self._todo) > 1:
                begun = sum(item.position > 0 for item in self._todo)
                parts.insert(0, f"{begun} of {len(self._todo)}")
            parts.append(f"{heard / max(now - self._begin, 1e-6):.0f} times as fast as the sound")
            columns = os.get_terminal_size(terminal.fileno()).columns
            terminal.write("\r\033[K" + ", ".join(parts)[: columns - 1])
            terminal.flush()
            self._visible = True


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
