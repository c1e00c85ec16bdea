"""The whole of dictation: a voice in a virtual microphone, commands over the socket, text in a window."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from live.room import ASR, WORDS, Room, room_in
from live.stand import Desktop, needs, sound_missing, wait_for, write_wav
from live.tones import speak

from asr.dictation.control import socket_path
from asr.dictation.daemon import NO_SOUND

pytestmark = [
    pytest.mark.live,
    needs(*Desktop.programs, "xclip"),
    pytest.mark.skipif(bool(sound_missing()), reason=sound_missing() or "sound is there"),
]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with room_in(tmp_path_factory.mktemp("room")) as opened:
        yield opened


def test_push_to_talk_types_what_was_said_and_closes_the_microphone(room: Room) -> None:
    with room.dictation():
        assert not room.microphone_is_open()
        answer = room.command("begin")
        assert answer["state"] == "dictating" and room.microphone_is_open()
        room.say("hello comma world full stop my mail")
        answer = room.command("end")  # no pause: the key's release ends the sentence
        assert answer["text"] == "hello, world. Me@example.org" and answer["state"] == "waiting"
        room.shows("hello, world. Me@example.org")
        assert not room.microphone_is_open()
        room.say("two two two")  # nobody listens
        room.command("begin")
        room.say("one")
        assert room.command("end")["text"] == " one"
        room.shows("hello, world. Me@example.org one")


def test_sentences_are_typed_as_they_end_and_taken_back_on_command(room: Room) -> None:
    with room.dictation():
        room.command("begin")
        room.say("one two", tail=0.8)
        room.shows("one two")
        room.say("new line three", tail=0.8)
        room.shows("one two\nThree")
        room.say("hello", tail=0.8)
        room.say("scratch that", tail=0.8)
        room.shows("one two\nThree")
        room.desktop.xdotool("key", "exclam")
        room.say("scratch that", tail=0.8)  # the user has typed: nothing may go
        room.say("world", tail=0.8)
        room.command("end")
        room.shows("one two\nThree!world")
    assert any("You have typed or clicked since" in line for line in room.told)


def test_tentative_words_are_typed_at_once_if_wanted(room: Room) -> None:
    with room.dictation("--tentative", "type"):
        room.command("begin")
        recording = write_wav(room.folder / "long.wav", speak("one two three one two three", WORDS, 48000), 48000)
        player = room.loopback.play(recording)
        wait_for(lambda: room.typed.read_text().startswith("one two"), what="tentative words in the window")
        assert player.poll() is None  # the sentence was still being said
        player.wait()
        room.shows("one two three one two three")
        room.say("hello world")
        wait_for(lambda: "hello" in room.typed.read_text(), what="tentative words in the window")
        room.command("cancel")
        room.shows("one two three one two three")
        assert room.command("status")["state"] == "waiting"


def test_suspend_keeps_and_cancel_drops(room: Room) -> None:
    with room.dictation():
        room.command("begin")
        room.say("one")
        assert room.command("suspend") | {"milliseconds": 0} == {"state": "suspended", "text": "one", "milliseconds": 0}
        assert not room.microphone_is_open()
        room.say("three")
        assert room.command("toggle")["state"] == "dictating"
        room.say("two")
        room.command("cancel")
        room.shows("one")
        assert room.command("toggle")["state"] == "dictating"
        room.say("three")
        assert room.command("toggle")["state"] == "waiting"
        room.shows("one three")


def test_what_is_said_while_suspended_is_not_heard_with_pre_roll_either(room: Room) -> None:
    with room.dictation("--pre-roll", "2"):
        room.command("begin")
        room.say("one")
        room.command("suspend")
        assert not room.microphone_is_open()
        room.say("three")
        room.command("resume")
        room.say("two")
        assert room.command("suspend")["text"] == "one two"
        assert room.command("end")["state"] == "waiting" and room.microphone_is_open()


def test_a_microphone_without_sound_blocks_no_command(room: Room) -> None:
    with room.dictation():
        room.mute(True)
        try:
            answer = room.command("begin")
            assert answer["state"] == "dictating" and answer["notice"] == NO_SOUND
            assert room.command("cancel")["state"] == "waiting"
            with ThreadPoolExecutor() as pool:
                beginning = pool.submit(room.command, "begin")
                wait_for(lambda: room.command("status")["state"] == "dictating", what="a dictation that begins")
                assert not beginning.done()
                assert room.command("end")["state"] == "waiting"
                assert "notice" not in beginning.result()
        finally:
            room.mute(False)
        room.command("begin")
        room.say("one two")
        assert room.command("end")["text"] == "one two"
    assert room.told.count(NO_SOUND) == 1


def test_text_that_cannot_be_typed_is_shown(room: Room) -> None:
    owner = room.desktop.start("xclip", "-quiet", "-i", "-selection", "clipboard", str(room.config))
    config = room.folder / "impatient.toml"
    config.write_text("[keys]\nclipboard_seconds = 0.5\n")
    try:
        with room.dictation("--type", "clipboard", "--config", str(config)):
            room.command("begin")
            owner.send_signal(signal.SIGSTOP)
            room.say("one two")
            assert room.command("end")["state"] == "waiting"
    finally:
        owner.kill()
        owner.wait()
    assert any("xclip hangs" in line and "Final text: 'one two'." in line for line in room.told)


def test_pre_roll_hears_the_word_before_the_key(room: Room) -> None:
    with room.dictation("--pre-roll", "2"):
        assert room.microphone_is_open()
        room.say("one two")
        room.command("begin")
        room.say("three")
        assert room.command("end")["text"] == "one two three"
        assert room.microphone_is_open()
    assert any("The microphone stays open: the last 2 s are kept" in line for line in room.told)


def test_a_microphone_that_comes_back_goes_on_in_the_same_dictation(room: Room) -> None:
    with room.dictation():
        room.command("begin")
        room.say("one", tail=0.3)
        room.loopback.unplug()
        time.sleep(1.5)
        room.loopback.plug()
        wait_for(room.microphone_is_open, what="the microphone")
        room.say("two", tail=0.3)
        assert room.command("end")["text"] == "one two"
    assert any("has stopped giving sound" in line for line in room.told)


def test_ctrl_c_types_what_was_said_last_and_a_second_dictation_is_refused(room: Room) -> None:
    with room.dictation() as process:
        second = subprocess.run(
            [*ASR, "dictate", "--model", str(room.model)], env=room.desktop.environment, capture_output=True, text=True
        )
        assert second.returncode == 1 and "A dictation runs already" in second.stderr
        room.command("begin")
        room.say("one two")
        process.terminate()
        assert process.wait(10) == 0
        room.shows("one two")
        assert not socket_path().exists()


def test_commands_on_the_command_line(room: Room) -> None:
    def asr(name: str) -> str:
        done = subprocess.run([*ASR, "dictate", name], env=room.desktop.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with room.dictation("--type", "stdout") as process:
        assert asr("begin") == ""
        room.say("one two")
        assert asr("end") == "one two\n"
        assert asr("quit") == "one two\n"
        assert process.wait(10) == 0 and process.stdout is not None
        assert process.stdout.read() == "one two"
