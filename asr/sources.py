"""Files and pipes as samples: what soundfile decodes, what the ffmpeg program decodes, and raw samples.

Whatever ends before it should is read as far as it goes; then comes an `AudioError`. This is the only module that knows
ffmpeg, and that reads with soundfile.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from asr.arriving import DECODED_ON_ARRIVAL, Arriving, find_mp3, has_last_page, id3_size
from asr.errors import AudioError

Samples = NDArray[np.float32]

SOUNDFILE_ENDINGS = frozenset((".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf"))
FFMPEG_ENDINGS = frozenset(
    (".m4a", ".m4b", ".aac", ".webm", ".mp4", ".mkv", ".mka", ".mov", ".avi", ".wma", ".wmv", ".amr", ".3gp", ".ac3")
)
AUDIO_ENDINGS = SOUNDFILE_ENDINGS | FFMPEG_ENDINGS
RAW_ENDINGS = frozenset((".raw", ".pcm", ".s16"))

MISSING_SECONDS = 0.1  # of a recording's length, more than sloppy headers are wrong by
AGAIN = "copy, save or download it again"


class Source(Protocol):
    """Open sound: its rate, its number of channels and its samples, in order, once."""

    rate: int
    channels: int
    seconds: float | None  # None: not known before the end

    def read(self, frames: int) -> Samples:
        """The next frames as [n, channels], fewer at the end, none after it; `AudioError` where it breaks off."""
        ...

    def close(self) -> None: ...


def open_sound(file: IO[bytes], name: str, path: Path | None = None) -> Source:
    """What decodes an open file or pipe, which messages call `name`; the caller closes it after the source.

    Formats that can be decoded as they arrive are; others are read from the regular file at `path`, or else from a
    temporary copy. Raises `AudioError`.
    """
    arriving = Arriving(file, name)
    if not arriving.peek(16):
        raise AudioError(f"{name} is empty (0 bytes).")
    arriving.skip(id3_size(arriving.peek(16)))
    arriving.complete_wav()
    if (start := 0 if arriving.peek(4) in DECODED_ON_ARRIVAL else find_mp3(arriving.peek(1 << 13), name)) is not None:
        arriving.skip(start)
        with suppress(AudioError):  # a whole file may tell more
            return SoundFile(arriving, name)
    if path is not None and path.is_file():
        return _open_whole(path, name)
    spool = tempfile.NamedTemporaryFile(prefix="asr-", suffix=".audio")  # noqa: SIM115  closed with the source
    try:
        arriving.copy_to(spool)
        return _open_whole(Path(spool.name), name, spool)
    except BaseException:
        spool.close()
        raise


def _open_whole(path: Path, name: str, spool: IO[bytes] | None = None) -> Source:
    if path.suffix.lower() in RAW_ENDINGS:
        raise AudioError(f"{name} holds raw samples: say their rate with --raw-rate.")
    with suppress(AudioError):
        return SoundFile(path, name, spool)
    if program := shutil.which("ffmpeg"):
        return Ffmpeg(program, path, name, spool)
    if path.suffix.lower() in FFMPEG_ENDINGS:
        what = f"{name} needs the ffmpeg program to be decoded"
        raise AudioError(f"{what}: install it (apt install ffmpeg, brew install ffmpeg) or convert to wav.")
    what = f"{name} is not sound in a format that is known here (wav, flac, ogg, opus, mp3)"
    raise AudioError(f"{what}; other formats need the ffmpeg program, which is not installed.")


class QuietStderr:
    """Standard error of the process leads nowhere while a thread is in here: libmpg123 writes notes, even about sound
    files, and libsndfile cannot tell it not to."""

    _lock: ClassVar = threading.Lock()
    _inside: ClassVar = 0
    _saved: ClassVar = -1

    def __enter__(self) -> None:
        with QuietStderr._lock, suppress(OSError):  # a daemon may have no standard error
            if QuietStderr._inside == 0:
                QuietStderr._saved = os.dup(2)
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 2)
                os.close(nowhere)
            QuietStderr._inside += 1

    def __exit__(self, *_: object) -> None:
        with QuietStderr._lock:
            if QuietStderr._inside == 0:
                return
            QuietStderr._inside -= 1
            if QuietStderr._inside == 0:
                os.dup2(QuietStderr._saved, 2)
                os.close(QuietStderr._saved)


class SoundFile:
    """What libsndfile decodes, of bytes that arrive or of a whole file."""

    piece_frames = 4096  # read at once: what is lost where a file breaks off
    no_length_bytes = (1 << 31) - (1 << 16)  # so much, or more, stands in headers that were written before the end
    widths: ClassVar = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}  # bytes of a sample, else 1

    def __init__(self, file: Arriving | Path, name: str, spool: IO[bytes] | None = None) -> None:
        import soundfile

        self._name, self._spool = name, spool
        self._arriving = file if isinstance(file, Arriving) else None
        self._errors = soundfile.SoundFileError
        self._damage: AudioError | None = None
        self._position = 0  # frames
        self._open(self._arriving or (os.fsencode(file) if os.name == "posix" else str(file)))  # type: ignore[arg-type]
        self.rate, self.channels = int(self._file.samplerate), int(self._file.channels)
        self.seconds = None if self._end is None else self._end / self.rate
        self._last_page = self._file.format != "OGG" or not isinstance(file, Path) or has_last_page(file)

    def _open(self, place: Arriving | bytes | str) -> None:
        import soundfile

        try:
            with QuietStderr():
                self._file = soundfile.SoundFile(place)
            self._file.seekable = lambda: False  # else it seeks after every read
        except soundfile.SoundFileError as error:
            raise AudioError(f"{self._name} is not sound that libsndfile decodes.") from error
        finally:
            self._raise_what_happened()
        frames = int(self._file.frames)
        if self._arriving and not frames:
            raise AudioError(f"{self._name} holds no samples, or its header was never completed.")
        size = frames * self._file.channels * self.widths.get(self._file.subtype, 1)
        unknown = self._file.format in ("WAV", "WAVEX", "AIFF", "AU") and size >= self.no_length_bytes
        self._end = self._position + frames if frames < 1 << 40 and not unknown else None  # by the header

    def read(self, frames: int) -> Samples:
        if self._damage:
            raise self._damage
        parts = [np.zeros((0, self.channels), np.float32)]
        try:
            while frames > 0 and not self._damage:
                parts.append(self._read_piece(min(frames, self.piece_frames)))
                self._raise_what_happened()
                self._position += len(parts[-1])
                frames -= len(parts[-1])
                if not len(parts[-1]):
                    self._damage = self._missing()
                    if self._damage or not self._goes_on():
                        break
        except self._errors:
            at = self._position / self.rate
            self._damage = self._missing() or AudioError(f"{self._name} is damaged after {at:.1f} s: {AGAIN}.")
        samples: Samples = np.concatenate(parts)
        if self._damage and not len(samples):  # else what could still be read comes first
            raise self._damage
        return samples

    def _read_piece(self, frames: int) -> Samples:
        if self._file.format != "MP3":
            piece: Samples = self._file.read(frames, "float32", always_2d=True)
            return piece
        with QuietStderr():
            piece = self._file.read(frames, "float32", always_2d=True)
            return piece

    def _raise_what_happened(self) -> None:
        if self._arriving and self._arriving.error:
            raise self._arriving.error

    def _missing(self) -> AudioError | None:
        """What is wrong with the end, which has been reached."""
        at = self._position / self.rate
        if self._end is not None and self._end - self._position > MISSING_SECONDS * self.rate:
            return AudioError(f"{self._name} ends after {at:.1f} of {self._end / self.rate:.1f} s: {AGAIN}.")
        if not self._last_page:
            return AudioError(f"{self._name} breaks off after {at:.1f} s, its last page is missing: {AGAIN}.")
        return None

    def _goes_on(self) -> bool:
        """Whether another mp3 follows this one in the file: podcasts are joined so; the header knows the first only."""
        if self._arriving is None or self._file.format != "MP3":
            return False
        self._arriving.restart()
        self._arriving.skip(id3_size(self._arriving.peek(16)))
        start = find_mp3(self._arriving.peek(1 << 13), ".mp3")
        if start is None:
            return False
        self._arriving.skip(start)
        self._file.close()
        with suppress(AudioError):
            self._open(self._arriving)
            if (self._file.samplerate, self._file.channels) == (self.rate, self.channels):
                return True
        what = f"{self._name} goes on after {self._position / self.rate:.1f} s with another rate or number of channels"
        self._damage = AudioError(f"{what}: convert it to wav.")
        return False

    def close(self) -> None:
        self._file.close()
        if self._spool is not None:
            self._spool.close()


# Raw samples, and other programs


class Raw:
    """Signed 16-bit little-endian samples without a header."""

    def __init__(self, file: IO[bytes], rate: int, channels: int) -> None:
        self._file = file
        self.rate, self.channels = rate, channels
        self.seconds: float | None = None

    def read(self, frames: int) -> Samples:
        data = _read_exactly(self._file, frames * self.channels * 2)
        whole = len(data) // (2 * self.channels) * self.channels
        return np.frombuffer(data, "<i2", whole).astype(np.float32).reshape(-1, self.channels) / np.float32(32768)

    def close(self) -> None:
        pass


class Ffmpeg:
    """What the ffmpeg program decodes, through a pipe, with the rate and channels of the file."""

    # ffmpeg ends well where a file breaks off; this is how it says so.
    broken = re.compile("partial file|prematurely|corrupt|[Ii]nvalid|incomplete|too small|exhausted|truncat")

    def __init__(self, program: str, path: Path, name: str, spool: IO[bytes] | None = None) -> None:
        # Sun's .au: a header that is easy to read, unlike WAV's in a pipe. Local files only: a playlist may not
        # reach for the network. Its own session: Ctrl-C is for us, and must not look like the end of the file.
        command: list[str | Path] = [program, "-nostdin", "-v", "warning", "-protocol_whitelist", "file,pipe"]
        command += ["-i", f"file:{path}", "-vn", "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
        self._path, self._name, self._spool = path, name, spool
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115  closed with the source
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._messages, start_new_session=True)
        assert self._process.stdout is not None
        self._pipe = self._process.stdout
        header = _read_exactly(self._pipe, 24)
        if len(header) < 24:
            lines = self._lines()
            self.close()
            if any("does not contain any stream" in line for line in lines):
                raise AudioError(f"{name} holds no sound: give a recording that does.")
            said = lines[0] if lines else "nothing"
            raise AudioError(f"{name} is not sound that can be read (ffmpeg: {said}): convert it to wav, or {AGAIN}.")
        _, offset, _, _, self.rate, self.channels = struct.unpack(">6I", header)
        _read_exactly(self._pipe, offset - 24)
        self.seconds: float | None = None
        self._frames = 0

    def read(self, frames: int) -> Samples:
        data = _read_exactly(self._pipe, frames * self.channels * 4)
        whole = len(data) // (4 * self.channels) * self.channels
        if not whole:
            status, lines = self._process.wait(), self._lines()
            found = [line for line in lines if self.broken.search(line)] or (lines[-1:] if status else [])
            if found or status:
                where = f"at {self._frames / self.rate:.1f} s or before (ffmpeg: {(found or ['nothing'])[-1]})"
                raise AudioError(f"{self._name} is damaged, {where}: {AGAIN}.")
        self._frames += whole // self.channels
        return np.frombuffer(data, ">f4", whole).astype(np.float32).reshape(-1, self.channels)

    def close(self) -> None:
        self._pipe.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._messages.close()
        if self._spool is not None:
            self._spool.close()

    def _lines(self) -> list[str]:
        """What ffmpeg said, without addresses in its memory and the file's place."""
        self._process.wait()
        self._messages.seek(0)
        text = self._messages.read().decode(errors="replace").replace(f"file:{self._path}: ", "")
        return [re.sub(r"^\[\S+ @ \S+\] ", "", line).strip().rstrip(".") for line in text.splitlines() if line.strip()]


def _read_exactly(file: IO[bytes], size: int) -> bytes:
    parts, left = [], size
    while left > 0 and (part := file.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
