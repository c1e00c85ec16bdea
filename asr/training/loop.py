"""The training loop: batches and a loss in, a trained network out. Everything that is trained here goes through it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter

from asr.errors import AsrError
from asr.training import parallel
from asr.training.curves import RATE, draw_curves
from asr.training.progress import Progress

SECONDS_BETWEEN_PICTURES = 20.0  # curves.png is drawn after an epoch, but no more often than this
Item = TypeVar("Item")
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Options:
    """How any network is trained."""

    epochs: float = 20.0  # the schedule's length; a fraction ends in mid-epoch
    seed: int = 1
    learning_rate: float = 2e-3
    warmup_steps: int = 200
    hold: float = 0.5  # share of the training after which the learning rate falls, in a straight line to zero
    weight_decay: float = 0.01
    largest_gradient: float = 3.0  # norm; longer gradients are shortened to it
    averaging: float = 0.998  # share that the averaged weights keep at each step
    accumulate: int = 1  # pieces that a batch is computed in, where memory is short
    half_precision: bool = True  # bfloat16 for matrix products, where the device computes in it
    checkpoint_minutes: float = 10.0
    prefetch: int = 1  # batches prepared ahead, beside the computation
    workers: int = 0  # processes that prepare batches, `prefetch` each; 0: a thread of this process does
    epochs_between_validations: int = 1  # the last epoch is always validated
    device: str = "cpu"


@dataclass(frozen=True)
class Loss:
    """Summed loss of a batch, what it is the sum of, and its parts for the log."""

    total: Tensor
    count: int  # utterances, words...
    parts: dict[str, tuple[float, int]]  # by the task's `loss_names`: a sum, and of how many


def autocast(options: Options) -> torch.autocast:
    """Matrix products in bfloat16, if that is wanted and the device computes in it: a processor without AVX-512 has
    no such LSTM."""
    kind = options.device.partition(":")[0]
    return torch.autocast(kind, torch.bfloat16, enabled=options.half_precision and not lacks_half_precision(options))


def lacks_half_precision(options: Options) -> bool:
    """Whether the network is on a processor that does not compute in bfloat16."""
    return options.device == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()


class Task(Protocol[Item, Batch]):
    """What is trained: a network, where its batches come from, and what is lost."""

    @property
    def network(self) -> nn.Module: ...

    @property
    def loss_names(self) -> tuple[str, ...]:
        """The parts of every loss."""
        ...

    def plan(self, epoch: int) -> list[list[Item]]:
        """The global batches of an epoch, a function of the seed and the epoch alone."""
        ...

    def cost(self, items: Sequence[Item]) -> float:
        """What a batch takes, to be compared with another's: rows times the steps of the longest."""
        ...

    def load(self, items: Sequence[Item], places: Sequence[int], epoch: int) -> Batch:
        """A batch's tensors; `places` are the items' places in the global batch. Runs beside the computation."""
        ...

    def size(self, batch: Batch) -> float:
        """How much a batch holds, for the speed shown: seconds of sound, or words."""
        ...

    def loss(self, batch: Batch) -> Loss:
        """Forward pass; may keep states for the next batch."""
        ...

    def carried(self) -> dict[str, Tensor]:
        """What is kept from batch to batch beside the weights, for the checkpoint."""
        ...

    def carry(self, states: dict[str, Tensor]) -> None:
        """Takes back what `carried` gave."""
        ...

    def validate(self) -> dict[str, float]:
        """Figures on held-out data with the network as it stands; the first one is to become small."""
        ...

    def description(self) -> dict[str, Any]:
        """What `asr export` needs to make the network again, in plain types."""
        ...

    def summary(self) -> str:
        """What there is to learn from and what to learn, in a line, for a person."""
        ...


@dataclass
class Position:
    """How far the training has come."""

    epoch: int = 0
    batch: int = 0  # of this epoch: the next one
    step: int = 0
    skipped: int = 0  # steps whose loss or gradient was not finite
    best: float = math.inf


def learning_rate(options: Options, step: int, done: float) -> float:
    """Warm-up, a plateau, then a straight line to zero; `done` is the share of the training that is over."""
    warm = min(1.0, (step + 1) / max(1, options.warmup_steps))
    falling = min(1.0, (1.0 - done) / max(1e-9, 1.0 - options.hold))
    return options.learning_rate * warm * max(falling, 0.0)


class Trainer(Generic[Item, Batch]):
    """One training run in a folder: `checkpoint.pt` (to resume), `best.pt`, `log.jsonl` and `curves.png`.

    Every random choice follows from (seed, epoch, batch), so a run that was killed and resumed gives the losses of one
    that was not. Started by `torchrun`, each process takes every n-th item of a global batch, and gradients and losses
    are summed over all of them at each step. So batches and steps do not depend on the number of processes. Losses do,
    a little: each process draws the dropout (and the tagger's pauses and gaps) of its own part, and pads it to its own
    longest item, behind which the states lie that are handed on to later batches.
    """

    def __init__(self, task: Task[Item, Batch], options: Options, folder: Path) -> None:
        self.task = task
        self.options = options
        self.folder = folder
        self.position = Position()
        self._plan = hashlib.sha256(repr(task.plan(1)).encode()).hexdigest()  # tells whose batches a checkpoint is of
        self._drawn = -math.inf  # when the curves were drawn last
        self.rank, self.world = parallel.rank(), parallel.world()
        task.network.to(options.device)
        self.averaged = {name: value.detach().clone() for name, value in task.network.state_dict().items()}
        decayed = [p for p in task.network.parameters() if p.dim() > 1]
        plain = [p for p in task.network.parameters() if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": options.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=options.learning_rate,
            betas=(0.9, 0.98),
            fused=True,
        )

    # -- the run ---------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, float]:
        """Trains to the end and returns the figures of the last validation."""
        self.folder.mkdir(parents=True, exist_ok=True)
        figures: dict[str, float] = {}
        summary = SummaryWriter(str(self.folder / "tensorboard")) if self.rank == 0 else None
        saved = time.monotonic()
        with Progress(self.options.epochs, self.rank == 0, self.options.device) as progress:
            while self.position.epoch < math.ceil(self.options.epochs):
                epoch = self.position.epoch
                batches = self.task.plan(epoch)
                last = min(len(batches), round((self.options.epochs - epoch) * len(batches)))
                for pieces in self._loaded(batches[self.position.batch : last], epoch):
                    started = time.monotonic()
                    rate = learning_rate(
                        self.options,
                        self.position.step,
                        (epoch + self.position.batch / len(batches)) / self.options.epochs,
                    )
                    parts = self._step(pieces, rate)
                    self.position.batch += 1
                    progress.step(
                        epochs_done=epoch + self.position.batch / len(batches),
                        parts=parts,
                        rate=rate,
                        size=self.world * sum(map(self.task.size, pieces)),
                        seconds=time.monotonic() - started,
                    )
                    if summary and self.position.step % 20 == 0:
                        for name, value in parts.items():
                            summary.add_scalar(f"loss/{name}", value, self.position.step)
                        summary.add_scalar("learning rate", rate, self.position.step)
                    if time.monotonic() - saved > 60 * self.options.checkpoint_minutes:
                        self.save()
                        saved = time.monotonic()
                figures = self._end_of_epoch(progress, summary)
                saved = time.monotonic()
        if summary:
            summary.close()
        return figures

    def _step(self, pieces: Sequence[Batch], rate: float) -> dict[str, float]:
        options, network = self.options, self.task.network
        network.train()
        torch.manual_seed(hash((options.seed, self.position.epoch, self.position.batch, self.rank)))
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for piece in pieces:
            with autocast(options):
                loss = self.task.loss(piece)
            loss.total.backward()
            losses.append(loss)
        count, parts = self._over_processes(losses)
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        for gradient in gradients:
            gradient /= count
        norm = nn.utils.clip_grad_norm_(network.parameters(), options.largest_gradient)
        self.position.step += 1
        if not bool(torch.isfinite(norm)):
            self.position.skipped += 1
            return {**parts, "skipped": float(self.position.skipped)}
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self._average()
        return parts

    def _over_processes(self, losses: Sequence[Loss]) -> tuple[float, dict[str, float]]:
        """The number of items in the global batch and the mean of each part of its loss; sums the gradients over all
        processes on the way. A batch of fewer items than processes leaves some without any loss."""
        names = self.task.loss_names
        numbers = [float(sum(loss.count for loss in losses))]
        for name in names:
            numbers += (float(sum(loss.parts[name][place] for loss in losses)) for place in (0, 1))
        if self.world > 1:
            numbers = self._summed_with_gradients(numbers)
        sums, counts = numbers[1::2], numbers[2::2]
        means = {name: total / max(1.0, count) for name, total, count in zip(names, sums, counts, strict=True)}
        return max(1.0, numbers[0]), means

    def _summed_with_gradients(self, numbers: Sequence[float]) -> list[float]:
        """The sums of these numbers over all processes; gradients become theirs in the same transfer."""
        parameters = list(self.task.network.parameters())
        own = torch.tensor(numbers, device=self.options.device)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        totals, *summed = parallel.summed(torch.cat([own, *(gradient.reshape(-1) for gradient in gradients)])).split(
            [len(numbers), *(p.numel() for p in parameters)]
        )
        for parameter, gradient in zip(parameters, summed, strict=True):
            parameter.grad = gradient.view_as(parameter)
        return totals.tolist()

    def _average(self) -> None:
        keep = min(self.options.averaging, self.position.step / (self.position.step + 10))
        for name, value in self.task.network.state_dict().items():
            if value.is_floating_point():
                self.averaged[name].lerp_(value.detach(), 1.0 - keep)

    def _loaded(self, batches: Sequence[Sequence[Item]], epoch: int) -> Iterator[list[Batch]]:
        """This process's part of each batch, in `accumulate` pieces, prepared `prefetch` batches ahead."""

        def load(items: Sequence[Item]) -> list[Batch]:
            places = range(len(items))[self.rank :: self.world]
            pieces = [places[piece :: self.options.accumulate] for piece in range(self.options.accumulate)]
            return [self.task.load([items[p] for p in piece], piece, epoch) for piece in pieces if piece]

        if self.options.workers:
            yield from in_processes(load, batches, self.options.workers, max(1, self.options.prefetch))
            return
        if self.options.prefetch == 0:
            yield from map(load, batches)
            return
        with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            waiting: list[Future[list[Batch]]] = []
            for items in batches:
                waiting.append(pool.submit(load, items))
                if len(waiting) > self.options.prefetch:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()

    def _end_of_epoch(self, progress: Progress, summary: SummaryWriter | None) -> dict[str, float]:
        measured = progress.summary()
        live = {name: value.detach().clone() for name, value in self.task.network.state_dict().items()}
        self.task.network.load_state_dict(self.averaged)
        self.task.network.eval()
        number, every = self.position.epoch + 1, self.options.epochs_between_validations
        figures: dict[str, float] = {}
        if number % every == 0 or number >= self.options.epochs:
            with torch.inference_mode(), autocast(self.options):
                figures = self.task.validate()
        first = next(iter(figures.values()), math.inf)
        if self.rank == 0 and figures and first <= self.position.best:  # of two as good, the one that learned longer
            self.position.best = first
            _write(self.folder / "best.pt", {"network": self.averaged, "description": self.task.description()})
        self.task.network.load_state_dict(live)
        self.position.epoch += 1
        self.position.batch = 0
        self.save()
        if self.rank == 0:
            line = {
                "epoch": self.position.epoch, "step": self.position.step, "skipped": self.position.skipped,
                RATE: self.optimizer.param_groups[0]["lr"], **measured, **figures,
            }  # fmt: skip
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            self._draw()
            progress.validated(line)
        if summary:
            for name, value in figures.items():
                summary.add_scalar(f"valid/{name}", value, self.position.epoch)
        return figures

    def _draw(self) -> None:
        over = self.position.epoch >= self.options.epochs
        if over or time.monotonic() - self._drawn > SECONDS_BETWEEN_PICTURES:
            draw_curves(self.folder / "log.jsonl", self.folder / "curves.png")
            self._drawn = time.monotonic()

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Writes `checkpoint.pt`, whole or not at all. Every process calls it, since each may carry states."""
        carried = self.task.carried()
        if self.rank == 0:
            _write(
                self.folder / "checkpoint.pt",
                {
                    "network": self.task.network.state_dict(),
                    "averaged": self.averaged,
                    "optimizer": self.optimizer.state_dict(),
                    "position": asdict(self.position),
                    "plan": self._plan,
                    "carried": carried,
                    "description": self.task.description(),
                },
            )

    def resume(self) -> None:
        """Goes on from `checkpoint.pt`. Raises `AsrError` if there is none, or it is of another network or of other
        batches."""
        path = self.folder / "checkpoint.pt"
        saved = read_checkpoint(path)
        if saved.get("plan", self._plan) != self._plan:
            raise AsrError(
                f"{path}: was trained on other batches, by another seed, mixture or corpus; resume with those, or "
                f"begin a new run from its weights: --from {path} --folder DIR"
            )
        try:
            self.task.network.load_state_dict(saved["network"])
            self.averaged = {name: value.to(self.options.device) for name, value in saved["averaged"].items()}
            self.optimizer.load_state_dict(saved["optimizer"])
            self.position = Position(**saved["position"])
            self.task.carry(saved["carried"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise AsrError(f"{path}: made by another recipe; resume with the one that it was started with") from error


class _Prepared(Dataset[Batch], Generic[Item, Batch]):
    """Batches that come into being when they are asked for."""

    def __init__(self, load: Callable[[Sequence[Item]], Batch], batches: Sequence[Sequence[Item]]) -> None:
        self._load = load
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> Batch:
        return self._load(self._batches[number])


def in_processes(
    load: Callable[[Sequence[Item]], Batch], batches: Sequence[Sequence[Item]], workers: int, ahead: int
) -> Iterator[Batch]:
    """`map(load, batches)`, in order, computed by `workers` processes that are each `ahead` batches ahead."""
    loader: DataLoader[Batch] = DataLoader(
        _Prepared(load, batches),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=ahead,
        collate_fn=_as_it_is,
        multiprocessing_context="fork",  # what has been read into memory is there, without a copy
    )
    return iter(loader)


def _as_it_is(batch: Batch) -> Batch:
    return batch


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's contents: plain types and tensors only, so that a stranger's file can do no harm."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise AsrError(f"{path}: no such checkpoint; train first, without --resume") from error
    except Exception as error:
        raise AsrError(f"{path}: not a checkpoint, or a damaged one ({type(error).__name__})") from error
    return saved


def _write(path: Path, contents: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    torch.save(contents, temporary)
    temporary.replace(path)
