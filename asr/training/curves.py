"""The curves of a training run as a picture: losses, error rates and the learning rate over the epochs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LOSS = "loss "  # how the names of losses begin in log.jsonl
RATE = "learning rate"
_BOOKKEEPING = frozenset({"epoch", "step", "skipped", RATE, "seconds", "per second", "waiting", "memory"})


def draw_curves(log: Path, picture: Path) -> None:
    """Draws `log.jsonl` of a run, one line an epoch, as `picture` (.png, .svg or .pdf).

    Figures of single corpora are left out, whose names go on where another figure's name ends. Only the newest line of
    an epoch counts, should a run that was killed have written it twice.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    lines = _read(log)
    figure = Figure(figsize=(12, 4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = {"loss": losses(lines), "validation": figures(lines), RATE: [RATE]}
    for axes, (title, names) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for name in names:
            points = [(line["epoch"], line[name]) for line in lines if name in line]  # not every epoch is validated
            axes.plot(*zip(*points, strict=True), marker=".", label=name.removeprefix(LOSS))
        axes.set(title=title, xlabel="epoch")
        if title == "loss":
            axes.set_yscale("log")  # the first epoch's is many times the last's
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(frameon=False, fontsize="small")
    temporary = picture.with_name(f".{picture.name}")
    figure.savefig(temporary, dpi=100, format=picture.suffix.removeprefix("."))
    temporary.replace(picture)


def losses(lines: list[dict[str, Any]]) -> list[str]:
    """Names of the losses in a log."""
    return [name for name in _names(lines) if name.startswith(LOSS)]


def figures(lines: list[dict[str, Any]]) -> list[str]:
    """Names of the figures of validation (error rates in per cent), those of single corpora left out."""
    names = [name for name in _names(lines) if not name.startswith(LOSS) and name not in _BOOKKEEPING]
    return [name for name in names if not any(name.startswith(other + " ") for other in names)]


def _names(lines: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for line in lines for name in line))


def _read(log: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    by_epoch: dict[float, dict[str, Any]] = {line["epoch"]: line for line in lines}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]
