"""Writes dictated text and destroys nothing that it did not write.

Keys go to whatever window has the focus, so before each handful of them the typist looks whether it still is the
window it wrote into and whether somebody else has pressed a key or a button since. Only then is the end of its own
text certainly at the cursor, and only then does it press BackSpace.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from asr.dictation.keyboards import Keyboard

STAYS = "what was typed stays as it is"
UNKNOWN_FOCUS = f"Where the focus is unknown (Wayland), retyping could destroy other text: {STAYS}."


class Desktop(Protocol):
    """What must be known of the window system: `x11.X11Desktop`."""

    def focus(self) -> int | None: ...
    def modifiers_held(self) -> bool: ...
    def presses(self, own: bool = False) -> int: ...


@dataclass(frozen=True, slots=True)
class TypistOptions:
    chunk: int = 24  # keys between two looks at the focus
    modifier_seconds: float = 10.0  # wait so long for held keys
    poll_seconds: float = 0.01


class Typist:
    """One dictation's text, at the cursor of one window. Refusals are told to `notify`, in a sentence each."""

    def __init__(
        self,
        keyboard: Keyboard,
        desktop: Desktop | None,
        notify: Callable[[str], None],
        options: TypistOptions | None = None,
    ) -> None:
        self.pieces: list[str] = []  # final texts that stand before the cursor, as far as is known
        self.tentative = ""  # what stands behind them and may change
        self._keyboard = keyboard
        self._desktop = desktop
        self._notify = notify
        self._options = options or TypistOptions()
        self._window: int | None = None  # where the text is
        self._presses = 0  # of others, when it was written
        self._abandoned = False  # the running segment's tentative words can no longer be changed

    def context(self) -> list[str]:
        """The pieces at whose end the cursor still is; others are forgotten."""
        if self._desktop is not None and self._obstacle():
            self.pieces.clear()
        return self.pieces

    def show(self, text: str) -> None:
        """Tentative words: retype what has changed of them."""
        if self._abandoned or text == self.tentative:
            return
        if not self.tentative:
            self.context()
        if self.tentative and (reason := self._obstacle()):
            self._notify(reason)
            self._abandoned = True
        elif self._replace(self.tentative, text):
            self.tentative = text
        else:
            self._abandoned = True

    def take_back(self, count: int, characters: int = 0) -> bool:
        """Erase the last `count` pieces, the end of the piece before them and the tentative words.

        False where that could destroy other text.
        """
        kept = len(self.context()) - count
        reason = self._obstacle() or ("" if kept >= bool(characters) else "There is nothing to take back.")
        if reason:
            self._notify(reason)
            return False
        stays = self.pieces[:kept]
        if characters:
            stays[-1] = stays[-1][:-characters]
        if not self._replace("".join(self.pieces)[len("".join(stays)) :] + self.tentative, ""):
            return False
        self.pieces[:] = stays
        self.tentative = ""
        return True

    def settle(self, text: str, tentative: str = "") -> bool:
        """The final text of a segment, in place of its tentative words, and what is tentative after it.

        False where it could not be written.
        """
        self.context()
        if self._abandoned:
            reason = f"The tentative words could not be changed: {STAYS}."
        elif not self.tentative:
            reason = ""
        else:
            reason = self._moved() if (text + tentative).startswith(self.tentative) else self._obstacle()
        if reason:
            self._notify(f"{reason} Final text: {text.strip()!r}.")
        done = not reason and self._replace(self.tentative, text + tentative)
        if not done:
            self.pieces.clear()
        elif text:
            self.pieces.append(text)
        self.tentative, self._abandoned = tentative if done else "", False
        return done

    def forget(self) -> None:
        """Typing has failed: nothing is known of what stands before the cursor."""
        self.pieces.clear()
        self.tentative, self._abandoned = "", False

    def discard(self) -> None:
        """Take the tentative words back (the dictation was cancelled)."""
        if self.tentative and not self._abandoned:
            self.settle("")
        self.tentative, self._abandoned = "", False

    def _moved(self) -> str:
        """Why text cannot even be continued, or ""."""
        if self._desktop is None or self._desktop.focus() == self._window:
            return ""
        return f"The focus has moved: {STAYS}."

    def _obstacle(self) -> str:
        """Why text cannot be taken back, or ""."""
        if not self._keyboard.can_erase:
            return "What is printed stays printed: words cannot be taken back on standard output."
        if self._desktop is None:
            return UNKNOWN_FOCUS
        if self._window is None:
            return "Nothing has been typed yet."
        if moved := self._moved():
            return moved
        if self._desktop.presses() != self._presses:
            return f"You have typed or clicked since: {STAYS}."
        return ""

    def _replace(self, old: str, new: str) -> bool:
        """Turn `old`, which stands before the cursor, into `new`, touching only what differs."""
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
        erased, written = old[same:], new[same:]
        if "\n" in erased:  # a new line may have sent a message or run a command
            return self._refuse(f"A new line cannot be taken back: {STAYS}.", written)
        if not erased and not written:
            return True
        if not self._modifiers_released():
            return self._refuse("A modifier key is held down: let go of Shift, Control, Alt and Super.", written)
        if self._desktop is not None and not old:
            self._window, self._presses = self._desktop.focus(), self._desktop.presses()
            if self._window is None:
                return self._refuse("No window has the focus.", written)
        size = self._options.chunk
        for count in [min(size, len(erased) - i) for i in range(0, len(erased), size)]:
            if reason := self._obstacle():
                return self._refuse(reason, written)
            self._keyboard.erase(count)
            self._own_keys()
        for i in range(0, len(written), size):
            if reason := self._moved():
                return self._refuse(reason, written[i:])
            self._keyboard.write(written[i : i + size])
            self._own_keys()
        return True

    def _refuse(self, reason: str, text: str) -> bool:
        """False, after the user was told why, and what was not typed."""
        self._notify(f"{reason} Not typed: {text.strip()!r}." if text.strip() else reason)
        return False

    def _own_keys(self) -> None:
        """The keys that were just pressed were ours; a press of somebody else among them still counts."""
        if self._desktop is not None:
            self._desktop.presses(own=True)

    def _modifiers_released(self) -> bool:
        """Waits until no modifier key is held; False where one stays down."""
        if self._desktop is None:
            return True
        deadline = time.monotonic() + self._options.modifier_seconds
        while self._desktop.modifiers_held():
            if time.monotonic() > deadline:
                return False
            time.sleep(self._options.poll_seconds)
        return True
