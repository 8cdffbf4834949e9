"""Where does a suction cup hold? Error of the heatmap, and whether its peaks lie on good places."""

from __future__ import annotations

import numpy as np
from PIL import Image

from graspnext.data.sample import SUCTION_STRIDE, mean_pool
from graspnext.geometry.predictions import suction_peaks
from graspnext.types import BoolArray, Float32Array, Float64Array, Prediction

GOOD_LABEL = 0.5
"""From this label on, a pixel is a good place."""


class SuctionScore:
    """Mean squared error over all cells of the views, and precision at k over the views with a good place.

    It keeps a few numbers of each view, so that it can be asked about some of the views alone.
    """

    def __init__(self, ranks: tuple[int, ...] = (1, 5)) -> None:
        self.ranks = ranks
        self._squared_error: list[float] = []
        self._num_cells: list[int] = []
        self._precisions: dict[int, list[float]] = {k: [] for k in ranks}

    def add(self, prediction: Prediction, label: Float32Array | None) -> None:
        """Add one view.

        Args:
            prediction: Its heatmap may have any resolution.
            label: (H, W) in [0, 1], at the view's own resolution; None = the view has none and is not measured.
        """
        grid = mean_pool(label, SUCTION_STRIDE) if label is not None else np.zeros((0, 0), dtype=np.float32)
        error = resize(prediction.suction, *grid.shape).astype(np.float64) - grid if grid.size else grid
        self._squared_error.append(float(np.square(error).sum()))
        self._num_cells.append(error.size)
        for k, value in zip(self.ranks, self._hits(prediction, label), strict=True):
            self._precisions[k].append(value)

    def _hits(self, prediction: Prediction, label: Float32Array | None) -> list[float]:
        """Precision at each rank; NaN where there is nowhere to be right."""
        if label is None or label.max() < GOOD_LABEL:
            return [float("nan")] * len(self.ranks)
        peaks = suction_peaks(prediction, count=max(self.ranks), min_score=0.0)  # (P, 3) u, v, score
        columns, rows = peaks[:, :2].astype(np.int64).T  # the pixel that holds the point
        good = label[rows, columns] >= GOOD_LABEL
        return [float(good[:k].sum()) / k for k in self.ranks]

    def result(self, views: BoolArray | None = None) -> dict[str, float]:
        """`heatmap_mse` and `suction_precision_at_k`, over the chosen views (V,) or all."""
        ranks = {f"suction_precision_at_{k}": self.precision_at(k, views) for k in self.ranks}
        return {"heatmap_mse": self.mean_squared_error(views), **ranks}

    def of_each_view(self) -> dict[str, Float64Array]:
        """As `result`, (V,) over each view alone; NaN where nothing was measured."""
        squared, cells = np.array(self._squared_error), np.array(self._num_cells, dtype=np.int64)
        errors = np.divide(squared, cells, out=np.full(len(cells), np.nan), where=cells > 0)
        ranks = {f"suction_precision_at_{k}": np.array(values) for k, values in self._precisions.items()}
        return {"heatmap_mse": errors, **ranks}

    def mean_squared_error(self, views: BoolArray | None = None) -> float:
        """Over all cells of the chosen views (V,), or of all; NaN without any."""
        squared, cells = np.array(self._squared_error), np.array(self._num_cells, dtype=np.int64)
        if views is not None:
            squared, cells = squared[views], cells[views]
        return float(squared.sum()) / int(cells.sum()) if cells.sum() else float("nan")

    def precision_at(self, k: int, views: BoolArray | None = None) -> float:
        """Share of good places among the k highest peaks, mean over views; a missing peak counts as a bad one.

        NaN where no chosen view (V,) has a good place.
        """
        values = np.array(self._precisions[k])
        values = values if views is None else values[views]
        values = values[np.isfinite(values)]
        return float(values.mean()) if values.size else float("nan")


def resize(heatmap: Float32Array, height: int, width: int) -> Float32Array:
    """A heatmap (h, w) at another resolution: bilinear between cell centres, with a wider triangle when shrinking."""
    picture = Image.fromarray(np.ascontiguousarray(heatmap, dtype=np.float32))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)
