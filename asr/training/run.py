"""From a recipe file to a finished run: what `asr train` and `python -m asr.training` do."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import itertools
import json
import math
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from asr.errors import AsrError
from asr.training import parallel
from asr.training.config import Recipe, load_recipe
from asr.training.from_model import recipe_from
from asr.training.loop import Options, Task, Trainer, autocast, lacks_half_precision
from asr.training.progress import duration, largest_memory


def train_recipe(
    path: Path,
    data: Path,
    folder: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    resume: bool = False,
    dry_run: bool = False,
    start: Path | None = None,
) -> dict[str, float]:
    """Trains what a recipe file describes; returns the figures of the last validation. See `asr train --help`."""
    recipe = load_recipe(path, overrides)
    folder = folder or Path("runs") / recipe.name
    if not data.is_dir():
        raise AsrError(f"{data}: no such data folder; say where the data is with --data DIR")
    if isinstance(recipe, Recipe):
        figures = _train(recipe, path, data, folder, resume, dry_run, start)
        parallel.leave()
        return figures
    figures = {}
    for name, member in recipe.members().items():
        begun = resume and (folder / name / "checkpoint.pt").exists()
        _say_once(f"\n{name}")
        for key, value in _train(member, path, data, folder / name, begun, dry_run, start).items():
            figures[f"{name}: {key}"] = value
    is_first = parallel.rank() == 0
    parallel.leave()  # what concludes is for one process alone, and may validate as a training does
    if not dry_run and is_first:
        _say("\n".join(recipe.conclude(data, folder)))
    return figures


def _train(
    recipe: Recipe, path: Path, data: Path, folder: Path, resume: bool, dry_run: bool, start: Path | None
) -> dict[str, float]:
    if start:
        recipe = recipe_from(recipe, start)
    _check_device(recipe.training.device)
    resume = resume or (parallel.restarts() > 0 and (folder / "checkpoint.pt").exists())
    if not resume and (folder / "checkpoint.pt").exists():
        raise AsrError(f"{folder}: holds a run already; go on with --resume, or name another one with --folder")
    parallel.join("nccl" if recipe.training.device.startswith("cuda") else "gloo")
    torch.manual_seed(recipe.training.seed)
    folder.mkdir(parents=True, exist_ok=True)
    task = recipe.task(data, folder)
    trainer = Trainer(task, recipe.training, folder)
    if resume:
        trainer.resume()
        if changed := _changed_settings(recipe, folder / "config.json"):
            _say_once(f"goes on with other settings than before: {', '.join(changed)}")
    last = max(0, math.ceil(recipe.training.epochs) - 1)
    plans = [task.plan(0), task.plan(last)]  # between them sequences may grow
    _say_once(_forecast(recipe, task, plans[-1]))
    if recipe.training.half_precision and lacks_half_precision(recipe.training):
        _say_once("this processor does not compute in bfloat16: trains in float32")
    if trainer.rank == 0:
        _write_config(recipe, folder, path, data)
    largest = max(itertools.chain(*plans), key=task.cost)
    costs = [task.cost(batch) for batch in itertools.chain(*plans)]
    trial = _try_batch(task, recipe, largest)
    _say_once(trial.forecast(sum(costs) / len(plans) / max(costs), recipe.training))
    if dry_run:
        return {}
    figures = trainer.run()
    _say_once("\n".join(["done; what to do with it:", *recipe.afterwards(data, folder)]))
    return figures


def _check_device(name: str) -> None:
    """Raises `AsrError` for a device that is not here."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise AsrError(f"device={name}: no such device; cpu and cuda are known") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise AsrError(f"device={name}: there is no GPU here that torch can use; leave out --set device={name}")


def _forecast(recipe: Recipe, task: Task[Any, Any], batches: Sequence[Sequence[Any]]) -> str:
    parameters = sum(parameter.numel() for parameter in task.network.parameters())
    return (
        f"{recipe.name}: {parameters / 1e6:.2f} million parameters\n{task.summary()}\n"
        f"{recipe.training.epochs:g} epochs of {len(batches):,} batches, {sum(map(len, batches)):,} examples in each"
    )


@dataclass(frozen=True)
class Trial:
    """What the largest batch took."""

    examples: int
    loading: float  # seconds of one process
    computing: float
    memory: float  # the most so far, in GB

    def forecast(self, batches: float, options: Options) -> str:
        """How long the training will take, if an epoch is as much as so many of these batches; validation is not
        counted."""
        cores = len(os.sched_getaffinity(0))
        loading = self.loading / max(1, min(options.workers, cores - 1))
        alone = cores == 1 or options.prefetch == options.workers == 0
        step = loading + self.computing if alone else max(loading, self.computing)
        epoch = batches * step
        return (
            f"largest batch: {self.examples} examples, {step:.2g} s a step, {self.memory:.2g} GB of memory; "
            f"an epoch takes about {duration(epoch)}, all of it {duration(options.epochs * epoch)}"
        )


def _try_batch(task: Task[Any, Any], recipe: Recipe, items: Sequence[Any]) -> Trial:
    """Loads and computes the batch that needs most, so that a lack of memory shows at once; the second time is timed,
    when all that is needed lies ready."""
    options = recipe.training
    carried = {name: value.clone() for name, value in task.carried().items()}
    places = range(len(items))[parallel.rank() :: parallel.world()][:: options.accumulate] or range(1)
    task.network.train()
    seconds = []
    for _ in range(2):
        began = time.monotonic()
        batch = task.load([items[place] for place in places], places, 0)
        loaded = time.monotonic()
        with autocast(options):
            loss = task.loss(batch)
        loss.total.backward()
        task.network.zero_grad(set_to_none=True)
        seconds = [options.accumulate * part for part in (loaded - began, time.monotonic() - loaded)]
    task.carry(carried)
    loading, computing = seconds
    return Trial(len(items), loading, computing, largest_memory(options.device))


def _changed_settings(recipe: Recipe, config: Path) -> list[str]:
    """What is set otherwise than in the run's `config.json`, each as "key old -> new"."""
    try:
        before = _flat(json.loads(config.read_text(encoding="utf-8"))["settings"])
    except (OSError, ValueError, KeyError):  # the run was begun without it, or it was removed
        return []
    now = _flat(json.loads(json.dumps(dataclasses.asdict(recipe))))  # type: ignore[call-overload]
    return [f"{key} {before.get(key)} -> {now.get(key)}" for key in now if now[key] != before.get(key)]


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _write_config(recipe: Recipe, folder: Path, path: Path, data: Path) -> None:
    packages = {package.metadata["Name"]: package.version for package in importlib.metadata.distributions()}
    config = {
        "recipe": str(path), "data": str(data), "settings": dataclasses.asdict(recipe),  # type: ignore[call-overload]
        "threads": torch.get_num_threads(), "processes": parallel.world(), "machine": platform.platform(),
        "hardware": _hardware(recipe.training),
        "python": platform.python_version(), "packages": dict(sorted(packages.items(), key=lambda p: p[0].lower())),
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _hardware(options: Options) -> str:
    """What computes, for the people who read of this run."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", cpuinfo.read_text(encoding="utf-8")) if cpuinfo.exists() else []
    processor = names[0].strip() if names else platform.processor() or platform.machine()
    if options.device.startswith("cuda"):
        return f"one {torch.cuda.get_device_name()} and {len(os.sched_getaffinity(0))} cores of {processor}"
    return f"{torch.get_num_threads()} of {os.cpu_count()} cores of {processor}, no GPU"


def _say_once(text: str) -> None:
    if parallel.rank() == 0:
        _say(text)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
