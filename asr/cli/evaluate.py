"""`asr evaluate`: error rates of a model on a manifest, with a report; and whether one result beats another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asr.cli.options import grammar_option

if TYPE_CHECKING:
    from asr.evaluate import Evaluation, Settings

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("manifest", type=_FILE)
@click.option("--model", type=click.Path(path_type=Path), help="Model directory or name.  [default: the shipped model]")
@click.option("--reading", type=click.Choice(("first", "second")), default="second", show_default=True,
              help="Whose text counts: of the streaming layers, or of the second reading.")  # fmt: skip
@click.option(
    "--decoding", type=click.Choice(("greedy", "beam")), help="Best path, or beam search.  [default: model's]"
)
@click.option("--head", type=click.Choice(("spelling", "phones")), help="The head to decode.  [default: the model's]")
@grammar_option
@click.option("--dictionary", type=_FILE, help="Pronunciations in CMUdict's form, to count phone errors against.")
@click.option("--streams", "stream_minutes", type=click.FloatRange(min=0, min_open=True), metavar="MINUTES",
              help="Also shuffle the utterances, join them to streams of this length, and score those.")  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Of the order in the streams.")
@click.option("--every", type=click.IntRange(1), default=1, metavar="N", help="Only every N-th utterance.")
@click.option("--report", type=_FILE, help="Write aligned errors, the worst first: .html with players, or .txt.")
@click.option("--json", "result", type=_FILE, help="Write the result, to be compared later.")
@click.option("--against", type=_FILE, help="Compare with this result: paired bootstrap over the utterances of both.")
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), help="Where relative audio paths start.")
@click.option("--step", "step_seconds", default=1.0, show_default=True, help="Seconds of sound in a step.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Utterances recognized at once.")
def evaluate(
    manifest: Path,
    model: Path | None,
    reading: str,
    decoding: str | None,
    head: str | None,
    grammar: str | None,
    dictionary: Path | None,
    stream_minutes: float | None,
    seed: int,
    every: int,
    report: Path | None,
    result: Path | None,
    against: Path | None,
    root: Path | None,
    step_seconds: float,
    jobs: int,
) -> None:
    """Count word, character and phone errors of a model on MANIFEST.

    MANIFEST is a JSONL manifest, or the result of an earlier run (--json), which is then reported or compared again.
    Error rates are substitutions + deletions + insertions over the words (characters, phones) of the reference, both
    texts normalized as in training.
    """
    from asr.cli.expected import grammar_from
    from asr.evaluate import Settings, load_evaluation, save_evaluation
    from asr.evaluate.outcome import is_evaluation
    from asr.evaluate.report import heading, notes, summary_rows, text_table, write_report

    if is_evaluation(manifest):
        evaluation = load_evaluation(manifest)
    else:
        phrases = None if grammar is None else grammar_from(grammar)
        settings = Settings(reading, decoding, head, step_seconds, jobs, stream_minutes, seed, phrases)
        evaluation = _evaluate(manifest, model, settings, dictionary, every, root)
    click.echo(heading(evaluation))
    click.echo(text_table(*summary_rows(evaluation)))
    for note in notes(evaluation):
        click.echo(note)
    for reason in evaluation.left_out[:3]:
        click.echo(f"  {reason}", err=True)
    if result is not None:
        save_evaluation(result, evaluation)
    if report is not None:
        write_report(report, evaluation)
    if against is not None:
        _compare(evaluation, load_evaluation(against))


def _compare(ours: Evaluation, theirs: Evaluation) -> None:
    from asr.evaluate import compare
    from asr.evaluate.report import comparison_notes, comparison_rows, heading, text_table

    comparisons = compare(ours, theirs)
    click.echo(f"\nA: {heading(ours)}\nB: {heading(theirs)}")
    click.echo(text_table(*comparison_rows(comparisons)))
    for note in comparison_notes(comparisons):
        click.echo(note)


def _evaluate(
    manifest: Path, model: Path | None, settings: Settings, dictionary: Path | None, every: int, root: Path | None
) -> Evaluation:
    from asr.datasets import read_manifest
    from asr.datasets.manifest import data_root
    from asr.decoders import LEXICON, PHONES
    from asr.evaluate import evaluate as evaluate_utterances
    from asr.evaluate.phones import ReferencePhones
    from asr.recognizer import Recognizer

    utterances = read_manifest(manifest, root)[::every]
    recognizer = Recognizer(model, plain=True)
    network = recognizer.network
    phones = None
    if PHONES in network.heads and (dictionary is not None or (network.directory / LEXICON).is_file()):
        phones = ReferencePhones(network, dictionary)
    with _progress() as show:
        return evaluate_utterances(
            recognizer,
            utterances,
            settings,
            manifest=manifest.name,
            root=data_root(manifest) if root is None else root.absolute(),
            phones=phones,
            progress=show,
        )


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A line on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return

    def show(what: str, done: int, total: int) -> None:
        click.echo(f"\r{what}: {done:,} of {total:,}   ", nl=False, err=True)

    try:
        yield show
    finally:
        click.echo(err=True)
