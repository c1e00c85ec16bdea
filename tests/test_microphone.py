"""Input devices and capture, with a real sound server: what is played into a virtual microphone is heard."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from live.stand import sound_missing, write_wav
from live.tones import make_tone_model, speak
from numpy.typing import NDArray

from asr.audio import read_audio
from asr.doctor import Finding, examine
from asr.loopback import Loopback
from asr.microphone import Microphone, Notice, find_device, to_mono
from asr.portaudio import Block, CaptureOptions, Device, MicrophoneError, devices, quiet_native_errors, refresh

DATA = Path(__file__).parent / "data"
live = pytest.mark.live
hears = pytest.mark.skipif(bool(sound_missing()), reason=sound_missing() or "sound is there")


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback() as server, quiet_native_errors():
        refresh()
        yield server


def hear(microphone: Microphone, seconds: float) -> tuple[list[Block], list[Notice]]:
    """All blocks and notices until that much sound has come (or three times as much time has passed)."""
    blocks: list[Block] = []
    notices: list[Notice] = []
    deadline = time.monotonic() + 3 * seconds + 2
    while sum(len(block.samples) / block.rate for block in blocks) < seconds and time.monotonic() < deadline:
        event = microphone.read()
        if isinstance(event, Block):
            blocks.append(event)
        elif event:
            notices.append(event)
    return blocks, notices


def notice(microphone: Microphone, kind: str, seconds: float = 8) -> Notice:
    """Reads until a notice of this kind comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        event = microphone.read()
        if isinstance(event, Notice) and event.kind == kind:
            return event
    pytest.fail(f"no notice of kind {kind!r} within {seconds} s")


@live
@hears
def test_devices_are_listed_and_found_by_number_name_and_part_of_a_name(loopback: Loopback) -> None:
    found = devices()
    assert [device.name for device in found if device.default]
    pulse = next(device for device in found if device.name == "pulse")
    assert pulse.channels > 0 and pulse.rate > 0 and pulse.host == "ALSA"
    assert (
        find_device("pulse")
        == find_device(pulse.number)
        == find_device(str(pulse.number))
        == find_device("puls")
        == pulse
    )
    with pytest.raises(MicrophoneError, match=r"'violin' is no input device; choose one of: .*'pulse'"):
        find_device("violin")
    with pytest.raises(MicrophoneError, match="There is no channel 99: 'pulse' has 32"):
        Microphone("pulse", channel=98)


@live
@hears
def test_what_is_played_is_heard_sample_by_sample(loopback: Loopback, tmp_path: Path) -> None:
    """A chirp through the virtual microphone at its own rate comes out as it went in, in time and without a gap."""
    rate = 44100
    time_axis = np.arange(rate) / rate
    chirp = (0.5 * np.sin(2 * np.pi * (200 + 2000 * time_axis) * time_axis)).astype(np.float32)
    recording = write_wav(tmp_path / "chirp.wav", chirp, rate)
    with Microphone(rate=rate) as microphone:
        assert (microphone.rate, microphone.channels) == (rate, 1)
        for _ in range(3):  # on a busy machine the sound server itself may stumble
            blocks, _ = hear(microphone, 0.2)
            player = loopback.play(recording)
            heard, notices = hear(microphone, 2.0)
            assert player.wait() == 0 and not notices
            samples = np.concatenate([to_mono(block.samples) for block in (*blocks, *heard)]).astype(np.float64) / 32768
            lags = np.fft.irfft(np.fft.rfft(samples, 1 << 18) * np.conj(np.fft.rfft(chirp, 1 << 18)))
            start = int(lags.argmax())
            error = float(np.sqrt(np.mean((samples[start : start + rate] - chirp[: len(samples) - start]) ** 2)))
            if len(samples) >= 2.2 * rate and error < 0.01:  # the server resamples to the sink's rate and back
                break
        else:
            pytest.fail(f"the chirp came out otherwise, three times: error {error:.3f} in {len(samples)} samples")
    assert all(0 <= block.received - block.captured < 0.5 for block in heard)


@live
@hears
def test_a_device_that_goes_away_is_noticed_waited_for_and_heard_again(loopback: Loopback, tmp_path: Path) -> None:
    tone = np.sin(np.arange(48000) / 10).astype(np.float32) / 2
    recording = write_wav(tmp_path / "tone.wav", tone, 48000)
    with Microphone() as microphone:
        hear(microphone, 0.2)
        began = time.monotonic()
        loopback.unplug()
        lost = notice(microphone, "lost")
        assert time.monotonic() - began < 2.5
        assert "waiting for it to come back" in lost.text
        assert microphone.read(0.05) is None  # still away
        loopback.plug()
        assert "is back after" in notice(microphone, "back").text
        loopback.play(recording)
        blocks, _ = hear(microphone, 1.5)
        assert max(np.abs(block.samples).max() for block in blocks) > 10000


@live
@hears
def test_a_slow_reader_is_told_of_lag_and_loss_once_each_and_nothing_breaks(loopback: Loopback) -> None:
    options = CaptureOptions(queue_seconds=0.5, lag_seconds=0.3, notice_seconds=60)
    with Microphone(options=options) as microphone:
        hear(microphone, 0.1)
        time.sleep(1.5)  # the reader is busy
        assert microphone.lag_seconds == pytest.approx(0.5, abs=0.1)
        _, first = hear(microphone, 0.6)
        time.sleep(1.0)
        _, second = hear(microphone, 1.0)
        assert sorted(event.kind for event in (*first, *second)) == ["lag", "overflow"]
        assert microphone.dropped_blocks > 50
        assert microphone.lag_seconds < 0.3  # it caught up
    with pytest.raises(MicrophoneError, match=r"not open: call open\(\) first"):
        microphone.read()


@live
@hears
def test_without_any_source_the_error_says_what_to_do(loopback: Loopback) -> None:
    loopback.unplug()
    try:
        with pytest.raises(MicrophoneError, match=r"cannot be opened: it is probably unplugged .*; plug it in, or"):
            Microphone().open()
    finally:
        loopback.plug()


def test_without_portaudio_the_error_names_the_package() -> None:
    """In a process where the C library is not to be found, as on a fresh machine."""
    script = (
        "import ctypes.util; ctypes.util.find_library = lambda name: None\n"
        "from asr.portaudio import MicrophoneError, devices\n"
        "try: devices()\n"
        "except MicrophoneError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "install libportaudio2" in done.stdout


def test_channels_are_mixed_or_picked() -> None:
    samples = np.array([[100, 300], [-5, -6], [32767, 32767]], np.int16)
    assert to_mono(samples).tolist() == [200, -6, 32767]
    assert to_mono(samples, 1).tolist() == [300, -6, 32767]
    assert to_mono(samples, 2).tolist() == [200, -6, 32767]  # no such channel any more
    assert to_mono(samples[:, :1]).tolist() == [100, -5, 32767]
    assert to_mono(samples).dtype == np.int16


# A device that comes back, without sound


class Script:
    """Devices, and for each time that one is opened the blocks it gives before it stops."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *takes: Sequence[NDArray[np.int16]]) -> None:
        self.present = [device(3)]
        self.takes = [list(take) for take in takes]
        self.opened: list[Device] = []
        self.rates = [16000] * len(takes)  # granted, each time
        script = self

        class Scripted:
            latency = 0.0

            def __init__(self, wanted: Device, channel: int | None, options: CaptureOptions, rate: int) -> None:
                self.rate = script.rates[len(script.opened)]
                self.channels = wanted.channels
                self._blocks = script.takes[len(script.opened)]
                script.opened.append(wanted)

            @property
            def waiting_frames(self) -> int:
                return sum(map(len, self._blocks))

            def get(self, timeout: float) -> Block | None:
                return Block(self._blocks.pop(0), self.rate, 0.0, 0.0) if self._blocks else None

            def take_losses(self) -> tuple[int, int]:
                return 0, 0

            def is_gone(self) -> bool:
                return True

            def close(self) -> None:
                pass

        monkeypatch.setattr("asr.microphone.Capture", Scripted)
        monkeypatch.setattr("asr.microphone.devices", lambda: self.present)
        monkeypatch.setattr("asr.microphone.refresh", lambda: None)

    def play(self, microphone: Microphone) -> list[Block | Notice]:
        """What is read until every take is over."""
        found = []
        while len(self.opened) < len(self.takes) or self.takes[-1] or isinstance(found[-1], Notice):
            if event := microphone.read(0):
                found.append(event)
        return found


def device(number: int, channels: int = 2, name: str = "USB") -> Device:
    return Device(number, name, channels, 16000.0, False, "ALSA")


def sound(frames: int, channels: int = 2) -> NDArray[np.int16]:
    return np.tile(np.arange(1, channels + 1, dtype=np.int16) * 1000, (frames, 1))


AT_ONCE = CaptureOptions(retry_seconds=0.0)


def test_a_device_is_back_with_its_first_sound_and_lost_once(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, [sound(10)], [], [], [sound(20), sound(30)])
    with Microphone("USB", options=AT_ONCE) as microphone:
        told = script.play(microphone)
    assert [event.kind if isinstance(event, Notice) else len(event.samples) for event in told] == [
        10, "lost", "back", 20, 30,
    ]  # fmt: skip


def test_a_device_that_comes_back_with_fewer_channels_is_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, [sound(10)], [sound(10, 1)])
    with Microphone("USB", channel=1, options=AT_ONCE) as microphone:
        first = microphone.read(0)
        assert isinstance(first, Block) and to_mono(first.samples, microphone.channel)[0] == 2000
        script.present = [device(3, channels=1)]
        told = script.play(microphone)
    assert [event.kind for event in told if isinstance(event, Notice)] == ["lost", "back"]
    assert isinstance(told[1], Notice) and "without channel 2" in told[1].text
    assert isinstance(told[2], Block) and to_mono(told[2].samples, microphone.channel)[0] == 1000


@pytest.mark.parametrize(
    ("present", "number"),
    [([2, 3], 3), ([5, 6], 5), ([2], 2)],
    ids=["the old number", "the first", "the only one"],
)
def test_of_devices_of_one_name_that_of_the_old_number_comes_back(
    monkeypatch: pytest.MonkeyPatch, present: list[int], number: int
) -> None:
    script = Script(monkeypatch, [sound(10)], [sound(10)])
    script.present = [device(2), device(3)]
    with Microphone(3, options=AT_ONCE) as microphone:
        microphone.read(0)
        script.present = [device(1, name="other"), *map(device, present)]
        script.play(microphone)
    assert [device.number for device in script.opened] == [3, number]


def test_a_device_that_comes_back_at_another_rate_is_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    wave = np.rint(9000 * np.sin(np.arange(44100) * 2 * np.pi * 440 / 44100)).astype(np.int16)[:, None]
    script = Script(monkeypatch, [sound(10)], np.split(wave, 50))
    script.rates = [16000, 44100]
    with Microphone("USB", channel=1, options=AT_ONCE) as microphone:
        told = script.play(microphone)
    blocks = [event for event in told[1:] if isinstance(event, Block)]
    assert {block.rate for block in blocks} == {16000}
    heard = np.concatenate([to_mono(block.samples, 1) for block in blocks])
    expected = np.rint(9000 * np.sin(np.arange(len(heard)) * 2 * np.pi * 440 / 16000))
    assert 0.9 * 16000 < len(heard) <= 16000
    assert np.abs(heard[100:] - expected[100:]).max() < 20


class Refusing:
    """PortAudio whose devices are opened at some rates only."""

    class PortAudioError(Exception):
        pass

    def __init__(self, granted: Sequence[int], code: int) -> None:
        self.granted, self.code = granted, code

    def RawInputStream(self, samplerate: int, **_: object) -> SimpleNamespace:  # noqa: N802
        if samplerate not in self.granted:
            raise self.PortAudioError("Error opening RawInputStream", self.code)
        nothing = lambda **_: None  # noqa: E731
        return SimpleNamespace(start=nothing, abort=nothing, close=nothing, latency=0.1, active=True)


def test_a_refused_rate_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr.portaudio._sounddevice", lambda: Refusing([44100], -9997))
    monkeypatch.setattr("asr.microphone.devices", lambda: [device(3)])
    with Microphone(rate=48000) as microphone:
        assert microphone.rate == 48000 and microphone._capture is not None and microphone._capture.rate == 44100


@pytest.mark.parametrize(
    ("code", "says"),
    [(-9999, "probably unplugged"), (-9997, "none of the rates 16000, 48000, .* Hz"), (-9985, "another program")],
)
def test_a_device_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch, code: int, says: str) -> None:
    monkeypatch.setattr("asr.portaudio._sounddevice", lambda: Refusing([], code))
    monkeypatch.setattr("asr.microphone.devices", lambda: [device(3)])
    with pytest.raises(MicrophoneError, match=rf"^'USB' cannot be opened: .*{says}.*`asr microphones`\.$"):
        Microphone().open()


# The doctor


def voice(rate: int) -> NDArray[np.float32]:
    return np.tile(read_audio(DATA / "cabin.opus", rate), 2)


def findings(samples: NDArray[np.float32], rate: int, lost: int = 0) -> dict[str, Finding]:
    pcm = np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
    return {finding.name: finding for finding in examine(pcm if pcm.ndim == 2 else pcm[:, None], rate, lost)}


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_a_good_recording_has_nothing_wrong(rate: int) -> None:
    noise = np.random.default_rng(0).normal(0, 3e-4, len(voice(rate))).astype(np.float32)
    found = findings(voice(rate) + noise, rate)
    assert [finding.name for finding in found.values() if not finding.fine] == []
    assert {"Level", "Background", "Clipping", "DC offset", "Digital silence", "Dropped blocks", "Bandwidth"} <= set(
        found
    )


def test_each_fault_is_found_and_comes_with_advice() -> None:
    rate = 16000
    good = voice(rate) + np.random.default_rng(0).normal(0, 3e-4, len(voice(rate))).astype(np.float32)

    def wrong(samples: NDArray[np.float32], lost: int = 0) -> list[str]:
        return [finding.name for finding in findings(samples, rate, lost).values() if finding.advice]

    telephone = np.repeat(read_audio(DATA / "cabin.opus", 8000), 2)
    spectrum = np.fft.rfft(telephone)
    spectrum[round(4000 / 8000 * len(spectrum)) :] = 0
    assert "Bandwidth" in wrong(np.fft.irfft(spectrum, len(telephone)).astype(np.float32))
    assert wrong(good * 0.02) == ["Level"]
    assert "Level" in wrong(good * 0.0005)
    assert "Clipping" in wrong(np.clip(good * 30, -1, 1))
    assert wrong(good + 0.05) == ["DC offset"]
    assert "Background" in wrong(good + np.random.default_rng(1).normal(0, 0.03, len(good)).astype(np.float32))
    gated = good.copy()
    gated[np.arange(len(good)) // 1600 % 2 == 0] = 0
    assert "Digital silence" in wrong(gated)
    assert wrong(np.stack([good, np.zeros_like(good)], axis=1)) == ["Channels"]
    assert wrong(good, lost=3) == ["Dropped blocks"]
    silence = findings(np.zeros(rate, np.float32), rate)
    assert silence["Level"].value == "digital silence" and "unmute" in silence["Level"].advice


# The command line


def asr(*arguments: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-c", "from asr.cli import main; main()", "microphones", *arguments]
    return subprocess.run(call, capture_output=True, text=True, cwd=Path(__file__).parent.parent)


@live
@hears
def test_the_list_marks_the_default(loopback: Loopback) -> None:
    lines = asr().stdout.splitlines()
    assert any(line.startswith("*") and "44100 Hz" in line and "ALSA" in line for line in lines)
    assert any(" pulse " in line and "32 channels" in line for line in lines)


@live
@hears
def test_the_doctor_reports_what_was_granted_and_what_it_recognized(loopback: Loopback, tmp_path: Path) -> None:
    model = make_tone_model(tmp_path / "model", ["one", "two"])
    recording = write_wav(tmp_path / "said.wav", speak("one two " * 40, ["one", "two"], 48000), 48000)
    playing = loopback.play(recording)
    done = asr("test", "--model", str(model), "--seconds", "3")
    assert re.search(r"Granted +44100 Hz, 1 channel\(s\), latency \d+ ms", done.stdout), done.stderr
    assert re.search(r"Recognized +.*one two one two", done.stdout)
    assert re.search(r"Bandwidth .*\n +-> This is telephone quality", done.stdout)  # tones are no wide voice
    assert done.returncode == 1  # something is wrong
    playing.terminate()  # what follows is silence
    playing.wait()
    silent = asr("test", "--model", str(model), "--seconds", "1")
    assert re.search(r"Level +digital silence\n +-> .*unmute", silent.stdout)
    assert re.search(r"Recognized +nothing", silent.stdout)
    assert "'violin' is no input device" in asr("test", "violin", "--model", str(model)).stderr
