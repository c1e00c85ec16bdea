"""Utterances ready for training: normalized, with their targets, and the epoch's list of batches."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr.audio import read_audio
from asr.datasets.manifest import Utterance, read_manifest
from asr.errors import AsrError, TextError
from asr.text import normalize

_SOUND = (".wav", ".flac", ".opus", ".ogg", ".mp3")


@dataclass(frozen=True)
class Spoken:
    """An utterance and its words."""

    utterance: Utterance
    words: str
    share: float  # of the epochs in which it takes part


@dataclass(frozen=True)
class Example:
    """What stands in one row of a batch: one utterance, several joined, or none (noise with empty text)."""

    pieces: tuple[int, ...]
    seconds: float
    seed: int  # of everything random about it
    from_memory: bool  # starts from the final state of an earlier example, not from zero


@dataclass(frozen=True)
class Mixture:
    """How an epoch is put together."""

    batch_seconds: float = 400.0  # padded length times rows
    joined: float = 0.2  # share of the utterances that are joined with another
    noise: float = 0.04  # share of examples that are noise alone
    from_memory: float = 0.5  # share that starts from an earlier example's state
    longest_seconds: float = 35.0  # longer utterances are left out
    longest_joined_seconds: float = 20.0
    cut: float = 0.3  # probability that the silence at an edge is cut away
    pause_seconds: tuple[float, float] = (0.05, 1.0)  # between joined utterances
    noise_seconds: tuple[float, float] = (1.0, 8.0)


@dataclass
class Dropped:
    """Utterances left out, by reason."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, what: str) -> None:
        self.found.setdefault(reason, []).append(what)

    def take(self, other: Dropped) -> None:
        for reason, all_of_it in other.found.items():
            self.found.setdefault(reason, []).extend(all_of_it)

    def report(self, path: Path) -> list[str]:
        """A line for each reason; every utterance with its reason goes to the file `path`."""
        path.write_text(
            "".join(f"{reason}\t{what}\n" for reason, all_of_it in self.found.items() for what in all_of_it),
            encoding="utf-8",
        )
        return [f"left out: {line} (all of them: {path})" for line in self._lines()]

    def _lines(self) -> list[str]:
        return [f"{len(all_of_it)} {reason}, e.g. {all_of_it[0]}" for reason, all_of_it in self.found.items()]

    def __str__(self) -> str:
        return "; ".join(self._lines())


def read_corpus(
    manifests: Sequence[tuple[str, float]], data: Path, longest_seconds: float, dropped: Dropped
) -> list[Spoken]:
    """The utterances of several manifests, each with its share; those that cannot be used are noted in `dropped`.
    Raises `AsrError` if that is all of them."""
    corpus: list[Spoken] = []
    unfit = Dropped()
    for name, share in manifests:
        for utterance in read_manifest(data / name):
            try:
                words = normalize(utterance.text)
            except TextError as error:
                unfit.add("whose text has no known spoken form", f"{utterance.audio}: {error}")
                continue
            if not words:
                unfit.add("without a word", str(utterance.audio))
            elif utterance.duration > longest_seconds:
                unfit.add(f"longer than {longest_seconds:g} s", str(utterance.audio))
            else:
                corpus.append(Spoken(utterance, words, share))
    if not corpus:
        raise AsrError(
            f"{', '.join(name for name, _ in manifests)}: no utterance can be used: {str(unfit) or 'there is none'}"
        )
    dropped.take(unfit)
    return corpus


def hold_out(corpus: Sequence[Spoken], speakers: Sequence[str]) -> tuple[list[Spoken], list[Spoken]]:
    """The utterances of other speakers, and those of `speakers`. Raises `AsrError` for a speaker who says nothing."""
    missing = set(speakers) - {spoken.utterance.speaker for spoken in corpus}
    if missing:
        raise AsrError(f"speakers to hold out that are in no training manifest: {', '.join(sorted(missing))}")
    chosen = set(speakers)
    rest = [spoken for spoken in corpus if spoken.utterance.speaker not in chosen]
    return rest, [spoken for spoken in corpus if spoken.utterance.speaker in chosen]


def plan_epoch(
    durations: Sequence[float], shares: Sequence[float], mixture: Mixture, seed: int, epoch: int
) -> list[list[Example]]:
    """The batches of an epoch, a function of the seed and the epoch: of like length, the first epoch short to long."""
    choice = random.Random(hash((seed, epoch)))
    present = [number for number, share in enumerate(shares) if share >= 1 or choice.random() < share]
    choice.shuffle(present)
    pieces: list[tuple[int, ...]] = []
    waiting: int | None = None
    for number in present:
        if choice.random() >= mixture.joined:
            pieces.append((number,))
        elif waiting is None:
            waiting = number
        elif durations[waiting] + durations[number] <= mixture.longest_joined_seconds:
            pieces.append((waiting, number))
            waiting = None
        else:
            pieces.append((number,))
    if waiting is not None:
        pieces.append((waiting,))
    pieces += [()] * round(mixture.noise * len(pieces))

    examples = []
    for group in pieces:
        seconds = sum(durations[number] for number in group) if group else choice.uniform(*mixture.noise_seconds)
        seconds += (len(group) - 1) * mixture.pause_seconds[1] if len(group) > 1 else 0.0
        examples.append(Example(group, seconds, choice.getrandbits(63), choice.random() < mixture.from_memory))
    spread = 0.05 if epoch > 0 else 0.0  # other neighbours in every epoch
    examples.sort(key=lambda example: example.seconds * choice.uniform(1 - spread, 1 + spread))
    batches: list[list[Example]] = []
    longest = 0.0
    for example in examples:
        longest = max(longest, example.seconds)
        if not batches or longest * (len(batches[-1]) + 1) > mixture.batch_seconds:
            batches.append([])
            longest = example.seconds
        batches[-1].append(example)
    for batch in batches:
        choice.shuffle(batch)
    if epoch > 0:
        choice.shuffle(batches)
    return batches


def speech_edges(samples: npt.NDArray[np.float32], rate: int = 16_000, below_decibels: float = 35.0) -> tuple[int, int]:
    """First and last sample of what is louder than the loudest 20 ms minus `below_decibels`."""
    hop = rate // 50
    frames = len(samples) // hop
    if frames < 3:
        return 0, len(samples)
    power = np.square(samples[: frames * hop].reshape(frames, hop)).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-below_decibels / 10))
    return (int(loud[0]) * hop, int(loud[-1] + 1) * hop) if len(loud) else (0, len(samples))


def read_sounds(folder: Path, use: str = "train") -> list[npt.NDArray[np.float32]]:
    """The noises or room responses of a folder: those whose `SOURCES.tsv` marks them for `use`, or all of its files
    with sound in them where there is no such table. Raises `AsrError` if that is none."""
    sources = folder / "SOURCES.tsv"
    if sources.exists():
        try:
            with sources.open(encoding="utf-8", newline="") as table:
                files = [folder / row["file"] for row in csv.DictReader(table, delimiter="\t") if row["use"] == use]
        except (OSError, KeyError) as error:
            raise AsrError(f"{sources}: cannot be read as a table with the columns file and use ({error})") from error
    else:
        files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _SOUND)
    if not files:
        raise AsrError(f"{folder}: holds no sounds; put some there, or train without: --set noises= --set rooms=")
    return [read_audio(file) for file in files]
