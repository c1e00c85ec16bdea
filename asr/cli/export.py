"""`asr export`: a checkpoint in, a model directory out."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("checkpoint", type=FILE)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--version", default="0.1.0", show_default=True, help="The model's version.")
@click.option("--g2p", type=FILE, help="Checkpoint of the grapheme-to-phone network, made by recipes/g2p.py.")
@click.option("--selftest", type=FILE, help="A short recording that the model can be tested with.")
@click.option("--with", "parts", type=FILE, multiple=True, help="Another file of the model, e.g. words.lm; repeatable.")
@click.option("--like", type=click.Path(path_type=Path), metavar="MODEL",
              help="Take lexicon, language models, tagger and decoding weights from this model.")  # fmt: skip
@click.option("--float", "whole", is_flag=True, help="Keep float weights; four times as large.")
@click.option("--evaluate", "manifest", type=FILE, help="Error rates of float and int8 side by side on this manifest.")
def export(
    checkpoint: Path, directory: Path, version: str, g2p: Path | None, selftest: Path | None,
    parts: tuple[Path, ...], like: Path | None, whole: bool, manifest: Path | None,
) -> None:  # fmt: skip
    """Write the network of CHECKPOINT as a model directory for `asr transcribe --model DIRECTORY`.

    A tagger's checkpoint (recipes/punctuation.py) is written into such a directory as tagger.onnx, that of a word LSTM
    (recipes/word_lstm.py) as word_lstm.onnx.
    """
    try:
        from asr.training.export import export_model
        from asr.training.loop import read_checkpoint
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"exporting needs {error.name}, which the core package leaves out: pip install '.[train]' in a checkout"
        ) from error
    kind = read_checkpoint(checkpoint).get("description", {}).get("kind")
    if kind == "tagger":
        from asr.training.punctuation_export import export_tagger

        export_tagger(checkpoint, directory, int8=not whole)
    elif kind == "word_lstm":
        from asr.training.word_lstm_export import export_word_lstm

        export_word_lstm(checkpoint, directory, int8=not whole)
    else:
        export_model(
            checkpoint, directory, version=version, g2p=g2p, selftest=selftest, parts=parts, like=like, int8=not whole
        )
    for path in sorted(directory.iterdir()):
        click.echo(f"{path.stat().st_size / 1e6:8.2f} MB  {path.name}")
    if manifest:
        _compare(checkpoint, directory, manifest)


def _compare(checkpoint: Path, directory: Path, manifest: Path) -> None:
    """Greedy word error rates of the exported networks beside those of the same networks in float."""
    import tempfile

    from asr.datasets import read_manifest
    from asr.evaluate import Settings, evaluate
    from asr.evaluate.outcome import groups, word_score
    from asr.recognizer import Recognizer
    from asr.training.export import export_model

    utterances = read_manifest(manifest)
    with tempfile.TemporaryDirectory() as scratch:
        export_model(checkpoint, Path(scratch), int8=False)
        for reading in ("first", "second"):
            for name, model in (("float", Path(scratch)), ("int8", directory)):
                result = evaluate(Recognizer(model), utterances, Settings(reading=reading, decoding="greedy"))
                rates = [
                    f"{group} {100 * word_score(members).rate:.2f} %"
                    for group, members in groups(result.utterances).items()
                ]
                click.echo(f"{reading} reading, {name}: word errors {', '.join(rates)}")
