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


def close(found: dict[str, float], expected: dict[str, float]) -> bool:
    """Whether the losses of an epoch are the same to 2 %, and its word errors to a few words."""
    losses = [key for key in expected if key.startswith("loss ")]
    errors = [key for key in ("first spelling", "second spelling")]
    return [found[key] for key in losses] == pytest.approx([expected[key] for key in losses], rel=0.02) and [
        found[key] for key in errors
    ] == pytest.approx([expected[key] for key in errors], abs=5.0)


def same(found: list[dict[str, float]], expected: list[dict[str, float]]) -> None:
    assert [(line["epoch"], line["step"]) for line in found] == [(line["epoch"], line["step"]) for line in expected]
    for line, other in zip(found, expected, strict=True):
        assert close(line, other), f"{line}\n{other}"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    """The log of one process that is left alone. Its loss falls, so that other losses are not close by themselves."""
    lines = train(tmp_path_factory.mktemp("undisturbed"), 1)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["loss second spelling"] < 0.9 * lines[0]["loss second spelling"]
    return lines


def test_two_processes_train_what_one_trains(tmp_path: Path, undisturbed: list[dict[str, float]]) -> None:
    same(train(tmp_path / "two", 2), undisturbed)


@pytest.mark.parametrize("before, behind", [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_processes(
    tmp_path: Path, undisturbed: list[dict[str, float]], before: int, behind: int
) -> None:
    train(tmp_path, before, "--set", "epochs=3", "--set", "hold=1.0")  # as the whole run's first half
    same(train(tmp_path, behind, "--resume"), undisturbed)


def test_a_process_that_is_killed_is_started_again_from_the_last_checkpoint(
    tmp_path: Path, undisturbed: list[dict[str, float]]
) -> None:
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
    assert [(line["epoch"], line["step"]) for line in lines] == [(line["epoch"], line["step"]) for line in undisturbed]
    alike = [close(line, other) for line, other in zip(lines, undisturbed, strict=True)]
    assert alike[0] and alike[-1]
    assert sum(alike) >= 5  # where it was killed, the log tells of the rest of the epoch alone


@pytest.mark.parametrize("options", [["--dry-run"], ["--set", "epochs=1"]])
def test_no_process_belongs_to_a_group_when_it_ends(tmp_path: Path, options: list[str]) -> None:
    """The C library aborts processes that do, four in ten of them on a busy machine."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, torch.distributed as dist\n"
        "from asr.cli.train import train\n"
        "train(sys.argv[1:], standalone_mode=False)\n"
        "print('in a group:', dist.is_initialized())\n"
    )
    (tmp_path / "recipe.py").write_text(RECIPE)
    training = [str(tmp_path / "recipe.py"), "--data", str(DATA), "--folder", str(tmp_path / "run"), *options]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, str(program), *training],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("in a group: False") == 2
