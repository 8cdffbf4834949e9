"""Wrapping of raw outputs, and suction peaks against a brute-force search."""

from __future__ import annotations

import numpy as np
import pytest

from graspnext.geometry.predictions import suction_peaks, wrap
from graspnext.types import Prediction


def outputs(scores: list[float], *, size: int = 8, valid: tuple[float, float] = (1.0, 1.0)) -> dict[str, np.ndarray]:
    count = len(scores)
    return {
        "scores": np.array(scores, dtype=np.float32),
        "amodal_boxes": np.arange(count)[:, None] + np.array([0, 0, 500, 5], dtype=np.float32),
        "visible_masks": np.full((count, 4, 4), 0.25, dtype=np.float32),
        "amodal_masks": np.full((count, 4, 4), 0.75, dtype=np.float32),
        "occluded_probability": np.linspace(0, 1, count, dtype=np.float32),
        "center_of_mass": np.arange(2 * count, dtype=np.float32).reshape(count, 2),
        "suction": np.arange(size * size, dtype=np.float32).reshape(size, size) / size**2,
        "valid": np.array(valid, dtype=np.float32),
        "count": np.array(count),
    }


def prediction_of(heat: np.ndarray, width: int, height: int) -> Prediction:
    raw = outputs([]) | {"suction": heat.astype(np.float32)}
    return wrap(raw, width=width, height=height, min_score=0.5)


def test_scores_fall_and_rows_stay_together() -> None:
    found = wrap(outputs([0.3, 0.9, 0.6, 0.0]), width=100, height=50, source="a", min_score=0.4)
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])
    assert found.center_of_mass.tolist() == [[2, 3], [4, 5]]
    assert found.occluded_probability.tolist() == pytest.approx([1 / 3, 2 / 3])
    assert found.amodal_boxes.tolist() == [[1, 1, 100, 6], [2, 2, 100, 7]]  # clipped to the width
    assert (found.width, found.height, found.source) == (100, 50, "a")


def test_padding_and_nan_never_come_through() -> None:
    found = wrap(outputs([float("nan"), 0.0, 0.2]), width=10, height=10, min_score=0.0)
    assert found.scores.tolist() == pytest.approx([0.2])


def test_suction_is_cropped_to_the_image() -> None:
    found = wrap(outputs([0.5], valid=(0.75, 0.5)), width=10, height=10, min_score=0.0)
    assert found.suction.shape == (6, 4)
    assert found.suction[5, 3] == pytest.approx((5 * 8 + 3) / 64)


def test_peaks_lie_at_the_cells_centres_in_image_pixels() -> None:
    heat = np.zeros((10, 20))
    heat[2, 3], heat[7, 15] = 0.6, 0.9
    peaks = suction_peaks(prediction_of(heat, 200, 50))
    assert peaks == pytest.approx(np.array([[155, 37.5, 0.9], [35, 12.5, 0.6]]))


def test_flat_and_empty_maps() -> None:
    assert len(suction_peaks(prediction_of(np.zeros((10, 10)), 40, 40))) == 0
    flat = suction_peaks(prediction_of(np.full((4, 4), 0.7), 16, 16))
    assert flat == pytest.approx(np.array([[2, 2, 0.7]]))


@pytest.mark.parametrize("seed", range(5))
def test_peaks_against_brute_force(seed: int) -> None:
    """On noise, greedy choice by looping over all cells from the best one down."""
    heat = np.random.default_rng(seed).uniform(size=(23, 31))
    expected: list[tuple[int, int]] = []
    for row, column in sorted(np.ndindex(heat.shape), key=lambda cell: -heat[cell]):
        around = heat[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        apart = all(max(abs(row - r), abs(column - c)) > 3 for r, c in expected)
        if heat[row, column] == around.max() and apart and len(expected) < 10:
            expected.append((row, column))
    peaks = suction_peaks(prediction_of(heat, 31, 23))
    assert peaks[:, :2] == pytest.approx(np.array(expected)[:, ::-1] + 0.5)
