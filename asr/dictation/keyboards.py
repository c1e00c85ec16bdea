"""Programs that press keys: each types text and erases characters in the window that has the focus."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from asr.dictation.programs import KeyboardError, hand_over, output, require, run
from asr.dictation.x11 import X11Desktop

# What plain text is called in a clipboard, the best name first.
TEXT_TYPES = ("text/plain;charset=utf-8", "UTF8_STRING", "text/plain", "STRING", "TEXT")
MORE_THAN_TEXT = ("image/", "text/uri-list")  # pictures and files have a text beside them, which is not all of them
PROBE_SECONDS = 5.0  # for wtype to find out whether it may type


@dataclass(frozen=True, slots=True)
class KeyboardOptions:
    key_milliseconds: int = 1  # between keys; slow windows may want more
    paste_key: str = "shift+Insert"  # what pastes; terminals and toolkits take it, a few programs want "ctrl+v"
    paste_seconds: float = 1.0  # for a window to fetch what was pasted
    program_seconds: float = 20.0  # a program that takes longer hangs
    clipboard_seconds: float = 5.0  # the same for what reads and fills the clipboard


class Keyboard(Protocol):
    """Something that writes where the focus is."""

    name: str
    tried: bool  # whether the tests of this project really type with it
    can_erase: bool

    def write(self, text: str) -> None: ...

    def erase(self, count: int) -> None:
        """Press BackSpace `count` times."""
        ...


class Xdotool:
    """X11. Characters that no key of the layout gives are pasted."""

    name, tried, can_erase = "xdotool", True, True

    def __init__(self, desktop: X11Desktop, options: KeyboardOptions) -> None:
        require("xdotool")
        self._desktop = desktop
        self._options = options
        self._paste = Clipboard(desktop, options) if shutil.which("xclip") else None
        self._delay = ["--clearmodifiers", "--delay", str(options.key_milliseconds)]

    def write(self, text: str) -> None:
        if all(map(self._desktop.can_type, text)):
            run(["xdotool", "type", *self._delay, "--file", "-"], self._options.program_seconds, text)
        elif self._paste is None:
            raise KeyboardError("The text has characters that this keyboard layout lacks: install xclip to paste them.")
        else:
            self._paste.write(text)

    def erase(self, count: int) -> None:
        if count:
            run(["xdotool", "key", *self._delay, "--repeat", str(count), "BackSpace"], self._options.program_seconds)


class Wtype:
    """Wayland compositors that let programs press keys: Sway, Hyprland and others, not GNOME."""

    name, tried, can_erase = "wtype", True, True

    def __init__(self, options: KeyboardOptions) -> None:
        require_wtype()
        self._options = options

    def write(self, text: str) -> None:
        run(["wtype", "-d", str(self._options.key_milliseconds), "-"], self._options.program_seconds, text)

    def erase(self, count: int) -> None:
        if count:
            run(["wtype", *["-k", "BackSpace"] * count], self._options.program_seconds)


class Ydotool:
    """Any Linux desktop, through the kernel's uinput: its daemon `ydotoold` must run; US layout and ASCII only."""

    name, tried, can_erase = "ydotool", False, True
    backspace = 14  # the kernel's KEY_BACKSPACE

    def __init__(self, options: KeyboardOptions) -> None:
        require("ydotool")
        self._options = options

    def write(self, text: str) -> None:
        if not text.isascii():
            raise KeyboardError("ydotool can type ASCII alone, and this text has other characters.")
        run(
            ["ydotool", "type", "--key-delay", str(self._options.key_milliseconds), "--file", "-"],
            self._options.program_seconds,
            text,
        )

    def erase(self, count: int) -> None:
        presses = [f"{self.backspace}:1", f"{self.backspace}:0"] * count
        if count:
            run(["ydotool", "key", *presses], self._options.program_seconds)


class Clipboard:
    """Puts the text into the clipboard and presses the paste key; what was in there before is put back."""

    name, tried, can_erase = "clipboard", True, True

    def __init__(self, desktop: X11Desktop | None, options: KeyboardOptions) -> None:
        """`desktop` is None under Wayland."""
        self._desktop = desktop
        self._options = options
        for program in ("xclip", "xdotool") if desktop else ("wl-copy", "wl-paste"):
            require(program)
        if desktop is None:
            require_wtype()

    def write(self, text: str) -> None:
        if self._desktop is None:
            self._write_wayland(text)
        else:
            self._write_x11(self._desktop, text)

    def erase(self, count: int) -> None:
        if count and self._desktop is None:
            Wtype(self._options).erase(count)
        elif count:
            delay = ["--clearmodifiers", "--delay", str(self._options.key_milliseconds)]
            run(["xdotool", "key", *delay, "--repeat", str(count), "BackSpace"], self._options.program_seconds)

    def _write_x11(self, desktop: X11Desktop, text: str) -> None:
        # A terminal pastes the primary selection, a toolkit the clipboard: both hold the text for a moment.
        limit = self._options.clipboard_seconds
        before = {selection: _selected_text(selection, limit) for selection in ("CLIPBOARD", "PRIMARY")}
        holders = {selection: desktop.selection_owner(selection) for selection in before}
        servers = [_serve_once(selection, text) for selection in before]
        try:
            for selection, holder in holders.items():
                self._wait_for_owner(desktop, selection, not_in=(0, holder))
            run(["xdotool", "key", "--clearmodifiers", self._options.paste_key], self._options.program_seconds)
            key = self._options.paste_key
            complaint = f"Nothing was pasted with {key}: set another paste_key in dictation.toml."
            self._wait(lambda: any(server.poll() is not None for server in servers), complaint)  # it was fetched
        finally:
            for server in servers:
                server.terminate()
                server.communicate()
            for selection, selected in before.items():
                if selected is not None:
                    hand_over(["xclip", "-i", "-selection", selection.lower()], limit, selected)
                    self._wait_for_owner(desktop, selection, not_in=(0,))

    def _wait_for_owner(self, desktop: X11Desktop, selection: str, not_in: tuple[int, ...]) -> None:
        self._wait(lambda: desktop.selection_owner(selection) not in not_in, "The clipboard is busy.")

    def _wait(self, condition: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + self._options.paste_seconds
        while not condition():
            if time.monotonic() > deadline:
                raise KeyboardError(complaint)
            time.sleep(0.002)

    def _write_wayland(self, text: str) -> None:
        limit = self._options.clipboard_seconds
        before = _copied_text(limit)
        try:
            hand_over(["wl-copy", "--type", "text/plain"], limit, text)
            *modifiers, key = self._options.paste_key.split("+")
            held = [argument for modifier in modifiers for argument in ("-M", modifier)]
            released = [argument for modifier in modifiers for argument in ("-m", modifier)]
            run(["wtype", *held, "-k", key, *released], self._options.program_seconds)
            time.sleep(self._options.paste_seconds)  # nobody tells when the window has fetched it
        finally:
            if output(["wl-paste", "--no-newline"], limit) == text.encode():  # else somebody has copied meanwhile
                _put_back(before, limit)


class Stdout:
    """Writes to this program's own output: for a pipe, or to see what would be typed."""

    name, tried, can_erase = "stdout", True, False

    def write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def erase(self, count: int) -> None:
        raise KeyboardError("What is printed stays printed: --type stdout cannot take words back.")


def choose(environment: Mapping[str, str], wanted: str | None = None) -> str:
    """The name of the keyboard for this desktop: `wanted`, or the one that fits X11 or Wayland.

    Raises KeyboardError where none fits, naming the package to install.
    """
    if wanted is not None:
        return wanted
    if environment.get("WAYLAND_DISPLAY"):
        if shutil.which("wtype") and _wtype_may_type():
            return "wtype"
        if shutil.which("ydotool"):
            return "ydotool"
        raise KeyboardError(
            "Typing under Wayland needs wtype where the compositor allows it (Sway, Hyprland) or ydotool (GNOME, KDE "
            "too): install one."
        )
    if environment.get("DISPLAY"):
        return "xdotool"
    raise KeyboardError("There is no window system here to type into: use `--type stdout`, or start this in a desktop.")


def is_wayland(environment: Mapping[str, str] = os.environ) -> bool:
    return bool(environment.get("WAYLAND_DISPLAY"))


def require_wtype() -> None:
    """Raises KeyboardError where wtype is missing or the compositor does not let it press keys."""
    require("wtype")
    if not _wtype_may_type():
        raise KeyboardError("This compositor does not let wtype press keys (GNOME and KDE do not): install ydotool.")


def _wtype_may_type() -> bool:
    """Typing nothing fails where the compositor lacks the protocol."""
    try:
        run(["wtype", ""], PROBE_SECONDS)
    except KeyboardError:
        return False
    return True


def _selected_text(selection: str, limit: float) -> str | None:
    """The text in an X11 selection, None where there is nothing. Refuses what could not be put back."""
    query = ["xclip", "-o", "-selection", selection.lower()]
    name = f"{selection.lower()} selection"
    targets = (output([*query, "-t", "TARGETS"], limit) or b"").decode(errors="replace").split()
    if not targets:
        return None
    _text_type(targets, name)
    content = output(query, limit)
    return None if content is None else _decoded(content, name)


def _copied_text(limit: float) -> str | None:
    """The text in Wayland's clipboard, None where there is nothing. Refuses what could not be put back."""
    types = (output(["wl-paste", "--list-types"], limit) or b"").decode(errors="replace").splitlines()
    if not types:
        return None
    content = output(["wl-paste", "--no-newline", "--type", _text_type(types, "clipboard")], limit)
    if content is None:
        raise _not_text("clipboard")
    return _decoded(content, "clipboard")


def _put_back(before: str | None, limit: float) -> None:
    """What Wayland's clipboard held."""
    if before is None:
        hand_over(["wl-copy", "--clear"], limit)
    else:
        hand_over(["wl-copy", "--type", "text/plain"], limit, before)


def _text_type(types: Sequence[str], where: str) -> str:
    """The name of the text among what a clipboard offers. Refuses where that is not all there is."""
    kind = next((kind for kind in TEXT_TYPES if kind in types), None)
    if kind is None or any(offered.startswith(MORE_THAN_TEXT) for offered in types):
        raise _not_text(where)
    return kind


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _not_text(where) from error


def _not_text(where: str) -> KeyboardError:
    return KeyboardError(f"The {where} holds something other than text, which pasting would destroy.")


def _serve_once(selection: str, text: str) -> subprocess.Popen[str]:
    """An xclip that holds the selection until one window has fetched it."""
    pipe = subprocess.PIPE
    command = ["xclip", "-i", "-verbose", "-loops", "1", "-selection", selection.lower()]
    owner = subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, text=True)
    assert owner.stdin is not None and owner.stderr is not None
    owner.stdin.write(text)
    owner.stdin.close()
    owner.stdin = None
    while (line := owner.stderr.readline()) and not line.startswith("  Waiting for"):
        pass  # it says when it is ready
    return owner
