"""Pictures of what a network hears, reads and remembers, on one time axis. Needs matplotlib."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError
from asr.memory.inspection import Inspection
from asr.network import BLANK, WORD_START

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float32]

WIDTH = 12.5  # inches, of every picture
LEFT, RIGHT = 0.085, 0.845  # where the time axis begins and ends, as shares of the width
SHORTEST, LONGEST = 0.01, 100.0  # seconds, of the axes of half-lives
DOTS = 120  # an inch

_SIDE = (0.86, 0.985)  # the narrow panels on the right
_INK, _SOFT, _LINE = "#1b1b1f", "#6a6a72", "#d5d5dc"
_LAYER_COLOURS = ("#3b6fb6", "#c8553d", "#3d8f5f", "#8a5fb0", "#b08a2e", "#4a9aa8")
_GATES = {"forget": ("forget gate", "Blues"), "input": ("input gate", "Greens"), "output": ("output gate", "Oranges")}
_EXAMPLES = (0.08, 0.8, 8.0)  # seconds: half-lives of the cells shown one by one


@dataclass(frozen=True)
class Panel:
    """A strip of a picture: its height in inches, and what draws it into the strip and the small one on its right."""

    height: float
    draw: Callable[[Axes, Axes], None]
    gap: float = 0.12  # inches above it
    title: str = ""
    title_gap: float = 0.05  # inches between title and strip


def sound_panels(found: Inspection) -> list[Panel]:
    """The waveform, its log-mel spectrum, and what each head says to every frame."""
    panels = [
        Panel(0.75, partial(_waveform, found=found), 0.05),
        Panel(1.25, partial(_spectrum, found=found)),
    ]
    names = {"phones": "Speech sounds (phones) that it hears", "spelling": "Pieces of written words that it reads"}
    for head in found.log_probs:
        panels.append(Panel(1.05, partial(_spikes, found=found, head=head), 0.8, names.get(head, head), 0.45))
    return panels


def layer_panels(found: Inspection, layer: int) -> list[Panel]:
    """The memory cells of one layer (from 0) and their three gates, the most lasting cells on top."""
    trace = found.layers[layer]
    lives = found.half_lives(layer)
    order = np.argsort(-lives, kind="stable")
    panels = [
        Panel(
            1.9,
            partial(_cells, found=found, cells=trace.cell[:, order], lives=lives[order], layer=layer),
            0.5,
            f"Layer {layer + 1}: what its {len(lives)} cells hold",
        )
    ]
    for name, (label, colours) in _GATES.items():
        gate = getattr(trace, name)[:, order]
        panels.append(Panel(0.95, partial(_gate, found=found, gate=gate, label=label, colours=colours)))
    return panels


def example_panels(found: Inspection) -> list[Panel]:
    """A quick, a slower and a lasting cell, each by itself."""
    return [
        Panel(
            1.0,
            partial(_one_cell, found=found, layer=layer, cell=cell),
            0.42,
            f"Layer {layer + 1}, cell {cell + 1}: half of what it holds is gone after "
            f"{duration(float(found.half_lives(layer)[cell]))}",
        )
        for layer, cell in example_cells(found)
    ]


def example_cells(found: Inspection) -> list[tuple[int, int]]:
    """Layers and cells (from 0) with about the half-lives of `_EXAMPLES`: of those, the ones that say most."""
    everywhere = [
        (float(life), float(layer.hidden[:, cell].std()), number, cell)
        for number, layer in enumerate(found.layers)
        for cell, life in enumerate(found.half_lives(number))
    ]
    chosen: list[tuple[int, int]] = []
    for wanted in _EXAMPLES:
        left = [one for one in everywhere if one[2:] not in chosen]
        near = [one for one in left if wanted / 1.6 < one[0] < wanted * 1.6]
        best = max(near, key=lambda one: one[1]) if near else min(left, key=lambda one: abs(np.log(one[0] / wanted)))
        chosen.append(best[2:])
    return chosen


def draw(found: Inspection, panels: Sequence[Panel], heading: str = "", summary: bool = False) -> Figure:
    """A picture of panels under each other, the recognized words on top and their bounds through all of them.

    A picture that stands alone has a `heading`, whose first line is its title, and with `summary` the picture of
    `draw_summary` at its end.
    """
    figure_class = _matplotlib()
    rows = _word_rows(found)
    title, *paragraphs = heading.splitlines() or [""]
    lines = [line for paragraph in paragraphs for line in textwrap.wrap(paragraph, 140)]
    above_words = 0.75 + 0.19 * len(lines) if heading else 0.0
    top = 0.12 + 0.2 * (max(rows, default=0) + 1)
    bottom = 0.5 + (4.2 if summary else 0)
    height = above_words + top + sum(panel.height + panel.gap for panel in panels) + bottom
    figure: Figure = figure_class(figsize=(WIDTH, height), facecolor="white")
    place = height - above_words - top
    if heading:
        figure.text(LEFT, 1 - 0.3 / height, title, fontsize=16, color=_INK, va="center", weight="bold")
        figure.text(LEFT, 1 - 0.52 / height, "\n".join(lines), fontsize=10, color=_INK, va="top", linespacing=1.35)
    above = figure.add_axes((LEFT, place / height, RIGHT - LEFT, top / height))
    above.axis("off")
    above.set(xlim=(found.start, found.end), ylim=(0, top))
    for word, row in zip(found.words, rows, strict=True):
        middle = min(max((word.start + word.end) / 2, found.start), found.end)
        above.text(
            middle, 0.05 + 0.2 * row, word.text, ha="center", va="bottom", fontsize=10, color=_INK, weight="bold"
        )
    for number, panel in enumerate(panels):
        place -= panel.height + panel.gap
        axes = figure.add_axes((LEFT, place / height, RIGHT - LEFT, panel.height / height))
        side = figure.add_axes((_SIDE[0], place / height, _SIDE[1] - _SIDE[0], panel.height / height))
        _plain(axes, side)
        panel.draw(axes, side)
        axes.set_xlim(found.start, found.end)
        for word in found.words:
            for edge in (word.start, word.end):
                axes.axvline(edge, color=_INK, linewidth=0.5, alpha=0.2)
        axes.set_title(panel.title, loc="left", fontsize=10.5, color=_INK, pad=72 * panel.title_gap)
        if number < len(panels) - 1:
            axes.tick_params(labelbottom=False)
    axes.set_xlabel("seconds", fontsize=9, color=_SOFT)
    if summary:
        _summary(figure.add_axes((LEFT, 0.6 / height, 0.7, 3.2 / height)), found)
    return figure


def draw_summary(found: Inspection) -> Figure:
    """How long cells remember, by layer."""
    figure: Figure = _matplotlib()(figsize=(WIDTH, 4.2), facecolor="white")
    _summary(figure.add_axes((LEFT, 0.15, 0.7, 0.75)), found)
    return figure


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DOTS)
    return data.getvalue()


def duration(seconds: float) -> str:
    """A time in words: 35 ms, 1.2 s, 3 min."""
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    return (
        f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s" if seconds < 119.5 else f"{seconds / 60:.0f} min"
    )


def _matplotlib() -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise AsrError(
            "Pictures need matplotlib, which the core package leaves out: pip install '.[plot]' in a checkout."
        ) from error
    return Figure


def _plain(*all_axes: Axes) -> None:
    for axes in all_axes:
        axes.tick_params(labelsize=8, colors=_SOFT, length=3, width=0.6)
        for spine in axes.spines.values():
            spine.set(color=_LINE, linewidth=0.6)


def _word_rows(found: Inspection) -> list[int]:
    middles = [(word.start + word.end) / 2 for word in found.words]
    return _rows(found, middles, [0.045 * len(word.text) + 0.06 for word in found.words])


def _rows(found: Inspection, seconds: Sequence[float], halves: Sequence[float], most: int = 9) -> list[int]:
    """The lowest row (from 0) in which each text has room; texts have their middles at `seconds`, in order, and are
    twice `halves` inches wide."""
    inch = (RIGHT - LEFT) * WIDTH / (found.end - found.start)
    ends = [-np.inf] * most  # of each row
    rows = []
    for middle, half in zip(seconds, halves, strict=True):
        start = inch * middle - half
        row = next((row for row, end in enumerate(ends) if end <= start), int(np.argmin(ends)))
        ends[row] = start + 2 * half
        rows.append(row)
    return rows


def _waveform(axes: Axes, side: Axes, found: Inspection) -> None:
    columns = 1600
    size = max(1, len(found.samples) // columns)
    pieces = found.samples[: len(found.samples) // size * size].reshape(-1, size)
    times = found.start + (np.arange(len(pieces)) + 0.5) / len(pieces) * (found.end - found.start)
    axes.fill_between(times, pieces.min(axis=1), pieces.max(axis=1), color="#44546a", linewidth=0)
    loudest = max(1e-3, float(np.abs(found.samples).max()))
    axes.set(ylim=(-loudest, loudest), yticks=[])
    _label(axes, "waveform")
    side.axis("off")


def _spectrum(axes: Axes, side: Axes, found: Inspection) -> None:
    low, high = np.percentile(found.features, [5, 99.7])
    axes.imshow(
        found.features.T, aspect="auto", origin="lower", cmap="magma", vmin=low, vmax=high,
        extent=(found.start, found.end, 0, found.features.shape[1]), interpolation="nearest",
    )  # fmt: skip
    ticks = [250, 500, 1000, 2000, 4000]
    axes.set_yticks([float(np.searchsorted(found.band_hz, hertz)) for hertz in ticks], [f"{t / 1000:g}" for t in ticks])
    _label(axes, "frequency, kHz")
    _explain(side, "what the network is given:\nhow loud it is at\neach frequency")


def _spikes(axes: Axes, side: Axes, found: Inspection, head: str) -> None:
    """The probability of every token over time; each peak carries its token's name."""
    from matplotlib import colormaps

    probabilities = np.exp(found.log_probs[head])
    times = found.start + (np.arange(len(probabilities)) + 0.5) * found.frame_seconds
    axes.fill_between(times, probabilities[:, BLANK], color="#ececf1", linewidth=0)
    best = probabilities.argmax(axis=1)
    colours = colormaps["tab20"].colors  # type: ignore[attr-defined]
    shown = sorted({int(token) for token in best if token != BLANK})
    for token in shown:
        axes.plot(times, probabilities[:, token], color=colours[token % 20], linewidth=1.2)
        axes.fill_between(times, probabilities[:, token], color=colours[token % 20], alpha=0.35, linewidth=0)
    peaks, names = [], []
    for frame in np.flatnonzero((best != BLANK) & (best != np.concatenate([[BLANK], best[:-1]]))):
        run = frame + int(np.argmax(np.append(best[frame:] != best[frame], True)))
        peaks.append(float(times[frame + int(probabilities[frame:run, best[frame]].argmax())]))
        names.append(found.tokens[head][best[frame]].replace(WORD_START, "·"))
    rows = _rows(found, peaks, [0.032 * len(name) + 0.015 for name in names], 3)
    for peak, name, row in zip(peaks, names, rows, strict=True):
        axes.text(peak, 1.04 + 0.125 * row, name, ha="center", va="bottom", fontsize=7, color=_INK, clip_on=False)
    axes.set(ylim=(0, 1.02), yticks=[0, 0.5, 1])
    _label(axes, "probability")
    _explain(
        side,
        "grey: nothing new\ncoloured: a piece is read\n· begins a word"
        if head == "spelling"
        else "grey: nothing new\ncoloured: a sound is heard",
    )


def _cells(axes: Axes, side: Axes, found: Inspection, cells: Floats, lives: Floats, layer: int) -> None:
    """Cell states [frames, cells] and half-lives in seconds [cells], both in the order of the rows.

    The sign of a cell means nothing (with the signs of its weights turned, the network computes the same), so each is
    turned to be positive on average: neighbours then look alike.
    """
    from matplotlib.colors import AsinhNorm

    cells = cells * np.where(cells.mean(axis=0) < 0, np.float32(-1), np.float32(1))
    largest = max(2.0, float(np.percentile(np.abs(cells), 99.5)))
    image = axes.imshow(
        cells.T, aspect="auto", cmap="RdBu_r", norm=AsinhNorm(0.5, vmin=-largest, vmax=largest),
        extent=(found.start, found.end, len(lives), 0), interpolation="antialiased",
    )  # fmt: skip
    axes.set_yticks([])
    _label(axes, "cells,\nlasting ones on top")
    bar = _figure(axes).add_axes(_right_of_title(axes))
    ticks = [tick for tick in (-100, -10, -1, 0, 1, 10, 100) if abs(tick) <= largest]
    _figure(axes).colorbar(image, cax=bar, orientation="horizontal", ticks=ticks, format="%g")
    bar.tick_params(labelsize=7, colors=_SOFT, length=2, pad=1)
    bar.minorticks_off()
    bar.xaxis.set_ticks_position("top")
    colour = _LAYER_COLOURS[layer % len(_LAYER_COLOURS)]
    places = np.arange(len(lives)) + 0.5
    side.fill_betweenx(
        places, SHORTEST, np.clip(lives, SHORTEST, LONGEST), color=colour, alpha=0.75, linewidth=0, step="mid"
    )
    _time_axis(side, (0.01, 0.1, 1, 10, 100), ("10 ms", "", "1 s", "", "100 s"))
    side.xaxis.tick_top()
    side.get_xticklabels()[0].set_horizontalalignment("left")
    side.get_xticklabels()[-1].set_horizontalalignment("right")
    side.set(ylim=(len(lives), 0), yticks=[])
    side.set_title("half-life of each", fontsize=8.5, color=_SOFT, pad=4)


def _gate(axes: Axes, side: Axes, found: Inspection, gate: Floats, label: str, colours: str) -> None:
    axes.imshow(
        gate.T, aspect="auto", cmap=colours, vmin=0, vmax=1, extent=(found.start, found.end, gate.shape[1], 0),
        interpolation="antialiased",
    )  # fmt: skip
    axes.set_yticks([])
    _label(axes, label)
    from matplotlib import colormaps

    side.fill_betweenx(
        np.arange(gate.shape[1]) + 0.5, 0, gate.mean(axis=0), color=colormaps[colours](0.65), linewidth=0
    )
    side.set(xlim=(0, 1), ylim=(gate.shape[1], 0), yticks=[], xticks=[])
    side.text(0.97, 0.06, "mean", transform=side.transAxes, ha="right", fontsize=7.5, color=_SOFT)


def _one_cell(axes: Axes, side: Axes, found: Inspection, layer: int, cell: int) -> None:
    """The cell state as a line, its gates as three ribbons below."""
    trace = found.layers[layer]
    times = found.start + (np.arange(len(trace.cell)) + 0.5) * found.frame_seconds
    values = trace.cell[:, cell]
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    span = max(1e-3, high - low)
    floor, ribbon = low - 0.08 * span, 0.2 * span
    axes.axhline(0, color=_LINE, linewidth=0.8)
    colour = _LAYER_COLOURS[layer % len(_LAYER_COLOURS)]
    axes.fill_between(times, values, color=colour, alpha=0.18, linewidth=0)
    axes.plot(times, values, color=colour, linewidth=1.6)
    for number, (name, (label, colours)) in enumerate(_GATES.items()):
        gate = getattr(trace, name)[:, cell]
        bottom = floor - (number + 1) * ribbon
        axes.imshow(
            gate[None], aspect="auto", cmap=colours, vmin=0, vmax=1, interpolation="nearest",
            extent=(found.start, found.end, bottom, bottom + 0.85 * ribbon),
        )  # fmt: skip
        side.text(0, bottom + 0.42 * ribbon, label, fontsize=8, color=_SOFT, va="center")
    bounds = (floor - 3 * ribbon - 0.05 * span, high + 0.1 * span)
    axes.set(ylim=bounds)
    axes.set_yticks([tick for tick in axes.get_yticks() if low - 0.02 * span <= tick <= high + 0.02 * span])
    axes.set(ylim=bounds)
    _label(axes, "cell state")
    side.set(ylim=bounds, xlim=(0, 1))
    side.axis("off")


def _summary(axes: Axes, found: Inspection) -> None:
    """For every layer, how many of its cells still hold half of what they held, by time."""
    _plain(axes)
    for seconds, name in ((0.08, "a speech sound"), (0.35, "a word"), (3.0, "a sentence")):
        axes.axvline(seconds, color=_SOFT, linewidth=0.8, linestyle=(0, (2, 3)))
        axes.text(seconds, 101, name, ha="center", va="bottom", fontsize=9, color=_SOFT)
    for layer in range(len(found.layers)):
        lives = np.sort(np.clip(found.half_lives(layer), SHORTEST, LONGEST))
        share = 100 * (1 - np.arange(len(lives)) / len(lives))
        colour = _LAYER_COLOURS[layer % len(_LAYER_COLOURS)]
        axes.step(lives, share, where="pre", color=colour, linewidth=2.2)
        text = f"layer {layer + 1}: half its cells\nhold for over {duration(float(np.median(lives)))}"
        axes.text(1.01, 0.9 - 0.11 * layer, text, transform=axes.transAxes, fontsize=9, color=colour, va="top")
    _time_axis(axes, (0.01, 0.1, 1, 10, 100), ("10 ms", "100 ms", "1 s", "10 s", "100 s or more"))
    axes.set(ylim=(0, 100), yticks=[0, 25, 50, 75, 100])
    axes.grid(True, color="#ececf1", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title("How long the cells remember", loc="left", fontsize=10.5, color=_INK, pad=20)
    axes.set_xlabel("half-life: time in which a cell forgets half of what it holds", fontsize=9, color=_SOFT)
    axes.set_ylabel("% of the layer's cells that last longer", fontsize=9, color=_SOFT)


def _figure(axes: Axes) -> Figure:
    figure: Figure = axes.figure  # type: ignore[assignment]
    return figure


def _label(axes: Axes, text: str) -> None:
    axes.set_ylabel(text, fontsize=8.5, color=_SOFT)
    axes.yaxis.set_label_coords(-0.045, 0.5)


def _explain(side: Axes, text: str) -> None:
    side.text(0.0, 0.5, text, transform=side.transAxes, fontsize=8, color=_SOFT, va="center")
    side.axis("off")


def _time_axis(axes: Axes, ticks: Sequence[float], names: Sequence[str]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(SHORTEST, LONGEST)
    axes.set_xticks(list(ticks), list(names))
    axes.minorticks_off()


def _right_of_title(axes: Axes) -> tuple[float, float, float, float]:
    """Room for a colour bar above the right end of a panel."""
    box = axes.get_position()
    inch = 1 / _figure(axes).get_figheight()
    return (box.x1 - 0.23, box.y1 + 0.06 * inch, 0.2, 0.07 * inch)
