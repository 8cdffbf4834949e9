"""Where is the centre of mass? The median error over the instances that were found (its AP: average_precision)."""

from __future__ import annotations

import numpy as np

from graspnext.types import Float32Array, Float64Array


def center_distances(predicted: Float32Array, true: Float32Array) -> Float64Array:
    """Distances (N,) px between centres (N, 2) u, v px; NaN where the true one is unknown."""
    apart = predicted.astype(np.float64) - true.astype(np.float64)
    return np.asarray(np.hypot(apart[:, 0], apart[:, 1]))


def median_distance(distances: Float64Array) -> float:
    """The median of the distances (N,) that are known, px; NaN where none is."""
    known = distances[np.isfinite(distances)]
    return float(np.median(known)) if known.size else float("nan")
