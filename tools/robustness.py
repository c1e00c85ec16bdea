"""How many more errors there are under worse conditions: level, codec, telephone, fast speech, noise, rooms.

    python tools/robustness.py --data data [--model DIR] [--number 300] [noise room ...]

Each condition is made from `manifests/valid.jsonl`, with noises and rooms that their SOURCES.tsv marks `test`, which
training never opens. What is mixed with what stands in robustness.tsv beside this file: utterance, noise, where it
begins in it (seconds), room; `--draw` draws it anew. With --number, a part of the utterances stands for all.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE, Resampler, read_audio
from asr.datasets import Utterance, read_manifest, write_manifest
from asr.evaluate import Settings, evaluate
from asr.evaluate.scores import Score
from asr.recognizer import Recognizer
from asr.training.augment import mix, reverberate

LIST = Path(__file__).with_name("robustness.tsv")
SEED = 1
NOISE_DECIBELS = 10.0
ROOM_SECONDS = (0.4, 0.8)  # T60
TEMPO = 1.5

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Surroundings:
    """What one utterance is mixed with."""

    noise: str
    offset: float  # seconds
    room: str


def draw(data: Path, utterances: Sequence[Utterance]) -> dict[str, Surroundings]:
    """Noise and room for each utterance, by its path below the data folder."""
    random = np.random.default_rng(SEED)
    noises = [row for row in sources(data / "noise") if row["use"] == "test"]
    low, high = ROOM_SECONDS
    rooms = [row for row in sources(data / "rir") if row["use"] == "test" and low <= float(row["t60_seconds"]) <= high]
    drawn = {}
    for utterance in utterances:
        noise = noises[random.integers(len(noises))]
        latest = max(0.0, float(noise["seconds"]) - utterance.duration)
        room = rooms[random.integers(len(rooms))]["file"]
        drawn[name(data, utterance)] = Surroundings(noise["file"], round(random.uniform(0, latest), 2), room)
    return drawn


def sources(folder: Path) -> list[dict[str, str]]:
    with (folder / "SOURCES.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def name(data: Path, utterance: Utterance) -> str:
    return utterance.audio.relative_to(data.absolute()).as_posix()


def read_list() -> dict[str, Surroundings]:
    with LIST.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {row["utterance"]: Surroundings(row["noise"], float(row["offset"]), row["room"]) for row in rows}


def write_list(drawn: dict[str, Surroundings]) -> None:
    with LIST.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(("utterance", "noise", "offset", "room"))
        writer.writerows((utterance, it.noise, it.offset, it.room) for utterance, it in drawn.items())


# Conditions: speech and its surroundings in, the sound file that a microphone or a line would have given out.


def _plain(speech: Samples, path: Path) -> Path:
    path = path.with_suffix(".wav")
    soundfile.write(path, np.clip(speech, -1, 1), SAMPLE_RATE, subtype="PCM_16")
    return path


def _level(speech: Samples, decibels: float, path: Path) -> Path:
    return _plain(speech * np.float32(10 ** (decibels / 20)), path)


def _opus(speech: Samples, path: Path) -> Path:
    path = path.with_suffix(".opus")
    # libsndfile's highest compression is 6 kbit/s for one channel
    soundfile.write(path, np.clip(speech, -1, 1), SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=1.0)
    return path


def _telephone(speech: Samples, path: Path) -> Path:
    path = path.with_suffix(".wav")
    line = Resampler(SAMPLE_RATE, 8000)
    narrow = np.concatenate([line.feed(speech), line.tail()])
    soundfile.write(path, np.clip(narrow, -1, 1), 8000, subtype="ULAW")
    return path


def _fast(speech: Samples, path: Path) -> Path:
    """As a player does it: sooner, at the same pitch."""
    source, path = _plain(speech, path.with_name(path.name + "-1")), path.with_suffix(".wav")
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-y", "-i", source, "-af", f"atempo={TEMPO}", path],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path


def conditions(data: Path) -> dict[str, Callable[[Samples, Surroundings, Path], Path]]:
    def noisy(speech: Samples, around: Surroundings, path: Path) -> Path:
        noise = read_audio(data / "noise" / around.noise)[round(around.offset * SAMPLE_RATE) :]
        return _plain(mix(speech, np.resize(noise, len(speech)), NOISE_DECIBELS), path)

    def roomy(speech: Samples, around: Surroundings, path: Path) -> Path:
        return _plain(reverberate(speech, read_audio(data / "rir" / around.room)), path)

    return {
        "clean": lambda speech, _, path: _plain(speech, path),
        "quiet": lambda speech, _, path: _level(speech, -30.0, path),
        "loud": lambda speech, _, path: _level(speech, 10.0, path),
        "opus": lambda speech, _, path: _opus(speech, path),
        "telephone": lambda speech, _, path: _telephone(speech, path),
        "fast": lambda speech, _, path: _fast(speech, path),
        "noise": noisy,
        "room": roomy,
    }


ABOUT = {
    "clean": "as it is",
    "quiet": "gain -30 dB",
    "loud": "gain +10 dB, clipped",
    "opus": "Opus at 6 kbit/s",
    "telephone": "8 kHz, mu-law",
    "fast": "1.5 times speed",
    "noise": "noise at 10 dB",
    "room": "rooms, T60 0.4 to 0.8 s",
}


def made(condition: str, data: Path, utterances: Sequence[Utterance], folder: Path) -> Iterator[Utterance]:
    """The utterances under a condition, as sound files in `folder`."""
    make, around = conditions(data)[condition], read_list()
    for number, utterance in enumerate(utterances):
        path = make(read_audio(utterance.audio), around[name(data, utterance)], folder / f"{number:04d}")
        duration = utterance.duration / (TEMPO if condition == "fast" else 1)
        yield replace(utterance, audio=path, duration=duration)


def part(utterances: Sequence[Utterance], number: int) -> list[Utterance]:
    """So many of them by chance, in their order; all of them for 0."""
    if number in range(1, len(utterances)):
        kept = sorted(np.random.default_rng(SEED).choice(len(utterances), number, replace=False))
        return [utterances[index] for index in kept]
    return list(utterances)


def main() -> None:
    parser = argparse.ArgumentParser(description="Word errors under worse conditions.")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifests/, noise/ and rir/")
    parser.add_argument("--model", default="english-small", help="model directory, or the name of a shipped one")
    parser.add_argument("--number", type=int, default=0, help="so many utterances stand for all [all]")
    parser.add_argument("--jobs", type=int, default=1, help="utterances at once [1]")
    parser.add_argument("--keep", type=Path, help="keep the sounds and their manifests here")
    parser.add_argument("--draw", action="store_true", help="draw robustness.tsv anew, and stop")
    parser.add_argument("conditions", nargs="*", help=f"of {', '.join(ABOUT)} [all]")
    arguments = parser.parse_args()
    utterances = read_manifest(arguments.data / "manifests" / "valid.jsonl")
    if arguments.draw:
        write_list(draw(arguments.data, utterances))
        return
    wanted = arguments.conditions or list(ABOUT)
    if unknown := set(wanted) - set(ABOUT):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(ABOUT)}")
    recognizer = Recognizer(arguments.model)
    print("| condition | LibriSpeech | times clean | Common Voice | times clean |\n|---|---|---|---|---|", flush=True)
    clean: dict[str, float] = {}
    for condition in dict.fromkeys(["clean", *wanted]):
        with tempfile.TemporaryDirectory() as temporary:
            folder = arguments.keep / condition if arguments.keep else Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            heard = list(made(condition, arguments.data, part(utterances, arguments.number), folder))
            if arguments.keep:
                write_manifest(arguments.keep / f"{condition}.jsonl", heard)
            found = evaluate(recognizer, heard, Settings(jobs=arguments.jobs))
        cells = []
        for corpus in ("librispeech", "common_voice"):
            rate = sum((result.words for result in found.utterances if result.corpus == corpus), Score()).rate
            cells += [f"{100 * rate:.1f} %", f"{rate / clean.setdefault(corpus, rate):.2f}"]
        print(f"| {ABOUT[condition]} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
