"""A small LSTM over words, for an opinion on whole readings: what n-grams cannot see is more than three words ago.

Its scores need no sum over the vocabulary: they learn to be log-probs by themselves (Devlin et al., ACL 2014). In
training that sum is the frequent words' own and an estimate for the others (Bengio and Senecal, 2008).
"""

from __future__ import annotations

import hashlib
import random
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from asr.errors import AsrError, TextError
from asr.ngram.counts import BEGIN, END, SPECIAL_WORDS, UNKNOWN, lines, split_sentences
from asr.text import normalize
from asr.training.loop import Loss, Options
from asr.training.model import make_cell


@dataclass(frozen=True)
class WordLstmShape:
    """Size of the network."""

    words: int = 16_000  # that it knows, the most frequent ones
    embedding: int = 256
    width: int = 384
    dropout: float = 0.1


class WordLstm(nn.Module):
    """Words [batch, length] to what may follow each: the vectors [batch, length, embedding] to compare words with."""

    def __init__(self, shape: WordLstmShape) -> None:
        super().__init__()
        self.shape = shape
        self.table = nn.Embedding(shape.words, shape.embedding)  # a word's vector, read and expected
        nn.init.normal_(self.table.weight, std=0.1)
        self.bias = nn.Parameter(torch.full((shape.words,), -float(np.log(shape.words))))
        self.lstm = make_cell("lstm", shape.embedding, shape.width)
        self.expect = nn.Linear(shape.width, shape.embedding)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, words: Tensor) -> Tensor:
        hidden, _ = self.lstm(self.dropout(self.table(words)))
        expected: Tensor = self.expect(self.dropout(hidden))
        return expected

    def scores(self, expected: Tensor, words: Tensor) -> Tensor:
        """Of one word after each history. [n, embedding], [n] -> [n]"""
        return (expected * self.table(words)).sum(-1) + self.bias[words]


@dataclass(frozen=True)
class Text:
    """A text file to learn from, a sentence or paragraph a line, and what part of its lines is taken."""

    path: str
    part: float = 1.0


@dataclass(frozen=True)
class WordLstmRecipe:
    """A word LSTM: what it is trained on and how. Paths start from the data folder."""

    name: str
    texts: tuple[Text, ...]
    held_out: tuple[str, ...]
    longest: int = 48  # words; longer sentences are cut
    batch_words: int = 3000
    frequent: int = 1024  # words that are always compared with
    others: int = 1024  # drawn for each batch
    normalizing: float = 0.1  # weight of the squared logarithm of the scores' sum
    shape: WordLstmShape = field(default_factory=WordLstmShape)
    training: Options = field(default_factory=Options)

    def task(self, data: Path, run: Path) -> WordLstmTask:
        return WordLstmTask(self, data, run)

    def afterwards(self, data: Path, run: Path) -> list[str]:
        return [shlex.join(["asr", "export", str(run / "best.pt"), "MODEL"])]


@dataclass(frozen=True)
class Encoded:
    """Sentences as numbers of words, one behind the other."""

    words: NDArray[np.uint16]
    starts: NDArray[np.int64]  # of each sentence, and the end of the last one
    vocabulary: tuple[str, ...]  # special words, then the others, the most frequent first
    counts: NDArray[np.int64]  # of each word

    def __getitem__(self, number: int) -> NDArray[np.int64]:
        return self.words[self.starts[number] : self.starts[number + 1]].astype(np.int64)


@dataclass(frozen=True)
class WordBatch:
    """Padded sentences, and the words to compare with."""

    words: Tensor  # [batch, length + 1]: <s>, the words, </s>, then padding
    lengths: Tensor  # [batch]: words and </s>
    others: Tensor  # [drawn]: numbers of less frequent words
    log_counts: Tensor  # [drawn]: how often each was to be expected among them


class WordLstmTask:
    """Items are numbers of sentences."""

    loss_names = ("words", "sum")

    def __init__(self, recipe: WordLstmRecipe, data: Path, run: Path) -> None:
        self.recipe = recipe
        words, frequent = recipe.shape.words, recipe.frequent
        if not frequent < words <= np.iinfo(np.uint16).max:
            raise AsrError(
                f"{recipe.name}: shape.words is {words}; it should be above {frequent} (frequent) and below 65536"
            )
        self.text = encoded(recipe, data, run.parent / "cache")
        numbers = {word: number for number, word in enumerate(self.text.vocabulary)}
        self.valid = {
            name: [
                [numbers.get(word, UNKNOWN) for word in words] for words in _pieces(lines(data / name), recipe.longest)
            ]
            for name in recipe.held_out
        }
        if len(self.text.vocabulary) <= frequent:
            raise AsrError(
                f"{recipe.name}: the texts have {len(self.text.vocabulary)} words; --set frequent= to fewer than that"
            )
        self.network = WordLstm(recipe.shape)
        self._lengths = np.diff(self.text.starts)
        drawn = self.text.counts[recipe.frequent :].astype(float) + 1.0
        self._drawn = drawn / drawn.sum()

    def plan(self, epoch: int) -> list[list[int]]:
        order = np.random.default_rng([self.recipe.training.seed, epoch])
        near = self._lengths + order.uniform(0, 1, len(self._lengths))
        items = near.argsort(kind="stable")
        total = np.cumsum(self._lengths[items] + 1)
        cuts = np.flatnonzero(np.diff(total // self.recipe.batch_words)) + 1
        batches = [batch.tolist() for batch in np.split(items, cuts)]
        random.Random(hash((self.recipe.training.seed, epoch))).shuffle(batches)
        return batches

    def cost(self, items: Sequence[int]) -> float:
        return len(items) * float(self._lengths[list(items)].max())

    def load(self, items: Sequence[int], places: Sequence[int], epoch: int) -> WordBatch:
        words, lengths = padded([self.text[number] for number in items])
        draw = np.random.default_rng([self.recipe.training.seed, epoch, int(items[0])])
        frequent, number = self.recipe.frequent, self.recipe.others
        drawn = draw.choice(len(self._drawn), number, p=self._drawn)
        log_counts = np.log(number * self._drawn[drawn]).astype(np.float32)
        return WordBatch(words, lengths, torch.from_numpy(drawn + frequent), torch.from_numpy(log_counts))

    def size(self, batch: WordBatch) -> float:
        return float(batch.lengths.sum())

    def loss(self, batch: WordBatch) -> Loss:
        network, frequent = self.network, self.recipe.frequent
        real = torch.arange(batch.words.shape[1] - 1) < batch.lengths[:, None]
        expected = network(batch.words[:, :-1])[real]  # [words, embedding]
        wanted = batch.words[:, 1:][real]
        own = network.scores(expected, wanted)
        shown = torch.cat([torch.arange(frequent), batch.others])
        scores = expected @ network.table(shown).T + network.bias[shown]  # [words, frequent + drawn]
        weights = torch.cat([torch.zeros(frequent), batch.log_counts])
        scores = (scores - weights).masked_fill(shown == wanted[:, None], -torch.inf)
        total = torch.logsumexp(torch.cat([own[:, None], scores], 1), 1)
        lost, apart = (total - own).sum(), total.square().sum()
        count = len(wanted)
        parts = {"words": (float(lost.detach()), count), "sum": (float(apart.detach()), count)}
        return Loss(lost + self.recipe.normalizing * apart, count, parts)

    def carried(self) -> dict[str, Tensor]:
        return {}

    def carry(self, states: dict[str, Tensor]) -> None:
        pass

    def validate(self) -> dict[str, float]:
        """Perplexities of the held-out texts, in which all unknown words are one: of the scores divided by their sum,
        and of the scores as they are. The mean of the former comes first."""
        found: dict[str, float] = {}
        for name, pieces in self.valid.items():
            plain = exact = 0.0
            for start in range(0, len(pieces), 64):
                words, lengths = padded([np.array(piece) for piece in pieces[start : start + 64]])
                real = torch.arange(words.shape[1] - 1) < lengths[:, None]
                expected, wanted = self.network(words[:, :-1])[real], words[:, 1:][real]
                own = self.network.scores(expected, wanted)
                total = torch.logsumexp(expected @ self.network.table.weight.T + self.network.bias, 1)
                plain, exact = plain - float(own.sum()), exact + float((total - own).sum())
            count = sum(len(piece) + 1 for piece in pieces)
            short = Path(name).name.partition(".")[0]
            found[f"{short} perplexity"] = round(float(np.exp(exact / count)), 2)
            found[f"{short} as scored"] = round(float(np.exp(plain / count)), 2)
        mean = float(np.exp(np.mean([np.log(value) for name, value in found.items() if "perplexity" in name])))
        return {"perplexity": round(mean, 2), **found}

    def summary(self) -> str:
        known = 1 - self.text.counts[UNKNOWN] / len(self.text.words)
        return (
            f"{len(self._lengths):,} sentences, {len(self.text.words):,} words, {100 * known:.1f} % of them among "
            f"{len(self.text.vocabulary):,}; {sum(map(len, self.valid.values())):,} sentences to validate on"
        )

    def description(self) -> dict[str, Any]:
        return {
            "kind": "word_lstm",
            "name": self.recipe.name,
            "shape": asdict(self.recipe.shape),
            "vocabulary": list(self.text.vocabulary),
        }


def padded(sentences: Sequence[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
    """Sentences between <s> and </s>, as one tensor, and how much of each row is there to be expected."""
    rows = [torch.from_numpy(np.concatenate(([BEGIN], sentence, [END])).astype(np.int64)) for sentence in sentences]
    words = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=END)
    return words, torch.tensor([len(row) - 1 for row in rows])


def _pieces(text: Iterable[str], longest: int) -> Iterator[list[str]]:
    """The sentences of a text, normalized, long ones cut; those whose spoken form is not known are left out."""
    for line in text:
        for sentence in split_sentences(line):
            try:
                words = normalize(sentence).split()
            except TextError:
                continue
            for start in range(0, len(words), longest):
                yield words[start : start + longest]


def encoded(recipe: WordLstmRecipe, data: Path, cache: Path) -> Encoded:
    """The texts of a recipe, kept in the folder `cache`. Raises `AsrError` where there is no sentence."""
    sizes = [(data / text.path).stat().st_size for text in recipe.texts if (data / text.path).exists()]
    about = repr((recipe.texts, recipe.longest, recipe.shape.words, recipe.training.seed, sizes))
    kept = cache / f"words-{hashlib.sha256(about.encode()).hexdigest()[:16]}.npz"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        text = _encode(recipe, data)
        scratch = kept.with_suffix(".part.npz")
        np.savez(
            scratch, words=text.words, starts=text.starts, vocabulary="\n".join(text.vocabulary), counts=text.counts
        )
        scratch.replace(kept)
    with np.load(kept) as arrays:
        vocabulary = tuple(str(arrays["vocabulary"]).split("\n"))
        return Encoded(arrays["words"], arrays["starts"], vocabulary, arrays["counts"])


def _encode(recipe: WordLstmRecipe, data: Path) -> Encoded:
    counts: Counter[str] = Counter()
    numbers: dict[str, int] = {}
    parts: list[NDArray[np.int32]] = []
    lengths: list[int] = []
    draw = random.Random(recipe.training.seed)
    for text in recipe.texts:
        block: list[int] = []
        taken = (line for line in lines(data / text.path) if draw.random() < text.part)
        for words in _pieces(taken, recipe.longest):
            counts.update(words)
            block += [numbers.setdefault(word, len(numbers)) for word in words]
            lengths.append(len(words))
            if len(block) > 1_000_000:
                parts.append(np.array(block, np.int32))
                block = []
        parts.append(np.array(block, np.int32))
    if not lengths:
        raise AsrError(f"{recipe.name}: {', '.join(text.path for text in recipe.texts)}: no sentence to learn from")
    chosen = [word for word, _ in counts.most_common(recipe.shape.words - len(SPECIAL_WORDS))]
    own = np.zeros(len(numbers), np.uint16)  # UNKNOWN
    for number, word in enumerate(chosen, start=len(SPECIAL_WORDS)):
        own[numbers[word]] = number
    said = own[np.concatenate(parts)]
    vocabulary = (*SPECIAL_WORDS, *chosen)
    found = np.bincount(said, minlength=len(vocabulary))
    found[END] = len(lengths)
    return Encoded(said, np.cumsum([0, *lengths]), vocabulary, found)
