"""The acoustic model: a streaming LSTM that listens, and a bidirectional one that reads its hidden states again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Cell = Literal["lstm", "rnn", "none"]
State = tuple[Tensor, ...]  # each [layers, batch, width]: (h, c) for "lstm", (h,) for "rnn", () for "none"


@dataclass(frozen=True)
class Shape:
    """Size and kind of the network."""

    bands: int = 80
    stack: int = 4  # 10 ms frames that make one network frame
    cell: Cell = "lstm"
    streaming_layers: int = 3
    streaming_width: int = 512
    second_layers: int = 1  # bidirectional
    second_width: int = 384  # in each direction
    dropout: float = 0.2


class FeedForward(nn.Module):
    """A layer without memory, of the same interface as a recurrent one: what is left when recurrence is taken away."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width)

    def forward(self, x: Tensor, state: State = ()) -> tuple[Tensor, State]:
        return torch.tanh(self.linear(x)), ()


def make_cell(cell: Cell, inputs: int, width: int) -> nn.Module:
    """One recurrent layer; an LSTM's forget gates start open (bias 1: Jozefowicz et al., 2015)."""
    if cell == "none":
        return FeedForward(inputs, width)
    if cell == "rnn":
        return nn.RNN(inputs, width, batch_first=True)
    lstm = nn.LSTM(inputs, width, batch_first=True)
    with torch.no_grad():
        lstm.get_parameter("bias_ih_l0")[width : 2 * width] = 1.0  # the gates' order: input, forget, cell, output
        lstm.get_parameter("bias_hh_l0").zero_()
    return lstm


class SteadyDropout(nn.Module):
    """Dropout whose mask is the same in every frame of an utterance, so that memory cells drop whole (Gal, 2016)."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:  # [batch, frames, width]
        if not self.training or self.probability == 0.0:
            return x
        keep = 1.0 - self.probability
        mask = torch.empty(x.shape[0], 1, x.shape[2], device=x.device, dtype=x.dtype).bernoulli_(keep)
        return x * (mask / keep)


def reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Each row's first `lengths` frames back to front, the padding left in place. [batch, frames, width]"""
    if lengths is None:
        return x.flip(1)
    frames = torch.arange(x.shape[1], device=x.device).expand(x.shape[0], -1)  # [batch, frames]
    source = torch.where(frames < lengths[:, None], lengths[:, None] - 1 - frames, frames)
    return x.gather(1, source[:, :, None].expand_as(x))


class Streaming(nn.Module):
    """The first reading's layers: log-mel frames and a state in, hidden states and the next state out."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.streaming_width
        inputs = [shape.bands * shape.stack] + [width] * (shape.streaming_layers - 1)
        self.register_buffer("mean", torch.zeros(shape.bands))
        self.register_buffer("deviation", torch.ones(shape.bands))
        self.cells = nn.ModuleList(make_cell(shape.cell, size, width) for size in inputs)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in inputs)
        self.dropout = SteadyDropout(shape.dropout)

    def initial_state(self, batch: int, device: torch.device | None = None) -> State:
        parts = {"lstm": 2, "rnn": 1, "none": 0}[self.shape.cell]
        size = (self.shape.streaming_layers, batch, self.shape.streaming_width)
        return tuple(torch.zeros(size, device=device) for _ in range(parts))

    def normalize(self, features: Tensor) -> Tensor:
        # Batches are prepared on the processor, wherever the network is.
        return (features - self.mean.to(features.device)) / self.deviation.to(features.device)

    def forward(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """Normalized features [batch, frames, bands], frames a multiple of `stack`; state as `initial_state` gives.

        Returns hidden states [batch, frames / stack, width] and the state after the last frame.
        """
        x = features.reshape(features.shape[0], -1, self.shape.stack * self.shape.bands)
        ends: list[State] = []
        hidden: Tensor | None = None
        for layer, (cell, norm) in enumerate(zip(self.cells, self.norms, strict=True)):
            # A layer adds to what the layers below found (residual connection), and reads it normalized.
            start = tuple(part[layer : layer + 1].contiguous() for part in state)
            if self.shape.cell == "lstm":
                y, end = cell(x, start)
            elif self.shape.cell == "rnn":
                y, end = cell(x, start[0])
                end = (end,)
            else:
                y, end = cell(x)
            ends.append(end)
            hidden = self.dropout(y) if hidden is None else hidden + self.dropout(y)
            x = norm(hidden)
        return x, tuple(torch.cat(parts) for parts in zip(*ends, strict=True))


class Second(nn.Module):
    """The second reading's layers: hidden states of a whole segment, read forwards and backwards."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.second_width
        inputs = [shape.streaming_width] + [2 * width] * (shape.second_layers - 1)
        self.forwards = nn.ModuleList(make_cell(shape.cell, size, width) for size in inputs)
        self.backwards = nn.ModuleList(make_cell(shape.cell, size, width) for size in inputs)
        self.norms = nn.ModuleList(nn.LayerNorm(2 * width) for _ in inputs)
        self.dropout = SteadyDropout(shape.dropout)

    def forward(self, hidden: Tensor, lengths: Tensor | None = None) -> Tensor:
        """[batch, frames, streaming width] -> [batch, frames, 2 * second width]; `lengths` in frames, if padded."""
        x = hidden
        total: Tensor | None = None
        for layer, norm in enumerate(self.norms):
            ahead, _ = self.forwards[layer](x)
            back, _ = self.backwards[layer](reverse(x, lengths))
            y = self.dropout(torch.cat([ahead, reverse(back, lengths)], dim=-1))
            total = y if total is None else total + y
            x = norm(total)
        return x


class AcousticModel(nn.Module):
    """Both readings, each with a CTC head for every alphabet ("phones", "spelling")."""

    def __init__(self, shape: Shape, heads: dict[str, int]) -> None:
        super().__init__()
        self.shape = shape
        self.streaming = Streaming(shape)
        self.second = Second(shape)
        self.first_heads = nn.ModuleDict({name: nn.Linear(shape.streaming_width, size) for name, size in heads.items()})
        self.second_heads = nn.ModuleDict(
            {name: nn.Linear(2 * shape.second_width, size) for name, size in heads.items()}
        )

    def forward(
        self, features: Tensor, lengths: Tensor, state: State
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], State]:
        """Normalized features [batch, frames, bands], `lengths` in network frames.

        Returns log-probs [batch, network frames, tokens] by head of the first and of the second reading, and the
        state after the last (padded) frame.
        """
        hidden, state = self.streaming(features, state)
        again = self.second(hidden, lengths)
        first = {name: head(hidden).float().log_softmax(-1) for name, head in self.first_heads.items()}
        second = {name: head(again).float().log_softmax(-1) for name, head in self.second_heads.items()}
        return first, second, state

    def parameters_in_all(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())
