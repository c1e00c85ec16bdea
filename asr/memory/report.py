"""The memory of the network as a page that can be listened to, or as one picture."""

from __future__ import annotations

import base64
import re
import tempfile
from html import escape
from pathlib import Path

import numpy as np

from asr.audio import SAMPLE_RATE, Recording
from asr.errors import AsrError
from asr.memory.inspection import Inspection
from asr.memory.picture import (
    LEFT,
    RIGHT,
    Panel,
    draw,
    draw_summary,
    duration,
    example_panels,
    layer_panels,
    png,
    sound_panels,
)
from asr.page import Cell, page, table

_TITLE = "What the network remembers"
_EXPLANATION = (
    "An LSTM (long short-term memory; Hochreiter and Schmidhuber, 1997) reads sound in frames of {frame}, one after "
    "the other, and never goes back. All that it still knows of what it heard is a row of numbers, one in each of its "
    "memory <i>cells</i>. At every frame three <i>gates</i>, each between 0 (shut) and 1 (open), decide for each cell "
    "what becomes of its number: the <b>forget gate</b> says how much of the old number stays, the <b>input gate</b> "
    "how much of what was just heard is added, the <b>output gate</b> how much of it the rest of the network gets to "
    "see. A cell whose forget gate stays near 1 keeps its number for seconds; one whose forget gate is often near 0 "
    "knows little but the last frame. Nobody told the network when to keep and when to forget: it learnt that from "
    "examples of speech and their text. A cell’s <b>half-life</b> is the time in which it loses half of what it holds: "
    "at a forget gate of <i>f</i> on average, ln 0.5 / ln <i>f</i> frames."
)

_STYLE = """<style>
.timed, .still { position: relative; margin: 0 0 1rem; background: #fff; border-radius: 6px; overflow: hidden }
.timed img, .still img { width: 100%; display: block }
.timed i { position: absolute; top: 0; bottom: 0; width: 2px; left: -9px; background: #e0115f; pointer-events: none }
audio { width: 100%; position: sticky; top: .5rem; z-index: 1 }
</style>"""

# A line moves through the pictures with the sound; a click into one of them plays from there.
_SCRIPT = """<script type="module">
const sound = document.querySelector("audio"), left = %(left)f, right = %(right)f, length = %(length)f;
const pictures = [...document.querySelectorAll(".timed")];
function follow() {
  const place = 100 * (left + (right - left) * Math.min(1, sound.currentTime / length));
  for (const picture of pictures) picture.querySelector("i").style.left = place + "%%";
  if (!sound.paused) requestAnimationFrame(follow);
}
for (const name of ["play", "seeked", "timeupdate"]) sound.addEventListener(name, follow);
for (const picture of pictures) picture.addEventListener("click", event => {
  const share = event.offsetX / picture.clientWidth;
  sound.currentTime = length * Math.max(0, Math.min(1, (share - left) / (right - left)));
  sound.play();
});
</script>"""


def write_report(path: Path, found: Inspection, name: str) -> None:
    """Writes a page (.html, with the sound in it) or a picture (.png); `name` is the recording's.

    Raises `AsrError` for another ending, a place that cannot be written, or if matplotlib is missing.
    """
    if path.suffix.lower() == ".png":
        contents = png(draw(found, all_panels(found), _heading(found, name), summary=True))
    elif path.suffix.lower() in (".html", ".htm"):
        contents = html(found, name).encode()
    else:
        raise AsrError(f"{path}: ends in neither .html nor .png; name the page or the picture with -o.")
    try:
        path.write_bytes(contents)
    except OSError as error:
        raise AsrError(
            f"{path} cannot be written ({error.strerror}): choose a folder that exists and is yours."
        ) from error


def _heading(found: Inspection, name: str) -> str:
    explanation = re.sub(r"<.*?>", "", _EXPLANATION.format(frame=duration(found.frame_seconds)))
    return f"{_TITLE}\n{name}, {found.start:g} to {found.end:g} s, read by {found.model}.\n{explanation}"


def all_panels(found: Inspection) -> list[Panel]:
    layers = [panel for layer in range(len(found.layers)) for panel in layer_panels(found, layer)]
    return [*sound_panels(found), *example_panels(found), *layers]


def html(found: Inspection, name: str) -> str:
    """The page: explanation, sound, pictures in the order of reading, figures."""
    said = " ".join(word.text for word in found.words) or "nothing"
    body = [
        _STYLE,
        f'<p class="note">{escape(name)}, {found.start:g} to {found.end:g} s, read by {escape(found.model)}: '
        f"“{escape(said)}”</p>",
        f"<p>{_EXPLANATION.format(frame=duration(found.frame_seconds))}</p>",
        f'<audio controls preload="auto" src="data:audio/flac;base64,{_flac(found)}"></audio>',
        '<p class="note">Play it: a line moves through the pictures with the sound. A click into a picture plays from '
        "there.</p>",
        "<h2>What it hears and reads</h2>",
        _timed(found, sound_panels(found), "Waveform, spectrum and token probabilities over time"),
        "<h2>Three cells, one by one</h2>",
        "<p>The line is the number that the cell holds. Below it are its gates: the darker, the wider open. Where the "
        "forget gate turns pale, the cell lets go of what it held; where the input gate turns dark, it takes up "
        "something new.</p>",
        _timed(found, example_panels(found), "Cell state and gates of three cells"),
        "<h2>How long the cells remember</h2>",
        f'<div class="still">{_image(png(draw_summary(found)), "Half-lives by layer")}</div>',
        half_life_table(found),
        '<p class="note">Measured by each cell’s mean forget gate over the sound above. A half-life longer than the '
        "sound is what the gate would make of longer sound like it.</p>",
        "<h2>All cells</h2>",
        "<p>Every row is a cell, sorted by half-life, the most lasting ones on top. Red is the side of zero that a "
        "cell’s number mostly is on (which one that is means nothing), blue the other side; the scale is wide, so that "
        "numbers of 0.5 and of 50 both show. Layer 1 hears the sound itself, each higher one reads what those below "
        "it found.</p>",
        *(
            _timed(found, layer_panels(found, layer), f"Cells and gates of layer {layer + 1}")
            for layer in range(len(found.layers))
        ),
        '<p class="note">An exported network does not show its gates: its LSTM was computed again from its weights. '
        f"The hidden states of the two differ by {found.difference:.2g} at most.</p>",
        _SCRIPT % {"left": LEFT, "right": RIGHT, "length": found.end - found.start},
    ]
    return page(_TITLE, body)


def half_life_table(found: Inspection) -> str:
    """Quantiles of the half-lives of every layer's cells."""
    rows: list[list[Cell]] = []
    for layer in range(len(found.layers)):
        lives = found.half_lives(layer)
        tenth, median, ninth = (float(value) for value in np.quantile(lives, [0.1, 0.5, 0.9]))
        rows.append(
            [
                f"layer {layer + 1}", len(lives), 1000 * tenth, 1000 * median, 1000 * ninth,
                100 * float((lives > 1.0).mean()),
            ]
        )  # fmt: skip
    return table(
        ["", "cells", "a tenth forgets within, ms", "half, ms", "nine tenths, ms", "remember for over a second, %"],
        rows,
    )


def _timed(found: Inspection, panels: list[Panel], title: str) -> str:
    return f'<div class="timed">{_image(png(draw(found, panels)), title)}<i></i></div>'


def _image(data: bytes, title: str) -> str:
    return f'<img alt="{escape(title)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'


def _flac(found: Inspection) -> str:
    """The sound as base64."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Recording(Path(folder) / "sound.flac", SAMPLE_RATE)
        clip.write((np.clip(found.samples, -1, 1) * 32767).round().astype(np.int16))
        clip.close()
        return base64.b64encode(clip.path.read_bytes()).decode()
