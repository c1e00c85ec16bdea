"""What many tests use: clips of speech, a small network with random weights, the shipped model where there is one."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from asr.audio import read_audio
from asr.recognizer import DEFAULT_MODEL, SHIPPED_MODELS, Recognizer

os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("house", deadline=None, print_blob=True)  # no clock decides whether a test passes
settings.load_profile("house")

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def clips() -> Path:
    return DATA


@pytest.fixture(scope="session")
def speech() -> NDArray[np.float32]:
    """Some 24 s at 16 kHz: three utterances with pauses of 1 s between them."""
    pause = np.random.default_rng(0).normal(0, 1e-3, 16000).astype(np.float32)
    parts = [read_audio(DATA / f"{name}.opus") for name in ("prisoners", "ferdinand", "monday")]
    return np.concatenate([parts[0], pause, parts[1], pause, parts[2]])


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory whose small float network has random weights, large ones, so that it says a lot."""
    torch = pytest.importorskip("torch", reason="makes a network, which needs torch")
    from asr.training.export import write_config, write_networks
    from asr.training.features import FrontEnd
    from asr.training.model import AcousticModel, Shape

    directory = tmp_path_factory.mktemp("models") / "tiny"
    directory.mkdir()
    vowels, others = "aeiou", "bcdfghklmnprst"
    syllables = [consonant + vowel for consonant in others for vowel in vowels]
    heads = {
        "phones": ["<blank>", *(f"P{number}" for number in range(39))],
        "spelling": ["<blank>", *(f"▁{syllable}" for syllable in syllables[:20]), *syllables[20:60]],
    }
    shape = Shape(streaming_layers=2, streaming_width=32, second_layers=1, second_width=24)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        model = AcousticModel(shape, {name: len(tokens) for name, tokens in heads.items()}).eval()
        model.streaming.mean.fill_(-8.0)
        model.streaming.deviation.fill_(3.0)
        for cell in (*model.streaming.cells, *model.second.forwards, *model.second.backwards):
            cell.weight_ih_l0.mul_(3)
            cell.weight_hh_l0.mul_(2)
        for head in (*model.first_heads.values(), *model.second_heads.values()):
            head.weight.mul_(6)
            head.bias[0] = 10.0  # blanks, as a trained network has them
        write_networks(model, FrontEnd(), tmp_path_factory.mktemp("export"), directory, int8=False)
        description = {"name": "tiny", "heads": heads, "shape": asdict(shape), "front_end": asdict(FrontEnd())}
        write_config(directory, model, description, "0.0.1")
    return directory


@pytest.fixture(scope="session")
def tiny(tiny_model: Path) -> Recognizer:
    return Recognizer(tiny_model)


@pytest.fixture(scope="session")
def shipped() -> Recognizer:
    """The model that is shipped."""
    if not (SHIPPED_MODELS / DEFAULT_MODEL / "model.json").exists():
        pytest.skip(f"no model in asr/models/{DEFAULT_MODEL}")
    return Recognizer()
