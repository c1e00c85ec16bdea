"""`asr models list|info|verify`."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from numpy.typing import NDArray

import asr.cli.models
import asr.recognizer
from asr.cli import main
from asr.recognizer import Recognizer


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["models", *map(str, arguments)])


@pytest.fixture
def model(tiny_model: Path, tiny: Recognizer, speech: NDArray[np.float32], tmp_path: Path) -> Path:
    """A whole model directory with a self-test and checksums."""
    directory = tmp_path / "models" / "small"
    shutil.copytree(tiny_model, directory)
    soundfile.write(directory / "selftest.flac", speech[: 3 * 16000], 16000)
    (directory / "selftest.txt").write_text(tiny.transcribe(directory / "selftest.flac").text + "\n")
    files = [path for path in sorted(directory.iterdir()) if path.name != "SHA256SUMS"]
    sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    (directory / "SHA256SUMS").write_text("".join(sums))
    return directory


def test_list(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asr.cli.models, "SHIPPED_MODELS", model.parent)
    (model.parent / "broken").mkdir()
    result = run("list")
    assert result.exit_code == 0
    broken, small = result.stdout.splitlines()
    assert broken.startswith("broken") and "no model.json" in broken
    assert small.startswith("small") and str(model) in small and "MB" in small


def test_list_of_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asr.cli.models, "SHIPPED_MODELS", tmp_path)
    assert "No model is shipped" in run("list").stderr


def test_info(model: Path, tiny: Recognizer) -> None:
    result = run("info", model)
    assert result.exit_code == 0
    for fact in (tiny.model, str(model), "spelling", "16000 Hz", "40 ms", tiny.network.fingerprint):
        assert fact in result.stdout


def test_verify(model: Path) -> None:
    result = run("verify", model)
    assert (result.exit_code, result.stdout) == (0, f"{model} is whole.\n")


def test_verify_finds_a_changed_file(model: Path) -> None:
    path = model / "second.onnx"
    data = bytearray(path.read_bytes())
    data[-2000] ^= 1
    path.write_bytes(data)
    result = run("verify", model)
    assert result.exit_code == 1 and f"{path} is not the file that was published" in result.stderr


def test_verify_finds_a_missing_file_and_wrong_text(model: Path) -> None:
    (model / "selftest.txt").write_text("something else")
    result = run("verify", model)
    assert result.exit_code == 1 and "not as 'something else'" in result.stderr
    (model / "first.onnx").unlink()
    assert "first.onnx is missing" in run("verify", model).stderr
    (model / "SHA256SUMS").unlink()
    assert "SHA256SUMS is missing" in run("verify", model).stderr


@pytest.mark.parametrize("command", ["info", "verify"])
def test_no_model(tmp_path: Path, command: str) -> None:
    result = run(command, tmp_path)
    assert result.exit_code == 1 and "no model.json" in result.stderr and "Traceback" not in result.stderr


def test_the_shipped_model_is_whole(shipped: Recognizer) -> None:
    assert run("verify").exit_code == 0
    assert asr.recognizer.DEFAULT_MODEL in run("list").stdout
