"""Where is the centre of mass? The median error over the instances that were found (its AP: average_precision)."""

from __future__ import annotations

import numpy as np

from graspnext.types import Float32Array


class CenterError:
    """Collects distances between predicted and true centres of matched instances."""

    def __init__(self) -> None:
        self._distances_px: list[float] = []

    def add(self, predicted: Float32Array, true: Float32Array) -> None:
        """Add one matched instance: centres (2,) u, v px."""
        self._distances_px.append(float(np.hypot(predicted[0] - true[0], predicted[1] - true[1])))

    def result(self) -> float:
        """The median distance, px; NaN where nothing was matched."""
        return float(np.median(self._distances_px)) if self._distances_px else float("nan")
