"""A stream's state as bytes: named plain arrays and a JSON header, never pickle, since it may be a stranger's file."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import StreamError

VERSION = 4
MOST = 1 << 53  # what counts frames and samples; 10 million years of them
Arrays = dict[str, NDArray[Any]]


def pack(header: Mapping[str, object], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Header and arrays as bytes that `unpack` reads."""
    text = json.dumps({"version": VERSION, **header})
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, header=np.frombuffer(text.encode(), np.uint8), **arrays)
    return file.getvalue()


@dataclass(frozen=True)
class Parts:
    """What a snapshot holds; taken out with checks that raise `KeyError`, `TypeError` or `ValueError`."""

    header: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    def array(self, name: str, *shape: int, dtype: type[np.generic] = np.float32, shortest: int = 0) -> NDArray[Any]:
        """The array of this name and shape, -1 standing for any length from `shortest`; all numbers finite."""
        array = self.arrays[name]
        fits = array.dtype == dtype and len(array.shape) == len(shape)
        if not fits or not all(n == w or (w == -1 and n >= shortest) for n, w in zip(array.shape, shape, strict=True)):
            raise ValueError(f"{name} has another shape")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds what is no number")
        return array

    def below(self, prefix: str) -> Arrays:
        """The arrays whose names begin with `prefix`, by the rest of their names, as they are."""
        return {name.removeprefix(prefix): array for name, array in self.arrays.items() if name.startswith(prefix)}


def unpack(snapshot: bytes) -> Parts:
    """What `pack` was given. Raises `StreamError` for what is no snapshot, damaged, or of another version."""
    try:
        with np.load(io.BytesIO(snapshot), allow_pickle=False) as file:
            entries = file.zip.infolist()
            stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
            if not stored or sum(entry.file_size for entry in entries) > len(snapshot):
                raise ValueError("a small file that becomes a large one")
            arrays = {name: file[name] for name in file.files}
        header = json.loads(arrays.pop("header").tobytes())
        version = header["version"]
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, MemoryError, RecursionError,
        NotImplementedError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise StreamError("This is no snapshot of a stream, or a damaged one: start a new stream.") from error
    if version != VERSION:
        raise StreamError(f"This snapshot has version {version!r}, this program reads {VERSION}: start a new stream.")
    return Parts(header, arrays)


def whole(value: object, least: int = 0, most: int = MOST) -> int:
    """A whole number of a header, checked. Raises `ValueError`."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{value!r} is no whole number from {least} to {most}")
    return value


def number(value: object) -> float:
    """A finite number of a header, checked. Raises `ValueError`."""
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
        raise ValueError(f"{value!r} is no number")
    return float(value)  # type: ignore[arg-type]


def text(value: object) -> str:
    """A text of a header, checked. Raises `ValueError`."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value
