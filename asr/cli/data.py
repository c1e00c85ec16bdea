"""`asr data`: corpora from the web or a folder to manifests, and what is in a manifest and wrong with it."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asr.datasets import CORPORA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asr.datasets import Utterance

_JOBS = min(8, os.cpu_count() or 1)
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def data() -> None:
    """Corpora: download and prepare them, check them, count them, convert their manifests."""


@data.command()
@click.argument("name", type=click.Choice(CORPORA), metavar="NAME")
@click.option(
    "--root", type=_FOLDER, required=True, help="Where the corpus is, or is put; manifests go to ROOT/manifests."
)
@click.option("--part", "parts", multiple=True, help="Only this part, e.g. dev-clean; repeatable.  [default: all]")
@click.option(
    "--download", is_flag=True, help="Fetch what is missing (resumed where it was interrupted) and unpack it."
)
@click.option(
    "--mirror", metavar="URL", help="Download from this folder instead, e.g. https://openslr.elda.org/resources/12."
)
@click.option("--archive", "archives", type=_FILE, multiple=True, help="Unpack this file, fetched by hand; repeatable.")
@click.option("--jobs", type=click.IntRange(1), default=_JOBS, show_default=True, help="Files read at once.")
def prepare(
    name: str,
    root: Path,
    parts: tuple[str, ...],
    download: bool,
    mirror: str | None,
    archives: tuple[Path, ...],
    jobs: int,
) -> None:
    """Write the manifests of a corpus, one for each official part.

    NAME is librispeech, mini_librispeech, common_voice, ljspeech, vctk, speech_commands, yesno, speechocean762, or
    folder: your own recordings, each x.wav with its text in x.txt.
    """
    from asr.datasets.prepare import fetch
    from asr.datasets.prepare import prepare as prepare_corpus

    with _progress() as show:
        if download:
            fetch(name, root, parts, mirror=mirror, progress=show)
        prepared = prepare_corpus(name, root, parts, archives=archives, jobs=jobs, progress=show)
    for path, utterances in prepared.manifests.items():
        hours = sum(utterance.duration for utterance in utterances) / 3600
        click.echo(f"{path}: {len(utterances):,} utterances, {hours:.2f} hours")
    for problem in prepared.problems[:20]:
        click.echo(f"left out: {problem}", err=True)
    if len(prepared.problems) > 20:
        click.echo(f"left out: {len(prepared.problems) - 20:,} more", err=True)


@data.command()
@click.argument("manifests", type=_FILE, nargs=-1, required=True, metavar="MANIFEST...")
@click.option("--report", type=_FILE, help="Write a page with histograms and the worst clips, playable.")
@click.option("--worst", default=200, show_default=True, help="How many clips the page shows.")
@click.option(
    "--alphabet",
    metavar="LETTERS",
    help="What lower-case text may hold besides spaces, for a look at other languages: training knows a-z and "
    "apostrophe only.  [default: what training reads]",
)
@click.option("--jobs", type=click.IntRange(1), default=_JOBS, show_default=True, help="Files read at once.")
def check(manifests: tuple[Path, ...], report: Path | None, worst: int, alphabet: str | None, jobs: int) -> None:
    """Decode every utterance and say what is wrong with it.

    Several manifests are taken for splits of one corpus: they must share no speaker and no sound. Exit status 1 if
    something cannot be trained on.
    """
    from asr.datasets import read_manifest
    from asr.datasets.check import KINDS, count_problems
    from asr.datasets.check import check as check_manifests
    from asr.datasets.check_report import write_report

    named = {path.name if len({p.name for p in manifests}) == len(manifests) else str(path): path for path in manifests}
    with _progress() as show:
        clips = check_manifests(
            {name: read_manifest(path) for name, path in named.items()},
            alphabet=alphabet,
            jobs=jobs,
            progress=lambda done, total: show("checked", done, total),
        )
    counts = count_problems(clips)
    hours = sum(clip.seconds for clip in clips if clip.seconds == clip.seconds) / 3600
    click.echo(f"{len(clips):,} utterances, {hours:.2f} hours")
    for kind, count in counts.items():
        click.echo(f"{'unusable' if KINDS[kind] else 'look at':9} {count:7,}  {kind}")
        for clip in [clip for clip in clips if any(problem.kind == kind for problem in clip.problems)][:3]:
            detail = next(problem.detail for problem in clip.problems if problem.kind == kind)
            click.echo(f"{'':19}{clip.utterance.audio.name}: {detail}")
    if report is not None:
        write_report(report, clips, worst)
        click.echo(f"{report} shows the worst")
    if any(KINDS[kind] for kind in counts):
        sys.exit(1)


@data.command()
@click.argument("manifests", type=_FILE, nargs=-1, required=True, metavar="MANIFEST...")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def stats(manifests: tuple[Path, ...], as_json: bool) -> None:
    """Count utterances, hours, speakers and words, by corpus and part."""
    from asr.datasets import read_manifest
    from asr.datasets.stats import stats as count

    entries = {str(path): count(read_manifest(path)) for path in manifests}
    if as_json:
        click.echo(
            json.dumps({path: [dataclasses.asdict(s) for s in found] for path, found in entries.items()}, indent=2)
        )
        return
    for path, found in entries.items():
        click.echo(path)
        width = max((len(entry.name) for entry in found), default=0)
        click.echo(
            f"  {'':{width}} {'utts':>9} {'hours':>8} {'speakers':>8} {'5 / 50 / 95 % (s)':>19} {'words':>11} "
            f"{'different':>9} {'words/s':>7} {'no words':>8}"
        )
        for entry in found:
            percentiles = " / ".join(f"{seconds:.1f}" for seconds in entry.duration_percentiles)
            click.echo(
                f"  {entry.name:{width}} {entry.utterances:9,} {entry.hours:8.2f} {entry.speakers:8,} "
                f"{percentiles:>19} {entry.words:11,} {entry.vocabulary:9,} {entry.words_per_second:7.2f} "
                f"{entry.unspoken:8,}"
            )


@data.command()
@click.argument("manifest", type=_FILE)
@click.argument("chosen", type=_FILE)
@click.argument("rest", type=_FILE)
@click.option("--speaker", "speakers", multiple=True, metavar="NAME", help="Of this speaker; repeatable.")
@click.option("--speakers", "speaker_count", type=click.IntRange(1), metavar="N", help="Of N speakers, by the seed.")
@click.option("--utterances", "count", type=click.IntRange(1), metavar="N", help="N utterances, whoever says them.")
@click.option("--seed", default=1, show_default=True, help="Of the choice, which is the same on every machine.")
def split(
    manifest: Path, chosen: Path, rest: Path, speakers: tuple[str, ...], speaker_count: int | None, count: int | None,
    seed: int,
) -> None:  # fmt: skip
    """Write what is chosen of MANIFEST to CHOSEN, to test or validate on, and the others to REST, to learn from."""
    from asr.datasets import read_manifest, write_manifest
    from asr.datasets.split import draw_speakers, split_speakers, split_utterances

    if bool(speakers) + (speaker_count is not None) + (count is not None) != 1:
        raise click.UsageError("say what to choose: --speaker NAME, --speakers N or --utterances N")
    utterances = read_manifest(manifest)
    if count is not None:
        parts = split_utterances(utterances, count, seed)
    else:
        names = speakers if speaker_count is None else draw_speakers(utterances, speaker_count, seed)
        parts = split_speakers(utterances, names)
    for path, part in zip((chosen, rest), parts, strict=True):
        write_manifest(path, part)
        hours = sum(utterance.duration for utterance in part) / 3600
        click.echo(f"{path}: {len(part):,} utterances, {hours:.2f} hours, {len({u.speaker for u in part}):,} speakers")


@data.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--to", "form", type=click.Choice(("manifest", "nemo", "kaldi")), default="manifest", show_default=True)
@click.option("--clips", type=_FOLDER, help="Where to cut utterances to that are pieces of longer recordings.")
@click.option("--jobs", type=click.IntRange(1), default=_JOBS, show_default=True, help="Files read at once.")
def convert(source: Path, target: Path, form: str, clips: Path | None, jobs: int) -> None:
    """Convert between manifests: ours, NeMo's JSONL and Kaldi's data directories.

    What SOURCE is shows by itself; TARGET is a file, for Kaldi a folder.
    """
    from asr.datasets import write_manifest
    from asr.datasets.kaldi import write_kaldi
    from asr.datasets.nemo import write_nemo

    utterances = _read_any(source, clips, jobs)
    if form == "kaldi":
        write_kaldi(target, utterances)
    elif form == "nemo":
        write_nemo(target, utterances)
    else:
        write_manifest(target, utterances)
    click.echo(f"{target}: {len(utterances):,} utterances")


def _read_any(source: Path, clips: Path | None, jobs: int) -> list[Utterance]:
    from asr.datasets import read_manifest
    from asr.datasets.kaldi import read_kaldi
    from asr.datasets.nemo import is_nemo, read_nemo

    if source.is_dir():
        return read_kaldi(source, clips, jobs)
    return read_nemo(source, clips) if is_nemo(source) else read_manifest(source)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Bars on standard error, one for each thing that is counted; nothing where it is no terminal."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show
