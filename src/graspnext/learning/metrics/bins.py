"""The bins that a breakdown sorts instances and views into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspnext.types import BoolArray, Float64Array, Int64Array


@dataclass(frozen=True)
class Bin:
    """Values from `low` on, below `high`."""

    name: str
    low: float
    high: float = float("inf")

    def holds(self, values: Float64Array | Int64Array) -> BoolArray:
        """Which of the values (N,) lie in it; NaN lies in none."""
        return np.asarray((values >= self.low) & (values < self.high))


SIZE_BINS = (Bin("under 5%", 0, 0.05), Bin("5-10%", 0.05, 0.10), Bin("10-20%", 0.10, 0.20), Bin("from 20%", 0.20))
"""By size: square root of the amodal area over that of the image. At 640 x 480 px COCO's borders are 5.8 % and 17.3 %.

A share, not pixels: the network sees every picture at its own input size, and a part is as hard at 1200 px as at 512.
"""

OCCLUSION_BINS = (
    Bin("0-5%", 0, 0.05),
    Bin("5-25%", 0.05, 0.25),
    Bin("25-50%", 0.25, 0.50),
    Bin("50-75%", 0.50, 0.75),
    Bin("75-95%", 0.75, 0.95),
    Bin("95-100%", 0.95),
)
"""By occluded rate; the first is what counts as not occluded."""

LAYER_BINS = (Bin("0", 0, 1), Bin("1", 1, 2), Bin("2+", 2))
"""By layer: 0 nothing lies on it, 1 only such parts do, ... A negative layer is unknown and lies in no bin."""

DIFFICULTY_BINS = tuple(Bin(str(level), level, level + 1) for level in range(1, 6))
"""By the difficulty of the view (data/difficulty.py)."""
