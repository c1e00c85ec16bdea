"""Words out of nothing: what is printed while nobody speaks.

    python tools/noises.py --noises data/noise --minutes 10

Silence, pink noise (a fan), mains hum with harmonics, key clicks and music are made here (the music is a tune of
chance, rendered by fluidsynth); with --noises, the recordings that its SOURCES.tsv marks `test` are heard too.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.audio import read_audio
from asr.errors import AsrError
from asr.recognizer import Recognizer

RATE = 16000
CHUNK_SECONDS = 0.08
LEVELS_DB = {"pink noise": -35.0, "hum": -35.0, "key clicks": -40.0, "music": -30.0}  # root mean square
SOUNDFONTS = (Path("/usr/share/sounds/sf2/TimGM6mb.sf2"), Path("/usr/share/sounds/sf2/default-GM.sf2"))

Samples = NDArray[np.float32]


def at_level(samples: NDArray[np.float64], db: float) -> Samples:
    scaled = samples * (10 ** (db / 20) / np.sqrt(np.mean(np.square(samples))))
    clipped: Samples = np.clip(scaled, -1, 1).astype(np.float32)
    return clipped


def silence(seconds: float, chance: np.random.Generator) -> Samples:
    """Of a quiet sound card: half a step of 16 bits."""
    return (np.round(chance.uniform(-1, 1, round(seconds * RATE))) / 32768).astype(np.float32)


def pink_noise(seconds: float, chance: np.random.Generator) -> Samples:
    """Equal power in each octave, as fans and rooms have it, rising and falling slowly."""
    samples = round(seconds * RATE)
    spectrum = np.fft.rfft(chance.normal(size=samples))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[: round(20 * seconds)] = 0  # nothing below 20 Hz
    swell = 1 + 0.5 * np.sin(2 * np.pi * np.arange(samples) / RATE / 7)
    return at_level(np.fft.irfft(spectrum, samples) * swell, LEVELS_DB["pink noise"])


def hum(seconds: float, chance: np.random.Generator) -> Samples:
    """50 Hz and its harmonics up to 2 kHz, the odd ones stronger."""
    time = np.arange(round(seconds * RATE)) / RATE
    total = np.zeros(len(time))
    for harmonic in range(1, 41):
        strength = (1.0 if harmonic % 2 else 0.4) / harmonic
        total += strength * np.sin(2 * np.pi * 50 * harmonic * time + chance.uniform(0, 2 * np.pi))
    return at_level(total, LEVELS_DB["hum"])


def key_clicks(seconds: float, chance: np.random.Generator) -> Samples:
    """Bursts of typing: each key is two short resonances, down and up."""
    total = chance.normal(0, 1e-4, round(seconds * RATE))
    at = 0.5
    while at < seconds - 0.5:
        for delay, loud in ((0.0, 1.0), (chance.uniform(0.06, 0.12), 0.5)):
            length = round(0.02 * RATE)
            time = np.arange(length) / RATE
            ring = sum(np.sin(2 * np.pi * chance.uniform(900, 6000) * time) for _ in range(4)) + chance.normal(
                size=length
            )
            start = round((at + delay) * RATE)
            total[start : start + length] += loud * chance.uniform(0.5, 1) * ring * np.exp(-time / 0.004)
        at += chance.uniform(0.08, 0.3) if chance.random() < 0.9 else chance.uniform(0.8, 3)
    return at_level(total, LEVELS_DB["key clicks"])


def music(seconds: float, chance: np.random.Generator) -> Samples:
    """A tune of chance over four chords for four General MIDI instruments, rendered by fluidsynth."""
    font = next((font for font in SOUNDFONTS if font.exists()), None)
    if shutil.which("fluidsynth") is None or font is None:
        raise AsrError("Music needs fluidsynth and timgm6mb-soundfont: install these packages.")
    with tempfile.TemporaryDirectory() as folder:
        tune, sound = Path(folder) / "tune.mid", Path(folder) / "tune.wav"
        tune.write_bytes(midi(seconds, chance))
        command = ["fluidsynth", "-ni", "-q", "-r", "44100", "-F", str(sound), str(font), str(tune)]
        subprocess.run(command, check=True, capture_output=True)
        rendered = read_audio(sound, RATE)
    return at_level(np.resize(rendered, round(seconds * RATE)).astype(np.float64), LEVELS_DB["music"])


def midi(seconds: float, chance: np.random.Generator) -> bytes:
    """A standard MIDI file: piano, strings and bass accompany a melody of a changing instrument. 480 ticks a beat."""
    beats = int(seconds * 2)  # 120 a minute
    events: list[tuple[int, bytes]] = [
        (0, bytes([0xC0 + channel, program])) for channel, program in enumerate((0, 48, 33, 73))
    ]

    def note(channel: int, key: int, start: float, length: float, force: int) -> None:
        events.append((round(start * 480), bytes([0x90 + channel, key, force])))
        events.append((round((start + length) * 480), bytes([0x80 + channel, key, 0])))

    for beat in range(0, beats, 4):
        root = (60, 57, 65, 67)[beat // 4 % 4]
        for key in (root, root + (3 if root == 57 else 4), root + 7):
            note(0, key, beat, 2, 60)
            note(1, key, beat, 4, 50)
        for step in range(4):
            note(2, root - 24, beat + step, 0.9, 80)
        if beat % 64 == 0:
            events.append((beat * 480, bytes([0xC3, int(chance.choice([73, 40, 56, 65, 52, 11]))])))
        at = float(beat)
        while at < beat + 4:
            length = float(chance.choice([0.5, 1.0, 1.5]))
            note(3, 60 + int(chance.choice([0, 2, 4, 7, 9, 12, 14, 16])), at, length * 0.95, 90)
            at += length
    track, now = b"", 0
    for tick, event in sorted(events, key=lambda event: event[0]):
        track += variable_length(tick - now) + event
        now = tick
    track += b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(track)) + track


def variable_length(number: int) -> bytes:
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.append(number & 0x7F | 0x80)
    return bytes(reversed(parts))


def test_noises(folder: Path) -> dict[str, Samples]:
    """The noises marked `test`, together by class."""
    with (folder / "SOURCES.tsv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines, delimiter="\t") if row["use"] == "test"]
    by_class: dict[str, list[Samples]] = {}
    for row in rows:
        by_class.setdefault(row["class"], []).append(read_audio(folder / row["file"], RATE))
    return {f"noise: {name}": np.concatenate(clips) for name, clips in sorted(by_class.items())}


def words_heard(recognizer: Recognizer, sound: Samples) -> list[str]:
    """What a live stream prints."""
    stream = recognizer.stream(step_seconds=CHUNK_SECONDS, second_reading="inline")
    chunk = round(CHUNK_SECONDS * RATE)
    segments = [segment for i in range(0, len(sound), chunk) for segment in stream.feed(sound[i : i + chunk], RATE)]
    return [word.text for segment in (*segments, *stream.finish()) for word in segment.words]


MADE: dict[str, Callable[[float, np.random.Generator], Samples]] = {
    "silence": silence,
    "pink noise": pink_noise,
    "hum": hum,
    "key clicks": key_clicks,
    "music": music,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noises", type=Path, help="a folder of noises with SOURCES.tsv")
    parser.add_argument("--minutes", type=float, default=10, help="of each made sound")
    parser.add_argument("--only", choices=[*MADE, "noises"], action="append")
    parser.add_argument("--model")
    parser.add_argument("--every-sound", action="store_true", help="what is probably no speech, too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="keep the words here")
    arguments = parser.parse_args()
    recognizer = Recognizer(arguments.model, every_sound=arguments.every_sound)
    wanted = arguments.only or [*MADE, "noises"]
    sounds: dict[str, Callable[[], Samples]] = {}
    for name, make in MADE.items():
        if name in wanted:
            sounds[name] = partial(make, 60 * arguments.minutes, np.random.default_rng(arguments.seed))
    if arguments.noises and "noises" in wanted:
        sounds |= {name: partial(np.asarray, sound) for name, sound in test_noises(arguments.noises).items()}
    heard: dict[str, list[str]] = {}
    of_noises, noise_minutes = 0, 0.0
    print(f"{recognizer.model}\n{'sound':28} {'minutes':>7} {'words':>6} {'a minute':>9}")
    for name, give in sounds.items():
        sound = give()
        minutes = len(sound) / RATE / 60
        heard[name] = words_heard(recognizer, sound)
        if name.startswith("noise: "):
            of_noises, noise_minutes = of_noises + len(heard[name]), noise_minutes + minutes
        example = " ".join(heard[name][:8])
        print(
            f"{name:28} {minutes:7.1f} {len(heard[name]):6d} {len(heard[name]) / minutes:9.2f}  {example}", flush=True
        )
    if noise_minutes:
        print(f"{'noises marked test, all':28} {noise_minutes:7.1f} {of_noises:6d} {of_noises / noise_minutes:9.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(heard, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except AsrError as error:
        sys.exit(f"Error: {error}")
