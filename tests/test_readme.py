"""What the documents promise: commands exist and print what is shown, code runs, named files are there.

A block marked `console` holds lines that begin with `$ ` and what they print. Where output is shown the command runs in
the checkout and has to print exactly that; where none is shown the command line is parsed. Commands that no test can
run (they install, need a microphone or hours) show no output. A block marked `python` runs from top to bottom in a
folder that holds a recording, `talk.mp3`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click
import pytest
import release
import soundfile

from asr.cli import COMMANDS, main
from asr.punctuation import Numbers, Tagger
from asr.results import Word

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
MODEL = ROOT / "asr" / "models" / "english-small"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")

needs_model = pytest.mark.skipif(not (MODEL / "first.onnx").exists(), reason="no trained model in asr/models")


@dataclass(frozen=True)
class Command:
    line: str
    output: str
    where: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line, comments=True)


def blocks(language: str) -> list[tuple[str, str]]:
    """Every block in that language: where it stands, and its text."""
    found = []
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if match[1] == language:
                found.append((f"{document}:{text[: match.start()].count(chr(10)) + 1}", match[2]))
    return found


def commands() -> list[Command]:
    found: list[Command] = []
    for where, text in blocks("console"):
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            found.append(Command(line, output.strip(), where))
    return found


def named(commands: list[Command]) -> list[object]:
    return [pytest.param(command, id=f"{command.where} {command.line[:40]}") for command in commands]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: a recording, and nothing of the project's."""
    samples, rate = soundfile.read(MODEL / "selftest.flac")
    soundfile.write(tmp_path / "talk.mp3", samples, rate)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parse(words: list[str]) -> None:
    """Let click read a command line without running it; a command or an option that does not exist raises."""
    context = click.Context(main, info_name="asr")
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, command_or_none, words = command.resolve_command(context, words)
        assert command_or_none is not None
        command = command_or_none
        context = click.Context(command, parent=context, info_name=name)
    if "--help" in words:
        return
    try:
        command.make_context(context.info_name, list(words), parent=context.parent)
    except (click.BadParameter, click.exceptions.Exit):
        pass  # a file that is not here; what matters are the names
    except click.MissingParameter as error:
        raise AssertionError(error.format_message()) from None


@pytest.mark.parametrize("command", named([c for c in commands() if c.words and c.words[0] == "asr"]))
def test_asr_commands_exist(command: Command) -> None:
    line = command.words
    for end in ("|", ">", "&"):
        line = line[: line.index(end)] if end in line else line
    parse(line[1:])


@needs_model
@pytest.mark.parametrize("command", named([c for c in commands() if c.output]))
def test_shown_output_is_real(command: Command) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command.line, shell=True, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    shown, real = command.output.split("\n"), done.stdout.strip().split("\n")
    if "..." in shown:  # an ellipsis alone on its line stands for any number of lines
        cut = shown.index("...")
        after = len(shown) - cut - 1
        assert real[:cut] == shown[:cut]
        assert real[len(real) - after :] == shown[cut + 1 :]
    else:
        assert real == shown


@needs_model
@pytest.mark.parametrize(("where", "code"), blocks("python"))
def test_python_runs(where: str, code: str, folder: Path) -> None:
    exec(compile(code, where, "exec"), {"__name__": "__readme__"})


@pytest.mark.parametrize("document", [*DOCUMENTS, "recipes/README.md", "CHANGELOG.md"])
def test_links_lead_somewhere(document: str) -> None:
    page = ROOT / document
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_the_map_is_true() -> None:
    """Each file of the package stands on the map with its own first line: `python tools/release.py render`."""
    assert release.layout({}, MODEL) in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_ci_does_what_the_readme_says() -> None:
    setup = [command.line for command in commands() if command.line.endswith("&& pytest")]
    assert len(setup) == 1
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    install, test = setup[0].split(" && ")[-2:]
    assert script[-1] == test
    assert install.replace("install", "install -q --progress-bar off") in script


@needs_model
def test_numbers_are_written_as_shown() -> None:
    head = "| said | written | with `--numbers words` |\n|---|---|---|\n"
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition(head)[2]
    rows = [line.strip("| ").split(" | ") for line in table.partition("\n\n")[0].splitlines()]
    assert len(rows) == 6
    for column, numbers in enumerate(get_args(Numbers), start=1):
        tagger = Tagger.load(MODEL, numbers)
        assert tagger is not None
        for row in rows:
            said = [Word(word, place, place + 1, 1.0) for place, word in enumerate(row[0].split())]
            written = tagger.write(said, (), [0.0] * (len(said) - 1) + [1.0], "pause")
            assert " ".join(filter(None, written)) == row[column]


def test_every_command_is_listed() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| `asr ...` | gives |\n|---|---|\n")[2]
    listed = [line.split("`")[1] for line in table.partition("\n\n")[0].splitlines()]
    assert listed == list(COMMANDS)


@needs_model
@pytest.mark.parametrize("document", ["README.md", "recipes/README.md", "asr/models/english-small/card.md"])
def test_figures_are_those_that_were_measured(document: str) -> None:
    """Nobody wrote between the comments by hand, and no figure is another model's."""
    figures = json.loads((MODEL / "figures.json").read_text(encoding="utf-8"))
    assert figures["fingerprint"] == json.loads((MODEL / "model.json").read_text(encoding="utf-8"))["fingerprint"]
    text = (ROOT / document).read_text(encoding="utf-8")
    assert release.rendered(text, figures, MODEL) == text
