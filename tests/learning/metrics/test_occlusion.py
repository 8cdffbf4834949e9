"""Accuracy and F1 against their definitions over plain lists."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graspnext.learning.metrics.occlusion import OcclusionScore


def test_equals_the_definition() -> None:
    rng = np.random.default_rng(0)
    probability, truth = rng.random(200), rng.random(200) < 0.4
    score = OcclusionScore()
    for p, t in zip(probability, truth, strict=True):
        score.add(float(p), bool(t))
    said = probability >= 0.5
    precision, recall = truth[said].mean(), said[truth].mean()
    expected = (said == truth).mean(), 2 * precision * recall / (precision + recall)
    assert score.result() == pytest.approx(expected)


def test_half_says_occluded_and_nothing_says_nothing() -> None:
    score = OcclusionScore()
    assert all(math.isnan(value) for value in score.result())
    score.add(0.1, False)
    accuracy, f1 = score.result()
    assert accuracy == 1 and math.isnan(f1)
    score.add(0.5, True)
    assert score.result() == (1.0, 1.0)
