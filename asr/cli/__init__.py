"""The `asr` command: one module a subcommand, imported when it is called."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from io import TextIOWrapper

import click

from asr.errors import AsrError

# Name of the command -> "module:function". A command whose module this installation lacks is not listed.
COMMANDS = {
    "transcribe": "asr.cli.transcribe:transcribe",
    "listen": "asr.cli.listen:listen",
    "dictate": "asr.cli.dictate:dictate",
    "microphones": "asr.cli.microphones:microphones",
    "models": "asr.cli.models:models",
    "align": "asr.cli.align:align",
    "evaluate": "asr.cli.evaluate:evaluate",
    "lexicon": "asr.cli.lexicon:lexicon",
    "lm": "asr.cli.lm:lm",
    "tune": "asr.cli.tune:tune",
    "data": "asr.cli.data:data",
    "train": "asr.cli.train:train",
    "export": "asr.cli.export:export",
    "inspect": "asr.cli.inspect:inspect",
}


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is needed, and shows an `AsrError` as one line, exit status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, place in COMMANDS.items() if importlib.util.find_spec(place.split(":")[0])]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None or importlib.util.find_spec(place.split(":")[0]) is None:
            return None
        module, function = place.split(":")
        command = getattr(importlib.import_module(module), function)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except AsrError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            sys.exit(130)  # what a shell says of a program that Ctrl-C ended
        except BrokenPipeError:  # the reader of a pipe left, as `head` does
            sys.stderr.close()
            sys.exit(0)
        except OSError as error:  # a full disk behind standard output, for instance
            place = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{place}{error.strerror or error}.") from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hearline", prog_name="asr")
def main() -> None:
    """Speech to text on this machine: files, microphone, dictation; and the tools that train it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files that are no text in the terminal's encoding
