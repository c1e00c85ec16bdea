"""The word LSTM as `word_lstm.onnx`: table in eight bits with a scale a row, LSTM quantized, words in the metadata."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from asr.errors import AsrError
from asr.ngram.counts import END
from asr.training.export import eight_bits, export_graph, quantize
from asr.training.loop import read_checkpoint
from asr.training.word_lstm import WordLstm, WordLstmShape
from asr.word_lstm import FILE, FORMAT, OUTPUTS, STATES


class ExportedWordLstm(nn.Module):
    """One word further, for any number of texts: the same network with its table in eight bits."""

    table: Tensor
    scales: Tensor
    bias: Tensor

    def __init__(self, network: WordLstm) -> None:
        super().__init__()
        table, scales = eight_bits(network.table.weight.detach())
        self.register_buffer("table", table)
        self.register_buffer("scales", scales)
        self.register_buffer("bias", network.bias.detach())
        self.lstm, self.expect = network.lstm, network.expect

    def forward(self, words: Tensor, expected: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        """Words [texts]; what was expected [texts, embedding] and the states [1, texts, width] before them.

        Returns the words' scores, what is expected after them, those of the texts' ends, and the states.
        """
        vectors = self.table[words].float() * self.scales[words]
        scores = (expected * vectors).sum(-1) + self.bias[words]
        hidden, (h, c) = self.lstm(vectors[:, None], (h, c))
        expected = self.expect(hidden[:, 0])
        ends = expected @ (self.table[END].float() * self.scales[END]) + self.bias[END]
        return scores, ends, expected, h, c


def export_word_lstm(checkpoint: Path, directory: Path, *, int8: bool = True) -> Path:
    """Writes `word_lstm.onnx` from a checkpoint of the word LSTM's recipe; returns its path. Raises `AsrError` for
    a checkpoint of something else."""
    saved = read_checkpoint(checkpoint)
    about = saved["description"]
    if about.get("kind") != "word_lstm":
        raise AsrError(
            f"{checkpoint}: holds a {about.get('kind', 'network')}, no word LSTM: train recipes/word_lstm.py"
        )
    network = WordLstm(WordLstmShape(**about["shape"]))
    network.load_state_dict(saved["network"])
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        plain, small = Path(scratch) / "float.onnx", Path(scratch) / "small.onnx"
        shape = network.shape
        states = torch.zeros(1, 2, shape.width)
        export_graph(
            ExportedWordLstm(network).eval(),
            (torch.ones(2, dtype=torch.int64), torch.zeros(2, shape.embedding), states, states),
            plain,
            ["words", *STATES],
            list(OUTPUTS),
            {name: {0: "texts"} for name in ("words", "expected", "scores", "ends", "next_expected")}
            | {name: {1: "texts"} for name in ("h", "c", "next_h", "next_c")},
        )
        quantize(plain, small, int8)
        model = onnx.load(str(small))
    onnx.helper.set_model_props(model, {"word_lstm": FORMAT, "vocabulary": "\n".join(about["vocabulary"])})
    path = directory / FILE
    onnx.save(model, str(path))
    return path
