"""Accuracy and F1 against their definitions over plain lists."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graspnext.learning.metrics.occlusion import occlusion_score


def test_equals_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        probability, truth = rng.random(30).astype(np.float32), rng.random(30) < 0.4
        said = [p >= 0.5 for p in probability]
        pairs = list(zip(said, truth, strict=True))
        precision = sum(s and t for s, t in pairs) / sum(said)
        recall = sum(s and t for s, t in pairs) / sum(truth)
        expected = sum(s == t for s, t in pairs) / 30, 2 * precision * recall / (precision + recall)
        assert occlusion_score(probability, truth) == pytest.approx(expected)


def test_half_says_occluded_and_nothing_says_nothing() -> None:
    none = np.zeros(0, np.float32), np.zeros(0, bool)
    assert all(math.isnan(value) for value in occlusion_score(*none))
    accuracy, f1 = occlusion_score(np.array([0.1], np.float32), np.array([False]))
    assert accuracy == 1 and math.isnan(f1)
    assert occlusion_score(np.array([0.1, 0.5], np.float32), np.array([False, True])) == (1.0, 1.0)
