"""The programs that press keys and hold the clipboard: each is run with a limit, and its failure is a sentence."""

from __future__ import annotations

import shutil
import subprocess

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
    """A program that presses keys or holds the clipboard is missing or has failed."""


def require(program: str) -> None:
    if shutil.which(program) is None:
        raise KeyboardError(f"{program} is not installed: install the package {PACKAGES[program]}.")


def run(command: list[str], seconds: float, text: str | None = None) -> None:
    """Let a program press keys. Raises KeyboardError where it fails or takes longer."""
    nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
    try:
        done = subprocess.run(command, input=text, text=True, stdout=nothing, stderr=pipe, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise KeyboardError(f"{command[0]} hangs: the window that has the focus may have stopped.") from error
    if done.returncode:
        reason = (done.stderr or "").strip() or f"exit status {done.returncode}"
        raise KeyboardError(f"{command[0]} could not press the keys ({reason}).")


def output(command: list[str], seconds: float) -> bytes | None:
    """What a program prints, or None where it fails. Raises KeyboardError where it takes longer."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise KeyboardError(
            f"{command[0]} hangs: the program that holds the clipboard has stopped. Close it, or copy something in "
            "another one."
        ) from error
    return None if done.returncode else done.stdout


def hand_over(command: list[str], seconds: float, text: str = "") -> None:
    """Start a program that keeps the clipboard in the background (it must not hold our pipes)."""
    nothing = subprocess.DEVNULL
    try:
        done = subprocess.run(command, input=text.encode(), stdout=nothing, stderr=nothing, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise KeyboardError(f"{command[0]} hangs: the clipboard could not be filled.") from error
    if done.returncode:
        raise KeyboardError(f"{command[0]} could not fill the clipboard.")
