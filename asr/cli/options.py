"""Options that several commands share: what is heard, what may be said, how it is read and written."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from asr.endpoint import PRESETS
from asr.writers import WRITERS

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


class SoundPath(click.Path):
    """A recording, or - for standard input. An address is refused as it was typed: pathlib folds its slashes."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, allow_dash=True)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        if re.match(r"[a-z][a-z0-9+.-]*://", str(value), re.IGNORECASE):
            self.fail(f"{value} is an address: download it first, and name the file.", param, ctx)
        return super().convert(value, param, ctx)


def in_a_folder(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """A file to write: its folder is looked for before the work, not after."""
    if value is not None and not value.parent.is_dir():
        raise click.BadParameter(f"the folder {value.parent} does not exist; make it first")
    return value


def _types(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[str]:
    types = [name.strip().lower() for name in ",".join(values).split(",") if name.strip()]
    if unknown := [name for name in types if name not in WRITERS]:
        raise click.BadParameter(f"{', '.join(unknown)}: take some of {', '.join(WRITERS)}.")
    return list(dict.fromkeys(types)) or ["txt"]


types_option = click.option(
    "-t",
    "--types",
    multiple=True,
    default=("txt",),
    callback=_types,
    help=f"What to write, some of {','.join(WRITERS)}.",
)
endpoint_option = click.option(
    "--endpoint", type=click.Choice(list(PRESETS)), default="normal", show_default=True, help="When a sentence ends."
)
hotwords_option = click.option(
    "--hotwords",
    metavar="LIST|FILE",
    help='Words to expect: "hochreiter:6,lstm", or a file, one a line; word=sounds like says how one sounds.',
)
hotwords_file_option = click.option("--hotwords-file", metavar="FILE", type=EXISTING, help="More of them.")
words_option = click.option(
    "--words",
    metavar="FILE",
    type=EXISTING,
    help="Words that the lexicon may lack, one a line; word=sounds like says how one sounds.",
)
grammar_option = click.option(
    "--grammar", metavar="LIST|FILE", help='All that may be said: "yes|no|[unk]", or a file, a phrase a line.'
)
no_second_reading_option = click.option(
    "--no-second-reading", is_flag=True, help="Take what was heard at once as final: sooner, with more errors."
)
every_sound_option = click.option(
    "--every-sound", is_flag=True, help="Words even where the sound is probably no speech."
)
plain_option = click.option("--plain", is_flag=True, help="Bare words: no marks, capitals or figures.")
numbers_option = click.option(
    "--numbers", type=click.Choice(["digits", "words"]), default="digits", show_default=True, help="Numbers."
)
model_option = click.option("--model", metavar="DIR", help="Model directory, or the name of a shipped model.")
