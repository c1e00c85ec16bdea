"""What a sound file's bytes tell before they are decoded, and files and pipes as libsndfile wants them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import IO

from asr.errors import AudioError

DECODED_ON_ARRIVAL = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b".snd", b"fLaC", b"caff")  # mp3 is looked for


class Arriving:
    """A file or pipe as libsndfile wants it: something that has an end and can be searched.

    The end is said to be far away. So a decoder believes the header about the length and does not guess it from the
    size, which is wrong for an mp3 of varying bit rate, and what is missing at the end shows. Searching works within
    the bytes that are kept; far ahead there is nothing.
    """

    length = 1 << 44
    kept_bytes = 8 << 20
    reach_bytes = 4 << 20  # how far ahead is read for somebody who looks there

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self._kept = bytearray()
        self._begin = self._at = 0  # positions of the first byte kept and of the next one read
        self.error: BaseException | None = None  # what happened inside a read, which is called from C

    def peek(self, size: int) -> bytes:
        """The first bytes."""
        self._fill(size)
        return bytes(self._kept[:size])

    def skip(self, size: int) -> None:
        """Leave the first bytes out."""
        while size > 0:
            part = len(self.peek(min(size, self.kept_bytes)))
            if not part:
                return
            del self._kept[:part]
            size -= part

    def complete_wav(self) -> None:
        """A wav whose writer was killed before it wrote the length goes on to the end."""
        head = self.peek(64)
        at = head.find(b"data\0\0\0\0")
        if head.startswith(b"RIFF") and at > 0:
            self._kept[at + 4 : at + 8] = b"\xff" * 4

    def restart(self) -> None:
        """What comes next is the beginning."""
        del self._kept[: self._at - self._begin]
        self._begin = self._at = 0

    def copy_to(self, file: IO[bytes]) -> None:
        """Everything, before any of it was read."""
        file.write(self._kept)
        shutil.copyfileobj(self._file, file)
        file.flush()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = (0, self._at, self.length)[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        try:
            return self._readinto(buffer)
        except BaseException as error:  # Ctrl-C among them; there is no way through C
            self.error = error
            return 0

    def _readinto(self, buffer: memoryview) -> int:
        size = len(buffer)
        if self._at >= self.length - 4096:  # the place of an mp3's tag
            data: bytes | bytearray = bytes(min(size, self.length - self._at))
        elif self._begin <= self._at <= self._begin + len(self._kept) + self.reach_bytes:
            begin = self._at - self._begin
            self._fill(begin + size)
            data = self._kept[begin : begin + size]
        else:
            data = b""
        buffer[: len(data)] = data
        self._at += len(data)
        forgotten = self.kept_bytes // 2
        if len(self._kept) > self.kept_bytes and self._at - self._begin > forgotten:
            del self._kept[:forgotten]
            self._begin += forgotten
        return len(data)

    def _fill(self, size: int) -> None:
        try:
            while (missing := size - len(self._kept)) > 0 and (part := self._file.read(missing)):
                self._kept += part
        except OSError as error:
            raise AudioError(f"{self._name} cannot be read: {error.strerror}.") from error


def id3_size(head: bytes) -> int:
    """Bytes of the ID3v2 tag that begins here."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def find_mp3(head: bytes, name: str) -> int | None:
    """Where the frames of an mp3 begin: at once, but for a file that is named so (what was cut out of a stream)."""
    at = 0
    while at == 0 or (at > 0 and name.lower().endswith(".mp3")):
        length = mp3_frame(head, at)
        if length and mp3_frame(head, at + length):
            return at
        at = head.find(b"\xff", at + 1)
    return None


def mp3_frame(data: bytes, at: int) -> int:
    """Bytes of the MPEG layer III frame whose header stands here, 0 where there is none (ISO 11172-3, 13818-3)."""
    header = data[at : at + 3]
    if len(header) < 3 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return 0
    first = version == 3  # MPEG 1; 2 and 2.5 have lower rates
    kilobits = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)[bitrate] if first else (
        (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)[bitrate]
    )  # fmt: skip
    hertz = (44100, 48000, 32000)[rate] // {3: 1, 2: 2, 0: 4}[version]
    return (144000 if first else 72000) * kilobits // hertz + (header[2] >> 1 & 1)


def has_last_page(path: Path) -> bool:
    """Whether an Ogg file ends with a whole page that says it is the last (RFC 3533, section 6)."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - (1 << 17)))
        data = file.read()
    page = data[data.rfind(b"OggS") :]
    size = 27 + page[26] + sum(page[27 : 27 + page[26]]) if len(page) >= 27 else 0
    return 0 < size <= len(page) and bool(page[5] & 4)
