"""Confidence: regression, its measures, and what the search passes on."""

from __future__ import annotations

import numpy as np
import pytest

from asr.confidence import Calibration, Evidence, calibration_error, features, fit, normalized_cross_entropy


def test_without_calibration_confidence_is_the_posterior() -> None:
    assert Calibration().confidence(Evidence(0.8, -0.3, -2.0, 4)) == pytest.approx(0.8)
    assert 0 < Calibration().confidence(Evidence(0.0, 0.0, 0.0, 1)) < 1e-3
    assert 1 - 1e-3 < Calibration().confidence(Evidence(1.0, 0.0, 0.0, 1)) < 1


def test_regression_finds_the_weights_that_made_the_data() -> None:
    random = np.random.default_rng(0)
    evidence = [
        Evidence(*row) for row in zip(random.beta(3, 1, 20_000), -random.random(20_000), -random.random(20_000) * 4,
                                      random.integers(1, 9, 20_000).tolist(), strict=True)
    ]  # fmt: skip
    inputs = np.stack([features(one) for one in evidence])
    true = Calibration(0.8, 1.5, -0.3, 0.4, -0.5, 0.2)
    probability = np.array([true.confidence(one) for one in evidence])
    right = random.random(len(evidence)) < probability
    found = fit(inputs, right)
    assert list(found.to_config().values()) == pytest.approx(list(true.to_config().values()), abs=0.25)
    confidence = np.array([found.confidence(one) for one in evidence])
    assert calibration_error(confidence, right) < 0.015
    assert Calibration.of({**found.to_config(), "later": 3.0}) == found


def test_regression_survives_words_that_are_all_right() -> None:
    inputs = np.stack([features(Evidence(0.9, -0.1, -0.5, length)) for length in range(1, 9)])
    found = fit(inputs, np.ones(8, bool))
    assert found.confidence(Evidence(0.9, -0.1, -0.5, 4)) > 0.9


def test_measures_by_hand() -> None:
    right = np.array([True, True, False, False])
    assert calibration_error(np.array([0.9, 0.9, 0.1, 0.1]), right) == pytest.approx(0.1)
    assert calibration_error(np.array([0.5, 0.5, 0.5, 0.5]), right) == pytest.approx(0.0)
    assert normalized_cross_entropy(np.full(4, 0.5), right) == pytest.approx(0.0)
    assert normalized_cross_entropy(np.array([1.0, 1.0, 0.0, 0.0]), right) == pytest.approx(1.0)
    assert normalized_cross_entropy(np.array([0.2, 0.2, 0.8, 0.8]), right) < 0
