"""Which part lies over which (in which layer, says geometry.layering)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graspnext.geometry.layering import MIN_COVERED_PX, MIN_COVERED_SHARE
from graspnext.types import Float64Array
from graspnext.world.labels.silhouettes import Silhouette


def coverage(silhouettes: Sequence[Silhouette]) -> Float64Array:
    """Share of part i's amodal pixels where part j is nearer to the camera, (N, N); 0 below the tolerance.

    Every pair counts by itself: a part under two others is covered by both, seen or not.
    """
    count = len(silhouettes)
    shares = np.zeros((count, count))
    amodal = [int((item.face >= 0).sum()) for item in silhouettes]
    for i in range(count):
        for j in range(i + 1, count):
            a, b = silhouettes[i], silhouettes[j]
            rows, columns = _overlap(a.rows, b.rows), _overlap(a.columns, b.columns)
            if rows.start >= rows.stop or columns.start >= columns.stop:
                continue
            depth_a, depth_b = _crop(a, rows, columns), _crop(b, rows, columns)
            both = np.isfinite(depth_a) & np.isfinite(depth_b)
            for under, over, (low, high) in ((i, j, (depth_a, depth_b)), (j, i, (depth_b, depth_a))):
                covered = int((both & (high < low)).sum())
                if covered >= max(MIN_COVERED_PX, MIN_COVERED_SHARE * amodal[under]):
                    shares[under, over] = covered / amodal[under]
    return shares


def _overlap(a: slice, b: slice) -> slice:
    return slice(max(a.start, b.start), min(a.stop, b.stop))


def _crop(item: Silhouette, rows: slice, columns: slice) -> Float64Array:
    top, left = item.rows.start, item.columns.start
    return np.asarray(item.depth_m[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left])
