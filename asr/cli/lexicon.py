"""`asr lexicon`: words and how they sound, compiled for the decoder."""

from __future__ import annotations

from pathlib import Path

import click

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def lexicon() -> None:
    """Pronunciation lexicons: build one, look words up."""


@lexicon.command()
@click.option("--words", type=_FILE, help="One word a line.  [default: those of the dictionary]")
@click.option("--dictionary", type=_FILE, required=True, help="Pronunciations in the form of CMUdict.")
@click.option("--g2p", type=_FILE, help="A model's g2p.onnx, for words that the dictionary has not.")
@click.option("--lm", type=_FILE, help="The language model whose scores guide the search inside words.")
@click.option("-o", "--output", type=_FILE, required=True, help="The lexicon to write.")
def build(words: Path | None, dictionary: Path, g2p: Path | None, lm: Path | None, output: Path) -> None:
    """Compile words and their pronunciations into one file that loads in a few milliseconds.

    A word that neither the dictionary nor the g2p network can pronounce is left out and counted.
    """
    from asr.g2p import PHONES, GraphemeToPhone, complete
    from asr.language_model import LanguageModel
    from asr.lexicon import Lexicon, read_pronunciations, read_words

    tokens = ("<blank>", *PHONES)
    known = read_pronunciations(dictionary, tokens)
    wanted = read_words(words) if words is not None else list(known)
    found, silent = complete(wanted, known, tokens, GraphemeToPhone.load(g2p) if g2p else None)
    scores = None
    if lm is not None:
        model = LanguageModel.load(lm)
        numbers = model.word_ids(wanted)
        scores = dict(zip(wanted, model.unigram(numbers).tolist(), strict=True))
    entries = [(word, sounds) for word, ways in found.items() for sounds in ways]
    Lexicon.build(entries, tokens, scores).save(output)
    size = output.stat().st_size / 1e6
    click.echo(f"{output}: {len(found):,} words, {len(entries):,} pronunciations, {size:.2f} MB")
    if silent:
        click.echo(
            f"{len(silent):,} words left out, for example {', '.join(silent[:5])}: give --g2p for these.", err=True
        )


@lexicon.command()
@click.argument("file", type=_FILE)
@click.argument("words", nargs=-1, required=True)
def show(file: Path, words: tuple[str, ...]) -> None:
    """Print how WORDS are pronounced in the lexicon FILE, a line a pronunciation."""
    from asr.errors import AsrError
    from asr.lexicon import Lexicon

    known = Lexicon.load(file)
    missing = []
    for word in words:
        ways = known.pronunciations(word.lower())
        for sounds in ways:
            click.echo(f"{word.lower()} {' '.join(known.tokens[token] for token in sounds)}")
        missing += [] if ways else [word]
    if missing:
        raise AsrError(f"{file} has not: {', '.join(missing)}.")
