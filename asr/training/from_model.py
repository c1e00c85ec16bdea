"""Training that starts from what another network has learnt: from a checkpoint, or from a model directory's int8."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from asr.errors import AsrError
from asr.memory.weights import GATES, Head, Lstm, Norm, read_weights
from asr.network import read_config
from asr.recognizer import find_model
from asr.subwords import Subwords
from asr.training.loop import read_checkpoint

Recipe = TypeVar("Recipe")
Weights = dict[str, Tensor]  # as in a state_dict

_TORCH_GATES = [GATES.index(gate) for gate in ("input", "forget", "candidate", "output")]
_SETTINGS = ("shape", "front_end")  # parts of a recipe that decide which weights there are and what they mean
_FREE = ("dropout",)  # but for these
_NORM = ("weight", "bias")
_CLOSED = -3.0  # bias of an output gate: lets through a twentieth


def read_start(source: Path) -> tuple[Weights, dict[str, Any]]:
    """The weights of a recognizer and its description ("shape", "front_end" and "heads").

    `source` is a checkpoint, whose averaged weights are taken, or a model directory (or the name of one that is
    shipped), whose int8 weights are multiplied out. Raises `AsrError` for what is neither.
    """
    if not source.is_file():
        directory = find_model(source)
        return weights_of_model(directory), _described(directory)
    saved = read_checkpoint(source)
    if saved.get("description", {}).get("kind") != "recognizer":
        raise AsrError(f"{source}: not the checkpoint of a recognizer")
    return saved.get("averaged", saved["network"]), saved["description"]


def _described(source: Path) -> dict[str, Any]:
    """What a model directory says about its networks, or a checkpoint about its own."""
    if source.is_file():
        return read_start(source)[1]
    directory = find_model(source)
    description = read_config(directory)
    if missing := [key for key in _SETTINGS if key not in description]:
        raise AsrError(f"{directory / 'model.json'} lacks {' and '.join(missing)}: export the model again.")
    return description


def recipe_from(recipe: Recipe, source: Path) -> Recipe:
    """The recipe with a network of the same shape and front-end as `source`, which its training then starts from.

    Raises `AsrError` for a recipe of something else than a recognizer.
    """
    assert dataclasses.is_dataclass(recipe) and not isinstance(recipe, type)
    if "start" not in {field.name for field in dataclasses.fields(recipe)}:
        raise AsrError(f"{source}: only the training of a recognizer can start from another network")
    description = _described(source)
    settings = {}
    for name in _SETTINGS:
        taken = {key: value for key, value in description[name].items() if key not in _FREE}
        try:
            settings[name] = dataclasses.replace(getattr(recipe, name), **taken)
        except TypeError as error:
            raise AsrError(f"{source}: its {name} has settings of another version of this program ({error})") from error
    if added := getattr(recipe, "added_layers", 0):
        layers = settings["shape"].streaming_layers + added
        settings["shape"] = dataclasses.replace(settings["shape"], streaming_layers=layers)
    return dataclasses.replace(recipe, start=str(source), **settings)


def start_subwords(source: str, texts: Iterable[str]) -> Subwords | None:
    """The subwords of the network that training starts from, if there is one and they can spell all the texts."""
    if not source:
        return None
    subwords = Subwords(_described(Path(source))["heads"]["spelling"][1:])  # without the blank
    try:
        for text in texts:
            subwords.encode(text)
    except AsrError:  # other letters: a new alphabet
        return None
    return subwords


def weights_of_model(directory: Path) -> Weights:
    """A model directory's weights under the names of `asr.training.model.AcousticModel`."""
    read = read_weights(directory)
    named: dict[str, np.ndarray[Any, Any]] = {
        "streaming.mean": read.sound.mean,
        "streaming.deviation": read.sound.deviation,
    }
    for number, lstm in enumerate(read.streaming):
        named |= _lstm(f"streaming.cells.{number}", lstm)
    for number, (ahead, back) in enumerate(read.second):
        named |= _lstm(f"second.forwards.{number}", ahead) | _lstm(f"second.backwards.{number}", back)
    for part, norms in (("streaming", read.streaming_norms), ("second", read.second_norms)):
        for number, norm in enumerate(norms):
            named |= _norm(f"{part}.norms.{number}", norm)
    for reading, heads in (("first", read.first_heads), ("second", read.second_heads)):
        for name, head in heads.items():
            named |= _head(f"{reading}_heads.{name}", head)
    return {name: torch.from_numpy(np.array(value, np.float32)) for name, value in named.items()}


def _lstm(name: str, lstm: Lstm) -> dict[str, np.ndarray[Any, Any]]:
    bias = lstm.bias[_TORCH_GATES].reshape(-1)
    return {
        f"{name}.weight_ih_l0": lstm.inputs[_TORCH_GATES].reshape(len(bias), -1),
        f"{name}.weight_hh_l0": lstm.recurrent[_TORCH_GATES].reshape(len(bias), -1),
        f"{name}.bias_ih_l0": bias,
        f"{name}.bias_hh_l0": np.zeros_like(bias),  # torch adds both
    }


def _norm(name: str, norm: Norm) -> dict[str, np.ndarray[Any, Any]]:
    return {f"{name}.weight": norm.scale, f"{name}.bias": norm.shift}


def _head(name: str, head: Head) -> dict[str, np.ndarray[Any, Any]]:
    return {f"{name}.weight": head.weight, f"{name}.bias": head.bias}


def _almost_silent(own: Weights, cell: str) -> Weights:
    """A fresh LSTM layer whose output gates are almost closed, so that adding it changes little of what is said."""
    bias = own[f"{cell}.bias_ih_l0"].clone()
    bias.view(len(_TORCH_GATES), -1)[-1] = _CLOSED  # torch's gates: input, forget, cell, output
    return {f"{cell}.bias_ih_l0": bias}


def start_from(network: nn.Module, description: Mapping[str, Any], source: Path, added: int = 0) -> list[str]:
    """Puts the weights of `source` into the network of a task with this description; returns what to tell the user.

    A head whose alphabet differs keeps its fresh weights; `added` streaming layers lie on top of those of `source`.
    Raises `AsrError` where network or front-end are others.
    """
    weights, origin = read_start(source)
    layers = origin["shape"]["streaming_layers"]
    expected = {"streaming_layers": layers + added}
    for part in _SETTINGS:
        for key, value in origin[part].items():
            found, wanted = expected.get(key, value), description[part].get(key)
            if found != wanted and key not in _FREE:
                raise AsrError(
                    f"{source}: has {part}.{key} {found}, the recipe {wanted}; train with --set {part}.{key}={found}"
                )
    fresh = [head for head, tokens in description["heads"].items() if list(tokens) != origin["heads"].get(head)]
    own = network.state_dict()
    heads = {f"{reading}_heads.{head}" for reading in ("first", "second") for head in fresh}
    taken = {name: value for name, value in weights.items() if name in own and name.rpartition(".")[0] not in heads}
    for layer in range(layers, layers + added):
        taken |= _almost_silent(own, f"streaming.cells.{layer}")
        taken |= {f"streaming.norms.{layer}.{name}": weights[f"streaming.norms.{layers - 1}.{name}"] for name in _NORM}
    network.load_state_dict(own | taken)
    return [
        f"starts from {source}",
        *([f"with {added} more streaming layers, {layers + added} in all"] if added else []),
        *(f"the {head} head starts anew: its alphabet is another than that of {source}" for head in fresh),
    ]
