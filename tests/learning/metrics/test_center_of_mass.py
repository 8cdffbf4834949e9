"""The median distance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graspnext.learning.metrics.center_of_mass import center_distances, median_distance


def test_median_of_distances() -> None:
    true = np.array([[7, 9], [0, 0], [np.nan, np.nan], [50, 60], [1, 1]], np.float32)
    offsets = np.array([[3, 4], [0, 1], [9, 9], [-6, 8], [0, 0]], np.float32)
    distances = center_distances(np.nan_to_num(true) + offsets, true)
    np.testing.assert_allclose(distances, [5, 1, np.nan, 10, 0])
    assert median_distance(distances) == pytest.approx((1 + 5) / 2)


def test_nothing_known() -> None:
    assert math.isnan(median_distance(np.zeros(0))) and math.isnan(median_distance(np.array([np.nan])))
