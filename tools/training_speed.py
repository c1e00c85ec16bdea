"""How much of the training's time the bare network takes: augmentation, losses and the optimizer cost the rest.

    python tools/training_speed.py recipes/english_small.py --data DATA --set g2p=runs/g2p/best.pt

Every batch is trained on by the loop, everything included, and run through the bare network, forward and backward, in
turn, so that a noisy machine troubles both alike. Times are the process's CPU seconds, loading threads included.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import click
import torch

from asr.training.config import load_recipe
from asr.training.corpus import Example
from asr.training.loop import Trainer, autocast
from asr.training.recognizer import RecognizerBatch, RecognizerRecipe, RecognizerTask


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path, exists=True))
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE")
@click.option("--batches", default=12, show_default=True)
def main(recipe: Path, data: Path, overrides: tuple[str, ...], batches: int) -> None:
    """Print the loop's speed as a share of the bare network's."""
    loaded = load_recipe(recipe, overrides)
    if not isinstance(loaded, RecognizerRecipe):
        raise click.ClickException(f"{recipe}: not the recipe of a recognizer")
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        run.mkdir()
        task = loaded.task(data, run)
        trainer: Trainer[Example, RecognizerBatch] = Trainer(task, loaded.training, run)
        shares, sounds, costs = [], [], []
        for number, items in enumerate(task.plan(1)[: batches + 1]):
            began = time.process_time()
            batch = task.load(items, range(len(items)), 1)
            trainer._step([batch], 1e-4)
            whole = time.process_time() - began
            bare = bare_seconds(task, loaded, batch.features, batch.lengths)
            if number:  # the first batch warms up
                shares.append(bare / whole)
                sounds.append(batch.seconds)
                costs.append(whole)
    click.echo(f"loop at {100 * statistics.median(shares):.1f} % of the bare network's speed (median of {len(shares)})")
    click.echo(f"{1000 * sum(costs) / sum(sounds):.1f} core-ms a second of sound with everything")


def bare_seconds(
    task: RecognizerTask, recipe: RecognizerRecipe, features: torch.Tensor, lengths: torch.Tensor
) -> float:
    """CPU seconds of one forward and backward pass of the network alone."""
    state = task.network.streaming.initial_state(len(features))
    began = time.process_time()
    with autocast(recipe.training):
        first, second, _ = task.network(features, lengths, state)
    total = sum((log_probs.mean() for heads in (first, second) for log_probs in heads.values()), torch.zeros(()))
    total.backward()
    task.network.zero_grad(set_to_none=True)
    return time.process_time() - began


if __name__ == "__main__":
    main()
