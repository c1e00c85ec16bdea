"""Networks with and without memory, trained alike and compared: what the recipes of the memory are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from asr.training.curves import LOSS
from asr.training.model import AcousticModel, Cell, Shape
from asr.training.recall import SYMBOLS, TEST, WRONG, Initialization, RecallRecipe, accuracy, load_network
from asr.training.recognizer import RecognizerRecipe, figures_on_test

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {"lstm": "LSTM", "rnn": "plain RNN", "none": "no recurrence"}
COLOURS = {"lstm": "tab:blue", "rnn": "tab:orange", "none": "tab:gray"}
DASHES = {"usual": "--", "orthogonal": ":", "long": "-."}  # of initializations
CELLS: tuple[Cell, ...] = ("lstm", "rnn", "none")


@dataclass(frozen=True)
class RecallComparison:
    """How far each kind of network remembers a symbol: several initializations and seeds of each; one initialization
    without recurrence, since it has no recurrent weights in which they differ."""

    name: str
    recall: RecallRecipe  # what all have in common
    learning_rates: tuple[tuple[Cell, float], ...]
    initializations: tuple[Initialization, ...] = ("usual", "orthogonal", "long")
    seeds: tuple[int, ...] = (1, 2, 3)
    distances: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 700, 1000)  # tested at
    sequences: int = 500  # tested at each distance
    compared: ClassVar[Mapping[str, str]] = {
        "recall.name": "name",
        "recall.cell": "learning_rates",
        "recall.initialization": "initializations",
        "recall.training.learning_rate": "learning_rates",
        "recall.training.seed": "seeds",
    }

    def members(self) -> Mapping[str, RecallRecipe]:
        found = {}
        for cell, rate in self.learning_rates:
            for initialization in self.initializations[:1] if cell == "none" else self.initializations:
                for seed in self.seeds:
                    name = f"{cell}-{initialization}-{seed}"
                    training = replace(self.recall.training, learning_rate=rate, seed=seed)
                    found[name] = replace(
                        self.recall, name=name, cell=cell, initialization=initialization, training=training
                    )
        return found

    def conclude(self, data: Path, run: Path) -> list[str]:
        """Tests all networks, draws `recall.png` and writes `recall.json`; a table of the best initializations.

        Which of a cell's initializations is best is decided by validation, within the distances that were trained.
        """
        found: dict[str, dict[str, list[list[float]]]] = {}  # cell, initialization, seed, distance
        best: dict[str, str] = {}
        wrong: dict[str, float] = {}
        for name, member in self.members().items():
            network = load_network(run / name / "best.pt")
            right = [accuracy(network, distance, self.sequences, TEST) for distance in self.distances]
            found.setdefault(member.cell, {}).setdefault(member.initialization, []).append(right)
            key = f"{member.cell} {member.initialization}"
            log = (run / name / "log.jsonl").read_text(encoding="utf-8").splitlines()
            wrong[key] = wrong.get(key, 0.0) + min(json.loads(line)[WRONG] for line in log)
        for cell, initializations in found.items():
            best[cell] = min(initializations, key=lambda which: wrong[f"{cell} {which}"])
        (run / "recall.json").write_text(
            json.dumps({"distances": self.distances, "best": best, "accuracy": found}) + "\n", encoding="utf-8"
        )
        draw_recall(self.distances, found, best, max(self.recall.distances), run / "recall.png")
        lines = [f"right answers in per cent (least of {len(self.seeds)} seeds), by distance:"]
        lines.append(" " * 28 + "".join(f"{distance:>15}" for distance in self.distances))
        for cell, which in best.items():
            runs = found[cell][which]
            cells = (f"{_mean(right):.1f} ({100 * min(right):.1f})" for right in zip(*runs, strict=True))
            lines.append(f"{NAMES[cell]:<14}{which:<14}" + "".join(f"{text:>15}" for text in cells))
        return [*lines, f"picture: {run / 'recall.png'}"]


def _mean(shares: Sequence[float]) -> float:
    return 100 * sum(shares) / len(shares)


def draw_recall(
    distances: Sequence[int],
    found: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    best: Mapping[str, str],
    trained: int,
    picture: Path,
) -> None:
    """Accuracy by distance: each cell's best initialization with the range over its seeds, the others thin."""
    figure, (axes,) = _figure(1, (8, 4.5))
    axes.axvspan(1, trained, color="tab:green", alpha=0.08, label=f"distances trained on (1 to {trained})")
    axes.axhline(100 / SYMBOLS, color="black", linewidth=0.8, label="guessing")
    for number, (cell, initializations) in enumerate(found.items()):
        for which, runs in initializations.items():
            seeds = list(zip(*runs, strict=True))
            label = NAMES[cell] if len(initializations) == 1 else f"{NAMES[cell]}, {which} initialization"
            look: dict[str, Any] = {"linewidth": 1.0, "linestyle": DASHES[which]}
            if which == best[cell]:
                low, high = [100 * min(right) for right in seeds], [100 * max(right) for right in seeds]
                axes.fill_between(distances, low, high, color=COLOURS[cell], alpha=0.2, linewidth=0)
                look = {"linewidth": 2.0 + 2 * number, "marker": "."}  # what lies below another line is seen beside it
            mean = [_mean(right) for right in seeds]
            axes.plot(distances, mean, color=COLOURS[cell], zorder=9 - number, label=label, **look)
    axes.set(xscale="log", xlabel="steps between the symbol and the question", ylabel="right answers, %", ylim=(0, 104))
    shown = [distance for distance in distances if str(distance)[0] in "125"]
    axes.set_xticks(shown, [f"{distance:,}" for distance in shown], fontsize="small")
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(picture, dpi=100)


@dataclass(frozen=True)
class SpeechComparison:
    """The same recognizer with each kind of cell, as wide as equally many weights allow."""

    name: str
    speech: RecognizerRecipe  # of the LSTM; the others differ in cell, widths and learning rate
    learning_rates: tuple[tuple[Cell, float], ...]
    compared: ClassVar[Mapping[str, str]] = {
        "speech.name": "name",
        "speech.shape.cell": "learning_rates",
        "speech.training.learning_rate": "learning_rates",
    }

    def members(self) -> dict[Cell, RecognizerRecipe]:
        return {
            cell: replace(
                self.speech,
                name=f"{self.name}-{cell}",
                shape=shape_of(self.speech.shape, cell, {"phones": 40, "spelling": self.speech.subwords + 1}),
                training=replace(self.speech.training, learning_rate=rate),
            )
            for cell, rate in self.learning_rates
        }

    def conclude(self, data: Path, run: Path) -> list[str]:
        """Draws `speech.png`, losses and phone errors of all three, and measures them on what the recipe tests on: a
        table, and all figures in `speech.json`."""
        logs = {cell: _lines(run / cell / "log.jsonl") for cell, _ in self.learning_rates}
        draw_speech(logs, run / "speech.png")
        found = {cell: figures_on_test(member, data, run / cell) for cell, member in self.members().items()}
        (run / "speech.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
        lines = [f"phone errors in per cent, {' and '.join(self.speech.test)}: second reading, first reading"]
        lines += [
            f"{NAMES[cell]:<14}{figures['second phones']:>6.1f}{figures['first phones']:>6.1f}"
            for cell, figures in found.items()
        ]
        return [*lines, f"picture: {run / 'speech.png'}"]


def shape_of(shape: Shape, cell: Cell, heads: dict[str, int]) -> Shape:
    """The shape with another cell, the widths grown in proportion until it has the weights of the given one."""

    def weights(shape: Shape) -> int:
        with torch.device("meta"):
            return AcousticModel(shape, heads).parameters_in_all()

    wanted, found = weights(shape), replace(shape, cell=cell)
    for width in range(shape.streaming_width, 16 * shape.streaming_width, 4):
        second = round(width * shape.second_width / shape.streaming_width)
        wider = replace(shape, cell=cell, streaming_width=width, second_width=second)
        if weights(wider) > wanted:
            break
        found = wider
    return found


def draw_speech(logs: Mapping[Cell, Sequence[Mapping[str, Any]]], picture: Path) -> None:
    """Losses and phone errors of several runs side by side: solid the second reading, dashed the first."""
    figure, panels = _figure(2, (10, 4))
    names = {"loss a phone": f"{LOSS}{{}} phones", "phone errors on held-out speakers, %": "{} phones"}
    for axes, (title, key) in zip(panels, names.items(), strict=True):
        for cell, lines in logs.items():
            for reading, style in (("second", "-"), ("first", "--")):
                axes.plot(
                    [line["epoch"] for line in lines],
                    [line[key.format(reading)] for line in lines],
                    color=COLOURS[cell], linestyle=style, marker=".", label=f"{NAMES[cell]}, {reading} reading",
                )  # fmt: skip
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
    panels[1].set_ylim(0, 100)
    panels[1].legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(picture, dpi=100)


def _lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def _figure(panels: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(1, panels, number + 1) for number in range(panels)]
