"""`asr lm`: train word n-gram models, read and write those of others, score texts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asr.cli.options import in_a_folder

if TYPE_CHECKING:
    from asr.ngram.model import NGrams

_FILE = click.Path(path_type=Path, dir_okay=False)
_SIZE_HELP = "Prune by entropy until the compact file is no larger than this."


@click.group()
def lm() -> None:
    """Language models: train, import and export, score."""


def _files(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> list[list[Path]]:
    return [[Path(name) for name in text.split(",")] for text in value]


def _counts(_: click.Context, __: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in value.split(",") if number)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of counts such as 0,1,2,3") from error


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Reports on standard error: on a terminal in one line that is written over, else a line each."""
    terminal = sys.stderr.isatty()

    def report(text: str) -> None:
        click.echo(f"\r\x1b[K{text}" if terminal else text, err=True, nl=not terminal)

    yield report
    if terminal:
        click.echo(err=True)


def _write(model: NGrams, output: Path) -> None:
    """As ARPA where the name says so, else compact; and say what it has become."""
    if ".arpa" in output.suffixes:
        from asr.ngram.arpa import write_arpa

        write_arpa(model, output)
    else:
        from asr.ngram.table import write

        write(model, output)
    sizes = " + ".join(f"{size:,}" for size in model.sizes)
    click.echo(f"{output}: {sizes} n-grams, {output.stat().st_size / 1e6:.2f} MB")


@lm.command()
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True, callback=_files)
@click.option(
    "-o",
    "--output",
    type=_FILE,
    required=True,
    callback=in_a_folder,
    help="The model to write; NAME.arpa[.gz]: in ARPA format.",
)
@click.option("--order", default=4, show_default=True, type=click.IntRange(1, 6), help="Words in the longest n-grams.")
@click.option(
    "--vocabulary", default=80_000, show_default=True, type=click.IntRange(1), help="The most words it knows."
)
@click.option("--words", type=_FILE, help="Its words, one a line, instead of the most frequent ones.")
@click.option("--prefer", type=_FILE,
              help="Words, first on their lines as in a pronunciation dictionary, that become part of the vocabulary "
              "sooner: as if seen three times as often.")  # fmt: skip
@click.option("--prune", default="", metavar="COUNTS", callback=_counts,
              help="Leave out n-grams seen this often or less, by length, as 0,1,2,3.")  # fmt: skip
@click.option("--megabytes", type=click.FloatRange(0, min_open=True), help=_SIZE_HELP)
@click.option("--heldout", multiple=True, type=_FILE,
              help="Text like that to be recognized: mix the texts by what suits it.")  # fmt: skip
def train(
    texts: list[list[Path]],
    output: Path,
    order: int,
    vocabulary: int,
    words: Path | None,
    prefer: Path | None,
    prune: tuple[int, ...],
    megabytes: float | None,
    heldout: tuple[Path, ...],
) -> None:
    """Estimate a model from TEXT... (.txt, or packed .gz, .bz2, .xz) with modified Kneser-Ney smoothing.

    Text is normalized as everywhere here; a sentence whose spoken form is not known, as with digits, is left out.
    Texts that belong together, joined by commas, count as one: books-1.txt,books-2.txt.
    """
    from asr.cli.expected import vocabulary_from
    from asr.ngram.counts import lines
    from asr.ngram.train import TrainOptions
    from asr.ngram.train import train as train_model

    options = TrainOptions(order, vocabulary, prune, megabytes)
    chosen = [] if words is None else vocabulary_from(words)
    preferred = set() if prefer is None else {word for line in lines(prefer) for word in line.split()[:1]}
    with _progress() as report:
        model = train_model(texts, options, heldout, chosen, preferred, report)
    _write(model, output)


@lm.command("import")
@click.argument("file", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, callback=in_a_folder, help="The model to write.")
@click.option("--order", type=click.IntRange(1, 6), help="Read n-grams up to this length only.")
@click.option("--megabytes", type=click.FloatRange(0, min_open=True), help=_SIZE_HELP)
def import_arpa(file: Path, output: Path, order: int | None, megabytes: float | None) -> None:
    """Make the compact model of an ARPA FILE (also .gz, .bz2, .xz).

    Words that are written in another way than normalized text stay as they are, and are counted.
    """
    from asr.ngram.arpa import read_arpa
    from asr.ngram.counts import SPECIAL_WORDS
    from asr.ngram.train import prune_to_size
    from asr.text import is_normalized

    with _progress() as report:
        model = read_arpa(file, order, report)
        if megabytes:
            model = prune_to_size(model, megabytes, report)
    _write(model, output)
    words = model.words[len(SPECIAL_WORDS) :]
    if lost := [word for word in words if not is_normalized(word)]:
        click.echo(
            f"{len(lost):,} of its {len(words):,} words will never be found, for example {', '.join(lost[:3])}: "
            "texts are normalized to small letters, without marks, figures and abbreviations.",
            err=True,
        )


@lm.command()
@click.argument("model", metavar="LM", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, callback=in_a_folder, help="NAME.arpa, NAME.arpa.gz...")
def export(model: Path, output: Path) -> None:
    """Write the model LM in ARPA format, to the precision that it has."""
    from asr.language_model import LanguageModel
    from asr.ngram.arpa import write_arpa

    write_arpa(LanguageModel.load(model).ngrams(), output)


@lm.command()
@click.argument("model", metavar="LM", type=_FILE)
@click.argument("text", type=_FILE)
@click.option("--each-word", is_flag=True, help="A line for every word, an empty one after each sentence.")
def score(model: Path, text: Path, each_word: bool) -> None:
    """Print log10 probability, number of unknown words and text of every sentence of TEXT; the end counts."""
    from asr.language_model import LanguageModel
    from asr.ngram.scoring import score_text

    loaded = LanguageModel.load(model)
    for sentence in score_text(loaded, text):
        if each_word:
            for word, value in zip((*sentence.words, "</s>"), sentence.log10, strict=True):
                click.echo(f"{value:.4f}\t{word if word in loaded else f'{word} (unknown)'}")
            click.echo()
        else:
            click.echo(f"{sum(sentence.log10):.4f}\t{sentence.unknown}\t{' '.join(sentence.words)}")


@lm.command()
@click.argument("model", metavar="LM", type=_FILE)
@click.argument("text", type=_FILE)
@click.option("--word-lstm", type=_FILE, help="Besides, that of the mixture with this word LSTM (word_lstm.onnx).")
@click.option("--share", default=0.5, show_default=True, type=click.FloatRange(0, 1, min_open=True),
              help="The word LSTM's part of the mixture.")  # fmt: skip
def perplexity(model: Path, text: Path, word_lstm: Path | None, share: float) -> None:
    """Print the perplexity of TEXT: of its known words and its sentence ends; and with unknown words as <unk>."""
    from asr.language_model import LanguageModel
    from asr.ngram.scoring import perplexity as measure
    from asr.ngram.scoring import score_text

    loaded = LanguageModel.load(model)
    measured = measure(loaded, score_text(loaded, text))
    click.echo(
        f"{measured.known:.2f}, with unknown words {measured.all:.2f}: {measured.sentences:,} sentences, "
        f"{measured.words:,} words, {measured.unknown:,} unknown ({measured.unknown / max(1, measured.words):.2%})"
    )
    if word_lstm:
        from asr.word_lstm import WordLstm, mixture_perplexity

        mixed = mixture_perplexity(WordLstm(word_lstm, loaded), share, score_text(loaded, text))
        click.echo(f"{mixed:.2f} with unknown words, where the word LSTM has a share of {share:g}")


@lm.command("words")
@click.argument("model", metavar="LM", type=_FILE)
def show_words(model: Path) -> None:
    """Print the words that the model LM knows, one a line."""
    from asr.language_model import LanguageModel
    from asr.ngram.counts import SPECIAL_WORDS

    click.echo("\n".join(LanguageModel.load(model).vocabulary[len(SPECIAL_WORDS) :]))
