"""`asr microphones`: input devices, and a doctor for them."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click
import numpy as np

if TYPE_CHECKING:
    from asr.doctor import Finding


@click.group(invoke_without_command=True)
@click.pass_context
def microphones(context: click.Context) -> None:
    """List input devices; `asr microphones test [DEVICE]` examines one."""
    if context.invoked_subcommand is not None:
        return
    from asr.microphone import NO_INPUT
    from asr.portaudio import devices, quiet_native_errors

    with quiet_native_errors():
        found = devices()
    if not found:
        click.echo(NO_INPUT, err=True)
        sys.exit(1)
    width = max(len(device.name) for device in found)
    for device in found:
        mark = "*" if device.default else " "
        about = (
            f"{device.channels:2d} channel{'s' if device.channels > 1 else ' '}  {device.rate:6.0f} Hz  {device.host}"
        )
        click.echo(f"{mark}{device.number:3d}  {device.name:{width}}  {about}")
    click.echo("* the default; take another one with `asr listen --device NAME_OR_NUMBER`")


@microphones.command()
@click.argument("device", required=False)
@click.option("--seconds", type=click.FloatRange(1, 60), default=6.0, show_default=True, help="How long to listen.")
@click.option("--channel", type=click.IntRange(1), help="Recognize only this channel, counted from 1.")
@click.option("--model", metavar="DIR", help="Model directory, or the name of a shipped model.")
def test(device: str | None, seconds: float, channel: int | None, model: str | None) -> None:
    """Listen to DEVICE for a few seconds and say what is wrong with it. Speak meanwhile."""
    from asr.doctor import examine, level_db
    from asr.microphone import Microphone, Notice, to_mono
    from asr.portaudio import Block, CaptureOptions, quiet_native_errors
    from asr.recognizer import Recognizer
    from asr.terminal import meter

    stream = Recognizer(model).stream()
    options = CaptureOptions(first_seconds=max(5.0, seconds))
    blocks, text, heard = [], [], 0.0
    live = sys.stderr.isatty()
    pick = None if channel is None else channel - 1
    with quiet_native_errors(), Microphone(device, channel=pick, options=options) as microphone:
        wanted = microphone.device
        click.echo(f"Device          {wanted.name!r} ({wanted.host})")
        click.echo(f"Asked for       {wanted.rate:.0f} Hz, {wanted.channels} channel(s)")
        latency = f"latency {microphone.latency * 1000:.0f} ms"
        click.echo(f"Granted         {microphone.rate} Hz, {microphone.channels} channel(s), {latency}")
        click.echo(f"Speak for {seconds:g} seconds ...", err=True)
        began = time.monotonic()
        while heard < seconds and time.monotonic() - began < 2 * seconds + options.first_seconds:
            event = microphone.read()
            if isinstance(event, Notice):
                click.echo(event.text, err=True)
            if not isinstance(event, Block):
                continue
            blocks.append(event.samples)
            heard += len(event.samples) / event.rate
            text += stream.feed(to_mono(event.samples, pick), event.rate)
            if live:
                click.echo(f"\r{meter(level_db(event.samples))} {seconds - heard:4.1f} s", nl=False, err=True)
        lost, rate = microphone.dropped_blocks + microphone.overflows, microphone.rate
    if live:
        click.echo("\r" + " " * 40 + "\r", nl=False, err=True)
    if not blocks:
        click.echo("Level           no sound arrived: choose another device, or check its cable and its permission.")
        sys.exit(1)
    findings = examine(np.concatenate(blocks), rate, lost)
    for finding in findings:
        click.echo(describe(finding))
    text += stream.finish()
    said = " ".join(segment.text for segment in text)
    click.echo(f"Recognized      {said or 'nothing'}")
    sys.exit(0 if all(finding.fine for finding in findings) else 1)


def describe(finding: Finding) -> str:
    line = f"{finding.name:15} {finding.value}"
    return line if finding.fine else f"{line}\n{'':16}-> {finding.advice}"
