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
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the run folder.")
@click.option("--dry-run", is_flag=True, help="Check the data, try the largest batch, and stop.")
def train(
    recipe: Path, data: Path, folder: Path | None, overrides: tuple[str, ...], resume: bool, dry_run: bool
) -> None:
    """Train the network that RECIPE describes, e.g. recipes/english_small.py."""
    try:
        from asr.training.run import train_recipe
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"training needs {error.name}, which the core package leaves out: pip install '.[train]' in a checkout"
        ) from error
    train_recipe(recipe, data, folder, overrides, resume=resume, dry_run=dry_run)
