"""`asr train`: a recipe in, a trained network out."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), default=Path("data"), show_default=True,
              help="The folder that the recipe's paths start from.")  # fmt: skip
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False),
              help="Where checkpoints and logs go.  [default: runs/NAME]")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Another value for a setting; repeatable.")
@click.option("--from", "start", type=click.Path(path_type=Path), metavar="MODEL",
              help="Start from the weights of a model directory, a shipped model or a checkpoint.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the run folder.")
@click.option("--dry-run", is_flag=True, help="Check the data, try the largest batch, and stop.")
def train(
    recipe: Path, data: Path, folder: Path | None, overrides: tuple[str, ...], start: Path | None, resume: bool,
    dry_run: bool,
) -> None:  # fmt: skip
    """Train the network that RECIPE describes, e.g. recipes/english_small.py.

    With --from, the network has the shape of the one it starts from, and keeps its subwords if they can spell the new
    texts (--set keep_subwords=false learns others); a head with another alphabet starts anew. A recipe that compares
    several networks trains one after the other, and draws the comparison.
    """
    try:
        from asr.training.run import train_recipe
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"training needs {error.name}, which the core package leaves out: pip install '.[train]' in a checkout"
        ) from error
    train_recipe(recipe, data, folder, overrides, resume=resume, dry_run=dry_run, start=start)
