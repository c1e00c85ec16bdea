"""The acoustic model as a task for the training loop."""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor, nn

from asr.decoders import G2P
from asr.errors import AsrError
from asr.g2p import PHONES, GraphemeToPhone
from asr.lexicon import read_dictionary
from asr.recognizer import find_model
from asr.training import corpus as corpora
from asr.training import parallel
from asr.training.augment import Acoustics, Augmentation, Samples
from asr.training.cache import AudioCache, as_floats, build_cache
from asr.training.corpus import Dropped, Example, Mixture, Spoken
from asr.training.denominator import PhoneBigram, rivals
from asr.training.features import FrontEnd, log_mel
from asr.training.from_model import start_from, start_subwords
from asr.training.g2p import G2p, G2pShape, pronounce
from asr.training.loop import Loss, Options, autocast, read_checkpoint
from asr.training.model import AcousticModel, Shape
from asr.training.progress import duration
from asr.training.units import BLANK, Pronunciation, learn_subwords

MEMORY_SLOTS = 64


@dataclass(frozen=True)
class RecognizerRecipe:
    """A recognizer: its network, its data and how it is trained. Paths start from the data folder."""

    name: str
    train: tuple[tuple[str, float], ...]  # manifests, each with the share of the epochs an utterance takes part in
    valid: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()  # speakers of `train` that are validated on instead
    test: tuple[str, ...] = ()  # for the number at the end; training never opens them
    dictionary: str = ""  # pronunciations in CMUdict's format; without it there is no phone head
    g2p: str = ""  # for the words that the dictionary lacks: checkpoint of recipes/g2p.py, or a model that holds one
    subwords: int = 256
    start: str = ""  # checkpoint or model directory to start from (`asr train --from`)
    keep_subwords: bool = True  # those of `start`, if they can spell all texts; else as many as `subwords` are learnt
    added_layers: int = 0  # streaming layers put on top of those of `start`; their gates begin almost closed
    noises: str = ""  # folders of sounds with a SOURCES.tsv
    rooms: str = ""
    cache: str = ""  # where decoded audio is kept; by default beside the run folder
    head_weights: tuple[float, float] = (0.6, 0.4)  # phones, spelling
    reading_weights: tuple[float, float] = (0.5, 0.5)  # first, second
    discriminative: float = 0.0  # share of the phone loss in which whole transcripts compete (asr.training.denominator)
    front_end: FrontEnd = field(default_factory=FrontEnd)
    shape: Shape = field(default_factory=Shape)
    mixture: Mixture = field(default_factory=Mixture)
    augmentation: Augmentation = field(default_factory=Augmentation)
    training: Options = field(default_factory=Options)

    def task(self, data: Path, run: Path) -> RecognizerTask:
        return RecognizerTask(self, data, run)

    def afterwards(self, data: Path, run: Path) -> list[str]:
        manifests = [str(data / manifest) for manifest in self.test or self.valid] or ["MANIFEST"]
        adapted = self.start and self.keep_subwords and not Path(self.start).is_file()  # a model, whose words go on
        model = str(run / "model")
        like = ["--like", self.start] if adapted else []
        return [
            shlex.join(["asr", "export", str(run / "best.pt"), model, *like]),
            *(shlex.join(["asr", "evaluate", manifest, "--model", model]) for manifest in manifests),
        ]


@dataclass(frozen=True)
class RecognizerBatch:
    """One process's part of a batch."""

    features: Tensor  # [batch, frames, bands], normalized
    lengths: Tensor  # network frames
    targets: dict[str, list[list[int]]]
    slots: Tensor  # where each row's final state goes
    from_memory: Tensor  # rows that start from their slot
    seconds: float


class Targets:
    """Token numbers of normalized text for every head."""

    def __init__(self, recipe: RecognizerRecipe, data: Path, texts: Sequence[str]) -> None:
        kept = start_subwords(recipe.start, texts) if recipe.keep_subwords else None
        self.subwords = kept or learn_subwords(texts, recipe.subwords)
        self.heads: dict[str, tuple[str, ...]] = {}
        self._said: dict[str, Pronunciation] = {}
        if recipe.dictionary:
            self.heads["phones"] = (BLANK, *PHONES)
            self._said = pronunciations(
                sorted({w for t in texts for w in t.split()}), data / recipe.dictionary, recipe.g2p
            )
        self.heads["spelling"] = (BLANK, *self.subwords.tokens)
        self._number = {phone: number for number, phone in enumerate(PHONES, start=1)}

    def __call__(self, text: str) -> dict[str, list[int]]:
        targets = {"spelling": self.subwords.encode(text)}
        if "phones" in self.heads:
            targets["phones"] = [self._number[phone] for word in text.split() for phone in self._said[word]]
        return targets


def pronunciations(words: Sequence[str], dictionary: Path, g2p: str) -> dict[str, Pronunciation]:
    """How each word is said: the dictionary's first entry, the grapheme-to-phone network for the rest."""
    if not dictionary.exists():
        raise AsrError(f"There is no dictionary {dictionary}: put CMUdict there (see recipes/README.md).")
    entries = read_dictionary(dictionary, PHONES)
    unknown = [word for word in words if word not in entries]
    said = {word: entries[word][0] for word in words if word in entries}
    if unknown and not g2p:
        raise AsrError(
            f"{dictionary}: lacks {len(unknown)} words, e.g. {unknown[0]!r}; the shipped model knows how they sound: "
            "--set g2p=english-small"
        )
    if unknown:
        said.update(zip(unknown, _guessed(unknown, g2p), strict=True))
    return said


def _guessed(words: Sequence[str], g2p: str) -> list[Pronunciation]:
    """Pronunciations by the network of a checkpoint, or by that of a model."""
    if Path(g2p).suffix != ".pt":
        network = GraphemeToPhone.load(find_model(g2p) / G2P)
        return [(network.pronounce(word) or [()])[0] for word in words]
    saved = read_checkpoint(Path(g2p))
    trained = G2p(G2pShape(**saved["description"]["shape"]))
    trained.load_state_dict(saved["network"])
    return pronounce(trained, words)


class RecognizerTask:
    """Batches of augmented log-mel features, four CTC losses, and error rates on held-out speech."""

    def __init__(self, recipe: RecognizerRecipe, data: Path, run: Path) -> None:
        self.recipe = recipe
        dropped = Dropped()
        longest = recipe.mixture.longest_seconds
        train = corpora.read_corpus(recipe.train, data, longest, dropped)
        valid = corpora.read_corpus([(name, 1.0) for name in recipe.valid], data, 1e9, dropped) if recipe.valid else []
        train, held_out = corpora.hold_out(train, recipe.held_out)
        valid += held_out
        if not valid:
            raise AsrError(f"{recipe.name}: nothing to validate on; name a manifest in valid, or speakers in held_out")
        folder = Path(recipe.cache) if recipe.cache else run.parent / "cache"
        self._train, self._train_audio = _with_audio(train, folder, data.absolute(), dropped)
        self._valid, self._valid_audio = _with_audio(valid, folder, data.absolute(), dropped)
        texts = [spoken.words for spoken in self._train]
        self.targets = Targets(recipe, data, texts + [spoken.words for spoken in self._valid])
        self._train_targets = [self.targets(text) for text in texts]
        self._valid_targets = [self.targets(spoken.words) for spoken in self._valid]
        self._phones: PhoneBigram | None = None
        if recipe.discriminative:
            if "phones" not in self.targets.heads:
                raise AsrError(f"{recipe.name}: a discriminative loss needs phones; name a dictionary")
            spoken = [targets["phones"] for targets in self._train_targets]
            self._phones = PhoneBigram(spoken, len(self.targets.heads["phones"]))
        self._durations = [
            self._train_audio.length(s.utterance.audio) / recipe.front_end.sample_rate for s in self._train
        ]
        self._shortest = [self._seconds_needed(targets) for targets in self._train_targets]
        self._shares = [spoken.share for spoken in self._train]
        self._drop_too_short(dropped)
        noises = corpora.read_sounds(data / recipe.noises) if recipe.noises else []
        rooms = corpora.read_sounds(data / recipe.rooms) if recipe.rooms else []
        self.acoustics = Acoustics(recipe.augmentation, noises, rooms)
        self.network = AcousticModel(recipe.shape, {name: len(tokens) for name, tokens in self.targets.heads.items()})
        self._measure_features()
        started = []
        if recipe.start:
            started = start_from(self.network, self.description(), Path(recipe.start), recipe.added_layers)
        self._memory = self.network.streaming.initial_state(MEMORY_SLOTS)
        # Batches are prepared on the processor, maybe in other processes, wherever the network is.
        self._mean, self._deviation = self.network.streaming.mean.clone(), self.network.streaming.deviation.clone()
        if parallel.rank() == 0:
            for line in [*dropped.report(run / "left_out.tsv"), *started]:
                print(line, file=sys.stderr)

    def _drop_too_short(self, dropped: Dropped) -> None:
        for number, seconds in enumerate(self._shortest):
            if seconds > self._durations[number]:
                self._shares[number] = 0.0
                dropped.add("too short for their text", str(self._train[number].utterance.audio))
        if not any(self._shares):
            raise AsrError(f"{self.recipe.name}: no utterance can be learnt from: {dropped}")

    def _seconds_needed(self, targets: dict[str, list[int]]) -> float:
        """The shortest sound in which CTC can say these tokens: a frame each, and one more between equal ones."""
        frame = self.recipe.front_end.hop * self.recipe.shape.stack / self.recipe.front_end.sample_rate
        return frame * max(len(t) + sum(a == b for a, b in itertools.pairwise(t)) for t in targets.values())

    @torch.no_grad()
    def _measure_features(self, utterances: int = 500) -> None:
        """Mean and deviation of each band over some training utterances, into the network."""
        step = max(1, len(self._train) // utterances)
        features = torch.cat([self._features(self._audio(number)) for number in range(0, len(self._train), step)])
        self.network.streaming.mean.copy_(features.mean(0))
        self.network.streaming.deviation.copy_(features.std(0))

    def _audio(self, number: int) -> Samples:
        return as_floats(self._train_audio[self._train[number].utterance.audio])

    def _features(self, samples: Samples, speed: float = 1.0, tempo: float = 1.0) -> Tensor:
        return log_mel(torch.from_numpy(samples), self.recipe.front_end, speed, tempo)

    def _normalized(self, features: Tensor) -> Tensor:
        return (features - self._mean) / self._deviation

    # -- batches ---------------------------------------------------------------------------------------------------

    def plan(self, epoch: int) -> list[list[Example]]:
        return corpora.plan_epoch(self._durations, self._shares, self.recipe.mixture, self.recipe.training.seed, epoch)

    def cost(self, items: Sequence[Example]) -> float:
        return len(items) * max(example.seconds for example in items)

    def load(self, items: Sequence[Example], places: Sequence[int], epoch: int) -> RecognizerBatch:
        rows = [self._row(example, epoch) for example in items]
        targets = {
            head: [
                [token for piece in example.pieces for token in self._train_targets[piece][head]] for example in items
            ]
            for head in self.targets.heads
        }
        return RecognizerBatch(
            *self._padded(rows),
            targets,
            torch.tensor([place % MEMORY_SLOTS for place in places]),
            torch.tensor([example.from_memory for example in items]),
            sum(example.seconds for example in items),
        )

    def _row(self, example: Example, epoch: int) -> Tensor:
        """Augmented, normalized features of one example. [frames, bands]"""
        random = np.random.default_rng([example.seed, epoch])
        mixture, rate = self.recipe.mixture, self.recipe.front_end.sample_rate
        if not example.pieces:
            noise = self.acoustics.noise_of(round(example.seconds * rate), random)
            level = 10 ** (random.uniform(-60, 0) / 20)
            samples = (noise * np.float32(level)).astype(np.float32)
        else:
            parts = []
            for place, piece in enumerate(example.pieces):
                if place:
                    parts.append(np.zeros(round(random.uniform(*mixture.pause_seconds) * rate), np.float32))
                whole = self._audio(piece)
                cut = self._cut(whole, random)
                parts.append(cut if len(cut) >= self._shortest[piece] * rate else whole)
            samples = np.concatenate(parts)
            samples = self.acoustics(samples, random)
        samples = samples + random.standard_normal(len(samples), np.float32) * np.float32(
            10 ** random.uniform(-5.5, -3.5)
        )
        fastest = len(samples) / rate / max(sum(self._shortest[piece] for piece in example.pieces), 1e-9)
        speed, tempo = self.acoustics.speed(random), self.acoustics.tempo(random)
        if speed * tempo > fastest:  # too fast for its text: CTC would give it no loss
            speed, tempo = min(speed, 1.0), min(tempo, 1.0)
        features = self._normalized(self._features(samples, speed, tempo))
        if example.pieces:
            self.acoustics.mask(features.numpy(), epoch, random)
        return features

    def _cut(self, samples: Samples, random: np.random.Generator) -> Samples:
        """Sometimes without the silence at an edge, so that both readings know speech that begins or ends at once."""
        first, last = corpora.speech_edges(samples)
        margin = round(0.05 * self.recipe.front_end.sample_rate)
        start = max(0, first - margin) if random.random() < self.recipe.mixture.cut else 0
        end = min(len(samples), last + 2 * margin) if random.random() < self.recipe.mixture.cut else len(samples)
        return samples[start:end]

    def _padded(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Rows as one tensor, silence behind the shorter ones, and their lengths in network frames."""
        stack = self.recipe.shape.stack
        lengths = torch.tensor([-(-len(row) // stack) for row in rows])
        silence = self._normalized(torch.full((self.recipe.front_end.bands,), self.recipe.front_end.floor).log())
        padded = silence.repeat(len(rows), int(lengths.max()) * stack, 1)
        for number, row in enumerate(rows):
            padded[number, : len(row)] = row
        return padded, lengths

    def size(self, batch: RecognizerBatch) -> float:
        return batch.seconds

    # -- loss ------------------------------------------------------------------------------------------------------

    @property
    def loss_names(self) -> tuple[str, ...]:
        return tuple(f"{reading} {head}" for head in self.targets.heads for reading in ("first", "second"))

    def loss(self, batch: RecognizerBatch) -> Loss:
        device = next(self.network.parameters()).device
        start = tuple(
            torch.where(batch.from_memory[:, None], memory[:, batch.slots], torch.zeros(())).to(device)
            for memory in self._memory
        )
        first, second, end = self.network(batch.features.to(device), batch.lengths.to(device), start)
        for memory, final in zip(self._memory, end, strict=True):
            found = final.detach().float().cpu()
            memory[:, batch.slots] = torch.where(found.isfinite(), found, torch.zeros(()))
        total = torch.zeros((), device=device)
        parts: dict[str, tuple[float, int]] = {}
        weights = {"phones": self.recipe.head_weights[0], "spelling": self.recipe.head_weights[1]}
        count = 0
        for head, rows in batch.targets.items():
            tokens = sum(max(1, len(row)) for row in rows)  # noise counts, lest a batch of it alone weigh too much
            count += tokens
            for reading, log_probs, weight in (
                ("first", first[head], self.recipe.reading_weights[0]),
                ("second", second[head], self.recipe.reading_weights[1]),
            ):
                value = ctc(log_probs, batch.lengths, rows)
                parts[f"{reading} {head}"] = float(value.detach()), tokens
                if self._phones and head == "phones":
                    value = value + self.recipe.discriminative * rivals(log_probs, batch.lengths, rows, self._phones)
                total = total + weights[head] * weight * value
        return Loss(total, count, parts)

    def carried(self) -> dict[str, Tensor]:
        """The pool of final states. Process r of n owns the slots r, r + n...; together they are one pool."""
        pool = {}
        for number, memory in enumerate(self._memory):
            owned = torch.zeros_like(memory)
            owned[:, parallel.rank() :: parallel.world()] = memory[:, parallel.rank() :: parallel.world()]
            pool[f"memory {number}"] = parallel.summed(owned)
        return pool

    def carry(self, states: dict[str, Tensor]) -> None:
        self._memory = tuple(states[f"memory {number}"].clone() for number in range(len(self._memory)))

    # -- validation ------------------------------------------------------------------------------------------------

    def validate(self) -> dict[str, float]:
        """Greedy error rates (per cent) of each reading and head, in all and by corpus."""
        errors: dict[str, list[int]] = {}
        device = next(self.network.parameters()).device
        order = sorted(range(len(self._valid)), key=lambda n: self._valid_audio.length(self._valid[n].utterance.audio))
        order = order[parallel.rank() :: parallel.world()]
        for start in range(0, len(order), 24):
            numbers = order[start : start + 24]
            audio = [as_floats(self._valid_audio[self._valid[n].utterance.audio]) for n in numbers]
            rows = [self.network.streaming.normalize(self._features(samples)) for samples in audio]
            features, lengths = self._padded(rows)
            state = self.network.streaming.initial_state(len(numbers), device)
            first, second, _ = self.network(features.to(device), lengths.to(device), state)
            for reading, heads in (("second", second), ("first", first)):
                for head, log_probs in heads.items():
                    for number, path in zip(numbers, best_paths(log_probs, lengths), strict=True):
                        self._count(errors, f"{reading} {head}", number, head, path)
        names = [f"{reading} {head}{corpus}" for reading in ("second", "first") for head in self.targets.heads
                 for corpus in ("", *sorted({f" {spoken.utterance.corpus}" for spoken in self._valid}))]  # fmt: skip
        sums = parallel.summed(torch.tensor([errors.get(name, [0, 0]) for name in names], dtype=torch.float64))
        return {
            name: round(100 * wrong / max(1.0, total), 3)
            for name, (wrong, total) in zip(names, sums.tolist(), strict=True)
        }

    def _count(self, errors: dict[str, list[int]], name: str, number: int, head: str, path: list[int]) -> None:
        if head == "phones":
            truth: list[Any] = self._valid_targets[number][head]
            found: list[Any] = path
        else:
            truth = self._valid[number].words.split()
            found = "".join(self.targets.heads[head][token] for token in path).replace("▁", " ").split()
        distance = Levenshtein.distance(found, truth)
        for key in (name, f"{name} {self._valid[number].utterance.corpus}"):
            sums = errors.setdefault(key, [0, 0])
            sums[0] += distance
            sums[1] += len(truth)

    def summary(self) -> str:
        seconds = sum(length * min(1.0, share) for length, share in zip(self._durations, self._shares, strict=True))
        rate = self.recipe.front_end.sample_rate
        held_out = sum(self._valid_audio.length(spoken.utterance.audio) for spoken in self._valid) / rate
        speakers = len({spoken.utterance.speaker for spoken in self._train})
        heads = ", ".join(f"{len(tokens)} of {name}" for name, tokens in self.targets.heads.items())
        return (
            f"{len(self._train):,} utterances, speakers: {speakers:,}, speech in an epoch: {duration(seconds)}; "
            f"{len(self._valid):,} utterances, {duration(held_out)}, to validate on; tokens: {heads}"
        )

    def description(self) -> dict[str, Any]:
        return {
            "kind": "recognizer",
            "name": self.recipe.name,
            "shape": asdict(self.recipe.shape),
            "front_end": asdict(self.recipe.front_end),
            "heads": {name: list(tokens) for name, tokens in self.targets.heads.items()},
        }


def figures_on_test(recipe: RecognizerRecipe, data: Path, run: Path) -> dict[str, float]:
    """What `RecognizerTask.validate` gives for a run's best network on the manifests that its recipe tests on."""
    task = replace(recipe, valid=recipe.test, held_out=()).task(data, run)
    task.network.load_state_dict(read_checkpoint(run / "best.pt")["network"])
    task.network.eval()
    with torch.inference_mode(), autocast(replace(recipe.training, device="cpu")):
        return task.validate()


def ctc(log_probs: Tensor, lengths: Tensor, rows: Sequence[Sequence[int]]) -> Tensor:
    """Summed CTC loss (Graves et al., 2006) of [batch, frames, tokens]; rows too short for their text count nothing."""
    targets = torch.tensor([token for row in rows for token in row], dtype=torch.long)
    return nn.functional.ctc_loss(
        log_probs.transpose(0, 1),
        targets.to(log_probs.device),
        lengths,
        torch.tensor([len(row) for row in rows]),
        reduction="sum",
        zero_infinity=True,
    )


def best_paths(log_probs: Tensor, lengths: Tensor) -> list[list[int]]:
    """The most probable token of each frame, repeats and blanks removed."""
    paths = []
    for path, length in zip(log_probs.argmax(-1).tolist(), lengths.tolist(), strict=True):
        path = path[:length]
        paths.append([now for before, now in zip([0, *path], path, strict=False) if now and now != before])
    return paths


def _with_audio(corpus: list[Spoken], folder: Path, root: Path, dropped: Dropped) -> tuple[list[Spoken], AudioCache]:
    """The utterances whose audio can be decoded, and the cache that holds it."""

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\rdecoding {done} of {total} files", end="" if done < total else "\n", file=sys.stderr, flush=True)

    files = [spoken.utterance.audio for spoken in corpus]
    with parallel.one_after_the_other():  # the first process makes the cache, the others find it
        cache, failed = build_cache(files, folder, root, progress)
    for file, reason in failed.items():
        dropped.add("that cannot be decoded", f"{file}: {reason}")
    return [spoken for spoken in corpus if spoken.utterance.audio not in failed], cache
