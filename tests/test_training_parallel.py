"""Two processes train what one would; a run goes on with another number of them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch: pip install '.[train]'")

DATA = Path(__file__).parent / "data"
pytestmark = pytest.mark.slow

RECIPE = """
from asr.training.augment import Augmentation
from asr.training.corpus import Mixture
from asr.training.loop import Options
from asr.training.model import Shape
from asr.training.recognizer import RecognizerRecipe

recipe = RecognizerRecipe(
    name="pair", train=(("clips.jsonl", 1.0),), valid=("clips.jsonl",), subwords=64,
    shape=Shape(streaming_layers=2, streaming_width=48, second_layers=1, second_width=32, dropout=0.0),
    mixture=Mixture(batch_seconds=40, joined=0.3, noise=0.3, noise_seconds=(1.0, 2.0)),
    training=Options(epochs=6, learning_rate=5e-3, warmup_steps=2, half_precision=False, checkpoint_minutes=0.0),
)
"""


def command(folder: Path, processes: int, *options: str) -> list[str]:
    (folder / "recipe.py").write_text(RECIPE)
    run = [
        "-m",
        "asr.training",
        str(folder / "recipe.py"),
        "--data",
        str(DATA),
        "--folder",
        str(folder / "run"),
        *options,
    ]
    if processes == 1:
        return [sys.executable, *run]
    launcher = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
        "--max-restarts",
        "1",
    ]
    return [sys.executable, *launcher, *run]


def train(folder: Path, processes: int, *options: str) -> list[dict[str, float]]:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        command(folder, processes, *options), env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return log(folder)


def log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]


def same(found: list[dict[str, float]], expected: list[dict[str, float]]) -> None:
    assert [line["step"] for line in found] == [line["step"] for line in expected]
    for key in ("second spelling", "first spelling"):
        assert [line[key] for line in found] == pytest.approx([line[key] for line in expected], rel=0.02)


def test_two_processes_train_what_one_trains_and_either_goes_on_with_the_others_run(tmp_path: Path) -> None:
    one = train(tmp_path / "one", 1)
    two = train(tmp_path / "two", 2)
    same(two, one)
    half = ("--set", "epochs=6", "--set", "hold=0.5")
    mixed = tmp_path / "mixed"
    train(mixed, 2, "--set", "epochs=3", "--set", "hold=1.0")
    mixed_again = train(mixed, 1, "--resume", *half)
    assert [line["epoch"] for line in mixed_again] == [1, 2, 3, 4, 5, 6]


def test_a_process_that_is_killed_is_started_again_from_the_last_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (folder / "output").open("w") as output:
        run = subprocess.Popen(command(folder, 2), env=environment, stdout=output, stderr=output)
        while not (folder / "run" / "log.jsonl").exists() and run.poll() is None:
            time.sleep(0.05)
        workers = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True).stdout.split()
        os.kill(int(workers[0]), signal.SIGKILL)
        assert run.wait(300) == 0, (folder / "output").read_text()
    lines = log(folder)
    assert lines[-1]["epoch"] == 6
    assert [line["epoch"] for line in lines] == sorted({line["epoch"] for line in lines})
