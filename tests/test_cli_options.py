"""Options that several commands share: that each command has them and hands them on."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from oracle import speak, write_oracle

from asr.cli import main
from asr.errors import AsrError
from asr.recognizer import Recognizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = write_oracle(tmp_path_factory.mktemp("model"))
    config = json.loads((directory / "model.json").read_text())
    config.setdefault("decoding", {})["second"] = {"most_doubt": 1.0}  # so that --every-sound changes something
    (directory / "model.json").write_text(json.dumps(config))
    return str(directory)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("command", [["listen"], ["dictate", "--type", "stdout"]])
def test_live_commands_hand_on_what_is_expected(
    command: list[str], model: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def make(self: Recognizer, **options: object) -> None:
        asked.update(options, every_sound=self._model.rejection.second == float("inf"))
        raise AsrError("Far enough.")

    monkeypatch.setattr(Recognizer, "stream", make)
    monkeypatch.setattr("asr.cli.listen.stop_at_signals", threading.Event)
    monkeypatch.setattr("asr.microphone.Microphone", lambda *_, **__: None)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    Path("words.txt").write_text("# people\n\nhochreiter=hoke writer\nlstm\n")
    Path("hot.txt").write_text("# numbers\none:2\n")
    options = ["--words", "words.txt", "--grammar", "one|two", "--hotwords", "two:3", "--hotwords-file", "hot.txt"]
    result = run(*command, "--model", model, *options, "--no-second-reading", "--every-sound")
    assert "Far enough." in result.stderr, result.output
    del asked["endpoint"]
    assert asked == {
        "words": ["hochreiter=hoke writer", "lstm"],
        "grammar": ("one", "two"),
        "hotwords": {"one": 2.0, "two": 3.0},
        "second_reading": None,
        "every_sound": True,
    }
    assert "Far enough." in run(*command, "--model", model).stderr
    assert (asked["second_reading"], asked["words"], asked["grammar"]) == ("background", (), None)
    assert not asked["every_sound"] and asked["hotwords"] is None


@pytest.mark.parametrize("command", [["transcribe", "talk.wav"], ["listen"], ["dictate", "--type", "stdout"]])
def test_a_bad_word_is_named_with_its_file(command: list[str], model: str, folder: Path) -> None:
    speak(folder / "talk.wav", "one two")
    for bad in ("Привет", "hochreiter="):
        Path("mine.txt").write_text(f"lstm\n{bad}\n")
        result = run(*command, "--model", model, "--words", "mine.txt")
        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: mine.txt: The word '{bad}' ") and "hotword" not in result.stderr


def test_a_resumed_stream_takes_no_new_words(model: str, folder: Path) -> None:
    Path("mine.txt").write_text("lstm\n")
    Path("state").touch()
    for options in (["--words", "mine.txt"], ["--no-second-reading"]):
        result = run("listen", "--model", model, "--resume", "state", *options)
        assert result.exit_code == 1 and "name none" in result.stderr


@pytest.mark.parametrize("command", [["transcribe"], ["align"], ["inspect"]])
def test_addresses_are_shown_as_they_were_typed(command: list[str], folder: Path) -> None:
    Path("talk.txt").write_text("one two")
    address = "https://example.org/talk.mp3"
    result = run(*command, address, *(["talk.txt"] if command == ["align"] else []))
    assert result.exit_code == 2 and f"{address} is an address: download it first" in result.stderr
