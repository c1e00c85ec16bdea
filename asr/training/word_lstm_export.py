"""The word LSTM as `rescorer.onnx`: table in eight bits with a scale a row, LSTM quantized, words in the metadata."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from asr.training.export import export_graph, quantize
from asr.training.loop import read_checkpoint
from asr.training.word_lstm import WordLstm, WordLstmShape
from asr.word_lstm import FILE, FORMAT


class ExportedWordLstm(nn.Module):
    """The same network with its table in eight bits; scores what comes next instead of all words."""

    table: Tensor
    scales: Tensor
    bias: Tensor

    def __init__(self, network: WordLstm) -> None:
        super().__init__()
        weight = network.table.weight.detach()
        scales = (weight.abs().amax(1, keepdim=True) / 127).clamp_min(1e-8)
        self.register_buffer("table", (weight / scales).round().to(torch.int8))
        self.register_buffer("scales", scales)
        self.register_buffer("bias", network.bias.detach())
        self.lstm, self.expect = network.lstm, network.expect

    def forward(self, words: Tensor, next_words: Tensor) -> Tensor:
        """[texts, length] each -> [texts, length]"""
        expected = self.expect(self.lstm(self.table[words].float() * self.scales[words])[0])
        wanted = self.table[next_words].float() * self.scales[next_words]
        return (expected * wanted).sum(-1) + self.bias[next_words]


def export_word_lstm(checkpoint: Path, directory: Path, *, int8: bool = True) -> Path:
    """Writes `rescorer.onnx` from a checkpoint of the word LSTM's recipe; returns its path."""
    saved = read_checkpoint(checkpoint)
    about = saved["description"]
    network = WordLstm(WordLstmShape(**about["shape"]))
    network.load_state_dict(saved["network"])
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        plain, small = Path(scratch) / "float.onnx", Path(scratch) / "small.onnx"
        export_graph(
            ExportedWordLstm(network).eval(),
            (torch.ones(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.int64)),
            plain,
            ["words", "next_words"],
            ["scores"],
            {name: {0: "texts", 1: "length"} for name in ("words", "next_words", "scores")},
        )
        quantize(plain, small, int8)
        model = onnx.load(str(small))
    onnx.helper.set_model_props(model, {"word_lstm": FORMAT, "vocabulary": "\n".join(about["vocabulary"])})
    path = directory / FILE
    onnx.save(model, str(path))
    return path
