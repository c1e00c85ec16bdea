"""`asr inspect`: what the network's memory holds while it listens, as a page or a picture."""

from __future__ import annotations

from pathlib import Path

import click

from asr.cli.options import SoundPath


@click.command()
@click.argument("audio", type=SoundPath())
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("memory.html"),
              show_default=True, help="Page (.html, with the sound in it) or picture (.png) to write.")  # fmt: skip
@click.option("--model", type=click.Path(path_type=Path), help="Model directory or name.  [default: the shipped model]")
@click.option("--start", type=click.FloatRange(0), default=0.0, show_default=True, metavar="SECONDS",
              help="Where in the recording to begin; what comes before is heard, not shown.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0.2, 60), default=8.0, show_default=True, help="How much to show.")
def inspect(audio: Path, output: Path, model: Path | None, start: float, seconds: float) -> None:
    """Show what the network remembers while it listens to AUDIO.

    Waveform, log-mel spectrum, token probabilities and recognized words; below them the cells of every LSTM layer,
    their forget, input and output gates, and how long each cell remembers. No torch needed.
    """
    from asr.audio import read_audio
    from asr.memory.inspection import inspect_memory
    from asr.memory.report import write_report
    from asr.recognizer import Recognizer

    found = inspect_memory(Recognizer(model, plain=True), read_audio(audio), start, seconds)
    write_report(output, found, audio.name)
    click.echo(f"{output}: {found.end - found.start:.2f} s, {len(found.words)} words", err=True)
