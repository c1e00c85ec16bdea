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
MISSING = -1  # the size of a file that is not there
_FILES_AT_ONCE = 1024
Samples = npt.NDArray[np.int16]


class AudioCache:
    """16 kHz mono int16 samples of many files, one after the other in `NAME.pcm`, with an index in `NAME.json`.

    The two files are all that is needed to carry a corpus to another machine: files below `root`, the data folder, go
    by their paths in it.
    """

    def __init__(self, path: Path, root: Path) -> None:
        """Opens the cache `path` (`NAME.pcm`). Raises `AsrError` if it is not there or cut short."""
        self._root = root
        try:
            contents = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            self._index: dict[str, tuple[int, int]] = contents["files"]
            self._failed: dict[str, str] = contents["failed"]
            self._sizes: dict[str, int] = contents["sizes"]
            self._samples: Samples = np.memmap(path, dtype=np.int16, mode="r")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AsrError(f"{path}: not a readable audio cache ({error}); delete it and it is made again") from error
        end = max((offset + length for offset, length in self._index.values()), default=0)
        if len(self._samples) < end:
            raise AsrError(f"{path}: shorter than its index says; delete it and it is made again")

    def __getitem__(self, file: Path) -> Samples:
        """Samples of a file, without a copy. [samples]"""
        offset, length = self._index[_key(file, self._root)]
        return self._samples[offset : offset + length]

    def length(self, file: Path) -> int:
        """Samples in a file."""
        return self._index[_key(file, self._root)][1]

    def failures(self, files: Sequence[Path]) -> dict[Path, str]:
        """Which of these files could not be decoded, and why."""
        keys = {file: _key(file, self._root) for file in files}
        return {file: self._failed[key] for file, key in keys.items() if key in self._failed}

    def fits(self, files: Sequence[Path]) -> bool:
        """Whether these files, as far as they are there, have the sizes of those that were decoded."""
        sizes = ((_size(file), self._sizes[_key(file, self._root)]) for file in files)
        return all(size in (MISSING, decoded) for size, decoded in sizes)


def build_cache(
    files: Sequence[Path],
    folder: Path,
    root: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[AudioCache, dict[Path, str]]:
    """The cache of these files in `folder`, made if it is not there yet, and what went wrong with which file.

    Its name follows from the files' paths in `root`, so another corpus gets a new one; it is made again if a file has
    changed in size. A cache that was made needs the files no more: it may be carried to another machine, beside the
    manifests. It is written beside its final name and renamed, so that an interrupted run leaves no half cache behind.
    Raises `AsrError` if no file can be decoded.
    """
    unique = sorted(set(files))
    keys = [_key(file, root) for file in unique]
    path = folder / f"audio-{hashlib.sha256(json.dumps(keys).encode()).hexdigest()[:16]}.pcm"
    if path.exists() and path.with_suffix(".json").exists():
        cache = AudioCache(path, root)
        if cache.fits(unique):
            return cache, cache.failures(unique)

    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.part")
    try:
        sizes = {key: _size(file) for key, file in zip(keys, unique, strict=True)}
        index, failed = _pack(unique, temporary, progress)
        if failed and not index:
            raise AsrError(
                f"none of {len(unique)} audio files can be decoded: {failed[unique[0]].removesuffix('.')}; "
                "`asr data check MANIFEST` looks at each"
            )
        contents = {
            "files": {_key(file, root): place for file, place in index.items()},
            "failed": {_key(file, root): reason for file, reason in failed.items()},
            "sizes": sizes,
        }
        path.unlink(missing_ok=True)  # of files that have changed; never beside the new index
        path.with_suffix(".json").write_text(json.dumps(contents), encoding="utf-8")
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    return AudioCache(path, root), failed


def _pack(
    files: Sequence[Path], packed: Path, progress: Callable[[int, int], None]
) -> tuple[dict[Path, tuple[int, int]], dict[Path, str]]:
    """Decodes files into one; the first sample and the length of each, and why others could not be decoded."""
    index: dict[Path, tuple[int, int]] = {}
    failed: dict[Path, str] = {}
    offset = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool, packed.open("wb") as output:
        for start in range(0, len(files), _FILES_AT_ONCE):
            group = files[start : start + _FILES_AT_ONCE]
            for file, result in zip(group, pool.map(_decode, group, chunksize=4), strict=True):
                if isinstance(result, str):
                    failed[file] = result
                else:
                    output.write(result.tobytes())
                    index[file] = (offset, len(result))
                    offset += len(result)
            progress(start + len(group), len(files))
    return index, failed


def _key(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else MISSING


def as_floats(samples: Samples) -> npt.NDArray[np.float32]:
    """Samples in [-1, 1]."""
    return samples.astype(np.float32) * np.float32(1 / 32768)


def _decode(file: Path) -> Samples | str:
    try:
        samples = read_audio(file, rate=RATE)
    except AudioError as error:
        return str(error)
    return (np.clip(samples, -1.0, 1.0) * 32767.0).round().astype(np.int16)
