"""Heatmap error and peak precision against loops over pixels; resizing against torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from graspnext.learning.metrics.suction import SuctionScore, resize
from graspnext.types import Prediction


def prediction_of(suction: np.ndarray, height: int, width: int) -> Prediction:
    none = np.zeros(0, np.float32)
    masks = np.zeros((0, 4, 4), np.float32)
    return Prediction(
        width, height, none, none.reshape(0, 4), masks, masks, none, none.reshape(0, 2), suction.astype(np.float32)
    )


@pytest.mark.parametrize("size", [(10, 8), (23, 31), (7, 5), (20, 16)])
def test_resize_equals_torch(size: tuple[int, int]) -> None:
    heatmap = np.random.default_rng(1).random((10, 8)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(heatmap)[None, None], size=size, mode="bilinear", antialias=True
    )
    np.testing.assert_allclose(resize(heatmap, *size), expected[0, 0].numpy(), atol=1e-6)


def test_mean_squared_error_is_over_all_cells_of_all_views() -> None:
    rng = np.random.default_rng(2)
    score, errors = SuctionScore(), []
    for height, width in ((16, 24), (32, 20)):
        label, heat = rng.random((height, width)).astype(np.float32), rng.random((height // 4, width // 4))
        score.add(prediction_of(heat, height, width), label)
        for row in range(height // 4):
            for column in range(width // 4):
                mean = label[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].mean()
                errors.append((heat[row, column] - mean) ** 2)
    assert score.mean_squared_error() == pytest.approx(np.mean(errors), rel=1e-5)


def test_precision_counts_good_places_under_the_peaks() -> None:
    label = np.zeros((80, 120), np.float32)
    label[40:44, 60:64] = 0.5  # cell (10, 15), just good enough
    label[8:12, 8:12] = 0.49  # cell (2, 2), not
    heat = np.zeros((20, 30), np.float32)
    heat[10, 15], heat[2, 2], heat[18, 28] = 0.6, 0.9, 0.3
    score = SuctionScore()
    score.add(prediction_of(heat, 80, 120), label)
    assert score.precision_at(1) == 0.0  # the highest peak lies on 0.49
    assert score.precision_at(5) == pytest.approx(1 / 5)  # one good among three peaks, two missing
    heat[2, 2] = 0.1
    score.add(prediction_of(heat, 80, 120), label)
    assert score.precision_at(1) == pytest.approx(0.5)


def test_a_heatmap_of_another_resolution_points_at_the_same_pixels() -> None:
    label = np.zeros((90, 60), np.float32)
    label[60:, 40:] = 1
    heat = np.zeros((9, 6), np.float32)
    heat[7, 5] = 0.8  # its centre is pixel row 75, column 55
    score = SuctionScore()
    score.add(prediction_of(heat, 90, 60), label)
    assert score.precision_at(1) == 1.0


def test_views_without_a_good_place_ask_for_none() -> None:
    score = SuctionScore()
    assert math.isnan(score.mean_squared_error()) and math.isnan(score.precision_at(1))
    score.add(prediction_of(np.full((5, 5), 0.7), 20, 20), np.full((20, 20), 0.2, np.float32))
    assert math.isnan(score.precision_at(5))
    assert score.mean_squared_error() == pytest.approx(0.25)
