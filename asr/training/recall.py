"""Recall over distance: a symbol shown once among distractors, asked for later; what memory cells are for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from asr.training.loop import Loss, Options, read_checkpoint
from asr.training.model import Cell, FeedForward

SYMBOLS = 10  # of which one has to be remembered
DISTRACTORS = 10
QUESTION = SYMBOLS + DISTRACTORS  # the token that asks for the symbol
TOKENS = QUESTION + 1
LEAD = 10  # fewer distractors than this come before the symbol
WRONG = "wrong answers"
VALIDATION, TEST = 1, 2  # seeds of the sequences
Batch = tuple[Tensor, Tensor, Tensor]  # as `batch_of` gives it
Initialization = Literal["usual", "orthogonal", "long"]


def make_network(cell: Cell, weights: int, initialization: Initialization) -> Recall:
    """A network of about so many weights.

    Initializations: "usual" is torch's, "orthogonal" makes recurrent matrices orthogonal (Saxe et al., 2014) and an
    LSTM's forget gates open (bias 1: Jozefowicz et al., 2015), "long" means to remember from the start: an LSTM's gates
    are set for memories of 1 to 1000 steps (Tallec and Ollivier, 2018), a plain RNN begins as the identity (Le et al.,
    2015). Without recurrence the three differ in nothing but the random numbers.
    """
    width = 1
    while _weights_of(cell, width + 1) <= weights:
        width += 1
    network = Recall(cell, width)
    if cell != "none":
        with torch.no_grad():
            _initialize(network.memory, cell, width, initialization)
    return network


def _weights_of(cell: Cell, width: int) -> int:
    gates = {"lstm": 4, "rnn": 1, "none": 1}[cell]
    biases, recurrent = (1, 0) if cell == "none" else (2, width)
    return gates * width * (TOKENS + recurrent + biases) + (width + 1) * SYMBOLS


def _initialize(memory: nn.Module, cell: Cell, width: int, initialization: Initialization, longest: int = 1000) -> None:
    recurrent, bias = memory.get_parameter("weight_hh_l0"), memory.get_parameter("bias_ih_l0")
    if initialization == "usual":
        return
    memory.get_parameter("bias_hh_l0").zero_()
    if cell == "rnn":
        if initialization == "orthogonal":
            nn.init.orthogonal_(recurrent)
        else:
            nn.init.eye_(recurrent)
        bias.zero_()
        return
    for gate in recurrent.split(width):  # torch's gates: input, forget, cell, output
        nn.init.orthogonal_(gate)
    bias.zero_()
    forget = torch.empty(width).uniform_(1, longest - 1).log() if initialization == "long" else torch.ones(width)
    bias[width : 2 * width] = forget
    if initialization == "long":
        bias[:width] = -forget


class Recall(nn.Module):
    """One layer, and what it says when it is asked."""

    def __init__(self, cell: Cell, width: int) -> None:
        super().__init__()
        kinds = {"lstm": nn.LSTM, "rnn": nn.RNN}
        self.memory = FeedForward(TOKENS, width) if cell == "none" else kinds[cell](TOKENS, width, batch_first=True)
        self.answer = nn.Linear(width, SYMBOLS)

    def forward(self, tokens: Tensor, asked: Tensor) -> Tensor:
        """Tokens [batch, steps], `asked` the step of each question [batch] -> logits of the symbols [batch, SYMBOLS]"""
        states, _ = self.memory(nn.functional.one_hot(tokens, TOKENS).float())
        logits: Tensor = self.answer(states[torch.arange(len(states)), asked])
        return logits


@dataclass(frozen=True)
class Shown:
    """A sequence: `lead` distractors, the symbol, and the question `distance` steps behind it."""

    symbol: int
    distance: int
    lead: int
    seed: int  # of the distractors


def show(distance: int, count: int, seed: int) -> list[Shown]:
    """`count` sequences of one distance, with other symbols, distractors and beginnings each."""
    choice = random.Random(hash((seed, distance)))
    return [
        Shown(choice.randrange(SYMBOLS), distance, choice.randrange(LEAD), choice.getrandbits(60)) for _ in range(count)
    ]


def batch_of(shown: Sequence[Shown]) -> Batch:
    """Tokens [sequences, steps], distractors behind the shorter ones; the steps of the questions, and the answers."""
    asked = torch.tensor([one.lead + one.distance for one in shown])
    rows = []
    for one in shown:
        generator = torch.Generator().manual_seed(one.seed)
        row = torch.randint(SYMBOLS, QUESTION, (int(asked.max()) + 1,), generator=generator)
        row[one.lead], row[one.lead + one.distance] = one.symbol, QUESTION
        rows.append(row)
    return torch.stack(rows), asked, torch.tensor([one.symbol for one in shown])


@torch.inference_mode()
def accuracy(network: Recall, distance: int, count: int, seed: int) -> float:
    """Share of `count` sequences whose symbol the network knows after `distance` steps."""
    tokens, asked, symbols = batch_of(show(distance, count, seed))
    return float((network.eval()(tokens, asked).argmax(-1) == symbols).float().mean())


@dataclass(frozen=True)
class RecallRecipe:
    """One network that learns to remember."""

    name: str
    cell: Cell = "lstm"
    initialization: Initialization = "long"
    weights: int = 6000
    distances: tuple[int, ...] = (10, 10, 20, 50, 100, 200)  # the longest in each epoch; the last stays
    batches: int = 100  # of an epoch
    batch: int = 64  # sequences
    validated: tuple[int, ...] = (1, 10, 50, 100, 150, 200)  # the mean over these chooses epoch and initialization
    validation: int = 128  # sequences of each distance
    training: Options = field(default_factory=Options)

    def task(self, data: Path, run: Path) -> RecallTask:
        return RecallTask(self)

    def afterwards(self, data: Path, run: Path) -> list[str]:
        return []


class RecallTask:
    """Batches of sequences of one distance each, and what share of them is answered wrongly."""

    loss_names = ("recall",)

    def __init__(self, recipe: RecallRecipe) -> None:
        self.recipe = recipe
        torch.manual_seed(recipe.training.seed)
        self.network = make_network(recipe.cell, recipe.weights, recipe.initialization)

    def plan(self, epoch: int) -> list[list[Shown]]:
        recipe = self.recipe
        choice = random.Random(hash((recipe.training.seed, epoch)))
        longest = recipe.distances[min(epoch, len(recipe.distances) - 1)]
        return [show(choice.randint(1, longest), recipe.batch, choice.getrandbits(60)) for _ in range(recipe.batches)]

    def cost(self, items: Sequence[Shown]) -> float:
        return len(items) * max(one.lead + one.distance for one in items)

    def load(self, items: Sequence[Shown], places: Sequence[int], epoch: int) -> Batch:
        return batch_of(items)

    def size(self, batch: Batch) -> float:
        return float(len(batch[2]))

    def loss(self, batch: Batch) -> Loss:
        tokens, asked, symbols = batch
        total = nn.functional.cross_entropy(self.network(tokens, asked), symbols, reduction="sum")
        return Loss(total, len(symbols), {"recall": (float(total.detach()), len(symbols))})

    def carried(self) -> dict[str, Tensor]:
        return {}

    def carry(self, states: dict[str, Tensor]) -> None:
        pass

    def validate(self) -> dict[str, float]:
        """Wrong answers in per cent, within the distances that are trained."""
        recipe = self.recipe
        right = [accuracy(self.network, distance, recipe.validation, VALIDATION) for distance in recipe.validated]
        return {WRONG: round(100 * (1 - sum(right) / len(right)), 3)}

    def summary(self) -> str:
        recipe = self.recipe
        return (
            f"one of {SYMBOLS} symbols to be remembered over 1 to {max(recipe.distances)} steps: "
            f"{recipe.cell}, {recipe.initialization} initialization, seed {recipe.training.seed}"
        )

    def description(self) -> dict[str, Any]:
        recipe = self.recipe
        return {
            "kind": "recall", "name": recipe.name, "cell": recipe.cell, "weights": recipe.weights,
            "initialization": recipe.initialization,
        }  # fmt: skip


def load_network(checkpoint: Path) -> Recall:
    """The network of a finished run."""
    saved = read_checkpoint(checkpoint)
    network = make_network(saved["description"]["cell"], saved["description"]["weights"], "usual")
    network.load_state_dict(saved["network"])
    return network
