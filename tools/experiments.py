"""The log of the shipped model's experiments as a picture: error rate against experiment.

    python tools/experiments.py            # recipes/experiments.svg from recipes/experiments.tsv

`tools/release.py render` writes the same log as a table into recipes/README.md.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

LOG = Path(__file__).resolve().parent.parent / "recipes" / "experiments.tsv"
RATES = {  # columns of the log that are drawn, LibriSpeech part of valid.jsonl
    "words": "words, second reading, lexicon and language model",
    "spelling": "words, second reading, best path of the spelling",
    "phones first": "phones, first reading",
    "phones second": "phones, second reading",
}
SHIPPED = "shipped as"  # column: the version that an experiment became


def read_log(path: Path = LOG) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def draw(log: Sequence[Mapping[str, str]], picture: Path) -> None:
    """Error rates (per cent) of each experiment from left to right; where one was not measured its line has a gap."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    places = range(len(log))
    for column, label in RATES.items():
        values = [float(row[column]) if row[column] else float("nan") for row in log]
        (line,) = axes.plot(places, values, marker="o", linestyle=":", label=label)
        shipped = [place for place in places if log[place][SHIPPED]]
        axes.plot(shipped, [values[place] for place in shipped], color=line.get_color())
    axes.set_xticks(
        list(places),
        [f"{row['experiment']}\n({row[SHIPPED]})" if row[SHIPPED] else row["experiment"] for row in log],
        rotation=30,
        ha="right",
        fontsize="small",
    )
    axes.set(ylabel="errors, per cent", title="valid.jsonl, LibriSpeech part; whole lines join what shipped")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    with rc_context({"svg.hashsalt": picture.name}):  # the same picture from the same log
        figure.savefig(picture, format="svg", metadata={"Date": None})


def main() -> None:
    picture = LOG.with_suffix(".svg")
    draw(read_log(), picture)
    print(picture)


if __name__ == "__main__":
    main()
