"""What many tests use: clips of speech, a small network with random weights, the shipped model where there is one."""

from __future__ import annotations

import os
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
def tiny_model() -> Path:
    return Path("/tmp/tiny")


@pytest.fixture(scope="session")
def tiny(tiny_model: Path) -> Recognizer:
    return Recognizer(tiny_model)


@pytest.fixture(scope="session")
def shipped() -> Recognizer:
    """The model that is shipped."""
    if not (SHIPPED_MODELS / DEFAULT_MODEL / "model.json").exists():
        pytest.skip(f"no model in asr/models/{DEFAULT_MODEL}")
    return Recognizer()
