"""A stream that runs for hours: does it grow, does it slow down?

    python tools/soak.py data/manifests/valid.jsonl                # 8 hours of sound
    python tools/soak.py tests/data/clips.jsonl --hours 0.33       # what CI runs

Speech with pauses and a little noise is fed in live steps, as fast as it goes, and what is not final yet is read after
each step, as a terminal does. Memory is the process's own; growth counts from the tenth minute of sound on.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.audio import read_audio
from asr.datasets.manifest import read_manifest
from asr.errors import AsrError
from asr.heap import share_one_heap
from asr.recognizer import Recognizer

RATE = 16000
CHUNK_SECONDS = 0.08
WARM_SECONDS = 600.0  # memory may grow until then
POOL_SECONDS = 1200.0  # of speech that is kept in memory and spoken again and again
PAUSE_SECONDS = (0.2, 3.0)
NOISE = 0.001  # -60 dB of full scale
MOST_WAITING = 2  # segments that wait for their second reading: faster than real time they would pile up

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Soak:
    """What came out."""

    hours: float
    words: int
    memory_start_mb: float  # held, after WARM_SECONDS of sound
    memory_end_mb: float
    memory_peak_mb: float  # all that is resident
    first_p99_ms: float  # processor time of a chunk, in the first hour (or third)
    last_p99_ms: float
    first_wall_p99_ms: float  # the same by the clock on the wall: what else runs on the machine is in it
    last_wall_p99_ms: float
    slowest_ms: float
    real_time_factor: float
    processor_share: float  # of one core, were it live

    def report(self) -> str:
        growth = self.memory_end_mb - self.memory_start_mb
        return (
            f"{self.hours:.2f} h of sound, {self.words} words, real-time factor {self.real_time_factor:.3f}, "
            f"processor {self.processor_share:.1%} of a core\n"
            f"memory        {self.memory_start_mb:.1f} MB after 10 minutes, {self.memory_end_mb:.1f} MB at the end "
            f"({growth:+.1f}); resident at most {self.memory_peak_mb:.1f}\n"
            f"p99 per chunk {self.first_p99_ms:.2f} ms of processor time at first, {self.last_p99_ms:.2f} at last "
            f"({self.last_p99_ms / self.first_p99_ms:.2f} times); by the clock {self.first_wall_p99_ms:.1f} and "
            f"{self.last_wall_p99_ms:.1f} ms, slowest {self.slowest_ms:.0f}"
        )


def speech_of(manifest: Path, seed: int) -> list[Samples]:
    """Utterances of a manifest, at most POOL_SECONDS of them."""
    utterances = read_manifest(manifest)
    random.Random(seed).shuffle(utterances)
    pool: list[Samples] = []
    seconds = 0.0
    for utterance in utterances:
        if seconds >= POOL_SECONDS:
            break
        pool.append(read_audio(utterance.audio, RATE))
        seconds += len(pool[-1]) / RATE
    return pool


def talk(pool: Sequence[Samples], seconds: float, seed: int) -> Iterator[Samples]:
    """Chunks of endless talk: utterances in random order, at random levels, with pauses and noise."""
    choose = random.Random(seed)
    noise = np.random.default_rng(seed).normal(0, NOISE, 10 * RATE).astype(np.float32)
    chunk = round(CHUNK_SECONDS * RATE)
    left = round(seconds * RATE)
    rest = np.zeros(0, np.float32)
    while left > 0:
        pause = np.zeros(round(choose.uniform(*PAUSE_SECONDS) * RATE), np.float32)
        said = np.concatenate([rest, choose.choice(pool) * np.float32(choose.uniform(0.3, 1.0)), pause])
        said = said + np.resize(noise, len(said))
        whole = min(len(said), left) // chunk * chunk
        if whole == 0:
            return
        for i in range(0, whole, chunk):
            yield said[i : i + chunk]
        left -= whole
        rest = np.zeros(0, np.float32)  # what is less than a chunk is not worth its bookkeeping


def soak(recognizer: Recognizer, pool: Sequence[Samples], hours: float, seed: int, progress: bool) -> Soak:
    stream = recognizer.stream(step_seconds=CHUNK_SECONDS, second_reading="background")
    chunks = round(hours * 3600 / CHUNK_SECONDS)
    times = np.ones((chunks, 2), np.float32)  # [chunks, processor and wall], all of it now: it is no growth
    words, warm, start, peak = 0, round(WARM_SECONDS / CHUNK_SECONDS), 0.0, 0.0
    report_every = round(600 / CHUNK_SECONDS)
    began, processor = time.perf_counter(), time.process_time()
    count = 0
    for count, block in enumerate(talk(pool, hours * 3600, seed), 1):
        before = time.thread_time(), time.perf_counter()
        finals = stream.feed(block, RATE)
        _ = stream.partial
        times[count - 1] = time.thread_time() - before[0], time.perf_counter() - before[1]
        words += sum(len(segment.words) for segment in finals)
        while stream.waiting > MOST_WAITING:
            time.sleep(0.001)
            words += sum(len(segment.words) for segment in stream.feed(block[:0], RATE))
        if count == warm:
            start = held_mb()
        if count >= warm and count % report_every == 0:
            peak = max(peak, resident_mb())
            if progress:
                print(f"{count * CHUNK_SECONDS / 3600:.2f} h  {resident_mb():.1f} MB", file=sys.stderr, flush=True)
    elapsed, used = time.perf_counter() - began, time.process_time() - processor
    peak, end = max(peak, resident_mb()), held_mb()
    words += sum(len(segment.words) for segment in stream.finish())
    times = times[:count]
    seconds = count * CHUNK_SECONDS
    part = min(round(3600 / CHUNK_SECONDS), count // 3)
    first, last = (1000 * np.percentile(piece, 99, axis=0) for piece in (times[:part], times[-part:]))
    return Soak(
        hours=seconds / 3600,
        words=words,
        memory_start_mb=start,
        memory_end_mb=end,
        memory_peak_mb=peak,
        first_p99_ms=float(first[0]),
        last_p99_ms=float(last[0]),
        first_wall_p99_ms=float(first[1]),
        last_wall_p99_ms=float(last[1]),
        slowest_ms=float(times[:, 1].max()) * 1000,
        real_time_factor=elapsed / seconds,
        processor_share=used / seconds,
    )


def held_mb() -> float:
    """The process's own memory: without the pages of mapped model files, which the kernel may drop, and without what
    the C library's allocator keeps free for later, which goes up and down (Linux)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    status = Path("/proc/self/status").read_text()
    return float(status.split("RssAnon:")[1].split()[0]) * 1024 / 1e6


def resident_mb() -> float:
    """All of the process's resident memory (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="whose speech is spoken")
    parser.add_argument("--hours", type=float, default=8.0, help="of sound")
    parser.add_argument("--model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="keep the figures here")
    arguments = parser.parse_args()
    share_one_heap()  # as `asr listen` does
    pool = speech_of(arguments.manifest, arguments.seed)
    found = soak(Recognizer(arguments.model), pool, arguments.hours, arguments.seed, progress=True)
    print(found.report())
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except AsrError as error:
        sys.exit(f"Error: {error}")
