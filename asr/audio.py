"""Sound from files, pipes and raw samples, as blocks of float32; mono and 16 kHz where the network wants it.

`asr.sources` reads them. This is the only module that knows soxr, and that writes with soundfile.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from asr.errors import AudioError
from asr.sources import Raw, Source, open_sound

Samples = NDArray[np.float32]

SAMPLE_RATE = 16000  # Hz, what the network hears
LOWEST_RATE, HIGHEST_RATE = 1000, 768_000  # Hz
LOUDEST = 32.0  # a float sample beyond this was not scaled to [-1, 1]; up to it, what is over 1 is clipped


# Samples


def as_float(block: NDArray[np.generic]) -> Samples:
    """The block as float32 in [-1, 1], [n] or [n, channels] as it came.

    Takes int16, int32 and floats. Raises `AudioError` for other types and for samples that are not numbers or not
    scaled.
    """
    if block.dtype == np.int16:
        return block.astype(np.float32) * np.float32(1 / 32768)
    if block.dtype == np.int32:
        return (block.astype(np.float64) / 2147483648).astype(np.float32)
    if block.dtype not in (np.float32, np.float64):
        raise AudioError(f"Samples of type {block.dtype} are not sound: give int16, int32, or floats in [-1, 1].")
    if block.size == 0:
        return block.astype(np.float32)
    loudest = float(np.abs(block).max())
    if not math.isfinite(loudest):
        raise AudioError("The sound holds samples that are not numbers (NaN or infinite): convert or cut it first.")
    if loudest > LOUDEST:
        raise AudioError(f"The loudest sample is {loudest:g}: floats must lie in [-1, 1] (divide int16 by 32768).")
    samples = block.astype(np.float32, copy=False)
    return samples if loudest <= 1 else np.clip(samples, -1, 1)


def as_mono(block: Samples, channel: int | None = None) -> Samples:
    """One channel of [n] or [n, channels]: number `channel` (from 0), or all of them mixed. Gives [n]."""
    if block.ndim == 1 and not channel:
        return block
    if block.ndim == 1:
        block = block[:, None]
    if block.ndim != 2 or block.shape[1] == 0:
        raise AudioError(f"A block of shape {block.shape} is not sound: give [frames] or [frames, channels].")
    channels = block.shape[1]
    if channel is not None:
        if not 0 <= channel < channels:
            raise AudioError(f"There is no channel {channel + 1}: the sound has {channels}.")
        return np.ascontiguousarray(block[:, channel])
    mixed = block[:, 0].copy()
    for other in range(1, channels):  # one after the other, so that a row's sum never depends on the block's length
        mixed += block[:, other]
    return mixed if channels == 1 else mixed * np.float32(1 / channels)


class Resampler:
    """Streaming change of sampling rate whose whole state is plain samples.

    Every window of `chunk_seconds` is resampled at once together with 20 ms on each side, which are then thrown away:
    within 1e-6 of resampling the whole (but for its first millisecond), whatever the lengths of the blocks. Windows
    lie on a grid where both rates have whole samples: 10 ms, or the reduced ratio for odd rates (20 ms at 22,050 Hz).
    """

    margin_seconds = 0.02
    grid_seconds = 0.01

    def __init__(self, rate: int, to: int = SAMPLE_RATE, chunk_seconds: float = 1.0) -> None:
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            limits = f"{LOWEST_RATE:,} and {HIGHEST_RATE:,}"
            raise AudioError(f"A sampling rate of {rate} Hz cannot be right: it must lie between {limits}.")
        self.rate, self.to = rate, to
        divisor = math.gcd(rate, to)
        grids = math.ceil(round(self.grid_seconds * divisor, 9))  # grid units that make at least 10 ms
        self._grid = (grids * rate // divisor, grids * to // divisor)  # samples in and out
        margins = math.ceil(round(self.margin_seconds * rate / self._grid[0], 9))
        chunks = max(1, round(chunk_seconds * rate / self._grid[0]))
        self._margin = (margins * self._grid[0], margins * self._grid[1])
        self._chunk = (chunks * self._grid[0], chunks * self._grid[1])
        self.samples: Samples = np.zeros(self._margin[0] if rate != to else 0, np.float32)  # the state

    @property
    def waiting(self) -> int:
        """Samples that came in and have not come out."""
        return len(self.samples) - (self._margin[0] if self.rate != self.to else 0)

    def feed(self, samples: Samples) -> Samples:
        """Mono samples [n] in, those that are ready out (at most a chunk and 20 ms behind)."""
        if self.rate == self.to:
            return samples
        waiting = np.concatenate([self.samples, samples])
        margin, chunk = self._margin[0], self._chunk[0]
        ready = max(0, (len(waiting) - 2 * margin) // chunk)
        out = [self._resample(waiting[i * chunk : (i + 1) * chunk + 2 * margin]) for i in range(ready)]
        self.samples = waiting[ready * chunk :].copy()
        return np.concatenate(out) if out else np.zeros(0, np.float32)

    def tail(self) -> Samples:
        """What is still inside, as if silence followed; the state stays as it is."""
        if self.rate == self.to:
            return np.zeros(0, np.float32)
        margin, chunk = self._margin[0], self._chunk[0]
        left = len(self.samples) - margin
        chunks = -(-left // chunk)
        padded = np.concatenate([self.samples, np.zeros(chunks * chunk + margin - left, np.float32)])
        out = [self._resample(padded[i * chunk : (i + 1) * chunk + 2 * margin]) for i in range(chunks)]
        return np.concatenate(out)[: -(-left * self.to // self.rate)] if out else np.zeros(0, np.float32)

    def _resample(self, window: Samples) -> Samples:
        import soxr

        out: Samples = soxr.resample(window, self.rate, self.to)
        return out[self._margin[1] : self._margin[1] + self._chunk[1]]


# Recordings


class Audio:
    """An open recording; a context manager.

    `Audio("talk.mp3")`, `Audio(sys.stdin.buffer, name="standard input")`, and `Audio(file, raw_rate=8000)` for signed
    16-bit little-endian samples without a header. `rate` and `channels` are those of the file, `seconds` its length
    or None where only reading to the end would tell. Raises `AudioError` with the file's name.
    """

    def __init__(
        self,
        source: str | Path | IO[bytes],
        *,
        name: str | None = None,
        raw_rate: int | None = None,
        raw_channels: int = 1,
    ) -> None:
        self.name = name or (str(source) if isinstance(source, str | Path) else "the input")
        path = Path(source) if isinstance(source, str | Path) else None
        file = _open_file(path) if path is not None else source
        assert not isinstance(file, str | Path)
        self._opened = None if path is None else file  # whoever opened a file closes it
        try:
            self._source: Source = (
                open_sound(file, self.name, path) if raw_rate is None else Raw(file, raw_rate, raw_channels)
            )
        except BaseException:
            self.close()
            raise
        self.rate, self.channels, self.seconds = self._source.rate, self._source.channels, self._source.seconds
        if not LOWEST_RATE <= self.rate <= HIGHEST_RATE:
            self.close()
            raise AudioError(f"{self.name} says that its rate is {self.rate} Hz, which cannot be: save it again.")
        self._frames = 0

    def blocks(self, seconds: float = 1.0) -> Iterator[Samples]:
        """Blocks [frames, channels] of float32 in [-1, 1], at the file's own rate."""
        frames = max(1, round(seconds * self.rate))
        while len(block := self._source.read(frames)):
            try:
                samples = as_float(block)
            except AudioError as error:
                raise AudioError(f"{self.name}, after {self.position:.1f} s: {error}") from error
            self._frames += len(block)
            yield samples

    @property
    def position(self) -> float:
        """Seconds that `blocks` has given."""
        return self._frames / self.rate

    def close(self) -> None:
        if hasattr(self, "_source"):
            self._source.close()
        if self._opened is not None:
            self._opened.close()

    def __enter__(self) -> Audio:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open_file(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except IsADirectoryError:
        raise AudioError(f"{path} is a folder, not a recording.") from None
    except FileNotFoundError:
        raise AudioError(f"There is no file {path}.") from None
    except OSError as error:
        raise AudioError(f"{path} cannot be opened: {error.strerror}.") from error


def read_audio(path: str | Path, rate: int = SAMPLE_RATE, channel: int | None = None) -> Samples:
    """A whole file as mono float32 [n] in [-1, 1] at `rate`. Raises `AudioError`."""
    with Audio(path) as audio:
        resampler = Resampler(audio.rate, rate)
        parts = [resampler.feed(as_mono(block, channel)) for block in audio.blocks()]
        parts.append(resampler.tail())
    return np.concatenate(parts)


def write_wav(path: Path, samples: Samples, rate: int) -> None:
    """Samples [n] in [-1, 1] as a recording of 16 bits."""
    import soundfile

    soundfile.write(path, samples, rate, subtype="PCM_16")


def through_opus(samples: Samples, kilobits: float) -> Samples:
    """16 kHz mono [n] as it comes out of the Opus codec (RFC 6716) at so many kilobits a second, 6 to 256; [n]."""
    import soundfile

    coded = io.BytesIO()
    compression = 1.0 - (kilobits - 6.0) / 250.0  # libsndfile's scale
    soundfile.write(coded, samples, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=compression)
    coded.seek(0)
    heard: Samples = soundfile.read(coded, dtype="float32")[0]
    return np.pad(heard, (0, max(0, len(samples) - len(heard))))[: len(samples)]


# Recording


class Recording:
    """A mono FLAC file that is written while somebody speaks. Raises `AudioError` where it cannot be written.

    A program that is killed leaves a file that players and this program read, up to its last whole FLAC block: its
    length, which libsndfile would write on closing, is kept in the header all the time.
    """

    block_frames = 4096  # libFLAC's; a block is written once a frame beyond it has come
    length_at = 21  # of the file: the last 36 bits of these five bytes are its number of frames

    def __init__(self, path: Path, rate: int) -> None:
        import soundfile

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = soundfile.SoundFile(str(path), "w", rate, 1, format="FLAC", subtype="PCM_16")
            self._header = path.open("r+b", buffering=0)
        except (soundfile.SoundFileError, OSError) as error:
            raise AudioError(f"{path} cannot be written: choose a folder that exists and is yours.") from error
        self.path = path
        self.frames = 0

    def write(self, samples: NDArray[np.int16]) -> None:
        """The next samples [n]. After an error there is nothing to do but `close`."""
        import soundfile

        try:
            self._file.write(samples)
            self.frames += len(samples)
            self._keep_length()
        except (soundfile.SoundFileError, OSError, AssertionError) as error:  # the last: a part was written
            raise self._error() from error

    def close(self) -> None:
        """Writes the last block. Raises `AudioError`."""
        import soundfile

        try:
            self._header.close()
            self._file.close()
        except (soundfile.SoundFileError, OSError) as error:
            raise self._error() from error

    def _keep_length(self) -> None:
        written = (self.frames - 1) // self.block_frames * self.block_frames
        if written > 0:
            self._header.seek(self.length_at)
            first = self._header.read(1)[0] & 0xF0  # the rest of the bits per sample
            self._header.seek(self.length_at)
            self._header.write((first << 32 | written).to_bytes(5, "big"))

    def _error(self) -> AudioError:
        seconds = self.frames / self._file.samplerate
        return AudioError(f"{self.path} cannot be written any more: it ends after {seconds:.0f} s; is the disk full?")
