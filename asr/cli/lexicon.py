"""`asr lexicon`: words and how they sound, compiled for the decoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from asr.cli.options import in_a_folder

if TYPE_CHECKING:
    from asr.g2p import GraphemeToPhone

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def lexicon() -> None:
    """Pronunciation lexicons: build one, look words up."""


@lexicon.command()
@click.option("--words", type=_FILE, help="One word a line.  [default: those of the dictionary]")
@click.option("--dictionary", type=_FILE, required=True, help="Pronunciations in the form of CMUdict.")
@click.option("--g2p", metavar="MODEL|FILE|none",
              help="What pronounces words that the dictionary lacks: a model (directory, or name of a shipped one) or "
              "its g2p.onnx; none leaves them out.  [default: the shipped model]")  # fmt: skip
@click.option("--lm", type=_FILE, help="The language model whose scores guide the search inside words.")
@click.option("-o", "--output", type=_FILE, required=True, callback=in_a_folder, help="The lexicon to write.")
def build(words: Path | None, dictionary: Path, g2p: str | None, lm: Path | None, output: Path) -> None:
    """Compile words and their pronunciations into one file that loads in a few milliseconds.

    A word that neither the dictionary nor the grapheme-to-phone network can pronounce is left out and counted.
    """
    from asr.cli.expected import vocabulary_from
    from asr.g2p import PHONES, complete
    from asr.language_model import LanguageModel
    from asr.lexicon import Lexicon, read_pronunciations

    tokens = ("<blank>", *PHONES)
    known = read_pronunciations(dictionary, tokens)
    wanted = vocabulary_from(words) if words is not None else list(known)
    found, silent = complete(wanted, known, tokens, _g2p(g2p))
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
        reason = "leave --g2p none out for these" if g2p == "none" else "nothing tells how these sound"
        click.echo(f"{len(silent):,} words left out, for example {', '.join(silent[:5])}: {reason}.", err=True)


def _g2p(given: str | None) -> GraphemeToPhone | None:
    """The network of a model, the shipped one if none is named, or in a file; None for "none"."""
    from asr.decoders import G2P
    from asr.g2p import GraphemeToPhone
    from asr.recognizer import find_model

    if given == "none":
        return None
    if given is not None and given.endswith(".onnx"):
        return GraphemeToPhone.load(Path(given))
    return GraphemeToPhone.load(find_model(given) / G2P)


@lexicon.command()
@click.argument("file", type=_FILE)
@click.argument("words", nargs=-1, required=True)
def show(file: Path, words: tuple[str, ...]) -> None:
    """Print how WORDS are pronounced in the lexicon FILE, a line a pronunciation."""
    from asr.errors import AsrError
    from asr.lexicon import Lexicon
    from asr.text import normalize

    known = Lexicon.load(file)
    missing = []
    for word in (spoken for given in words for spoken in normalize(given).split() or [given]):
        ways = known.pronunciations(word)
        for sounds in ways:
            click.echo(f"{word} {' '.join(known.tokens[token] for token in sounds)}")
        missing += [] if ways else [word]
    if missing:
        raise AsrError(f"{file} has not: {', '.join(missing)}.")
