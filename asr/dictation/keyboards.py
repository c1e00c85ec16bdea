"""Programs that press keys: each types text and erases characters in the window that has the focus."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from asr.dictation.x11 import X11Desktop
from asr.errors import AsrError

PACKAGES = {
    "xdotool": "xdotool",
    "xclip": "xclip",
    "wtype": "wtype",
    "ydotool": "ydotool",
    "wl-copy": "wl-clipboard",
    "wl-paste": "wl-clipboard",
}  # program: Debian package (Fedora's and Arch's have the same names)


class KeyboardError(AsrError):
    """A program that presses keys is missing or has failed."""


@dataclass(frozen=True, slots=True)
class KeyboardOptions:
    key_milliseconds: int = 1  # between keys; slow windows may want more
    paste_key: str = "shift+Insert"  # what pastes; terminals and toolkits take it, a few programs want "ctrl+v"
    paste_seconds: float = 1.0  # for a window to fetch what was pasted
    program_seconds: float = 20.0  # a program that takes longer hangs


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
        _require("xdotool")
        self._desktop = desktop
        self._options = options
        self._paste = Clipboard(desktop, options) if shutil.which("xclip") else None
        self._delay = ["--clearmodifiers", "--delay", str(options.key_milliseconds)]

    def write(self, text: str) -> None:
        if all(map(self._desktop.can_type, text)):
            self._run(["xdotool", "type", *self._delay, "--file", "-"], text)
        elif self._paste is None:
            raise KeyboardError("The text has characters that this keyboard layout lacks: install xclip to paste them.")
        else:
            self._paste.write(text)

    def erase(self, count: int) -> None:
        if count:
            self._run(["xdotool", "key", *self._delay, "--repeat", str(count), "BackSpace"])

    def _run(self, command: list[str], text: str | None = None) -> None:
        _run(command, self._options, text)


class Wtype:
    """Wayland compositors that let programs press keys: Sway, Hyprland and others, not GNOME."""

    name, tried, can_erase = "wtype", True, True

    def __init__(self, options: KeyboardOptions) -> None:
        _require("wtype")
        self._options = options

    def write(self, text: str) -> None:
        _run(["wtype", "-d", str(self._options.key_milliseconds), "-"], self._options, text)

    def erase(self, count: int) -> None:
        if count:
            _run(["wtype", *["-k", "BackSpace"] * count], self._options)


class Ydotool:
    """Any Linux desktop, through the kernel's uinput: its daemon `ydotoold` must run; US layout and ASCII only."""

    name, tried, can_erase = "ydotool", False, True
    backspace = 14  # the kernel's KEY_BACKSPACE

    def __init__(self, options: KeyboardOptions) -> None:
        _require("ydotool")
        self._options = options

    def write(self, text: str) -> None:
        if not text.isascii():
            raise KeyboardError("ydotool can type ASCII alone: use `--type clipboard` for this text.")
        _run(
            ["ydotool", "type", "--key-delay", str(self._options.key_milliseconds), "--file", "-"], self._options, text
        )

    def erase(self, count: int) -> None:
        presses = [f"{self.backspace}:1", f"{self.backspace}:0"] * count
        if count:
            _run(["ydotool", "key", *presses], self._options)


class Clipboard:
    """Puts the text into the clipboard and presses the paste key; what was in there before is put back."""

    name, tried, can_erase = "clipboard", True, True

    def __init__(self, desktop: X11Desktop | None, options: KeyboardOptions) -> None:
        """`desktop` is None under Wayland."""
        self._desktop = desktop
        self._options = options
        for program in ("xclip", "xdotool") if desktop else ("wl-copy", "wtype"):
            _require(program)

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
            _run(["xdotool", "key", *delay, "--repeat", str(count), "BackSpace"], self._options)

    def _write_x11(self, desktop: X11Desktop, text: str) -> None:
        # A terminal pastes the primary selection, a toolkit the clipboard: both hold the text for a moment.
        before = {selection: _selected_text(selection) for selection in ("CLIPBOARD", "PRIMARY")}
        holders = {selection: desktop.selection_owner(selection) for selection in before}
        servers = [_serve_once(selection, text) for selection in before]
        try:
            for selection, holder in holders.items():
                self._wait_for_owner(desktop, selection, not_in=(0, holder))
            _run(["xdotool", "key", "--clearmodifiers", self._options.paste_key], self._options)
            key = self._options.paste_key
            complaint = f"Nothing was pasted with {key}: set another paste_key in dictation.toml."
            self._wait(lambda: any(server.poll() is not None for server in servers), complaint)  # it was fetched
        finally:
            for server in servers:
                server.terminate()
                server.communicate()
            for selection, selected in before.items():
                if selected is not None:
                    _hand_over(["xclip", "-i", "-selection", selection.lower()], selected)
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
        before = _output(["wl-paste", "--no-newline"])
        _hand_over(["wl-copy"], text)
        *modifiers, key = self._options.paste_key.split("+")
        held = [argument for modifier in modifiers for argument in ("-M", modifier)]
        released = [argument for modifier in modifiers for argument in ("-m", modifier)]
        _run(["wtype", *held, "-k", key, *released], self._options)
        time.sleep(self._options.paste_seconds)  # nobody tells when the window has fetched it
        if before is not None:
            _hand_over(["wl-copy"], before)


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
        if shutil.which("wtype"):
            return "wtype"
        if shutil.which("ydotool"):
            return "ydotool"
        raise KeyboardError("Typing under Wayland needs wtype (Sway, Hyprland) or ydotool (GNOME, KDE): install one.")
    if environment.get("DISPLAY"):
        return "xdotool"
    raise KeyboardError("There is no window system here to type into: use `--type stdout`, or start this in a desktop.")


def is_wayland(environment: Mapping[str, str] = os.environ) -> bool:
    return bool(environment.get("WAYLAND_DISPLAY"))


def _require(program: str) -> None:
    if shutil.which(program) is None:
        raise KeyboardError(f"{program} is not installed: install the package {PACKAGES[program]}.")


def _run(command: list[str], options: KeyboardOptions, text: str | None = None) -> None:
    nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
    try:
        done = subprocess.run(
            command, input=text, text=True, stdout=nothing, stderr=pipe, timeout=options.program_seconds
        )
    except subprocess.TimeoutExpired as error:
        raise KeyboardError(f"{command[0]} hangs: the window that has the focus may have stopped.") from error
    if done.returncode:
        reason = (done.stderr or "").strip() or f"exit status {done.returncode}"
        raise KeyboardError(f"{command[0]} could not press the keys ({reason}).")


def _output(command: list[str]) -> str | None:
    """What a program prints, or None where it fails (an empty clipboard, or one that holds no text)."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=5)
    try:
        return done.stdout.decode() if done.returncode == 0 else None
    except UnicodeDecodeError:
        return None


def _hand_over(command: list[str], text: str) -> None:
    """Start a program that keeps the clipboard in the background (it must not hold our pipes)."""
    nothing = subprocess.DEVNULL
    if subprocess.run(command, input=text, text=True, stdout=nothing, stderr=nothing, timeout=5).returncode:
        raise KeyboardError(f"{command[0]} could not fill the clipboard.")


def _selected_text(selection: str) -> str | None:
    """The text in an X11 selection, None where there is nothing. Refuses what could not be put back."""
    query = ["xclip", "-o", "-selection", selection.lower()]
    targets = (_output([*query, "-t", "TARGETS"]) or "").split()
    if not targets:
        return None
    if not {"UTF8_STRING", "STRING", "TEXT"}.intersection(targets):
        raise KeyboardError(
            f"The {selection.lower()} selection holds something other than text, which pasting would destroy."
        )
    return _output(query)


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
