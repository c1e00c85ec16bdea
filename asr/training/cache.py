"""Decoded audio in one packed file: read once from its many files, then sliced from memory epoch after epoch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr.audio import read_audio
from asr.errors import AsrError, AudioError

RATE = 16_000
_FILES_AT_ONCE = 1024
Samples = npt.NDArray[np.int16]


class AudioCache:
    """16 kHz mono int16 samples of many files, one after the other in `NAME.pcm`, with an index in `NAME.json`.

    The two files are all that is needed to carry a corpus to another machine.
    """

    def __init__(self, path: Path) -> None:
        """Opens the cache `path` (`NAME.pcm`). Raises `AsrError` if it is not there or cut short."""
        try:
            self._index: dict[str, tuple[int, int]] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            self._samples: Samples = np.memmap(path, dtype=np.int16, mode="r")
        except (OSError, ValueError) as error:
            raise AsrError(f"{path}: not a readable audio cache ({error}); delete it and it is made again") from error
        end = max((offset + length for offset, length in self._index.values()), default=0)
        if len(self._samples) < end:
            raise AsrError(f"{path}: shorter than its index says; delete it and it is made again")

    def __contains__(self, file: Path) -> bool:
        return str(file) in self._index

    def __getitem__(self, file: Path) -> Samples:
        """Samples of a file, without a copy. [samples]"""
        offset, length = self._index[str(file)]
        return self._samples[offset : offset + length]

    def length(self, file: Path) -> int:
        """Samples in a file."""
        return self._index[str(file)][1]


def build_cache(
    files: Sequence[Path], folder: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[AudioCache, dict[Path, str]]:
    """The cache of these files in `folder`, made if it is not there yet, and what went wrong with which file.

    Its name follows from the files' paths and sizes, so a changed corpus gets a new one. It is written beside
    its final name and renamed, so that an interrupted run leaves no half cache behind.
    """
    unique = sorted(set(files))
    stats = [(str(file), file.stat().st_size if file.exists() else -1) for file in unique]
    path = folder / f"audio-{hashlib.sha256(json.dumps(stats).encode()).hexdigest()[:16]}.pcm"
    failures_path = path.with_suffix(".failures.json")
    if path.exists() and path.with_suffix(".json").exists() and failures_path.exists():
        failures = json.loads(failures_path.read_text(encoding="utf-8"))
        return AudioCache(path), {Path(file): reason for file, reason in failures.items()}

    folder.mkdir(parents=True, exist_ok=True)
    index: dict[str, tuple[int, int]] = {}
    failed: dict[Path, str] = {}
    temporary = path.with_suffix(f".{os.getpid()}.part")
    offset = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool, temporary.open("wb") as packed:
        for start in range(0, len(unique), _FILES_AT_ONCE):
            group = unique[start : start + _FILES_AT_ONCE]
            for file, result in zip(group, pool.map(_decode, group, chunksize=4), strict=True):
                if isinstance(result, str):
                    failed[file] = result
                else:
                    packed.write(result.tobytes())
                    index[str(file)] = (offset, len(result))
                    offset += len(result)
            progress(start + len(group), len(unique))
    failures_path.write_text(json.dumps({str(file): reason for file, reason in failed.items()}), encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(index), encoding="utf-8")
    temporary.rename(path)
    return AudioCache(path), failed


def as_floats(samples: Samples) -> npt.NDArray[np.float32]:
    """Samples in [-1, 1]."""
    return samples.astype(np.float32) * np.float32(1 / 32768)


def _decode(file: Path) -> Samples | str:
    try:
        samples = read_audio(file, rate=RATE)
    except AudioError as error:
        return str(error)
    return (np.clip(samples, -1.0, 1.0) * 32767.0).round().astype(np.int16)
