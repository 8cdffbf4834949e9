"""The median distance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graspnext.learning.metrics.center_of_mass import CenterError


def test_median_of_distances() -> None:
    error = CenterError()
    assert math.isnan(error.result())
    for offset in ([3, 4], [0, 1], [-6, 8], [0, 0]):
        error.add(np.array([7, 9], np.float32) + np.array(offset, np.float32), np.array([7, 9], np.float32))
    assert error.result() == pytest.approx((1 + 5) / 2)
