"""Archives from the web: fetched with resume and checksum, unpacked without letting any file out of its folder.

Over `urllib` of the standard library: HTTP range requests are all that resuming needs.
"""

from __future__ import annotations

import hashlib
import http.client
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asr.errors import AsrError

Progress = Callable[[int, int | None], None]  # bytes done, bytes in all (None: the server did not say)


@dataclass(frozen=True, slots=True)
class Archive:
    """One file of a corpus on the web."""

    url: str
    checksum: str | None  # "sha256:..." or "md5:..."; None where the publisher gives none
    folder: str = ""  # where it is unpacked, below the root; "" for archives that bring their own folder

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Patience:
    """How a download deals with a network that fails."""

    attempts: int = 8  # in a row without a new byte
    wait_seconds: float = 2.0  # before the second attempt, doubled for each further one
    timeout_seconds: float = 60.0  # of silence on an open connection
    block_bytes: int = 1 << 20


def download(
    archive: Archive,
    path: Path,
    *,
    progress: Progress | None = None,
    patience: Patience = Patience(),
) -> Path:
    """Fetch `archive` to `path`; what an earlier attempt left in `path`.part is continued, not fetched again.

    A file that is already there and has the right checksum is kept. A broken connection is taken up again where it
    broke. If a finished download has the wrong checksum it is fetched once more from the start, in case the part was
    of another version; then `AsrError`, as for a server that refuses or cannot be reached.
    """
    if path.is_file():
        if archive.checksum is None or checksum(path, archive.checksum) == archive.checksum:
            return path
        raise AsrError(f"{path}: does not have the published checksum; delete it to have it downloaded again")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    resumed = part.exists()
    _fetch(archive.url, part, progress, patience)
    if archive.checksum is not None and checksum(part, archive.checksum) != archive.checksum:
        part.unlink()
        if resumed:
            _fetch(archive.url, part, progress, patience)
        if not resumed or checksum(part, archive.checksum) != archive.checksum:
            part.unlink(missing_ok=True)
            raise AsrError(
                f"{archive.url}: what arrived does not have the published checksum {archive.checksum}; "
                f"try again, or fetch it from elsewhere and pass it with --archive"
            )
    part.replace(path)
    return path


def checksum(path: Path, like: str) -> str:
    """The checksum of the file at `path`, of the same kind as `like` ("sha256:..." or "md5:...")."""
    kind = like.partition(":")[0]
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def _fetch(url: str, part: Path, progress: Progress | None, patience: Patience) -> None:
    """Append to `part` until it holds the whole of `url`."""
    failures = 0
    while True:
        before = _size(part)
        try:
            if _continue(url, part, progress, patience):
                return
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise AsrError(
                    f"{url}: the server answers {error.code} {error.reason}; is the address right?"
                ) from None
            reason = f"the server answers {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            if isinstance(error, OSError) and error.filename == str(part):
                raise AsrError(f"{part}: cannot be written: {error.strerror}") from None
            reason = str(getattr(error, "reason", None) or error or type(error).__name__)
        failures = 0 if _size(part) > before else failures + 1
        if failures >= patience.attempts:
            kept = f"; {_size(part):,} bytes are kept, run it again to go on" if _size(part) else ""
            raise AsrError(f"{url}: {reason} ({failures} attempts){kept}")
        if failures:
            time.sleep(patience.wait_seconds * 2 ** (failures - 1))


def _continue(url: str, part: Path, progress: Progress | None, patience: Patience) -> bool:
    """One request for what `part` lacks; whether it is whole afterwards."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "asr-datasets"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=patience.timeout_seconds)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing from there on: the part is whole, or not of this file
            if error.headers.get("Content-Range", "") == f"bytes */{have}":
                return True
            part.unlink()
            return False
        raise
    with response:
        length = response.headers.get("Content-Length")
        if response.status == 206:
            span, _, whole = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
            if span.partition("-")[0] != str(have):
                part.unlink()
                return False
            total = int(whole) if whole.isdigit() else have + int(length) if length else None
        else:  # the whole file, whatever was asked
            have = 0
            total = int(length) if length else None
        if total is not None:
            _need_space(part, total - have)
        with part.open("ab" if have else "wb") as file:
            while block := response.read(patience.block_bytes):
                file.write(block)
                have += len(block)
                if progress is not None:
                    progress(have, total)
    return total is None or have == total


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _need_space(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if size > free:
        raise AsrError(f"{path.parent}: {size:,} bytes are needed and {free:,} are free; choose another --root")
