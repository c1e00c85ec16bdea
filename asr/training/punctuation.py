"""Training of the tagger that writes marks and capitals: see `asr.punctuation` for what it reads and says."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from asr.punctuation import (
    CONTEXT_MARK,
    CONTEXT_WORDS,
    ENDED,
    FEATURES,
    HASHES,
    MARKS,
    NONE,
    PADDING,
    PAUSE,
    PAUSE_BOUNDS,
    QUESTION,
    STOP,
    UPPER,
    WORD_FEATURES,
    word_features,
)
from asr.training.loop import Loss, Options
from asr.training.punctuation_data import HeldOut, Tagged, cached_spellings, prepare

Item = tuple[int, int, int]  # part, first word of the segment, its length

IGNORED = -1  # of a target
UNKNOWN_MARK = CONTEXT_MARK + len(MARKS)  # of a word of the context
ALIGNED, STARTS, ENDS, ANYWHERE = range(4)  # which edges of a segment are those of sentences


@dataclass(frozen=True)
class TaggerShape:
    """Size of the network."""

    buckets: int = 16384  # rows of the table that words are hashed into
    embedding: int = 64
    width: int = 128  # of each direction
    layers: int = 2
    dropout: float = 0.05


@dataclass(frozen=True)
class Simulation:
    """Segments as a recognizer ends them, made from running text."""

    lengths: tuple[tuple[int, float], ...] = (  # words in a segment, share of all words
        (4, 0.01), (8, 0.03), (12, 0.05), (20, 0.08), (32, 0.13), (48, 0.2), (96, 0.25), (180, 0.25),
    )  # fmt: skip
    edges: tuple[float, ...] = (0.55, 0.2, 0.15, 0.1)  # sentences at both ends, at the start, at the end, at neither
    no_context: float = 0.2  # share of segments that begin a stream
    unknown_marks: float = 0.5  # share whose context comes without marks: there marks are learned in it, too
    pauses: float = 0.5  # share whose pauses are known
    unknown_words: float = 0.05  # share of words that lose their whole-word hashes, as a new word has none
    ended_sentence: tuple[float, ...] = (0.55, 0.05, 0.15, 0.25)  # pause, length, key, end: after a sentence
    ended_inside: tuple[float, ...] = (0.35, 0.45, 0.12, 0.08)  # within one


class TaggerNetwork(nn.Module):
    """Ids [batch, words, FEATURES] to log-probs of marks [batch, words, 4] and cases [batch, words, 3]."""

    def __init__(self, shape: TaggerShape) -> None:
        super().__init__()
        self.shape = shape
        self.table = nn.EmbeddingBag(shape.buckets, shape.embedding, mode="sum", padding_idx=PADDING)
        with torch.no_grad():
            self.table.weight.mul_(0.3)
            self.table.weight[PADDING] = 0.0
        self.lstm = nn.LSTM(
            shape.embedding, shape.width, shape.layers, batch_first=True, bidirectional=True, dropout=shape.dropout
        )
        self.dropout = nn.Dropout(shape.dropout)
        self.marks = nn.Linear(2 * shape.width, len(MARKS))
        self.cases = nn.Linear(2 * shape.width, 3)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        batch, words, features = ids.shape
        x = self.table(ids.reshape(-1, features)).reshape(batch, words, -1)
        x = self.dropout(self.lstm(self.dropout(x))[0])
        return self.marks(x).float().log_softmax(-1), self.cases(x).float().log_softmax(-1)


@dataclass(frozen=True)
class TaggerRecipe:
    """What the tagger is trained on and how."""

    name: str
    text: str  # folder of the shared text, relative to the data folder
    books: float = 0.5  # share of the words that comes from books; the rest is everyday text
    epoch_words: int = 2_000_000
    batch_words: int = 4096
    held_out: HeldOut = field(default_factory=HeldOut)
    tuning: tuple[str, ...] = ("books-1", "Taskmaster", "jf99")  # held-out parts for validation; the others measure
    tuning_words: int = 40_000  # of books, and of everyday text
    shape: TaggerShape = field(default_factory=TaggerShape)
    simulation: Simulation = field(default_factory=Simulation)
    training: Options = field(default_factory=Options)

    def task(self, data: Path, run: Path) -> TaggerTask:
        return TaggerTask(self, data / self.text, run.parent / f"{self.name}-text.npz")

    def afterwards(self, data: Path, run: Path) -> list[str]:
        return [shlex.join(["asr", "export", str(run / "best.pt"), "MODEL_DIR"])]


@dataclass(frozen=True)
class Batch:
    ids: Tensor  # [batch, words, FEATURES]
    marks: Tensor  # [batch, words]: targets, IGNORED where nothing is learned
    cases: Tensor


class TaggerTask:
    """Items are segments of the text; a batch has segments of one length."""

    loss_names = ("marks", "cases")

    def __init__(self, recipe: TaggerRecipe, text: Path, cache: Path) -> None:
        self.recipe = recipe
        parts = prepare(text, cache, recipe.held_out)
        self.spellings = cached_spellings(cache)
        self.parts = [parts["books"], parts["everyday"]]
        self.shares = [recipe.books, 1.0 - recipe.books]
        held_out = {name.removeprefix("held out: "): part for name, part in parts.items() if name.startswith("held")}
        books = [part for name, part in held_out.items() if name in recipe.tuning and name.startswith("books")]
        everyday = [part for name, part in held_out.items() if name in recipe.tuning and not name.startswith("books")]
        self.valid = [*documents(books, recipe.tuning_words), *documents(everyday, recipe.tuning_words)]
        vocabulary = self.parts[0].vocabulary
        self.features = np.array([word_features(word, recipe.shape.buckets) for word in vocabulary], np.int32)
        self.edges = [Edges(part) for part in self.parts]
        self.network = TaggerNetwork(recipe.shape)
        with torch.no_grad():
            counted = counted_table(self.parts, self.features, recipe.shape)
            self.network.table.weight[:, : counted.shape[1]] = torch.from_numpy(counted)
        self.bias = [0.0] * len(MARKS)

    def plan(self, epoch: int) -> list[list[Item]]:
        simulation, recipe = self.recipe.simulation, self.recipe
        random = np.random.default_rng([recipe.training.seed, epoch])
        batches: list[list[Item]] = []
        for length, share in simulation.lengths:
            size = recipe.batch_words // (length + CONTEXT_WORDS)
            for _ in range(max(1, round(recipe.epoch_words * share / (size * length)))):
                parts = random.choice(len(self.parts), size, p=self.shares)
                edges = random.choice(4, size, p=simulation.edges)
                batches.append(
                    [
                        (int(part), self.edges[part].draw(int(edge), length, random), length)
                        for part, edge in zip(parts, edges, strict=True)
                    ]
                )
        return [batches[i] for i in random.permutation(len(batches))]

    def cost(self, items: Sequence[Item]) -> float:
        return len(items) * max(CONTEXT_WORDS + length for _, _, length in items)

    def load(self, items: Sequence[Item], places: Sequence[int], epoch: int) -> Batch:
        random = np.random.default_rng([self.recipe.training.seed, epoch, *items[0], len(items)])
        length = items[0][2]
        rows = CONTEXT_WORDS + length
        words = np.zeros((len(items), rows), np.int64)
        tags = np.zeros((len(items), rows + 1), np.uint8)  # with the word before
        for i, (part, start, _) in enumerate(items):
            first = start - CONTEXT_WORDS
            words[i] = self.parts[part].words[first : first + rows]
            tags[i] = self.parts[part].tags[first - 1 : first + rows]
        return simulate(self.features[words], tags, length, self.recipe.simulation, self.recipe.shape.buckets, random)

    def size(self, batch: Batch) -> float:
        return float(batch.marks.numel())

    def loss(self, batch: Batch) -> Loss:
        marks, cases = self.network(batch.ids)
        lost_marks = nn.functional.nll_loss(
            marks.flatten(0, 1), batch.marks.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        lost_cases = nn.functional.nll_loss(
            cases.flatten(0, 1), batch.cases.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        count = int((batch.marks != IGNORED).sum())
        parts = {"marks": (float(lost_marks.detach()), count), "cases": (float(lost_cases.detach()), count)}
        return Loss(lost_marks + lost_cases, count, parts)

    def carried(self) -> dict[str, Tensor]:
        return {}

    def carry(self, states: dict[str, Tensor]) -> None:
        pass

    def validate(self) -> dict[str, float]:
        """Macro F1 of the marks on held-out running text, with the bias that makes it largest, and case errors."""
        scores, said, cases, said_cases = [], [], [], []
        for document in self.valid:
            ids = torch.from_numpy(running_text(self.features[document.words].astype(np.int64)))
            marks, case = self.network(ids)
            scores.append(marks[0, CONTEXT_WORDS:].numpy())
            said.append(document.marks)
            inside = ~begins(document.marks)
            cases.append(document.cases[inside])
            said_cases.append(case[0, CONTEXT_WORDS:].argmax(-1).numpy()[inside])
        log_probs, reference = np.concatenate(scores), np.concatenate(said)
        self.bias = best_bias(log_probs, reference)
        f1 = f1_scores(reference, (log_probs + np.array(self.bias, np.float32)).argmax(1))
        wrong = np.concatenate(cases) != np.concatenate(said_cases)
        return {
            "missing to macro F1 of 1": 1.0 - float(f1.mean()),
            **{f"F1 of {mark!r}": float(value) for mark, value in zip(MARKS[1:], f1, strict=True)},
            "case errors %": 100 * float(wrong.mean()),
        }

    def summary(self) -> str:
        books, everyday = (len(part.words) for part in self.parts)
        held_out = sum(len(document.words) for document in self.valid)
        return f"{books:,} words of books and {everyday:,} of everyday text to draw from, {held_out:,} to validate on"

    def description(self) -> dict[str, Any]:
        return {
            "kind": "tagger", "name": self.recipe.name, "shape": asdict(self.recipe.shape),
            "bias": list(self.bias), "spellings": self.spellings,
        }  # fmt: skip


class Edges:
    """Where sentences begin in a text, and segments drawn from it."""

    def __init__(self, text: Tagged) -> None:
        self.starts = begins(text.marks)
        self.sentences = np.flatnonzero(self.starts)
        self.size = len(text.words)
        self._aligned: dict[int, NDArray[np.int64]] = {}

    def draw(self, edge: int, length: int, random: np.random.Generator) -> int:
        """The first word of a segment of `length` words whose edges are those of sentences as `edge` says."""
        low, high = CONTEXT_WORDS + 1, self.size - length - 1
        if edge == ALIGNED:
            pool = self._aligned.get(length)
            if pool is None:
                inside = self.sentences[self.sentences <= high]
                pool = self._aligned[length] = inside[self.starts[inside + length]]
        else:
            pool = self.sentences
        shift = length if edge == ENDS else 0
        first, last = np.searchsorted(pool, (low + shift, high + shift + 1))
        if edge == ANYWHERE or first == last:
            return int(random.integers(low, high))
        return int(pool[random.integers(first, last)]) - shift


def begins(marks: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each word begins a sentence."""
    first = np.ones(len(marks), np.bool_)
    first[1:] = marks[:-1] >= STOP
    return first


def simulate(
    features: NDArray[np.int32],
    tags: NDArray[np.uint8],
    length: int,
    simulation: Simulation,
    buckets: int,
    random: np.random.Generator,
) -> Batch:
    """A batch as a recognizer would give it: `features` [batch, words, WORD_FEATURES] of context and segment, `tags`
    [batch, 1 + words] with those of the word before."""
    batch, rows = features.shape[:2]
    marks = (tags & 3).astype(np.int64)
    cases = (tags >> 2).astype(np.int64)
    before, marks, cases = marks[:, :-1], marks[:, 1:], cases[:, 1:]
    ids = np.zeros((batch, rows, FEATURES), np.int64)
    ids[:, :, :WORD_FEATURES] = features
    unknown = random.random((batch, rows)) < simulation.unknown_words
    ids[unknown, :2] = random.integers(HASHES, buckets, (int(unknown.sum()), 2))
    targets = marks.copy()
    case_targets = np.where((before >= STOP) & (cases != UPPER), IGNORED, cases)
    # What ended the segment, and the pauses.
    sentence = marks[:, -1] >= STOP
    reasons = np.array([ENDED[name] for name in ("pause", "length", "key", "end")])
    after = reasons[random.choice(4, batch, p=simulation.ended_sentence)]
    within = reasons[random.choice(4, batch, p=simulation.ended_inside)]
    ended = np.where(sentence, after, within)
    ids[:, -1, WORD_FEATURES + 1] = ended
    pauses = simulated_pauses(marks, random)
    pauses[:, -1] = np.select(
        [ended == ENDED["pause"], ended == ENDED["end"]],
        [0.4 + random.exponential(0.4, batch), random.exponential(0.8, batch)],
        random.exponential(0.1, batch),
    )
    known = np.less(random.random((batch, 1)), simulation.pauses) & (np.arange(rows) >= CONTEXT_WORDS)
    ids[:, :, WORD_FEATURES + 2] = np.where(known, PAUSE + np.searchsorted(PAUSE_BOUNDS, pauses, "right"), PADDING)
    # The context: its marks as they were written, or unknown, or no context at all.
    without = np.less(random.random(batch), simulation.no_context)
    guessed = np.less(random.random(batch), simulation.unknown_marks)
    context = ids[:, :CONTEXT_WORDS]
    context[:, :, WORD_FEATURES] = np.where(guessed[:, None], UNKNOWN_MARK, CONTEXT_MARK + marks[:, :CONTEXT_WORDS])
    context[without] = PADDING
    targets[~guessed | without, :CONTEXT_WORDS] = IGNORED
    case_targets[without, :CONTEXT_WORDS] = IGNORED
    case_targets[without, CONTEXT_WORDS] = IGNORED  # always begins a sentence
    return Batch(torch.from_numpy(ids), torch.from_numpy(targets), torch.from_numpy(case_targets))


def simulated_pauses(marks: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.float64]:
    """Seconds between words with these marks [batch, words] and the next ones, as the recognizer reports them.

    Within a clause that is 0 to 0.2 s, since a CTC network's last phone comes before the word's end; then a pause is
    added, seldom within a clause, mostly between sentences. Measured on read speech of three corpora, with fewer
    pauses, as in talk; `tools/readable.py speech` shows both.
    """
    pace = np.exp(random.normal(0.0, 0.25, (len(marks), 1)))
    gap = random.gamma(1.5, 0.05, marks.shape)
    pause = random.exponential(0.22, marks.shape) + np.where(marks >= STOP, 0.15, 0.05)
    paused = np.less(random.random(marks.shape), np.select([marks == NONE, marks >= STOP], [0.03, 0.85], 0.65))
    return np.asarray(pace * (gap + paused * pause), np.float64)


# What is counted over all of the text, more than the network gets to see, and what its table begins with.


def counted_table(parts: Sequence[Tagged], features: NDArray[np.int32], shape: TaggerShape) -> NDArray[np.float32]:
    """The first columns of the table: how words behave, and the company they keep."""
    counts = word_counts(parts)
    habits = fitted_table(features, word_habits(parts), counts, shape.buckets)
    frequent = np.sort(np.argsort(-counts, kind="stable")[:20_000])
    frequent = frequent[counts[frequent] > 0]
    dims = shape.embedding * 5 // 8
    company = fitted_table(features[frequent], word_company(parts, frequent, dims), counts[frequent], shape.buckets)
    return np.concatenate([habits, company], axis=1)[:, : shape.embedding]


def word_counts(parts: Sequence[Tagged]) -> NDArray[np.float64]:
    size = len(parts[0].vocabulary)
    return np.sum([np.bincount(part.words, minlength=size) for part in parts], axis=0).astype(np.float64)


def word_habits(parts: Sequence[Tagged], prior: float = 10.0) -> NDArray[np.float32]:
    """How each word of the vocabulary behaves, [words, 8]: log-odds of each mark behind it and before it, of standing
    large within a sentence, and its frequency; each of mean 0 and deviation 0.5 over running text."""
    counts = word_counts(parts)
    size = len(counts)
    events = np.zeros((7, size))
    inside = np.zeros(size)
    for part in parts:
        marks, cases, words = part.marks, part.cases, part.words
        before = np.concatenate([[STOP], marks[:-1]])
        for row, mark in enumerate(range(NONE + 1, QUESTION + 1)):
            events[row] += np.bincount(words[marks == mark], minlength=size)
        for row, mark in enumerate((NONE + 1, STOP), 3):
            events[row] += np.bincount(words[before == mark], minlength=size)
        within = before < STOP
        events[5] += np.bincount(words[within & (cases > 0)], minlength=size)
        events[6] += np.bincount(words[cases == UPPER], minlength=size)
        inside += np.bincount(words[within], minlength=size)
    totals = np.tile(counts, (7, 1))
    totals[5] = inside
    mean = events.sum(1, keepdims=True) / totals.sum(1, keepdims=True)
    share = np.clip((events + prior * mean) / (totals + prior), 1e-4, 1.0 - 1e-4)
    habits = np.stack([*np.log(share / (1.0 - share)), np.log1p(counts)], axis=1)
    weights = counts[:, None] / counts.sum()
    habits -= (weights * habits).sum(0)
    habits /= np.sqrt((weights * habits**2).sum(0)) + 1e-6
    return np.clip(0.5 * habits, -2.0, 2.0).astype(np.float32)


def word_company(
    parts: Sequence[Tagged], words: NDArray[np.int64], dims: int, neighbours: int = 600
) -> NDArray[np.float32]:
    """What stands before and behind each of `words`, [words, dims]: the main axes of their positive pointwise mutual
    information with the most frequent words and with the edges of sentences (Levy, Goldberg and Dagan, 2015)."""
    size = len(parts[0].vocabulary)
    row = np.full(size, -1)
    row[words] = np.arange(len(words))
    column = np.full(size, neighbours)  # a word that is not frequent
    column[np.argsort(-word_counts(parts), kind="stable")[:neighbours]] = np.arange(min(neighbours, size))
    columns = neighbours + 2  # and the edge of a sentence
    counts = np.zeros((2, len(words) * columns))
    for part in parts:
        starts = begins(part.marks)
        before = np.where(starts, neighbours + 1, column[np.roll(part.words, 1)])
        behind = np.where(np.roll(starts, -1), neighbours + 1, column[np.roll(part.words, -1)])
        known = row[part.words] >= 0
        for side, others in enumerate((before, behind)):
            pairs = row[part.words][known] * columns + others[known]
            counts[side] += np.bincount(pairs, minlength=counts.shape[1])
    table = counts.reshape(2, len(words), columns).transpose(1, 0, 2).reshape(len(words), 2 * columns)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    information = np.log(np.maximum(table, 1e-9) / np.maximum(expected, 1e-9)).clip(0.0, 6.0).astype(np.float32)
    information[table == 0] = 0.0
    values, axes = np.linalg.eigh(information.T @ information)
    dims = min(dims, len(values))
    company = information @ axes[:, -dims:] / np.sqrt(np.sqrt(np.maximum(values[-dims:], 1e-6)))
    weights = table.sum(1, keepdims=True) / table.sum()
    company -= (weights * company).sum(0)
    company *= 0.3 / (np.sqrt((weights * company**2).sum(0)) + 1e-6)
    return np.clip(company, -1.5, 1.5).astype(np.float32)


def fitted_table(
    features: NDArray[np.int32],
    habits: NDArray[np.float32],
    counts: NDArray[np.float64],
    buckets: int,
    rounds: int = 60,
) -> NDArray[np.float32]:
    """Rows [buckets, habits] whose sums over each word's `features` come near its habits, frequent words nearest."""
    table = np.zeros((buckets, habits.shape[1]))
    weights = np.sqrt(counts + 1.0)
    flat = features.ravel()
    mass = np.bincount(flat, np.repeat(weights, features.shape[1]), buckets) + 20.0
    for _ in range(rounds):
        rest = (habits - table[features].sum(1)) * weights[:, None]
        for column in range(table.shape[1]):
            pulled = np.bincount(flat, np.repeat(rest[:, column], features.shape[1]), buckets) / features.shape[1]
            table[:, column] += pulled / mass
    table[PADDING] = 0.0
    return table.astype(np.float32)


# Measuring.


def documents(parts: Sequence[Tagged], words: int, length: int = 200) -> list[Tagged]:
    """About `words` words from all of `parts`, in running texts of some `length` words, begun with a sentence."""
    found: list[Tagged] = []
    total = sum(len(part.words) for part in parts)
    for part in parts:
        wanted = max(1, round(words * len(part.words) / total / length))
        starts = np.flatnonzero(begins(part.marks))
        for near in np.linspace(0, max(0, len(part.words) - 2 * length), wanted).astype(int):
            start = starts[min(np.searchsorted(starts, near), len(starts) - 1)]
            stops = starts[(starts > start + length - 20) & (starts < start + length + 60)]
            end = stops[0] if len(stops) else min(start + length, len(part.words))
            if end > start:
                found.append(Tagged(part.words[start:end], part.tags[start:end], part.vocabulary))
    return found


def running_text(features: NDArray[np.int64]) -> NDArray[np.int64]:
    """The network's input [1, words, FEATURES] for text without context and pauses."""
    ids = np.zeros((1, CONTEXT_WORDS + len(features), FEATURES), np.int64)
    ids[0, CONTEXT_WORDS:, :WORD_FEATURES] = features
    ids[0, -1, WORD_FEATURES + 1] = ENDED["end"]
    return ids


def f1_scores(reference: NDArray[np.integer[Any]], said: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """F1 of comma, full stop and question mark."""
    scores = []
    for mark in range(1, QUESTION + 1):
        right = int(((reference == mark) & (said == mark)).sum())
        scores.append(2 * right / max(1, int((reference == mark).sum()) + int((said == mark).sum())))
    return np.array(scores)


def best_bias(log_probs: NDArray[np.float32], reference: NDArray[np.integer[Any]]) -> list[float]:
    """What to add to each mark's log-prob so that the macro F1 becomes largest, by a coarse grid and a fine one."""
    best = np.zeros(len(MARKS), np.float32)
    for steps in (np.linspace(-0.6, 0.9, 6), np.linspace(-0.2, 0.2, 5)):
        options = [best + np.array([0.0, *change], np.float32) for change in product(steps, repeat=QUESTION)]
        best = max(options, key=lambda bias: f1_scores(reference, (log_probs + bias).argmax(1)).mean())
    return [round(float(value), 3) for value in best]
