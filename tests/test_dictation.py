"""Dictation without a window: spoken marks and commands, the configuration, the socket."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.dictation.config import EXAMPLE, ConfigError, config_path, read_config
from asr.dictation.control import COMMANDS, ControlError, Server, send, socket_path
from asr.dictation.keyboards import KeyboardOptions, Wtype, choose
from asr.dictation.programs import KeyboardError
from asr.dictation.spoken import MARKS, Mark, Phrases, Rendered, render
from asr.results import Word

PHRASES = Phrases(replacements={"my mail": "me@example.org", "comma separated": "comma-separated"})


def words(text: str) -> list[Word]:
    """`spoken` or `spoken|written` for each word."""
    found = []
    for part in text.split():
        spoken, bar, written = part.partition("|")
        found.append(Word(spoken, 0, 1, 1, written if bar else None))
    return found


@pytest.mark.parametrize(
    ("spoken", "before", "text"),
    [
        ("hello comma world full stop how are you question mark", "", "hello, world. How are you?"),
        ("new paragraph next", "Hi.", "\n\nNext"),
        ("one new line two", "a", " one\nTwo"),
        ("and so", "Hi", " and so"),
        ("and so", "Hi.", " And so"),
        ("and so", "Hi\n", "And so"),
        ("comma", "Hi", ","),
        ("he said open quote go close quote now", "", 'he said "go" now'),
        ("see open bracket below close bracket full stop", "", "see (below)."),
        ("well dash yes hyphen no", "", "well - yes-no"),
        ("mail my mail now", "", "mail me@example.org now"),
        ("a comma separated list", "", "a comma-separated list"),  # the longest phrase, and the user's own, win
        ("full moon", "", "full moon"),
        ("new", "", "new"),
    ],
)
def test_spoken_marks_and_replacements_are_written(spoken: str, before: str, text: str) -> None:
    assert render(words(spoken), [before] if before else [], PHRASES) == Rendered(0, text)


def test_a_spoken_mark_wins_over_an_automatic_one() -> None:
    heard = words("hello|Hello, full|full stop|stop. and|And so comma|comma. it|It goes|goes.")
    assert render(heard, [], PHRASES).text == "Hello. And so, it goes."
    heard = words("yes|Yes. question mark|mark. no|No.")
    assert render(heard, [], PHRASES).text == "Yes? No."
    heard = words("wait|Wait. comma|Comma. i|I do|do, comma|comma. two|Two-thirds thirds| left|left.")
    assert render(heard, [], PHRASES).text == "Wait, I do, two-thirds left."


@pytest.mark.parametrize(
    ("heard", "text"),
    [
        ("fine|Fine new|new line|line. how|How are|are you|you?", "Fine.\nHow are you?"),
        ("dear|Dear john|John comma|comma new|new line|line, thank|thank you|you.", "Dear John,\nThank you."),
        ("is|Is it|it? close|Close quote|quote, he|he asked|asked.", 'Is it?" he asked.'),
        ("open|Open quote|quote, go|go close|close quote|quote, she|she said|said.", '"go", she said.'),
        ("left|Left. open|Open quote|quote, go|go close|close quote|quote.", 'Left. "Go".'),
        ("at|At five|5 p|p.m. m| comma|comma, anna|Anna left|left.", "At 5 p.m., Anna left."),
        ("at|At five|5 p|p.m. m| full|full stop|stop. we|We left|left.", "At 5 p.m. We left."),
    ],
)
def test_automatic_marks_stay_beside_what_replaces_none(heard: str, text: str) -> None:
    assert render(words(heard), [], PHRASES).text == text


@pytest.mark.parametrize(
    ("before", "heard", "rendered"),
    [
        ("Hello.", "exclamation|Exclamation mark|mark. how|How are|are", Rendered(0, "! How are", 1)),
        ("Hello.", "comma|Comma. and|And so|so,", Rendered(0, ", and so,", 1)),
        ("Hello.", "full|Full stop|stop. how|How", Rendered(0, " How")),  # it is there
        ("At 5 p.m.", "comma|Comma we|we", Rendered(0, ", we")),
        ("Fine.", "new|New line|line. so|So", Rendered(0, "\nSo")),
        ("Hello,", "how|How are|are", Rendered(0, " how are")),
        ("Hello!", "how|How are|are", Rendered(0, " How are")),
    ],
)
def test_a_spoken_mark_after_a_pause_comes_in_the_place_of_an_automatic_one(
    before: str, heard: str, rendered: Rendered
) -> None:
    assert render(words(heard), ["Oh,", before], PHRASES) == rendered


def test_a_number_written_by_one_of_its_words_stands_once() -> None:
    assert render(words("twenty|25 five| dogs|dogs."), [], PHRASES).text == "25 dogs."


@pytest.mark.parametrize(
    ("spoken", "taken", "text"),
    [
        ("scratch that", 1, ""),
        ("scratch that scratch that", 2, ""),
        ("oh no scratch that better", 0, " better"),
        ("scratch that better", 1, " better"),
        ("scratch my back", 0, " scratch my back"),
    ],
)
def test_scratch_that_takes_back_what_was_said_last(spoken: str, taken: int, text: str) -> None:
    assert render(words(spoken), ["one", " two"], PHRASES) == Rendered(taken, text)


@given(
    st.lists(st.sampled_from([*"abc", *" ".join(MARKS).split()]), max_size=12), st.sampled_from(["", "x", "x.", "x\n"])
)
def test_no_word_is_lost_and_no_space_doubled(spoken: list[str], before: str) -> None:
    text = render(words(" ".join(spoken)), [before] if before else [], Phrases()).text
    joined = before + text
    assert "  " not in joined and " \n" not in joined and " ," not in joined and " ." not in joined
    assert (
        [c for c in text.lower().split() if c in "abc"]
        or not set(spoken) & set("abc")
        or any(c in text.lower() for c in "abc")
    )
    left = text.lower()
    for word in spoken:
        if word in ("a", "b", "c"):
            assert word in left
            left = left[left.index(word) + 1 :]


# Configuration


def test_the_example_configuration_says_what_it_does(tmp_path: Path) -> None:
    (tmp_path / "dictation.toml").write_text(EXAMPLE)
    (tmp_path / "hook.py").write_text("def process(text):\n    return text.replace('teh', 'the')\n")
    phrases = read_config(tmp_path / "dictation.toml").phrases
    assert (
        render(words("go to my address period arrow teh end"), [], phrases).text == "go to 12 Main Street. -> the end"
    )
    assert render(words("go to my address period arrow"), ["x"], phrases).text.startswith(" go")


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert read_config(tmp_path / "none.toml").phrases.marks["comma"] == Mark(",")
    assert config_path({"XDG_CONFIG_HOME": "/x"}) == Path("/x/asr/dictation.toml")


def test_a_mark_can_be_taken_away(tmp_path: Path) -> None:
    (tmp_path / "d.toml").write_text('[marks]\n"comma" = ""\n')
    assert render(words("a comma b"), [], read_config(tmp_path / "d.toml").phrases).text == "a comma b"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("marks = 3", r"\[marks\] needs lines of the form"),
        ("[replacements]\n'a' = 1", r"\[replacements\] needs lines"),
        ("[replacement]\n'a' = 'b'", "unknown entries: replacement"),
        ("[marks", "cannot be read"),
        ("hook = 'none.py'", "there is no Python file"),
        ("hook = 'broken.py'", r"cannot be loaded \(SyntaxError"),
        ("hook = 'empty.py'", "needs a function: def process"),
        ("[keys]\nspeed = 3", r"\[keys\] may hold key_milliseconds"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_name(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "broken.py").write_text("def process(")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "dictation.toml").write_text(content)
    with pytest.raises(ConfigError, match=complaint):
        read_config(tmp_path / "dictation.toml")


def test_a_failing_hook_names_itself(tmp_path: Path) -> None:
    (tmp_path / "hook.py").write_text("def process(text):\n    return 1 / 0\n")
    (tmp_path / "dictation.toml").write_text("hook = 'hook.py'")
    with pytest.raises(ConfigError, match=r"hook.py failed \(ZeroDivisionError"):
        render(words("a"), [], read_config(tmp_path / "dictation.toml").phrases)


# The socket


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def answering(server: Server) -> threading.Thread:
    def serve() -> None:
        request = server.requests.get()
        request.answer({"state": request.command})

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_command_reaches_the_dictation_and_its_answer_comes_back(runtime: Path) -> None:
    with Server(socket_path()) as server:
        for command in COMMANDS:
            thread = answering(server)
            assert send(command, socket_path()) == {"state": command}
            thread.join()
        with pytest.raises(ControlError, match="There is no command 'dance'"):
            send("dance", socket_path())
    with pytest.raises(ControlError, match="No dictation is running"):
        send("begin", socket_path())
    assert not socket_path().exists()


def test_the_socket_lies_where_nobody_else_may_look(runtime: Path) -> None:
    with Server(socket_path()):
        assert stat.S_IMODE((runtime / "asr").stat().st_mode) == 0o700
        assert stat.S_IMODE(socket_path().stat().st_mode) == 0o600
        with pytest.raises(ControlError, match="runs already"), Server(socket_path()):
            pass
    (runtime / "asr").chmod(0o755)
    with pytest.raises(ControlError, match="open to other users"):
        socket_path()


def test_a_directory_that_somebody_else_could_have_made_is_refused(runtime: Path) -> None:
    (runtime / "elsewhere").mkdir(mode=0o700)
    (runtime / "asr").symlink_to(runtime / "elsewhere")
    with pytest.raises(ControlError, match="open to other users"):
        socket_path()


def test_who_says_quit_gets_the_answer_before_the_program_ends(runtime: Path) -> None:
    script = (
        "from asr.dictation.control import Server, socket_path\n"
        "with Server(socket_path()) as server:\n"
        "    print(flush=True)\n"
        "    server.requests.get().answer({'text': 'a' * 2_000_000})\n"  # more than fits between two processes
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        assert len(str(send("quit", socket_path())["text"])) == 2_000_000
        assert process.wait(10) == 0


def test_a_socket_left_behind_by_a_killed_dictation_is_replaced(runtime: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(socket_path()))
    with Server(socket_path()) as server:
        thread = answering(server)
        assert send("status", socket_path()) == {"state": "status"}
        thread.join()


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("setpriv") is None, reason="only root can act as another user")
def test_another_user_is_refused_even_where_the_doors_stand_open(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = Path("/tmp") / f"asr-test-{os.getpid()}"
    directory.mkdir()
    try:
        with Server(directory / "dictate.socket") as server:
            directory.chmod(0o755)
            server.path.chmod(0o777)
            script = (
                "import socket, sys\n"
                "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
                "s.sendall(b'end\\n'); print(s.recv(200).decode())\n"
            )
            nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            command = [*nobody, "/usr/bin/python3", "-c", script, str(server.path)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert json.loads(done.stdout) == {"error": "This dictation belongs to another user."}, done.stderr
            assert server.requests.empty()
    finally:
        directory.rmdir()


def test_a_caller_who_says_nothing_does_not_block_the_others(runtime: Path) -> None:
    with Server(socket_path()) as server, socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(socket_path()))
        thread = answering(server)
        assert send("end", socket_path()) == {"state": "end"}
        thread.join()


def test_a_caller_who_waits_for_the_microphone_does_not_block_the_others(runtime: Path) -> None:
    answers: list[object] = []
    with Server(socket_path()) as server:
        beginning = threading.Thread(target=lambda: answers.append(send("begin", socket_path())))
        beginning.start()
        begin = server.requests.get()
        thread = answering(server)
        assert send("cancel", socket_path()) == {"state": "cancel"} and not answers
        begin.answer({"state": "dictating"})
        beginning.join()
        thread.join()
    assert answers == [{"state": "dictating"}]


# Choosing what presses the keys


def test_the_right_keyboard_is_found_and_a_missing_one_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose({"DISPLAY": ":0"}) == "xdotool"
    with pytest.raises(KeyboardError, match=r"wtype .* or ydotool .* install one"):
        choose({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"})
    with pytest.raises(KeyboardError, match="no window system"):
        choose({})
    assert choose({}, "stdout") == "stdout"
    with pytest.raises(KeyboardError, match="install the package wtype"):
        Wtype(read_config(tmp_path / "none").keys)
    program(tmp_path / "ydotool", "")
    assert choose({"WAYLAND_DISPLAY": "wayland-0"}) == "ydotool"


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_wtype_that_the_compositor_refuses_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path / "wtype", "echo Compositor does not support the virtual keyboard protocol >&2; exit 1")
    with pytest.raises(KeyboardError, match="install one"):
        choose({"WAYLAND_DISPLAY": "wayland-0"})
    with pytest.raises(KeyboardError, match="does not let wtype press keys"):
        Wtype(KeyboardOptions())
    program(tmp_path / "ydotool", "")
    assert choose({"WAYLAND_DISPLAY": "wayland-0"}) == "ydotool"
    program(tmp_path / "wtype", '[ -z "$1" ]')
    assert choose({"WAYLAND_DISPLAY": "wayland-0"}) == "wtype"


def test_the_command_line_says_what_is_missing(tmp_path: Path) -> None:
    def dictate(*arguments: str) -> str:
        environment = {"PATH": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
        call = [sys.executable, "-c", "from asr.cli import main; main()", "dictate", *arguments]
        done = subprocess.run(call, env=environment, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
        assert done.returncode == 1
        return done.stderr

    tmp_path.chmod(0o700)
    assert "Error: No dictation is running" in dictate("begin")
    assert "--device belongs to the start of a dictation, not to `begin`" in dictate("--device", "USB", "begin")
    assert "There is no window system here to type into" in dictate()
    assert "--tentative type is refused here" in dictate("--type", "stdout", "--tentative", "type")
