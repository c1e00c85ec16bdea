"""A stream's state as bytes: named plain arrays and a JSON header, never pickle, since it may be a stranger's file."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import StreamError

VERSION = 2
Arrays = dict[str, NDArray[Any]]


def pack(header: Mapping[str, object], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Header and arrays as bytes that `unpack` reads."""
    text = json.dumps({"version": VERSION, **header})
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, header=np.frombuffer(text.encode(), np.uint8), **arrays)
    return file.getvalue()


def unpack(snapshot: bytes) -> tuple[dict[str, Any], Arrays]:
    """What `pack` was given. Raises `StreamError` for what is no snapshot, damaged, or of another version."""
    try:
        with np.load(io.BytesIO(snapshot), allow_pickle=False) as file:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in file.zip.infolist()):
                raise ValueError("a small file that becomes a large one")
            arrays = {name: file[name] for name in file.files}
        header = json.loads(arrays.pop("header").tobytes())
        version = header["version"]
    except (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise StreamError("This is no snapshot of a stream, or a damaged one: start a new stream.") from error
    if version != VERSION:
        raise StreamError(f"This snapshot has version {version}, this program reads {VERSION}: start a new stream.")
    return header, arrays
