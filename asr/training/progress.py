"""What a training run shows while it runs: a live table in a terminal, one line now and then elsewhere."""

from __future__ import annotations

import resource
import sys
import time
from types import TracebackType
from typing import Any

import torch
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from asr.training.curves import figures, losses

SECONDS_BETWEEN_LINES = 60.0  # where the output is not a terminal
EPOCHS_SHOWN = 12  # in the live table: the last ones


class Progress:
    """Losses, speed and time left, in a terminal below a table of the epochs.

    `summary` gives the averages since the last validation.
    """

    def __init__(self, epochs: float, shown: bool, device: str) -> None:
        self._epochs = epochs
        self._device = device
        self._lines: list[dict[str, Any]] = []  # of the log, an epoch each
        self._console = Console(file=sys.stderr, highlight=False)
        self._shown = shown
        self._live = Live(console=self._console, refresh_per_second=2) if shown and self._console.is_terminal else None
        self._started = self._printed = time.monotonic()
        self._first: float | None = None
        self._clear()

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def _clear(self) -> None:
        self._parts: dict[str, float] = {}
        self._steps = 0
        self._size = self._computing = 0.0
        self._since = time.monotonic()

    def step(self, epochs_done: float, parts: dict[str, float], rate: float, size: float, seconds: float) -> None:
        """One step is done: losses by name, learning rate, size of the batch and seconds of computation."""
        if self._first is None:
            self._first, self._started = epochs_done, time.monotonic()
        for name, value in parts.items():
            self._parts[name] = self._parts.get(name, 0.0) + value
        self._steps += 1
        self._size += size
        self._computing += seconds
        now = time.monotonic()
        if not self._shown or (not self._live and now - self._printed < SECONDS_BETWEEN_LINES):
            return
        self._printed = now
        gone = epochs_done - self._first
        left = (now - self._started) / gone * (self._epochs - epochs_done) if gone > 0 else 0.0
        losses = "  ".join(f"{name} {value:.2f}" for name, value in parts.items())
        line = (
            f"epoch {epochs_done:.2f} of {self._epochs:g}  {losses}  rate {rate:.1e}  "
            f"{self._size / max(1e-9, now - self._since):.0f} per second  {duration(left)} left"
        )
        if self._live:
            self._live.update(Group(epochs_table(self._lines[-EPOCHS_SHOWN:]), Text(line)))
        else:
            self._console.print(line, soft_wrap=True)

    def summary(self) -> dict[str, float]:
        """Mean losses, size per second, the share of the time that was spent waiting for batches, and memory in GB."""
        seconds = max(1e-9, time.monotonic() - self._since)
        return {
            **{f"loss {name}": round(value / max(1, self._steps), 4) for name, value in self._parts.items()},
            "seconds": round(seconds, 1),
            "per second": round(self._size / seconds, 1),
            "waiting": round(max(0.0, 1.0 - self._computing / seconds), 4),
            "memory": round(largest_memory(self._device), 3),
        }

    def validated(self, line: dict[str, Any]) -> None:
        """Shows the figures of an epoch and begins the next."""
        self._lines.append(line)
        if self._live:
            self._live.update(epochs_table(self._lines[-EPOCHS_SHOWN:]))
        elif self._shown:
            text = "  ".join(
                f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in line.items()
            )
            self._console.print(text, soft_wrap=True)
        self._clear()


def epochs_table(lines: list[dict[str, Any]]) -> Table:
    """Losses and figures of epochs as a table, a line of the log each; single corpora are left to the log."""
    table = Table(box=None, pad_edge=False)
    names = [*losses(lines), *figures(lines)] if lines else []
    table.add_column("epoch", justify="right")
    for name in names:
        table.add_column(name, justify="right")
    table.add_column("time", justify="right")
    for line in lines:
        values = (f"{line[name]:.4g}" if name in line else "" for name in names)
        table.add_row(str(line["epoch"]), *values, duration(line["seconds"]))
    return table


def largest_memory(device: str) -> float:
    """The most memory that this process has taken so far, on the card where there is one, in GB."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9  # Linux counts in KiB


def duration(seconds: float) -> str:
    """A time for people: "40 s", "12 min", "3 h 05 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
