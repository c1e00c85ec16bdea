"""A checkpoint as a model directory: int8 ONNX networks that take raw samples, and what belongs to them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asr.audio import Recording, read_audio
from asr.decoders import G2P, LANGUAGE_MODEL, LEXICON
from asr.errors import AsrError
from asr.g2p import ALPHABET as LETTERS
from asr.network import FORMAT
from asr.punctuation import FILE as TAGGER
from asr.recognizer import find_model
from asr.training.features import FrontEnd, hann_window, mel_matrix
from asr.training.fixed_scale import fix_scale
from asr.training.g2p import G2p, G2pShape
from asr.training.loop import read_checkpoint
from asr.training.model import AcousticModel, Shape, State
from asr.word_lstm import FILE as WORD_LSTM

OPSET = 17
PARTS = (LEXICON, LANGUAGE_MODEL, G2P, TAGGER, WORD_LSTM)
STATE_NAMES = {"lstm": ("h", "c"), "rnn": ("h",), "none": ()}


class WaveFrontEnd(nn.Module):
    """The training front-end as a convolution with the windowed Fourier basis, so that the graph takes samples."""

    basis: Tensor
    mel: Tensor
    offsets: Tensor

    def __init__(self, front_end: FrontEnd) -> None:
        super().__init__()
        self.window, self.floor = front_end.window, front_end.floor
        bins = front_end.fft // 2 + 1
        turns = torch.outer(torch.arange(bins), torch.arange(front_end.window)).double() / front_end.fft
        window = hann_window(front_end.window).double()
        basis = torch.cat([torch.cos(2 * torch.pi * turns), torch.sin(2 * torch.pi * turns)]) * window
        self.register_buffer("basis", basis.float()[:, None, :])  # [2 * bins, 1, window]
        self.register_buffer("mel", mel_matrix(front_end, front_end.sample_rate))  # [bins, bands]
        self.register_buffer("offsets", torch.arange(front_end.window))

    def forward(self, samples: Tensor, hop: Tensor) -> Tensor:
        """[1, window - hop + hop * frames] -> [1, frames, bands]; `hop` in samples is a number to be computed with, so
        that one graph can read at any pace."""
        starts = torch.arange(0, samples.shape[1] - self.window + 1, hop)  # type: ignore[call-overload]
        windows = samples[0][starts[:, None] + self.offsets].reshape(1, 1, -1)  # one behind the other
        spectrum = nn.functional.conv1d(windows, self.basis, stride=self.window)  # [1, 2 * bins, frames]
        real, imaginary = spectrum.square().chunk(2, dim=1)
        return ((real + imaginary).transpose(1, 2) @ self.mel + self.floor).log()


class First(nn.Module):
    """The first reading from samples: what `first.onnx` holds."""

    def __init__(self, model: AcousticModel, front_end: FrontEnd) -> None:
        super().__init__()
        self.front_end, self.window = WaveFrontEnd(front_end), front_end.window
        self.streaming, self.heads = model.streaming, model.first_heads

    def forward(self, audio: Tensor, hop: Tensor, samples: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        heard = torch.cat([samples, audio], dim=1)
        hidden, after = self.streaming(self.streaming.normalize(self.front_end(heard, hop)), state)
        log_probs = [head(hidden).log_softmax(-1) for head in self.heads.values()]
        ends = torch.arange(heard.shape[1] - (self.window - hop), heard.shape[1])  # type: ignore[call-overload]
        return (hidden, *log_probs, heard[:, ends], *after)


class Again(nn.Module):
    """The second reading of a segment's hidden states: what `second.onnx` holds."""

    def __init__(self, model: AcousticModel) -> None:
        super().__init__()
        self.second, self.heads = model.second, model.second_heads

    def forward(self, hidden: Tensor) -> tuple[Tensor, ...]:
        x = self.second(hidden)
        return tuple(head(x).log_softmax(-1) for head in self.heads.values())


def load_acoustic_model(checkpoint: Path) -> tuple[AcousticModel, dict[str, Any]]:
    """The network of a recognizer's checkpoint (its averaged weights), and its description."""
    saved = read_checkpoint(checkpoint)
    description = saved.get("description", {})
    if description.get("kind") != "recognizer":
        raise AsrError(f"{checkpoint}: not the checkpoint of a recognizer")
    sizes = {name: len(tokens) for name, tokens in description["heads"].items()}
    model = AcousticModel(Shape(**description["shape"]), sizes)
    model.load_state_dict(saved.get("averaged", saved["network"]))
    return model.eval(), description


def export_model(
    checkpoint: Path,
    directory: Path,
    *,
    version: str = "0.1.0",
    g2p: Path | None = None,
    selftest: Path | None = None,
    parts: Sequence[Path] = (),
    like: Path | None = None,
    int8: bool = True,
) -> None:
    """Writes a model directory.

    `like` is a model directory (or the name of a shipped one) whose lexicon, language models, tagger, g2p network,
    decoding weights and calibration are taken over. `g2p` is the checkpoint of a grapheme-to-phone network, `selftest`
    a short recording, `parts` are further files to copy (words.lm, words.lexicon, word_lstm.onnx, tagger.onnx,
    card.md); a words.lm among them is not joined by the word LSTM of `like`, which knows other texts. What a directory
    already holds of these is kept, and so are decoding weights and calibration in its model.json. The
    self-test's text and the checksums are written by tools/release, when everything is in place. Raises `AsrError` for
    a checkpoint that cannot be read.
    """
    model, description = load_acoustic_model(checkpoint)
    directory.mkdir(parents=True, exist_ok=True)
    if like:
        words_change = any(part.name == LANGUAGE_MODEL for part in parts)
        _take_over(find_model(like), directory, {WORD_LSTM} if words_change else set())
    with tempfile.TemporaryDirectory() as scratch:
        write_networks(model, FrontEnd(**description["front_end"]), Path(scratch), directory, int8)
        if g2p:
            _write_g2p(g2p, Path(scratch), directory, int8)
    if selftest:
        clip = Recording(directory / "selftest.flac", description["front_end"]["sample_rate"])
        clip.write((np.clip(read_audio(selftest), -1, 1) * 32767).round().astype(np.int16))
        clip.close()
    for part in parts:
        shutil.copyfile(part, directory / part.name)
    write_config(directory, model, description, version)


def _take_over(source: Path, directory: Path, without: Collection[str]) -> None:
    """All that does not belong to a model's networks alone; write_config keeps what model.json says of decoding."""
    if source.samefile(directory):
        return
    for name in (*PARTS, "model.json"):
        if (source / name).is_file() and name not in without:
            shutil.copyfile(source / name, directory / name)


def write_networks(model: AcousticModel, front_end: FrontEnd, scratch: Path, directory: Path, int8: bool) -> None:
    """`first.onnx` and `second.onnx`."""
    frames = 8 * model.shape.stack
    state = model.streaming.initial_state(1)
    names = STATE_NAMES[model.shape.cell]
    audio = torch.randn(1, frames * front_end.hop) * 0.01
    heads = list(model.first_heads)
    export_graph(
        First(model, front_end),
        (audio, torch.tensor(front_end.hop), torch.zeros(1, front_end.history), *state),
        scratch / "first.onnx",
        ["audio", "hop", "samples", *names],
        ["hidden", *heads, "next_samples", *(f"next_{name}" for name in names)],
        {"audio": {1: "samples_in"}, "samples": {1: "before"}, "next_samples": {1: "behind"}, "hidden": {1: "frames"}}
        | {head: {1: "frames"} for head in heads},
    )
    export_graph(
        Again(model),
        (torch.randn(1, 9, model.shape.streaming_width),),
        scratch / "second.onnx",
        ["hidden"],
        heads,
        {"hidden": {1: "frames"}} | {head: {1: "frames"} for head in heads},
    )
    for name in ("first.onnx", "second.onnx"):
        quantize(scratch / name, directory / name, int8 and model.shape.cell == "lstm")
    if int8 and model.shape.cell == "lstm":
        fix_scale(directory / "first.onnx")


def export_graph(
    module: nn.Module, inputs: tuple[Tensor, ...], path: Path, names: list[str], outputs: list[str], axes: Any
) -> None:
    """Writes a module as ONNX, float."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own successor and of batch size 1, which is meant
        torch.onnx.export(
            module.eval(), inputs, str(path), dynamo=False, opset_version=OPSET, input_names=names,
            output_names=outputs, dynamic_axes=axes, do_constant_folding=True,
        )  # fmt: skip


def quantize(source: Path, target: Path, int8: bool) -> None:
    """Quantizes the LSTMs' weights to int8, and nothing else.

    The front-end's convolution and matrix must stay exact: their rounding would depend on the loudest sample of a
    call. Unsigned weights of 7 bits do not saturate on processors without VNNI (onnxruntime issue 14642).
    """
    if not int8:
        shutil.copyfile(source, target)
        return
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source, target, op_types_to_quantize=["LSTM"], weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
    )


def eight_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A table of vectors [rows, width] as int8, and the scale of each row [rows, 1]."""
    scales = (weight.abs().amax(1, keepdim=True) / 127).clamp_min(1e-8)
    return (weight / scales).round().to(torch.int8), scales


def _write_g2p(checkpoint: Path, scratch: Path, directory: Path, int8: bool) -> None:
    saved = read_checkpoint(checkpoint)
    network = G2p(G2pShape(**saved["description"]["shape"]))
    network.load_state_dict(saved.get("averaged", saved["network"]))
    letters = torch.tensor([[LETTERS.index(letter) + 1 for letter in "hochreiter"]])
    export_graph(
        network,
        (letters,),
        scratch / "g2p.onnx",
        ["letters"],
        ["phones"],
        {"letters": {1: "n"}, "phones": {1: "frames"}},
    )
    quantize(scratch / "g2p.onnx", directory / "g2p.onnx", int8)


def write_config(directory: Path, model: AcousticModel, description: dict[str, Any], version: str) -> None:
    """`model.json`: everything about the networks, and what was there of decoding weights and calibration."""
    path = directory / "model.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    front_end, shape = description["front_end"], description["shape"]
    state: State = model.streaming.initial_state(1)
    networks = b"".join((directory / name).read_bytes() for name in ("first.onnx", "second.onnx"))
    config = {
        "format": FORMAT,
        "name": description["name"],
        "version": version,
        "sample_rate": front_end["sample_rate"],
        "frame_samples": front_end["hop"] * shape["stack"],
        "look_ahead_frames": 0,
        "heads": description["heads"],
        "state": [
            {"name": "samples", "shape": [1, front_end["window"] - front_end["hop"]]},
            *(
                {"name": name, "shape": list(part.shape)}
                for name, part in zip(STATE_NAMES[shape["cell"]], state, strict=True)
            ),
        ],
        "hidden": shape["streaming_width"],
        "front_end": front_end,
        "shape": shape,
        "decoding": kept.get("decoding", {}),
        "calibration": kept.get("calibration", {}),
        "licences": kept.get("licences", []),
        "training": {"parameters": model.parameters_in_all(), **description.get("training", {})},
        "fingerprint": hashlib.sha256(networks).hexdigest(),
    }
    path.write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def log_prob_difference(checkpoint: Path, directory: Path, audio: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    """The largest difference of any log-prob between a checkpoint and the exported networks, over some sound."""
    from asr.network import Network
    from asr.training.features import log_mel

    model, description = load_acoustic_model(checkpoint)
    network = Network.load(directory)
    audio = audio[: len(audio) // network.frame_samples * network.frame_samples]
    features = model.streaming.normalize(log_mel(torch.from_numpy(audio), FrontEnd(**description["front_end"])))[None]
    with torch.inference_mode():
        lengths = torch.tensor([features.shape[1] // model.shape.stack])
        first, second, _ = model(features, lengths, model.streaming.initial_state(1))
    reading = network.first(audio, network.initial_state())
    again = network.second(reading.hidden)
    return max(
        float(np.abs(expected[head][0].numpy() - found[head]).max())
        for expected, found in ((first, reading.log_probs), (second, again))
        for head in network.heads
    )
