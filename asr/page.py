"""Pages for people: one HTML file each that needs nothing else, with tables and histograms."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

Cell = str | int | float
Table = tuple[list[str], list[list[Cell]]]  # head and rows

_STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1b1b1f, #e6e6ea); --soft: light-dark(#666, #a0a0a8);
        --line: light-dark(#ddd, #3a3a42); --bar: light-dark(#4a6fa5, #86a8d8); --bad: light-dark(#b3261e, #ff8a80);
        --warn: light-dark(#8a5a00, #f0bd66); --paper: light-dark(#fff, #17171b); }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 70rem;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem } p.note, td.note { color: var(--soft) }
table { border-collapse: collapse; margin: .8rem 0 } th, td { padding: .25rem .8rem .25rem 0; text-align: left;
       vertical-align: top; border-bottom: 1px solid var(--line) } td.number, th.number { text-align: right;
       font-variant-numeric: tabular-nums }
figure { display: inline-block; margin: 0 1.5rem 1rem 0 } figcaption { color: var(--soft); font-size: .85rem }
svg rect { fill: var(--bar) } svg line { stroke: var(--line) } svg text { fill: var(--soft); font-size: 11px }
article { border-top: 1px solid var(--line); padding: .8rem 0 } article p { margin: .3rem 0 }
article audio { display: block; height: 2rem; margin: .4rem 0 } .bad { color: var(--bad) } .warn { color: var(--warn) }
.diff { font-family: ui-monospace, monospace; font-size: 13px; overflow-x: auto; white-space: pre; line-height: 1.35 }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole HTML document; `body` are its parts, already HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table; numbers stand on the right, floats with two decimals."""

    def cell(value: Cell, tag: str) -> str:
        if isinstance(value, str):
            return f"<{tag}>{escape(value)}</{tag}>"
        text = f"{value:,}" if isinstance(value, int) else "" if math.isnan(value) else f"{value:,.2f}"
        return f'<{tag} class="number">{text}</{tag}>'

    rows = [list(row) for row in rows]
    numeric = [bool(rows) and not isinstance(value, str) for value in (rows[0] if rows else head)]
    titles = "".join(
        f'<th class="number">{escape(name)}</th>' if number else f"<th>{escape(name)}</th>"
        for name, number in zip(head, numeric, strict=True)
    )
    lines = ["<tr>" + "".join(cell(value, "td") for value in row) + "</tr>" for row in rows]
    return f"<table><thead><tr>{titles}</tr></thead><tbody>\n" + "\n".join(lines) + "\n</tbody></table>"


def histogram(values: Sequence[float], title: str, unit: str, bins: int = 40) -> str:
    """How often each value occurs, drawn. The outermost hundredth on each side is gathered in the outermost bars."""
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return f"<figure><figcaption>{escape(title)}: nothing to show</figcaption></figure>"
    low, high = finite[len(finite) // 100], finite[-1 - len(finite) // 100]
    if high - low <= 1e-9 * abs(high):  # one value: a bar in the middle
        low, high = low - max(0.5, 0.1 * abs(low)), low + max(0.5, 0.1 * abs(low))
    counts = [0] * bins
    for value in finite:
        counts[min(bins - 1, max(0, int((value - low) / (high - low) * bins)))] += 1
    width, height, step = 320, 120, 320 / bins
    bars = "".join(
        f'<rect x="{index * step:.1f}" y="{height * (1 - count / max(counts)):.1f}" width="{step - 1:.1f}" '
        f'height="{height * count / max(counts):.1f}"><title>{low + (high - low) * index / bins:.3g} to '
        f"{low + (high - low) * (index + 1) / bins:.3g} {escape(unit)}: {count:,}</title></rect>"
        for index, count in enumerate(counts)
    )
    middle = finite[len(finite) // 2]
    return (
        f'<figure><svg width="{width}" height="{height + 18}" role="img" aria-label="{escape(title)}">{bars}'
        f'<line x1="0" x2="{width}" y1="{height}" y2="{height}"/><text x="0" y="{height + 14}">{low:.3g}</text>'
        f'<text x="{width}" y="{height + 14}" text-anchor="end">{high:.3g} {escape(unit)}</text></svg>'
        f"<figcaption>{escape(title)}: median {middle:.3g} {escape(unit)}, from {finite[0]:.3g} to {finite[-1]:.3g}"
        f"</figcaption></figure>"
    )


def player(audio: Path, report: Path) -> str:
    """A player for `audio`, named relative to the page at `report`, so that both can move together."""
    try:
        address = quote(Path(os.path.relpath(audio, report.absolute().parent)).as_posix())
    except ValueError:  # another drive
        address = audio.as_uri()
    return f'<audio controls preload="none" src="{escape(address)}"></audio>'
