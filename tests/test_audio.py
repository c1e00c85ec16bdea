"""Sound from files, pipes and arrays; resampling; what is no sound."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.arriving import mp3_frame
from asr.audio import Audio, Resampler, as_float, as_mono, read_audio
from asr.errors import AudioError

RATES = [8000, 11025, 16000, 22050, 32000, 44100, 44056, 48000, 96000]
Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def clip(clips: Path) -> Samples:
    return read_audio(clips / "prisoners.opus")


def similarity(a: Samples, b: Samples) -> float:
    """Correlation at the best shift of up to 100 ms (codecs delay)."""
    a, b = a[: min(len(a), len(b))], b[: min(len(a), len(b))]
    best = 0.0
    for shift in range(0, 1600, 1):
        x, y = (a[: len(a) - shift], b[shift:]) if shift else (a, b)
        best = max(best, float(x @ y) / float(np.sqrt((x @ x) * (y @ y))))
        if best > 0.99:
            break
    return best


# Formats


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "opus", "mp3", "aiff"])
def test_formats_that_the_wheel_reads(clip: Samples, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"talk.{ending}"
    kind = {"format": "OGG", "subtype": "OPUS"} if ending == "opus" else {}
    soundfile.write(path, np.stack([clip, clip], axis=1), 16000, **kind)
    with Audio(path) as audio:
        assert (audio.rate, audio.channels) == (16000, 2)
        assert audio.seconds == pytest.approx(len(clip) / 16000, abs=0.1)
    assert similarity(clip, read_audio(path)) > 0.95


@pytest.mark.parametrize("ending", ["m4a", "aac", "webm", "mp4", "mkv"])
def test_formats_through_ffmpeg(clip: Samples, ending: str, tmp_path: Path) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("needs the ffmpeg program")
    wav, path = tmp_path / "talk.wav", tmp_path / f"talk.{ending}"
    soundfile.write(wav, clip, 16000)
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, "-ar", "48000", "-ac", "2", path], check=True)
    with Audio(path) as audio:
        assert (audio.rate, audio.channels) == (48000, 2)
    assert similarity(clip, read_audio(path)) > 0.9


def test_ffmpeg_opens_no_network_address(tmp_path: Path) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("needs the ffmpeg program")
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/talk.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(AudioError, match=r"list\.m3u8"):
        read_audio(playlist)


def test_without_ffmpeg_an_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "talk.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(1000))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match=r"talk\.m4a needs the ffmpeg program.*install"):
        Audio(tmp_path / "talk.m4a")


def test_pipes(clip: Samples) -> None:
    file = io.BytesIO()
    soundfile.write(file, clip, 16000, format="FLAC")
    with Audio(io.BytesIO(file.getvalue()), name="standard input") as audio:
        heard = np.concatenate(list(audio.blocks(0.3)))
    assert heard.shape == (len(clip), 1)
    assert np.abs(heard[:, 0] - clip).max() < 1e-4


def test_wav_of_unknown_length_in_a_pipe(clip: Samples) -> None:
    file = io.BytesIO()
    soundfile.write(file, clip, 16000, format="WAV")
    data = bytearray(file.getvalue())
    data[4:8] = data[40:44] = b"\xff" * 4  # as programs write that cannot know the length before the end
    with Audio(io.BytesIO(data)) as audio:
        assert sum(len(block) for block in audio.blocks()) == len(clip)


def test_raw_samples() -> None:
    frames = np.array([[0, 16384], [-32768, 32767], [100, -100]], "<i2")
    with Audio(io.BytesIO(frames.tobytes() + b"\x01"), raw_rate=8000, raw_channels=2) as audio:
        assert (audio.rate, audio.channels) == (8000, 2)
        heard = np.concatenate(list(audio.blocks(0.0002)))
    assert np.array_equal(heard, frames / np.float32(32768))
    assert audio.position == 3 / 8000


# Samples


def test_types_of_samples() -> None:
    whole = np.array([0, 8192, -32768], np.int16)
    assert as_float(whole).tolist() == [0, 0.25, -1]
    assert as_float(whole.astype(np.int32) << 16).tolist() == [0, 0.25, -1]
    assert as_float(np.array([0.5, 1.5, -7.0])).tolist() == [0.5, 1, -1]
    assert as_float(whole).dtype == as_float(np.zeros(1)).dtype == np.float32


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (np.array([0, np.nan], np.float32), "not numbers"),
        (np.array([0, np.inf], np.float64), "not numbers"),
        (np.array([0, 12000.0], np.float32), "divide int16"),
        (np.array([128], np.uint8), "uint8"),
        (np.array(["a"]), "not sound"),
    ],
)
def test_what_is_no_sound(block: NDArray[np.generic], message: str) -> None:
    with pytest.raises(AudioError, match=message):
        as_float(block)


def test_channels() -> None:
    block = np.array([[0.1, 0.3, 0.2], [-0.5, 0.5, 0.0]], np.float32)
    assert as_mono(block) == pytest.approx([0.2, 0.0])
    assert as_mono(block, 2) == pytest.approx([0.2, 0.0])
    assert as_mono(block[:, 0]) is not None
    with pytest.raises(AudioError, match="no channel 4"):
        as_mono(block, 3)
    with pytest.raises(AudioError, match="no channel 2"):
        as_mono(block[:, 0], 1)
    with pytest.raises(AudioError, match="shape"):
        as_mono(np.zeros((1, 1, 1), np.float32))


# Resampling


@given(
    rate=st.sampled_from(RATES),
    chunk=st.sampled_from([0.08, 0.2, 1.0]),
    cuts=st.lists(st.integers(0, 30000), max_size=12),
    length=st.integers(0, 30000),
)
def test_resampling_does_not_depend_on_the_blocks(rate: int, chunk: float, cuts: list[int], length: int) -> None:
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    whole, pieces = Resampler(rate, chunk_seconds=chunk), Resampler(rate, chunk_seconds=chunk)
    expected = np.concatenate([whole.feed(samples), whole.tail()])
    parts = [pieces.feed(part) for part in np.split(samples, sorted(cut for cut in cuts if cut < length))]
    assert np.array_equal(np.concatenate([*parts, pieces.tail()]), expected)
    assert len(expected) == -(-length * 16000 // rate)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("chunk", [0.08, 1.0])
def test_resampling_equals_resampling_the_whole(rate: int, chunk: float) -> None:
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 3 * rate).astype(np.float32)
    resampler = Resampler(rate, chunk_seconds=chunk)
    streamed = np.concatenate([resampler.feed(samples), resampler.tail()])
    whole = soxr.resample(samples, rate, 16000)
    inside = slice(100, 3 * 16000 - 100)  # soxr goes into the edges in its own way
    assert np.abs(streamed[inside] - whole[inside]).max() < 1e-6


def test_the_tail_leaves_the_resampler_as_it_was() -> None:
    samples = np.random.default_rng(2).uniform(-1, 1, 20000).astype(np.float32)
    resampler, other = Resampler(44100), Resampler(44100)
    parts = [resampler.feed(samples[:7001])]
    resampler.tail()
    parts += [resampler.feed(samples[7001:]), resampler.tail()]
    assert np.array_equal(np.concatenate(parts), np.concatenate([other.feed(samples), other.tail()]))


@pytest.mark.parametrize("rate", [0, -8000, 100, 10**7])
def test_impossible_rates(rate: int) -> None:
    with pytest.raises(AudioError, match="rate"):
        Resampler(rate)


# Bad files


def test_missing_folder_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioError, match=r"no file .*none\.wav"):
        Audio(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="is a folder"):
        Audio(tmp_path)
    with pytest.raises(AudioError, match=r"empty\.wav is empty"):
        Audio(tmp_path / "empty.wav")
    with pytest.raises(AudioError, match="is empty"):
        Audio(io.BytesIO(b""))


@pytest.mark.parametrize("content", [b"this is a letter, not a recording\n" * 100, os.urandom(20000), b"RIFF"])
@pytest.mark.parametrize("ffmpeg", [True, False])
def test_not_sound(content: bytes, ffmpeg: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not ffmpeg:
        monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "letter.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"letter\.wav is not sound"):
        Audio(path)


def test_no_samples_at_all(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0, np.float32), 16000)
    assert read_audio(tmp_path / "nothing.wav").shape == (0,)


def heard_before_the_break(path: Path, message: str) -> Samples:
    parts = []
    with pytest.raises(AudioError, match=message) as caught, Audio(path) as audio:
        parts.extend(audio.blocks())
    assert path.name in str(caught.value) and str(caught.value).endswith(" again.") and str(caught.value).count(".") < 9
    return np.concatenate(parts)[:, 0]


@pytest.mark.parametrize("ending", ["wav", "flac", "aiff", "au", "caf", "mp3", "ogg", "opus"])
def test_a_file_that_breaks_off_is_read_so_far_and_reported(speech: Samples, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"talk.{ending}"
    soundfile.write(path, speech, 16000, **({"format": "OGG", "subtype": "OPUS"} if ending == "opus" else {}))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    found = heard_before_the_break(
        path, "breaks off after" if ending in ("ogg", "opus") else r"ends after \d+\.\d of 2"
    )
    assert len(speech) // 2 < len(found) < len(speech) * 4 // 5
    assert similarity(found[-32000:], speech[len(found) - 32000 : len(found)]) > 0.9


@pytest.mark.parametrize("ending", ["m4a", "webm", "mkv"])
def test_what_ffmpeg_says_of_a_broken_file_is_an_error(speech: Samples, ending: str, tmp_path: Path) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("needs the ffmpeg program")
    soundfile.write(tmp_path / "talk.wav", speech, 16000)
    path = tmp_path / f"talk.{ending}"
    options = ["-movflags", "+faststart"] if ending == "m4a" else []
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "talk.wav", *options, path], check=True)
    assert np.isclose(len(read_audio(path)), len(speech), atol=4000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert len(heard_before_the_break(path, "damaged.*ffmpeg: .*(partial|prematurely)")) > len(speech) // 2


def test_a_writer_that_was_killed_leaves_a_wav_without_length(clip: Samples, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "talk.wav", clip, 16000)
    data = bytearray((tmp_path / "talk.wav").read_bytes())
    data[4:8] = data[40:44] = bytes(4)
    (tmp_path / "talk.wav").write_bytes(data)
    assert len(read_audio(tmp_path / "talk.wav")) == len(clip)


# mp3: its length is not in the file, or is that of the first part


def test_all_of_an_mp3_is_read(speech: Samples, tmp_path: Path) -> None:
    path = tmp_path / "talk.mp3"
    soundfile.write(path, speech, 16000, bitrate_mode="VARIABLE")
    data = path.read_bytes()
    frames = data[mp3_frame(data, 0) :]  # without the frame that knows the length
    for content, least in (
        (frames, len(speech)),
        (data + data, 2 * len(speech)),  # as podcasts are joined
        (frames[len(frames) // 3 + 1 :], len(speech) // 2),  # cut out of a stream, in the middle of a frame
        (b"ID3\x04\0\0\0\0\x10\0" + bytes(2048) + data, len(speech)),
        (data + b"TAG" + bytes(125), len(speech)),
    ):
        path.write_bytes(content)
        assert least <= len(read_audio(path)) < least * 1.4


def test_an_mp3_that_goes_on_at_another_rate_is_reported(clip: Samples, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.mp3", clip, 16000)
    soundfile.write(tmp_path / "two.mp3", clip, 44100)
    (tmp_path / "one.mp3").write_bytes((tmp_path / "one.mp3").read_bytes() + (tmp_path / "two.mp3").read_bytes())
    with pytest.raises(AudioError, match=r"one\.mp3 goes on after 3\.0 s with another rate"):
        read_audio(tmp_path / "one.mp3")


def test_decoders_write_no_notes(speech: Samples, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "talk.mp3"
    soundfile.write(path, speech, 16000)
    path.write_bytes(path.read_bytes()[:-2000])
    soundfile.SoundFile(path).read()
    assert "Xing" in capfd.readouterr().err  # what has to be kept away
    with pytest.raises(AudioError):
        read_audio(path)
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"


# Pipes


class Pipe(io.RawIOBase):
    """Bytes that cannot be sought, and how many were asked for."""

    def __init__(self, data: bytes, fails_at: int | None = None) -> None:
        self._data, self.taken, self._fails_at = data, 0, fails_at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._fails_at is not None and self.taken > self._fails_at:
            raise KeyboardInterrupt
        part = self._data[self.taken : self.taken + min(len(buffer), 1000)]
        buffer[: len(part)] = part
        self.taken += len(part)
        return len(part)


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3"])
def test_pipes_are_read_as_they_come(speech: Samples, ending: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, speech, 16000, format=ending.upper())
    data = bytearray(file.getvalue())
    if ending == "wav":
        data[4:8] = data[40:44] = b"\xff" * 4
    pipe = Pipe(bytes(data))
    with Audio(pipe) as audio:
        blocks = audio.blocks(0.5)
        first = next(blocks)
        assert pipe.taken < len(data) // 3
        assert len(first) + sum(map(len, blocks)) == len(speech)


@pytest.mark.parametrize("ending", ["wav", "mp3"])
def test_an_interrupt_gets_through_the_decoder(speech: Samples, ending: str, capfd: pytest.CaptureFixture[str]) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.tile(speech, 2), 16000, format=ending.upper())
    with pytest.raises(KeyboardInterrupt), Audio(Pipe(file.getvalue(), 60_000)) as audio:
        list(audio.blocks())
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("ffmpeg", [True, False])
def test_messages_about_a_pipe_name_it_and_no_temporary_file(
    ffmpeg: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not ffmpeg:
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match=r"^standard input is not sound") as caught:
        Audio(io.BytesIO(b"Dear all,\n" * 200), name="standard input")
    assert "asr-" not in str(caught.value) and "tmp" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="names are text elsewhere")
@pytest.mark.parametrize("ending", ["wav", "opus", "mp3", "m4a"])
def test_names_that_are_no_text(clip: Samples, ending: str, tmp_path: Path) -> None:
    plain, odd = tmp_path / f"talk.{ending}", tmp_path / os.fsdecode(b"caf\xe9." + ending.encode())
    if ending == "m4a":
        if not shutil.which("ffmpeg"):
            pytest.skip("needs the ffmpeg program")
        soundfile.write(tmp_path / "talk.wav", clip, 16000)
        subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "talk.wav", plain], check=True)
    else:
        soundfile.write(plain, clip, 16000, **({"format": "OGG", "subtype": "OPUS"} if ending == "opus" else {}))
    plain.rename(odd)
    assert len(read_audio(odd)) >= len(clip)


def test_samples_that_are_no_numbers_are_reported_with_their_place(clip: Samples, tmp_path: Path) -> None:
    broken = clip.copy()
    broken[2 * 16000 + 5] = np.nan
    soundfile.write(tmp_path / "nan.wav", broken, 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"nan\.wav, after 2\.0 s.*not numbers"):
        read_audio(tmp_path / "nan.wav")


def test_raw_samples_need_a_rate(tmp_path: Path) -> None:
    (tmp_path / "talk.raw").write_bytes(bytes(3200))
    with pytest.raises(AudioError, match="--raw-rate"):
        read_audio(tmp_path / "talk.raw")
