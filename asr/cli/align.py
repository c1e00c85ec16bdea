"""`asr align`: when each word of a known text was said."""

from __future__ import annotations

from pathlib import Path

import click

from asr.cli.options import SoundPath, in_a_folder, model_option
from asr.errors import AsrError
from asr.writers import WRITERS, write_file

_FILE = click.Path(path_type=Path, dir_okay=False)
_SHOWN = 60  # characters of a line that is left out


@click.command()
@click.argument("audio", type=SoundPath())
@click.argument("text", type=_FILE)
@click.option("-t", "--type", "kind", type=click.Choice(list(WRITERS)), default="ctm", show_default=True)
@click.option("-o", "--output", type=_FILE, callback=in_a_folder, help="File to write.  [default: standard output]")
@click.option("--sounds", is_flag=True, help="Place the sounds (phones) of the words instead of the words.")
@click.option("--channel", type=click.IntRange(1), metavar="N", help="Only this channel, from 1 (default: all, mixed).")
@model_option
def align(
    audio: Path, text: Path, kind: str, output: Path | None, sounds: bool, channel: int | None, model: str | None
) -> None:
    """Say when each word of TEXT, a file of plain text, is said in AUDIO; a line of the text is a segment.

    AUDIO may be - for standard input.

    Text that is not said, lines that cannot be spoken, as with letters of other alphabets, and sound that is not in the
    text are left out and reported. Recordings may last for hours.
    """
    from asr.align import align_file
    from asr.cli.transcribe import open_recording
    from asr.cli.transcripts import STDIN
    from asr.recognizer import find_model

    if text == STDIN:
        raise click.UsageError("TEXT has to be a file: only AUDIO may be - (standard input).")
    with open_recording(audio) as source:
        aligned = align_file(find_model(model), source, text, None if channel is None else channel - 1)
    damage = f"{aligned.damage.rstrip('.')}; what comes before was aligned." if aligned.damage else None
    if not aligned.words:
        raise AsrError(damage or f"{source.name}: nothing of {text} was heard in it; are they the same talk?")
    written = WRITERS[kind](aligned.transcript(sounds), "stdin" if audio == STDIN else audio.stem)
    if output is None:
        click.echo(written, nl=False)
    else:
        write_file(output, written)
    for number, line in aligned.unspoken:
        shown = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
        click.echo(f"cannot be spoken: line {number}: {shown}", err=True)
    for begin, end, words in aligned.unheard:
        click.echo(f"not said: words {begin + 1} to {end}: {words}", err=True)
    for start, stop in aligned.unread:
        click.echo(f"not in the text: {start:.2f} to {stop:.2f} s", err=True)
    if damage:
        raise AsrError(damage)
