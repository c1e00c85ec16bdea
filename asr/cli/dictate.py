"""`asr dictate`: what is said is typed into the window that has the focus."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from asr.cli.options import (
    endpoint_option,
    every_sound_option,
    grammar_option,
    hotwords_file_option,
    hotwords_option,
    model_option,
    no_second_reading_option,
    numbers_option,
    plain_option,
    words_option,
)
from asr.errors import AsrError
from asr.heap import share_one_heap

if TYPE_CHECKING:
    from asr.dictation.keyboards import Keyboard, KeyboardOptions
    from asr.dictation.x11 import X11Desktop

KEYBOARDS = ("xdotool", "wtype", "ydotool", "clipboard", "stdout")


@click.group(invoke_without_command=True)
@click.option("--wait", is_flag=True, help="Start with the microphone closed, until `asr dictate begin`.")
@click.option("--device", metavar="NAME|NUMBER", help="Input device, as `asr microphones` lists it.")
@click.option("--channel", type=click.IntRange(1), help="Only this channel, counted from 1 (default: all, mixed).")
@model_option
@plain_option
@every_sound_option
@numbers_option
@endpoint_option
@click.option("--type", "wanted", type=click.Choice(KEYBOARDS), help="What presses the keys (default: what fits).")
@click.option(
    "--tentative",
    type=click.Choice(["hold", "type"]),
    default="hold",
    show_default=True,
    help="Words that may still change: hold them back, or type and retype them.",
)
@click.option(
    "--pre-roll",
    type=click.FloatRange(0, 10),
    default=0.0,
    metavar="S",
    help="Keep the microphone open, to hear S seconds before `begin` too.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Instead of ~/.config/asr/dictation.toml.",
)
@hotwords_option
@hotwords_file_option
@words_option
@grammar_option
@no_second_reading_option
@click.pass_context
def dictate(
    context: click.Context,
    wait: bool,
    device: str | None,
    channel: int | None,
    model: str | None,
    plain: bool,
    every_sound: bool,
    numbers: Literal["digits", "words"],
    endpoint: str,
    wanted: str | None,
    tentative: Literal["hold", "type"],
    pre_roll: float,
    config: Path | None,
    hotwords: str | None,
    hotwords_file: Path | None,
    words: Path | None,
    grammar: str | None,
    no_second_reading: bool,
) -> None:
    """Type what is said into the window that has the focus, until Ctrl-C.

    The commands below steer the running dictation, from another terminal or a hotkey; for push-to-talk, bind `begin`
    to pressing a key and `end` to letting it go. Nothing is ever erased but what the dictation itself has typed.
    """
    if context.invoked_subcommand is not None:
        refuse_options(context)
        return
    from asr.cli.expected import grammar_from, hotwords_from, words_from
    from asr.cli.listen import stop_at_signals
    from asr.dictation.config import config_path, read_config
    from asr.dictation.control import Server, socket_path
    from asr.dictation.daemon import Dictation, DictationOptions
    from asr.dictation.keyboards import choose
    from asr.dictation.typist import UNKNOWN_FOCUS, Typist
    from asr.microphone import Microphone
    from asr.portaudio import quiet_native_errors
    from asr.recognizer import Recognizer, StreamOptions

    settings = read_config(config or config_path())
    name = choose(os.environ, wanted)
    desktop = open_desktop(name, os.environ)
    keyboard = open_keyboard(name, desktop, settings.keys)
    if tentative == "type" and (desktop is None or not keyboard.can_erase):
        reason = UNKNOWN_FOCUS if keyboard.can_erase else "What is printed stays printed."
        raise AsrError(f"--tentative type is refused here. {reason} Use --tentative hold.")
    expected = StreamOptions(
        hotwords=hotwords_from(hotwords, hotwords_file),
        grammar=None if grammar is None else grammar_from(grammar),
        words=() if words is None else words_from(words),
        endpoint=endpoint,
        second_reading=None if no_second_reading else "background",
    )
    share_one_heap()
    stop = stop_at_signals()
    pick = None if channel is None else channel - 1
    with quiet_native_errors(), Server(socket_path()) as server:
        microphone = Microphone(device, channel=pick)
        stream = Recognizer(model, plain=plain, numbers=numbers, every_sound=every_sound).stream(**expected)
        report(
            f"Typing with {name}." if keyboard.tried else f"Typing with {name}, which has not been tried by its tests."
        )
        if desktop is None and name != "stdout":
            report("The focus is unknown here: `scratch that` and `cancel` will erase nothing.")
            report("Held keys are unknown too: let go of Shift, Ctrl, Alt and Super before a sentence is typed.")
        if pre_roll:
            report(f"The microphone stays open: the last {pre_roll:g} s are kept until `begin` or thrown away.")
        if wait:
            report("Waiting for `asr dictate begin`.")
        options = DictationOptions(tentative, pre_roll)
        dictation = Dictation(stream, microphone, Typist(keyboard, desktop, report), settings.phrases, options, report)
        dictation.run(server.requests, stop, begin=not wait)


def open_desktop(keyboard: str, environment: Mapping[str, str]) -> X11Desktop | None:
    """What tells where the focus is; None where nothing can (Wayland, standard output)."""
    from asr.dictation.keyboards import is_wayland
    from asr.dictation.x11 import X11Desktop

    if keyboard == "xdotool" or (keyboard == "clipboard" and not is_wayland(environment)):
        return X11Desktop()
    return None


def open_keyboard(name: str, desktop: X11Desktop | None, keys: KeyboardOptions) -> Keyboard:
    """The keyboard of that name. Raises KeyboardError where its programs are missing."""
    from asr.dictation.keyboards import Clipboard, Stdout, Wtype, Xdotool, Ydotool

    if name == "xdotool":
        assert desktop is not None
        return Xdotool(desktop, keys)
    if name == "wtype":
        return Wtype(keys)
    if name == "ydotool":
        return Ydotool(keys)
    if name == "clipboard":
        return Clipboard(desktop, keys)
    return Stdout()


def refuse_options(context: click.Context) -> None:
    """Options before a command would change nothing: the dictation that it steers runs already."""
    for option in context.command.params:
        if option.name and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            raise AsrError(
                f"{option.opts[0]} belongs to the start of a dictation, not to `{context.invoked_subcommand}`, which "
                "steers the running one: leave it out."
            )


def report(text: str) -> None:
    click.echo(text, err=True)


def _command(name: str, help_text: str) -> click.Command:
    @click.command(name, help=help_text)
    def command() -> None:
        from asr.dictation.control import send, socket_path

        answer = send(name, socket_path())
        if text := str(answer.get("text", "")).strip(" "):
            click.echo(text)
        if notice := answer.get("notice"):
            report(str(notice))
        report(str(answer["state"]))

    return command


for _name, _help in {
    "begin": "Open the microphone and dictate.",
    "end": "End the dictation: its final text is typed at once.",
    "suspend": "Close the microphone; `resume` goes on.",
    "resume": "Go on after `suspend`.",
    "cancel": "Drop what is not final, and take back what was typed of it.",
    "toggle": "Begin, end, or resume: whatever comes next.",
    "status": "Whether it waits, dictates or is suspended, and the text so far.",
    "quit": "End the program.",
}.items():
    dictate.add_command(_command(_name, _help))
