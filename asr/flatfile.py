"""Named arrays in one file that is memory-mapped, not read: an eight-byte magic, a JSON header, the aligned arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError

_ALIGNMENT = 64


def write_arrays(
    path: Path, magic: bytes, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, object] | None = None
) -> None:
    """Write little-endian arrays under names, with a small JSON object of facts `about` them.

    The file appears whole or not at all: it is written beside its place and renamed.
    """
    if len(magic) != 8:
        raise ValueError("the magic has eight bytes")
    entries = []
    offset = 0
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"array {name} holds Python objects")
        entries.append({"name": name, "dtype": array.dtype.newbyteorder("<").str, "shape": array.shape, "at": offset})
        offset += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    header = json.dumps({"about": dict(about or {}), "arrays": entries}).encode()
    start = -(-(12 + len(header)) // _ALIGNMENT) * _ALIGNMENT
    scratch = path.with_name(path.name + ".part")
    with scratch.open("wb") as file:
        file.write(magic + len(header).to_bytes(4, "little") + header)
        for entry, array in zip(entries, arrays.values(), strict=True):
            file.seek(start + int(str(entry["at"])))
            file.write(np.ascontiguousarray(array, dtype=str(entry["dtype"])).tobytes())
        file.truncate(start + offset)
    scratch.replace(path)


def map_arrays(path: Path, magic: bytes, what: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The read-only arrays of a file and the facts about them; `ModelError` names `what` it should have been."""
    try:
        mapped = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot open {what} {path}: {error}; check the path or build the file again") from error
    damaged = ModelError(f"{path} is damaged or is not {what}; build the file again")
    if len(mapped) < 12 or mapped[:8].tobytes() != magic:
        raise damaged
    length = int.from_bytes(mapped[8:12].tobytes(), "little")
    try:
        header = json.loads(mapped[12 : 12 + length].tobytes())
        start = -(-(12 + length) // _ALIGNMENT) * _ALIGNMENT
        arrays = {}
        for entry in header["arrays"]:
            dtype, shape, begin = np.dtype(entry["dtype"]), tuple(entry["shape"]), start + int(entry["at"])
            size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            if min(shape, default=0) < 0 or begin < start or begin + size > len(mapped):
                raise damaged
            arrays[str(entry["name"])] = np.asarray(mapped[begin : begin + size]).view(dtype).reshape(shape)
        return arrays, dict(header["about"])
    except (ValueError, KeyError, TypeError) as error:
        raise damaged from error
