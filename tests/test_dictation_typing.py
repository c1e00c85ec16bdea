"""Typing into real windows on an X server: what arrives, and what is never destroyed."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live.stand import Desktop, needs, wait_for

from asr.dictation.keyboards import Clipboard, KeyboardOptions, Stdout, Xdotool
from asr.dictation.programs import KeyboardError
from asr.dictation.typist import Typist, TypistOptions
from asr.dictation.x11 import X11Desktop

pytestmark = [pytest.mark.live, needs(*Desktop.programs, "xclip")]

SENTENCE = "Hello, world! It's 12 o'clock; isn't it (nearly) \"time\"? So-so: 100% @home #1 & more."


@pytest.fixture(scope="module")
def desktop() -> Iterator[Desktop]:
    screen = Desktop()
    yield screen
    screen.close()


@pytest.fixture
def x11(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> Iterator[X11Desktop]:
    monkeypatch.setenv("DISPLAY", desktop.display)
    connection = X11Desktop()
    yield connection
    connection.close()


class Window:
    """A window and what has arrived in it since the test began."""

    def __init__(self, desktop: Desktop, kind: str, name: str, folder: Path) -> None:
        self._desktop = desktop
        self._file = folder / name
        self._file.touch()
        self._before = 0
        make = desktop.terminal if kind == "xterm" else desktop.entry
        self.window = make(name, self._file)
        self._kind = kind

    def begin(self) -> None:
        """A new test: the focus is here, the cursor at the end."""
        self.focus()
        if self._kind == "tk":
            self._desktop.xdotool("key", "ctrl+End")
        self._before = len(self._file.read_text())

    def focus(self) -> None:
        self._desktop.focus(self.window)

    @property
    def text(self) -> str:
        """As it stands there: a terminal's program gets each BackSpace as a character."""
        text = ""
        for character in self._file.read_text()[self._before :]:
            text = text[:-1] if character in "\x7f\b" else text + character
        return text

    def shows(self, text: str) -> bool:
        """Waits until it does, or says what else."""
        deadline = time.monotonic() + 5
        while self.text != text and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self.text == text
        return True


@pytest.fixture(scope="module")
def windows(desktop: Desktop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Window]:
    folder = tmp_path_factory.mktemp("windows")
    return {name: Window(desktop, name.split("-")[0], name, folder) for name in ("xterm", "tk-other", "tk")}


@pytest.fixture
def other(windows: dict[str, Window]) -> Window:
    windows["tk-other"].begin()
    return windows["tk-other"]


@pytest.fixture(params=["xterm", "tk"])
def window(request: pytest.FixtureRequest, windows: dict[str, Window], other: Window) -> Window:
    windows[request.param].begin()
    return windows[request.param]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def typist(x11: X11Desktop, told: list[str]) -> Typist:
    return Typist(Xdotool(x11, KeyboardOptions()), x11, told.append, TypistOptions(modifier_seconds=3))


def test_what_is_typed_arrives(typist: Typist, window: Window) -> None:
    assert typist.settle(SENTENCE)
    assert typist.settle(" And\nmore.")
    assert window.shows(SENTENCE + " And\nmore.")


def test_characters_without_a_key_are_pasted_and_the_clipboard_is_put_back(
    typist: Typist, window: Window, desktop: Desktop
) -> None:
    clipboard = ["xclip", "-selection", "clipboard"]
    nothing = subprocess.DEVNULL
    subprocess.run(
        [*clipboard, "-i"], input=b"mine", env=desktop.environment, check=True, stdout=nothing, stderr=nothing
    )

    def clipped() -> bytes:
        return subprocess.run([*clipboard, "-o"], env=desktop.environment, capture_output=True).stdout

    wait_for(lambda: clipped() == b"mine", what="the clipboard")  # xclip goes into the background before it holds it
    assert typist.settle("Zoë – naïve 東京")
    assert window.shows("Zoë – naïve 東京")
    assert clipped() == b"mine"


def test_a_clipboard_that_holds_no_text_is_not_destroyed(x11: X11Desktop, window: Window, desktop: Desktop) -> None:
    picture = ["xclip", "-i", "-selection", "clipboard", "-t", "image/png"]
    nothing = subprocess.DEVNULL
    subprocess.run(picture, input=b"\x89PNG", env=desktop.environment, check=True, stdout=nothing, stderr=nothing)
    targets = ["xclip", "-o", "-selection", "clipboard", "-t", "TARGETS"]
    wait_for(lambda: b"image/png" in subprocess.run(targets, env=desktop.environment, capture_output=True).stdout)
    with pytest.raises(KeyboardError, match="holds something other than text"):
        Clipboard(x11, KeyboardOptions()).write("x")
    subprocess.run(
        ["xclip", "-i", "-selection", "clipboard"], input=b"", env=desktop.environment, stdout=nothing, stderr=nothing
    )


def test_a_clipboard_whose_owner_hangs_is_named(x11: X11Desktop, window: Window, desktop: Desktop) -> None:
    owner = subprocess.Popen(
        ["xclip", "-quiet", "-i", "-selection", "clipboard"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=desktop.environment,
    )
    assert owner.stdin is not None
    owner.stdin.write(b"mine")
    owner.stdin.close()
    read = ["xclip", "-o", "-selection", "clipboard"]
    wait_for(lambda: subprocess.run(read, env=desktop.environment, capture_output=True).stdout == b"mine")
    owner.send_signal(signal.SIGSTOP)
    try:
        options = KeyboardOptions(clipboard_seconds=0.5)
        for keyboard in (Clipboard(x11, options), Xdotool(x11, options)):
            with pytest.raises(KeyboardError, match="the program that holds the clipboard has stopped"):
                keyboard.write("東京")
        assert window.shows("")
    finally:
        owner.kill()
        owner.wait()


def test_of_tentative_words_only_the_changed_end_is_typed_again(
    typist: Typist, window: Window, x11: X11Desktop
) -> None:
    erased: list[int] = []
    keyboard = typist._keyboard
    erase = keyboard.erase
    keyboard.erase = lambda count: (erased.append(count), erase(count))[1]  # type: ignore[method-assign, func-returns-value]
    typist.show("hello")
    typist.show("hello word")
    typist.show("hello world is")
    assert typist.settle("hello world was", " here")
    assert typist.settle(" there")
    assert window.shows("hello world was there")
    assert erased == [1, 2, 4]  # d; is; here


def test_scratch_takes_back_what_was_typed_and_nothing_else(typist: Typist, window: Window, told: list[str]) -> None:
    typist.settle("keep this")
    typist.settle(" but not this")
    assert typist.take_back(1)
    assert window.shows("keep this")
    assert typist.take_back(1)
    assert window.shows("")
    assert not typist.take_back(1) and told == ["There is nothing to take back."]


def test_the_end_of_a_piece_is_taken_back(typist: Typist, window: Window) -> None:
    typist.settle("keep this.")
    typist.settle(" and", " not")
    assert typist.take_back(1, characters=1)
    assert window.shows("keep this") and typist.pieces == ["keep this"]


def press(desktop: Desktop, *keys: str) -> None:
    desktop.xdotool("key", *keys)


@pytest.mark.parametrize("act", ["types", "clicks", "leaves and comes back typing"])
def test_what_the_user_wrote_in_between_is_never_erased(
    typist: Typist, window: Window, other: Window, desktop: Desktop, told: list[str], act: str
) -> None:
    window.focus()
    typist.settle("dictated")
    text = "dictated"
    if act == "types":
        press(desktop, "space", "m", "e")
        text += " me"
    elif act == "clicks":
        desktop.xdotool("click", "1")
    else:
        other.focus()
        press(desktop, "x")
        window.focus()
    assert not typist.take_back(1)
    assert window.shows(text)
    assert told == ["You have typed or clicked since: what was typed stays as it is."]
    assert typist.context() == []


def test_after_the_focus_moved_nothing_is_retyped_in_either_window(
    typist: Typist, window: Window, other: Window, told: list[str]
) -> None:
    window.focus()
    typist.show("hello word")
    window.shows("hello word")
    other.focus()
    typist.show("hello world")
    assert not typist.settle("hello world out there")
    assert window.shows("hello word") and other.shows("")
    assert len(told) == 2 and "The focus has moved" in told[0] and "Final text: 'hello world out there'" in told[1]
    assert typist.settle("next sentence")  # goes where the focus is now
    assert other.shows("next sentence") and window.shows("hello word")
    window.focus()
    assert not typist.take_back(1)
    assert other.shows("next sentence")


def test_the_focus_that_moves_while_typing_stops_it(
    typist: Typist, window: Window, other: Window, told: list[str]
) -> None:
    window.focus()
    keyboard = typist._keyboard
    write = keyboard.write
    written: list[str] = []

    def write_and_move(text: str) -> None:
        write(text)
        written.append(text)
        if len(written) == 2:
            other.focus()

    keyboard.write = write_and_move  # type: ignore[method-assign]
    assert not typist.settle("twelve bells " * 10)
    assert window.shows("".join(written)) and other.shows("")
    assert "The focus has moved" in told[0] and "Not typed: " in told[0]


def test_held_modifier_keys_are_waited_for(typist: Typist, window: Window, desktop: Desktop, told: list[str]) -> None:
    desktop.xdotool("keydown", "ctrl")
    later = threading.Timer(0.7, desktop.xdotool, ["keyup", "ctrl"])
    later.start()
    began = time.monotonic()
    assert typist.settle("about")  # with Ctrl held these would be commands
    assert time.monotonic() - began > 0.5
    later.join()
    assert window.shows("about") and not told


def test_a_modifier_that_stays_down_is_named(
    x11: X11Desktop, window: Window, desktop: Desktop, told: list[str]
) -> None:
    typist = Typist(Xdotool(x11, KeyboardOptions()), x11, told.append, TypistOptions(modifier_seconds=0.2))
    desktop.xdotool("keydown", "shift")
    assert not typist.settle("about")
    desktop.xdotool("keyup", "shift")
    assert window.shows("") and "let go of Shift" in told[0] and "Not typed: 'about'." in told[0]


def test_a_new_line_is_not_taken_back(typist: Typist, window: Window, told: list[str]) -> None:
    typist.settle("sent\n")
    assert not typist.take_back(1)
    assert window.shows("sent\n") and "A new line cannot be taken back" in told[0]


def test_cancelled_tentative_words_disappear(typist: Typist, window: Window) -> None:
    typist.settle("stays")
    typist.show(" goes")
    window.shows("stays goes")
    typist.discard()
    assert window.shows("stays")


def test_without_a_known_focus_retyping_is_refused_with_a_sentence(
    x11: X11Desktop, window: Window, told: list[str]
) -> None:
    """As under Wayland: the same keyboard, but nothing that tells where the focus is."""
    typist = Typist(Xdotool(x11, KeyboardOptions()), None, told.append)
    assert typist.settle("one") and typist.settle(" two")
    assert not typist.take_back(1)
    assert window.shows("one two")
    assert told == [
        "Where the focus is unknown (Wayland), retyping could destroy other text: what was typed stays as it is."
    ]


def test_what_is_printed_is_not_taken_back(capsys: pytest.CaptureFixture[str], told: list[str]) -> None:
    typist = Typist(Stdout(), None, told.append)
    typist.settle("one")
    assert not typist.take_back(1) and "stays printed" in told[0]
    assert capsys.readouterr().out == "one"
