"""Where does a suction cup hold? Error of the heatmap, and whether its peaks lie on good places."""

from __future__ import annotations

import numpy as np
from PIL import Image

from graspnext.data.sample import SUCTION_STRIDE, mean_pool
from graspnext.geometry.predictions import suction_peaks
from graspnext.types import Float32Array, Prediction

GOOD_LABEL = 0.5
"""From this label on, a pixel is a good place."""


class SuctionScore:
    """Mean squared error over all cells of all views, and precision at k over the views with a good place."""

    def __init__(self, ranks: tuple[int, ...] = (1, 5)) -> None:
        self.ranks = ranks
        self._squared_error = 0.0
        self._num_cells = 0
        self._precisions: dict[int, list[float]] = {k: [] for k in ranks}

    def add(self, prediction: Prediction, label: Float32Array) -> None:
        """Add one view.

        Args:
            prediction: Its heatmap may have any resolution.
            label: (H, W) in [0, 1], at the view's own resolution.
        """
        grid = mean_pool(label, SUCTION_STRIDE)
        error = resize(prediction.suction, *grid.shape).astype(np.float64) - grid
        self._squared_error += float(np.square(error).sum())
        self._num_cells += error.size
        if label.max() < GOOD_LABEL:
            return  # nowhere to be right
        peaks = suction_peaks(prediction, count=max(self.ranks), min_score=0.0)  # (P, 3) u, v, score
        columns, rows = peaks[:, :2].astype(np.int64).T  # the pixel that holds the point
        good = label[rows, columns] >= GOOD_LABEL
        for k in self.ranks:
            self._precisions[k].append(float(good[:k].sum()) / k)

    def mean_squared_error(self) -> float:
        """Over all cells; NaN without views."""
        return self._squared_error / self._num_cells if self._num_cells else float("nan")

    def precision_at(self, k: int) -> float:
        """Share of good places among the k highest peaks, mean over views; a missing peak counts as a bad one.

        NaN where no view has a good place.
        """
        values = self._precisions[k]
        return float(np.mean(values)) if values else float("nan")


def resize(heatmap: Float32Array, height: int, width: int) -> Float32Array:
    """A heatmap (h, w) at another resolution: bilinear between cell centres, with a wider triangle when shrinking."""
    picture = Image.fromarray(np.ascontiguousarray(heatmap, dtype=np.float32))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)
