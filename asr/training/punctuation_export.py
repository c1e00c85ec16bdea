"""The tagger as `tagger.onnx`: table in eight bits with a scale a row, LSTM quantized, settings in the metadata."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from asr.errors import AsrError
from asr.punctuation import CONTEXT_WORDS, FEATURES, FILE, FORMAT
from asr.training.export import eight_bits, export_graph, quantize
from asr.training.loop import read_checkpoint
from asr.training.punctuation import TaggerNetwork, TaggerShape


class ExportedTagger(nn.Module):
    """The same network with its table in eight bits; `Gather` and a sum in place of `EmbeddingBag`."""

    table: Tensor
    scales: Tensor

    def __init__(self, network: TaggerNetwork) -> None:
        super().__init__()
        table, scales = eight_bits(network.table.weight.detach())
        self.register_buffer("table", table)
        self.register_buffer("scales", scales)
        self.lstm, self.marks, self.cases = network.lstm, network.marks, network.cases

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        x = (self.table[words].float() * self.scales[words]).sum(2)
        x = self.lstm(x)[0]
        return self.marks(x).log_softmax(-1), self.cases(x).log_softmax(-1)


def export_tagger(checkpoint: Path, directory: Path, *, int8: bool = True) -> Path:
    """Writes `tagger.onnx` from a checkpoint of the tagger recipe; returns its path. Raises `AsrError`."""
    saved = read_checkpoint(checkpoint)
    about: dict[str, Any] = saved["description"]
    if about.get("kind") != "tagger":
        raise AsrError(f"{checkpoint}: holds a {about.get('kind', 'network')}, no tagger; train recipes/punctuation.py")
    network = TaggerNetwork(TaggerShape(**about["shape"]))
    network.load_state_dict(saved["network"])
    exported = ExportedTagger(network).eval()
    settings = {
        "format": FORMAT, "buckets": about["shape"]["buckets"], "bias": about["bias"], "spellings": about["spellings"],
    }  # fmt: skip
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        plain, small = Path(scratch) / "float.onnx", Path(scratch) / "small.onnx"
        export_graph(
            exported,
            (torch.zeros(1, CONTEXT_WORDS + 5, FEATURES, dtype=torch.int64),),
            plain,
            ["words"],
            ["marks", "cases"],
            {name: {1: "words_in_all"} for name in ("words", "marks", "cases")},
        )
        quantize(plain, small, int8)
        model = onnx.load(str(small))
    onnx.helper.set_model_props(model, {"tagger": json.dumps(settings)})
    path = directory / FILE
    onnx.save(model, str(path))
    return path
