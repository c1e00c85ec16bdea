"""How an unknown word is said: a bidirectional LSTM from letters to phones, trained with CTC on a dictionary."""

from __future__ import annotations

import random
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor, nn

from asr.g2p import ALPHABET as LETTERS
from asr.g2p import PHONES
from asr.lexicon import read_dictionary
from asr.training.loop import Loss, Options
from asr.training.model import make_cell, reverse
from asr.training.units import Pronunciation


@dataclass(frozen=True)
class G2pShape:
    """Size of the network."""

    embedding: int = 48
    width: int = 160  # of each direction
    layers: int = 2
    frames_per_letter: int = 3  # "x" is K S, and CTC needs a blank between two equal phones
    dropout: float = 0.2


class G2p(nn.Module):
    """Letters [batch, letters] (1 is the first letter, 0 padding) to log-probs [batch, 3 * letters, phones + blank]."""

    def __init__(self, shape: G2pShape) -> None:
        super().__init__()
        self.shape = shape
        self.letters = nn.Embedding(len(LETTERS) + 1, shape.embedding)
        inputs = [shape.embedding] + [2 * shape.width] * (shape.layers - 1)
        self.forwards = nn.ModuleList(make_cell("lstm", size, shape.width) for size in inputs)
        self.backwards = nn.ModuleList(make_cell("lstm", size, shape.width) for size in inputs)
        self.dropout = nn.Dropout(shape.dropout)
        self.spread = nn.Linear(2 * shape.width, shape.frames_per_letter * 128)
        self.head = nn.Linear(128, len(PHONES) + 1)

    def forward(self, letters: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = self.letters(letters)
        for ahead, back in zip(self.forwards, self.backwards, strict=True):
            x = torch.cat([ahead(x)[0], reverse(back(reverse(x, lengths))[0], lengths)], dim=-1)
            x = self.dropout(x)
        spread = torch.tanh(self.spread(x)).reshape(x.shape[0], -1, 128)
        return self.head(spread).float().log_softmax(-1)


def letter_numbers(word: str) -> list[int]:
    return [LETTERS.index(letter) + 1 for letter in word]


@torch.inference_mode()
def pronounce(network: G2p, words: Sequence[str]) -> list[Pronunciation]:
    """The best path of each word; a word for which the network finds no phone at all gets an empty one."""
    network.eval()
    pronunciations: list[Pronunciation] = []
    for start in range(0, len(words), 512):
        group = [letter_numbers(word) for word in words[start : start + 512]]
        lengths = torch.tensor([len(word) for word in group])
        batch = nn.utils.rnn.pad_sequence([torch.tensor(word) for word in group], batch_first=True)
        best = network(batch, lengths).argmax(-1)
        for path, length in zip(best.tolist(), (lengths * network.shape.frames_per_letter).tolist(), strict=True):
            collapsed = [now for before, now in zip([0, *path], path[:length], strict=False) if now and now != before]
            pronunciations.append(tuple(PHONES[number - 1] for number in collapsed))
    return pronunciations


@dataclass(frozen=True)
class G2pRecipe:
    """A grapheme-to-phone network: what it is trained on and how."""

    name: str
    dictionary: str  # relative to the data folder
    held_out: float = 0.03  # share of the words that are only for measuring
    batch_words: int = 256
    shape: G2pShape = field(default_factory=G2pShape)
    training: Options = field(default_factory=Options)

    def task(self, data: Path, run: Path) -> G2pTask:
        return G2pTask(self, data / self.dictionary)

    def afterwards(self, data: Path, run: Path) -> list[str]:
        command = ["asr", "train", "recipes/english_small.py", "--data", str(data), "--set", f"g2p={run / 'best.pt'}"]
        return [shlex.join(command)]


class G2pTask:
    """Items are words with the pronunciation to learn; a word with several is learned with each of them."""

    loss_names = ("phones",)

    def __init__(self, recipe: G2pRecipe, dictionary: Path) -> None:
        self.recipe = recipe
        entries = {
            word: said
            for word, said in sorted(read_dictionary(dictionary, PHONES).items())
            if set(word) <= set(LETTERS)
        }
        words = list(entries)
        random.Random(recipe.training.seed).shuffle(words)
        held_out = round(len(words) * recipe.held_out)
        self.entries = entries
        self.valid = words[:held_out]
        self.train = [(word, said) for word in words[held_out:] for said in entries[word]]
        self.network = G2p(recipe.shape)
        self._frames = recipe.shape.frames_per_letter

    def plan(self, epoch: int) -> list[list[tuple[str, Pronunciation]]]:
        order = random.Random(hash((self.recipe.training.seed, epoch)))
        items = sorted(self.train, key=lambda item: len(item[0]) + order.random())
        size = self.recipe.batch_words
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        order.shuffle(batches)
        return batches

    def cost(self, items: Sequence[tuple[str, Pronunciation]]) -> float:
        return len(items) * max(len(word) for word, _ in items)

    def load(
        self, items: Sequence[tuple[str, Pronunciation]], places: Sequence[int], epoch: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        letters = [torch.tensor(letter_numbers(word)) for word, _ in items]
        phones = [torch.tensor([PHONES.index(phone) + 1 for phone in said]) for _, said in items]
        return (
            nn.utils.rnn.pad_sequence(letters, batch_first=True),
            torch.tensor([len(word) for word in letters]),
            torch.cat(phones),
            torch.tensor([len(said) for said in phones]),
        )

    def size(self, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> float:
        return float(len(batch[1]))

    def loss(self, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> Loss:
        letters, lengths, phones, phone_lengths = batch
        log_probs = self.network(letters, lengths).transpose(0, 1)  # [frames, batch, phones]
        total = nn.functional.ctc_loss(
            log_probs, phones, lengths * self._frames, phone_lengths, reduction="sum", zero_infinity=True
        )
        return Loss(total, len(lengths), {"phones": (float(total.detach()), len(lengths))})

    def carried(self) -> dict[str, Tensor]:
        return {}

    def carry(self, states: dict[str, Tensor]) -> None:
        pass

    def validate(self) -> dict[str, float]:
        """Phone and word error rates on held-out words, against the nearest of their pronunciations."""
        errors = phones = wrong = 0
        for word, said in zip(self.valid, pronounce(self.network, self.valid), strict=True):
            distance, length = min((Levenshtein.distance(said, right), len(right)) for right in self.entries[word])
            errors, phones, wrong = errors + distance, phones + length, wrong + (distance > 0)
        return {"phone errors %": 100 * errors / phones, "word errors %": 100 * wrong / len(self.valid)}

    def summary(self) -> str:
        return f"{len(self.train):,} pronunciations to learn, {len(self.valid):,} words to validate on"

    def description(self) -> dict[str, Any]:
        return {"kind": "g2p", "name": self.recipe.name, "shape": asdict(self.recipe.shape), "letters": LETTERS}
