"""Which part lies over which, and in which layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graspnext.types import BoolArray, Float64Array
from graspnext.world.labels.silhouettes import Silhouette

MIN_COVERED_PX = 8
MIN_COVERED_SHARE = 0.005
"""A part covers another from this many pixels and this share of its amodal mask on: less is a touching edge."""


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


def layers(shares: Float64Array) -> list[int]:
    """Layer of each part: 0 where nothing covers it, otherwise 1 + the highest layer among what covers it.

    Interlocked parts cover one another in a ring, which has no top. There the part with the smallest covered share
    within its ring is taken as uncovered by the ring (by lower index at equal shares), and the others follow.

    Args:
        shares: (N, N) `coverage`: row = under, column = over.
    """
    result = np.zeros(len(shares), dtype=np.int64)
    waiting = shares.copy()  # what still covers each open part
    open_parts = np.ones(len(shares), dtype=np.bool_)
    while open_parts.any():
        ready = np.flatnonzero(open_parts & ~(waiting > 0).any(axis=1))
        if ready.size == 0:
            ready = np.array([_top_of_a_ring(waiting, open_parts)])
        for part in ready:
            under = np.flatnonzero(waiting[:, part] > 0)
            result[under] = np.maximum(result[under], result[part] + 1)
        open_parts[ready] = False
        waiting[:, ready] = 0
        waiting[ready] = 0
    return [int(layer) for layer in result]


def _top_of_a_ring(waiting: Float64Array, open_parts: BoolArray) -> int:
    """Among parts that only members of their own ring cover, the one with the smallest covered share."""
    reach = waiting > 0  # reach[i, j]: j lies over i, directly or through others
    for _ in range(int(np.ceil(np.log2(max(2, len(waiting)))))):
        reach = reach | ((reach.astype(np.int64) @ reach.astype(np.int64)) > 0)
    source = open_parts & (~reach | reach.T).all(axis=1)
    share = np.where(source, waiting.sum(axis=1), np.inf)
    return int(np.argmin(share))


def _overlap(a: slice, b: slice) -> slice:
    return slice(max(a.start, b.start), min(a.stop, b.stop))


def _crop(item: Silhouette, rows: slice, columns: slice) -> Float64Array:
    top, left = item.rows.start, item.columns.start
    return np.asarray(item.depth_m[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left])
