"""What a user installs: `pip install .` into an empty environment, without torch, and the program runs there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "asr" / "models" / "english-small"
HEAVY = ("torch", "torchaudio", "tensorboard", "matplotlib", "onnx", "pytest")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment into which this checkout was installed."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "-q"]
    done = subprocess.run([*pip, str(ROOT)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0 and "CI" not in os.environ:
        pytest.skip(f"pip could not install the package, perhaps for want of a network: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return programs


def output(command: Sequence[str | Path], folder: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_nothing_heavy_is_installed(environment: Path, tmp_path: Path) -> None:
    code = f"import importlib.util as u; print(*[name for name in {HEAVY} if u.find_spec(name)])"
    assert output([environment / "python", "-c", code], tmp_path).split() == []


@pytest.mark.slow
def test_every_listed_command_starts(environment: Path, tmp_path: Path) -> None:
    """Each command imports without the extras; those that need them say so when they run."""
    listed = output([environment / "asr", "--help"], tmp_path).partition("Commands:\n")[2].splitlines()
    names = [line.split()[0] for line in listed if line.startswith("  ") and not line.startswith("   ")]
    assert "transcribe" in names
    for name in names:
        assert "Usage: asr" in output([environment / "asr", name, "--help"], tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not (MODEL / "first.onnx").exists(), reason="no trained model in asr/models")
def test_the_installed_program_transcribes(environment: Path, tmp_path: Path) -> None:
    text = output([environment / "asr", "transcribe", MODEL / "selftest.flac"], tmp_path)
    assert text.split() == (MODEL / "selftest.txt").read_text(encoding="utf-8").split()
    assert "is whole" in output([environment / "asr", "models", "verify"], tmp_path)
