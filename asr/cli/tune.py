"""`asr tune`: decoding weights and confidences of a model on speech whose text is known."""

from __future__ import annotations

from pathlib import Path

import click

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.argument("manifest", type=_FILE)
@click.option("--model", metavar="DIR", help="Model directory, or the name of a shipped model.")
@click.option("--corpus", help="Only utterances of this corpus, as the manifest names it.")
@click.option("--minutes", type=click.FloatRange(0.1), default=30.0, show_default=True, help="Speech to search on.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Steps are halved after each.")
@click.option("--seed", type=int, default=1, show_default=True, help="Which speakers come into which half.")
@click.option("--diagram", type=click.Path(path_type=Path, dir_okay=False), help="Draw reliability as SVG, PNG or PDF.")
@click.option("--dry-run", is_flag=True, help="Change nothing in the model directory.")
def tune(
    manifest: Path,
    model: str | None,
    corpus: str | None,
    minutes: float,
    rounds: int,
    seed: int,
    diagram: Path | None,
    dry_run: bool,
) -> None:
    """Fit weights, confidences and when to listen again on half of the speakers of MANIFEST; judge on the others.

    What was found is written into the model's model.json. Error rates and confidences are of what is heard once.
    """
    from asr.datasets.manifest import read_manifest
    from asr.recognizer import find_model
    from asr.tune import TuneOptions, draw_diagram, store
    from asr.tune import tune as tune_model

    directory = find_model(model)
    utterances = [one for one in read_manifest(manifest) if corpus in (None, one.corpus)]
    tuned, again = tune_model(directory, utterances, TuneOptions(rounds, minutes, seed), _say)
    click.echo("reading  half      untuned    tuned  calibration error  cross-entropy")
    for reading, found in tuned.items():
        for side, half in enumerate(("tuned on", "other")):
            confidences = found.confidences[side]
            click.echo(
                f"{reading:<8} {half:<9}{found.untuned[side].rate:>7.2%} {found.words[side].rate:>8.2%}"
                f" {confidences.error:>18.3f} {confidences.entropy:>14.3f}"
            )
        weights = ", ".join(f"{name} {value}" for name, value in vars(found.options).items() if name != "log_priors")
        click.echo(f"{reading}: real-time factor of the search {found.real_time_factor:.4f}; {weights}")
        click.echo(f"{reading}: doubt that speech may leave {found.most_doubt}")
    if again.ever:
        click.echo(
            f"listens again: over {again.fast_rate} tokens a second of speech, as if they were {again.usual_rate};"
            f" without echo over a doubt of {again.clear}"
        )
    if diagram is not None:
        draw_diagram(diagram, tuned)
    if not dry_run:
        store(directory, tuned, again)
        click.echo(f"Written to {directory / 'model.json'}.")


def _say(text: str) -> None:
    click.echo(text, err=True)
