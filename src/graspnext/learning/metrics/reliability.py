"""What is a score worth? The share of right detections by score, and how far score and share lie apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from graspnext.types import BoolArray, Float32Array

NUM_BINS = 10


class Reliability:
    """Counts detections in ten bins of their score.

    The expected calibration error (Guo et al., ICML 2017) is the mean distance between a bin's mean score and its share
    of right detections, each bin weighing as much as it holds. The networks here are trained to give the IoU of a box
    as its score, not the chance that the box is right; `mean_iou` is what the score should be by that.
    """

    def __init__(self) -> None:
        self._number = np.zeros(NUM_BINS, dtype=np.int64)
        self._right = np.zeros(NUM_BINS, dtype=np.int64)
        self._scores = np.zeros(NUM_BINS)
        self._iou = np.zeros(NUM_BINS)

    def add(self, scores: Float32Array, right: BoolArray, iou: Float32Array) -> None:
        """Count detections: scores (N,) in [0, 1], whether each is right (N,), IoU (N,) with the nearest part."""
        place = np.minimum((scores.astype(np.float64) * NUM_BINS).astype(np.int64), NUM_BINS - 1)
        self._number += np.bincount(place, minlength=NUM_BINS)
        self._right += np.bincount(place[right], minlength=NUM_BINS)
        self._scores += np.bincount(place, weights=scores, minlength=NUM_BINS)
        self._iou += np.bincount(place, weights=iou, minlength=NUM_BINS)

    def result(self) -> dict[str, Any]:
        """`bins` (each low, high, number, mean_score, right_share, mean_iou) and `expected_calibration_error`.

        Means of an empty bin are NaN, as is the error without detections.
        """
        bins = []
        total, error = int(self._number.sum()), 0.0
        for index in range(NUM_BINS):
            count = int(self._number[index])
            score, right, iou = (
                float(values[index]) / count if count else float("nan")
                for values in (self._scores, self._right, self._iou)
            )
            error += count * abs(score - right) if count else 0.0
            ends = {"low": index / NUM_BINS, "high": (index + 1) / NUM_BINS}
            bins.append({**ends, "number": count, "mean_score": score, "right_share": right, "mean_iou": iou})
        return {"bins": bins, "expected_calibration_error": error / total if total else float("nan")}
