"""From a recipe file to a finished run: what `asr train` and `python -m asr.training` do."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from asr.errors import AsrError
from asr.training.config import Recipe, load_recipe
from asr.training.loop import Task, Trainer


def train_recipe(
    path: Path,
    data: Path,
    folder: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    resume: bool = False,
    dry_run: bool = False,
) -> dict[str, float]:
    """Trains what a recipe file describes; returns the figures of the last validation. See `asr train --help`."""
    recipe = load_recipe(path, overrides)
    folder = folder or Path("runs") / recipe.name
    if not data.is_dir():
        raise AsrError(f"{data}: no such data folder; say where the data is with --data DIR")
    restarted = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0  # by torchrun, after a process died
    resume = resume or (restarted and (folder / "checkpoint.pt").exists())
    if not resume and (folder / "checkpoint.pt").exists():
        raise AsrError(f"{folder}: holds a run already; go on with --resume, or name another one with --folder")
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if recipe.training.device.startswith("cuda") else "gloo")
    torch.manual_seed(recipe.training.seed)
    folder.mkdir(parents=True, exist_ok=True)
    task = recipe.task(data, folder)
    trainer = Trainer(task, recipe.training, folder)
    if resume:
        trainer.resume()
    if trainer.rank == 0:
        _say(_forecast(recipe, task))
        _write_config(recipe, folder, path, data)
    seconds = _try_largest_batch(task, recipe)
    if trainer.rank == 0:
        _say(seconds)
    if dry_run:
        return {}
    figures = trainer.run()
    if trainer.rank == 0:
        _say(f"done; export it with: asr export {folder / 'best.pt'} MODEL_DIR")
    return figures


def _forecast(recipe: Recipe, task: Task[Any, Any]) -> str:
    parameters = sum(parameter.numel() for parameter in task.network.parameters())
    batches = task.plan(1)
    return (
        f"{recipe.name}: {parameters / 1e6:.2f} million parameters, {sum(map(len, batches)):,} examples in "
        f"{len(batches):,} batches an epoch, {recipe.training.epochs:g} epochs"
    )


def _try_largest_batch(task: Task[Any, Any], recipe: Recipe) -> str:
    """Forward and backward once on the batch that needs most, so that a lack of memory shows at once."""
    carried = {name: value.clone() for name, value in task.carried().items()}
    sizes = task.plan(math.ceil(recipe.training.epochs))
    largest = max(sizes, key=len)
    batch = task.load(largest, range(len(largest)), 0)
    task.network.train()
    started = time.monotonic()
    with torch.autocast(recipe.training.device.split(":")[0], torch.bfloat16, enabled=recipe.training.half_precision):
        loss = task.loss(batch)
    loss.total.backward()
    task.network.zero_grad(set_to_none=True)
    task.carry(carried)
    return f"largest batch: {len(largest)} examples, {time.monotonic() - started:.1f} s for a step"


def _write_config(recipe: Recipe, folder: Path, path: Path, data: Path) -> None:
    versions = {name: importlib.metadata.version(name) for name in ("torch", "torchaudio", "numpy")}
    config = {
        "recipe": str(path), "data": str(data), "settings": dataclasses.asdict(recipe),  # type: ignore[call-overload]
        "versions": versions, "threads": torch.get_num_threads(), "python": sys.version.split()[0],
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
