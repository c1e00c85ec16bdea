"""How sure a decoded word is: its posterior and how clear it sounded, calibrated on speech whose text is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST = 1e-4  # posteriors are kept this far from 0 and 1
FEATURES = ("posterior", "clarity", "haze", "letters", "short", "bias")


@dataclass(frozen=True)
class Evidence:
    """What the search knows about a word that it found."""

    posterior: float  # share of the lattice's mass with this word at this time
    clarity: float  # mean log-prob of the likeliest token over the word's frames
    haze: float  # the lowest of them
    letters: int  # in the word


@dataclass(frozen=True)
class Calibration:
    """Weights of a logistic regression from `Evidence` to the probability that the word is right (Platt, 1999)."""

    posterior: float = 1.0  # of its log-odds; with the other weights at 0 the posterior itself is the confidence
    clarity: float = 0.0
    haze: float = 0.0
    letters: float = 0.0  # of the logarithm of their number
    short: float = 0.0  # of being a single letter
    bias: float = 0.0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Calibration:
        """From a model's configuration; weights of features that are not known here are left out."""
        return cls(**{name: float(config[name]) for name in FEATURES if name in config})

    def to_config(self) -> dict[str, float]:
        return asdict(self)

    def confidence(self, evidence: Evidence) -> float:
        """The probability that the word is right."""
        return float(self.confidences(features(evidence)[None])[0])

    def confidences(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for rows of `features` [words, features]."""
        weights = np.array([getattr(self, name) for name in FEATURES])
        return _probability(inputs, weights)


def features(evidence: Evidence) -> NDArray[np.float64]:
    """The regression's inputs in the order of `FEATURES`."""
    posterior = min(max(evidence.posterior, _LEAST), 1 - _LEAST)
    return np.array(
        [
            np.log(posterior / (1 - posterior)),
            evidence.clarity,
            evidence.haze,
            np.log(evidence.letters),
            float(evidence.letters == 1),
            1.0,
        ]
    )


def fit(inputs: NDArray[np.float64], right: NDArray[np.bool_], ridge: float = 1e-2, rounds: int = 50) -> Calibration:
    """Logistic regression by Newton's method; `inputs` [words, features] from `features`, `right`: [words]."""
    weights = np.zeros(inputs.shape[1])
    for _ in range(rounds):
        probability = _probability(inputs, weights)
        slope = inputs.T @ (right - probability) - ridge * weights
        curve = (inputs * (probability * (1 - probability))[:, None]).T @ inputs + ridge * np.eye(len(weights))
        change = np.linalg.solve(curve, slope)
        weights += change
        if np.abs(change).max() < 1e-9:
            break
    return Calibration(*(float(weight) for weight in weights))


def _probability(inputs: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30))))


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over equally wide bins, by their weight."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    gaps = np.abs(np.bincount(place, confidence, bins) - np.bincount(place, right, bins))
    return float(gaps.sum() / max(count.sum(), 1))


def normalized_cross_entropy(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """How much the confidences tell beyond the mean accuracy: 1 everything, 0 nothing (NIST)."""
    accuracy = float(np.clip(right.mean(), 1e-9, 1 - 1e-9))
    chosen = np.clip(np.where(right, confidence, 1 - confidence), 1e-9, 1)
    entropy = -(accuracy * np.log(accuracy) + (1 - accuracy) * np.log(1 - accuracy))
    return float(1 + np.log(chosen).mean() / entropy)
