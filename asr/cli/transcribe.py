"""`asr transcribe`: text of recordings."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from asr.audio import Audio
from asr.endpoint import PRESETS
from asr.errors import AsrError, AudioError
from asr.recognizer import Recognizer, StreamOptions, make_transcript
from asr.results import Segment, Transcript
from asr.sources import AUDIO_ENDINGS
from asr.writers import WRITERS, to_txt, write_file

STDIN = Path("-")
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


def _types(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    types = [name.strip().lower() for name in value.split(",") if name.strip()]
    if unknown := [name for name in types if name not in WRITERS]:
        raise click.BadParameter(f"{', '.join(unknown)}: take some of {', '.join(WRITERS)}.")
    return list(dict.fromkeys(types)) or ["txt"]


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path, allow_dash=True))
@click.option("-t", "--types", default="txt", callback=_types, help=f"What to write, some of {','.join(WRITERS)}.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write DIR/<stem>.<type> files.")
@click.option("--force", is_flag=True, help="Do again what the output folder already has.")
@click.option("--stream", is_flag=True, help="Print text while it is decoded, a segment a line.")
@click.option("--channel", type=click.IntRange(1), metavar="N", help="Only this channel, from 1 (default: all, mixed).")
@click.option("--channels", type=click.Choice(["mix", "separate"]), help="All channels mixed, or each by itself.")
@click.option("--raw-rate", type=click.IntRange(1000), metavar="HZ", help="Input is raw 16-bit little-endian PCM.")
@click.option("--raw-channels", type=click.IntRange(1, 64), default=1, show_default=True, help="Channels of raw PCM.")
@click.option("--jobs", type=click.IntRange(1), help="Files at once (default: one for each processor core).")
@click.option("--endpoint", type=click.Choice(list(PRESETS)), default="normal", show_default=True, help="Pauses.")
@click.option("--hotwords", metavar="LIST", help='Words and phrases to expect, with a bonus: "lstm:6,hochreiter".')
@click.option("--hotwords-file", metavar="FILE", type=EXISTING, help="The same, one a line.")
@click.option("--words", metavar="FILE", type=EXISTING, help="Words that the lexicon may lack, one a line.")
@click.option("--grammar", metavar="LIST", help='The only phrases that may be said: "yes|no|turn the light on".')
@click.option("--nbest", type=click.IntRange(1), default=1, metavar="N", help="Readings of each segment, in json.")
@click.option("--no-second-reading", is_flag=True, help="Take what was heard at once as final.")
@click.option("--plain", is_flag=True, help="Bare words: no marks, capitals or figures.")
@click.option("--numbers", type=click.Choice(["digits", "words"]), default="digits", show_default=True, help="Numbers.")
@click.option("--model", metavar="DIR", help="Model directory, or the name of a shipped model.")
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
    numbers: Literal["digits", "words"],
    model: str | None,
) -> None:
    """Text of recordings: files, folders (all audio in them), - for standard input.

    wav, flac, ogg, opus, mp3 at any rate; m4a, aac, webm, mp4 and others where the ffmpeg program is installed.
    Without -o the text goes to standard output.
    """
    if channel is not None and channels is not None:
        raise click.UsageError("Take --channel or --channels, not both.")
    if output is None and len(types) > 1:
        raise click.UsageError("Several types need a folder to go to: -o DIR.")
    pick: int | Literal["separate"] | None = "separate" if channels == "separate" else None
    if channel is not None:
        pick = channel - 1
    problems: list[str] = []
    work = plan(find_recordings(paths, problems), types, output)
    todo = [item for item in work if force or not item.done]
    if len(todo) < len(work):
        click.echo(f"{len(work) - len(todo)} of {len(work)} are already done (--force does them again).", err=True)
    if todo:
        recognizer = Recognizer(model, plain=plain, numbers=numbers)
        options = StreamOptions(
            hotwords=read_hotwords(hotwords, hotwords_file),
            grammar=grammar,
            words=words.read_text(encoding="utf-8").splitlines() if words else (),
            endpoint=endpoint,
            nbest=nbest,
            second_reading=None if no_second_reading else "inline",
        )
        recognizer.stream(**options)  # refuses what the model cannot use, before any file is read
        progress = Progress(todo)

        def run(item: Work) -> Transcript | None:
            try:
                with open_recording(item.path, raw_rate, raw_channels) as audio:
                    item.seconds = audio.seconds
                    reading = recognizer.segments(audio, channel=pick, heard=progress.heard(item), **options)
                    segments, problem = collect(shown(reading, progress) if stream else reading)
                    transcript = make_transcript(segments, audio.position, recognizer.model)
                if problem:
                    problems.append(problem)
                for kind, target in item.targets.items():
                    write_file(target, WRITERS[kind](transcript, item.name))
                return transcript
            except AsrError as error:
                problems.append(str(error))
                return None

        jobs = 1 if stream else min(jobs or os.cpu_count() or 1, len(todo))
        for item, transcript in in_order(run, todo, jobs, progress):
            if transcript is not None and output is None and not stream:
                progress.clear()
                if len(todo) > 1 and types == ["txt"]:
                    click.echo(f"==> {item.path} <==")
                click.echo(WRITERS[types[0]](transcript, item.name), nl=False)
        progress.clear()
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        sys.exit(1)


def read_hotwords(given: str | None, file: Path | None) -> dict[str, float]:
    """Hotwords of a list and of a file."""
    from asr.hotwords import parse_hotwords, read_hotwords_file

    return (read_hotwords_file(file) if file else {}) | (parse_hotwords(given) if given else {})


def collect(reading: Iterator[Segment]) -> tuple[list[Segment], str | None]:
    """All segments, and what is wrong with a recording that could only be read in part. Raises `AudioError`."""
    segments: list[Segment] = []
    try:
        for segment in reading:
            segments.append(segment)
    except AudioError as error:
        if not segments:
            raise
        return segments, f"{error} Only what comes before was transcribed."
    return segments, None


def shown(reading: Iterator[Segment], progress: Progress) -> Iterator[Segment]:
    """The segments, each printed at once."""
    for segment in reading:
        progress.clear()
        click.echo(to_txt(make_transcript([segment], 0, "")), nl=False)
        sys.stdout.flush()
        yield segment


@dataclass
class Work:
    """A recording, what is to be written of it, and how far it is."""

    path: Path
    name: str  # of the files that are written, without type
    targets: dict[str, Path]  # by type
    seconds: float | None = None
    position: float = 0.0

    @property
    def done(self) -> bool:
        return bool(self.targets) and all(target.exists() for target in self.targets.values())


def find_recordings(paths: Sequence[Path], problems: list[str]) -> list[Path]:
    """The recordings that paths name, folders searched, each once; what is wrong goes to `problems`."""
    found: dict[Path, None] = {}
    for path in paths:
        if path != STDIN and path.is_dir():
            inside = [
                file for file in sorted(path.rglob("*")) if file.suffix.lower() in AUDIO_ENDINGS and file.is_file()
            ]
            if not inside:
                problems.append(f"There is no recording in {path} (looked for {' '.join(sorted(AUDIO_ENDINGS))}).")
            found |= dict.fromkeys(inside)
        else:
            found[path] = None
    return list(found)


def plan(recordings: Sequence[Path], types: Sequence[str], output: Path | None) -> list[Work]:
    """Where the text of each recording goes. Those of one stem keep their endings, then their folders, apart."""
    forms: list[Callable[[Path], str]] = [
        lambda path: path.stem,
        lambda path: path.name,
        lambda path: "-".join(path.parts[-2:]),
        lambda path: "-".join(path.resolve().parts[1:]),
    ]
    names = {path: "stdin" if path == STDIN else path.stem for path in recordings}
    for form in forms[1:]:
        taken = Counter(name.lower() for name in names.values())  # file systems may not tell case apart
        names |= {path: form(path) for path, name in names.items() if taken[name.lower()] > 1 and path != STDIN}
    targets = {
        path: {kind: output / f"{name}.{kind}" for kind in types} if output else {} for path, name in names.items()
    }
    return [Work(path, names[path], targets[path]) for path in recordings]


def open_recording(path: Path, raw_rate: int | None, raw_channels: int) -> Audio:
    if path == STDIN:
        return Audio(sys.stdin.buffer, name="standard input", raw_rate=raw_rate, raw_channels=raw_channels)
    return Audio(path, raw_rate=raw_rate, raw_channels=raw_channels)


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
            futures = [executor.submit(function, item) for item in todo]
            yield from ((item, future.result()) for item, future in zip(todo, futures, strict=True))
        except BaseException:
            progress.stopped = True
            executor.shutdown(cancel_futures=True)
            raise


class Progress:
    """One line on a terminal's standard error, redrawn: how far, how fast."""

    interval = 0.1  # seconds between two drawings

    def __init__(self, todo: Sequence[Work]) -> None:
        self._todo = todo
        self._lock = threading.Lock()
        self._begin = self._drawn = time.monotonic()
        self._visible = False
        self._terminal = sys.stderr.isatty()
        self.stopped = False

    def heard(self, item: Work) -> Callable[[float], None]:
        """What is called with the seconds of `item` that have been read."""

        def update(position: float) -> None:
            if self.stopped:
                raise AsrError(f"{item.path}: interrupted.")
            item.position = position
            if self._terminal:
                self._draw(item)

        return update

    def clear(self) -> None:
        with self._lock:
            if self._visible:
                sys.stderr.write("\r\033[K")
                sys.stderr.flush()
                self._visible = False

    def _draw(self, item: Work) -> None:
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
            columns = os.get_terminal_size(sys.stderr.fileno()).columns
            sys.stderr.write("\r\033[K" + ", ".join(parts)[: columns - 1])
            sys.stderr.flush()
            self._visible = True


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
