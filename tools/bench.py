"""How fast and how big: the timing figures of the recognizer, with the machine that they were taken on.

    python tools/bench.py --speech data/manifests/valid.jsonl               # all of them, some ten minutes
    python tools/bench.py step cold-start --json figures.json               # these two, kept as JSON too

Whole commands are measured from outside, as a user runs them. Processor seconds are the honest figure on a machine that
does other work as well, so they stand first; wall-clock seconds and the load stand beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt

import asr
from asr.audio import read_audio
from asr.datasets.manifest import read_manifest
from asr.network import Network

ROOT = Path(__file__).resolve().parent.parent
RATE = 16_000
Samples = npt.NDArray[np.float32]

LIVE_STEP_SECONDS = 0.08
STEP_AUDIO_SECONDS = 300
LIVE_AUDIO_SECONDS = 3600
TRANSCRIBE_AUDIO_SECONDS = 1800
MEMORY_AUDIO_SECONDS = 3 * 3600
COLD_CLIP_SECONDS = 3
COLD_RUNS = 7
GAP_SECONDS = 0.6  # quiet noise between utterances
GAP_LEVEL = 0.001  # -60 dB of full scale


@dataclass(frozen=True)
class Figure:
    """One measured number; `name` is how documents refer to it."""

    name: str
    value: float
    unit: str
    what: str


@dataclass(frozen=True)
class Usage:
    """What a command took, seen from outside."""

    wall_seconds: float
    cpu_seconds: float  # user and system
    peak_bytes: int


def machine() -> dict[str, str | int | float]:
    """The machine, the versions and the load while measuring."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    return {
        "processor": cpu,
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": version("onnxruntime"),
        "numpy": version("numpy"),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else -1.0,
        "date": date.today().isoformat(),
    }


# A process started from a large one is charged with the large one's memory until it has become the new program, so the
# command is started by this small program, which reports what its only child took.
_LAUNCHER = """
import json, os, sys, time
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
start = time.perf_counter()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
result = [os.waitstatus_to_exitcode(status), time.perf_counter() - start, usage.ru_utime + usage.ru_stime,
          usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)]
open(sys.argv[1], "w").write(json.dumps(result))
"""


def measure(command: list[str]) -> Usage:
    """Run `command` on one core with its output thrown away; an unsuccessful one stops the bench."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "usage.json"
        subprocess.run(
            [sys.executable, "-S", "-c", _LAUNCHER, str(report), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        code, wall, cpu, peak = json.loads(report.read_text())
    if code != 0:
        raise SystemExit(f"{' '.join(command)} ended with {code}: nothing was measured")
    return Usage(wall, cpu, peak)


class Speech:
    """Endless speech: shuffled utterances (fixed seed) with a little quiet noise between them."""

    def __init__(self, manifest: Path) -> None:
        self.paths = [utterance.audio for utterance in read_manifest(manifest)]
        self.name = f"{len(self.paths)} utterances of {manifest.name}, again and again"
        if not self.paths:
            raise SystemExit(f"{manifest} is empty: there is no speech to measure with")
        random.Random(0).shuffle(self.paths)

    def pieces(self) -> Iterator[Samples]:
        noise = np.random.default_rng(0)
        for path in cycle(self.paths):
            yield read_audio(path, RATE)
            yield GAP_LEVEL * noise.standard_normal(int(GAP_SECONDS * RATE), dtype=np.float32)

    def blocks(self, seconds: float, block_seconds: float) -> Iterator[Samples]:
        """Blocks of equal length, `seconds` of them in all."""
        size = round(block_seconds * RATE)
        rest = np.zeros(0, dtype=np.float32)
        missing = round(seconds / block_seconds)
        for piece in self.pieces():
            rest = np.concatenate([rest, piece])
            while len(rest) >= size:
                if missing == 0:
                    return
                yield rest[:size]
                rest, missing = rest[size:], missing - 1

    def write(self, path: Path, seconds: float) -> None:
        """A 16-bit WAV file of `seconds`, written without holding it in memory."""
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            for block in self.blocks(seconds, 1.0):
                file.writeframes((np.clip(block, -1, 1) * 32767).astype("<i2").tobytes())


@dataclass(frozen=True)
class Bench:
    """What every measurement needs."""

    speech: Speech
    model: Path
    scratch: Path

    def transcribe(self, audio: Path) -> Usage:
        program = Path(sys.executable).parent / "asr"
        command = [str(program), "transcribe", str(audio), "--model", str(self.model), "--jobs", "1"]
        return measure(command)


class Times:
    """What each run of a `with` block takes: of this thread's processor time, and of the wall clock; milliseconds."""

    def __init__(self) -> None:
        self.cpu: list[float] = []
        self.wall: list[float] = []

    def __enter__(self) -> None:
        self._start = time.thread_time(), time.perf_counter()

    def __exit__(self, *raised: object) -> None:
        self.cpu.append(1000 * (time.thread_time() - self._start[0]))
        self.wall.append(1000 * (time.perf_counter() - self._start[1]))

    def figures(self, name: str, of: str) -> list[Figure]:
        found = []
        for clock, values in (("cpu", self.cpu), ("wall", self.wall)):
            what = f"{of}: {'processor time' if clock == 'cpu' else 'wall clock'}"
            found += [
                Figure(f"{name}_{clock}_p50_ms", float(np.percentile(values, 50)), "ms", f"{what}, p50"),
                Figure(f"{name}_{clock}_p99_ms", float(np.percentile(values, 99)), "ms", f"{what}, p99"),
                Figure(f"{name}_{clock}_max_ms", max(values), "ms", f"{what}, longest"),
            ]
        return found


def step(bench: Bench) -> list[Figure]:
    network = Network.load(bench.model, threads=1)
    state = network.initial_state()
    times = Times()
    for block in bench.speech.blocks(STEP_AUDIO_SECONDS, LIVE_STEP_SECONDS):
        with times:
            state = network.first(block, state).state
    return times.figures("step", "80 ms of audio, one thread, first reading")


def live_feed(bench: Bench) -> list[Figure]:
    """An hour of live steps as fast as it goes, the partial text read after each, as `asr listen` does."""
    stream = asr.Recognizer(bench.model).stream(step_seconds=LIVE_STEP_SECONDS, second_reading="background")
    feed, partial = Times(), Times()
    start = time.process_time()
    for block in bench.speech.blocks(LIVE_AUDIO_SECONDS, LIVE_STEP_SECONDS):
        with feed:
            stream.feed(block, rate=RATE)
        with partial:
            _ = stream.partial
    stream.finish()
    cpu = time.process_time() - start
    of = f"live stream, {LIVE_AUDIO_SECONDS // 60} min in 80 ms blocks"
    return [
        *feed.figures("feed", f"{of}, `feed`"),
        *partial.figures("partial", f"{of}, reading `partial`"),
        Figure("live_cpu_share", cpu / LIVE_AUDIO_SECONDS, "", f"{of}: share of one core, both readings"),
    ]


def transcribe(bench: Bench) -> list[Figure]:
    path = bench.scratch / "half-hour.wav"
    bench.speech.write(path, TRANSCRIBE_AUDIO_SECONDS)
    usage = bench.transcribe(path)
    path.unlink()
    of = f"`asr transcribe` of {TRANSCRIBE_AUDIO_SECONDS // 60} min, one core"
    return [
        Figure("rtf", usage.cpu_seconds / TRANSCRIBE_AUDIO_SECONDS, "", f"{of}: real-time factor, processor time"),
        Figure("rtf_wall", usage.wall_seconds / TRANSCRIBE_AUDIO_SECONDS, "", f"{of}: real-time factor, wall clock"),
        Figure("half_hour_peak_mb", usage.peak_bytes / 1e6, "MB", f"{of}: peak memory"),
    ]


def cold_start(bench: Bench) -> list[Figure]:
    path = bench.scratch / "clip.wav"
    bench.speech.write(path, COLD_CLIP_SECONDS)
    bench.transcribe(path)  # the disk's cache is warm, the process is not
    runs = [bench.transcribe(path) for _ in range(COLD_RUNS)]
    of = f"`asr transcribe` of a {COLD_CLIP_SECONDS} s clip, whole process, median of {COLD_RUNS}"
    return [
        Figure("cold_cpu_s", statistics.median(run.cpu_seconds for run in runs), "s", f"{of}: processor time"),
        Figure("cold_wall_s", statistics.median(run.wall_seconds for run in runs), "s", f"{of}: wall clock"),
        Figure("cold_peak_mb", max(run.peak_bytes for run in runs) / 1e6, "MB", f"{of}: peak memory"),
    ]


def memory(bench: Bench) -> list[Figure]:
    path = bench.scratch / "three-hours.wav"
    bench.speech.write(path, MEMORY_AUDIO_SECONDS)
    usage = bench.transcribe(path)
    path.unlink()
    of = f"`asr transcribe` of a recording of {MEMORY_AUDIO_SECONDS // 3600} hours"
    return [
        Figure("peak_mb", usage.peak_bytes / 1e6, "MB", f"{of}: peak memory"),
        Figure("three_hours_rtf", usage.cpu_seconds / MEMORY_AUDIO_SECONDS, "", f"{of}: real-time factor"),
    ]


def installed(bench: Bench) -> list[Figure]:
    """`pip install .` into an empty environment; pip itself stays outside."""
    environment = bench.scratch / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, str(ROOT)], check=True, stdin=subprocess.DEVNULL)
    files = [path.stat() for path in environment.rglob("*") if path.is_file() and not path.is_symlink()]
    of = "`pip install .` in an empty environment, all in all"
    return [
        Figure("installed_mb", sum(file.st_size for file in files) / 1e6, "MB", of),
        Figure("installed_disk_mb", sum(512 * file.st_blocks for file in files) / 1e6, "MB", f"{of}, in disk blocks"),
    ]


def networks(bench: Bench) -> list[Figure]:
    sizes = {path.name: path.stat().st_size for path in bench.model.iterdir() if path.is_file()}
    return [
        Figure("networks_mb", (sizes["first.onnx"] + sizes["second.onnx"]) / 1e6, "MB", "first.onnx and second.onnx"),
        Figure("model_mb", sum(sizes.values()) / 1e6, "MB", "the whole model directory"),
    ]


MEASUREMENTS: dict[str, Callable[[Bench], list[Figure]]] = {
    "networks": networks,
    "step": step,
    "cold-start": cold_start,
    "transcribe": transcribe,
    "live-feed": live_feed,
    "memory": memory,
    "installed": installed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measurements", nargs="*", metavar="MEASUREMENT", help=", ".join(MEASUREMENTS))
    parser.add_argument(
        "--speech",
        type=Path,
        default=ROOT / "tests" / "data" / "clips.jsonl",
        metavar="MANIFEST",
        help="speech to measure with (default: the clips of the tests)",
    )
    parser.add_argument("--model", type=Path, default=ROOT / "asr" / "models" / "english-small", metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures and the machine in FILE too")
    options = parser.parse_args()
    unknown = set(options.measurements) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"no measurement {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")

    speech = Speech(options.speech)
    about = machine()
    print(f"{about['processor']}, {about['cores']} cores, load {about['load']}; {about['system']};", end=" ")
    print(f"Python {about['python']}, onnxruntime {about['onnxruntime']}, numpy {about['numpy']}; {about['date']}")
    print(f"speech: {speech.name}\n")
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(speech, options.model.absolute(), Path(scratch))
        for name in options.measurements or MEASUREMENTS:
            measured = MEASUREMENTS[name](bench)
            figures.extend(measured)
            for figure in measured:
                print(f"{figure.value:10.4g} {figure.unit:3} {figure.what}", flush=True)
    if options.json:
        kept = {"machine": about, "speech": speech.name, "figures": [asdict(figure) for figure in figures]}
        options.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
