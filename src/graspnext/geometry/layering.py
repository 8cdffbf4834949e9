"""Layers of a pile, from who covers whom."""

from __future__ import annotations

import numpy as np

from graspnext.types import BoolArray, Float64Array

MIN_COVERED_PX = 8
MIN_COVERED_SHARE = 0.005
"""A part covers another from this many pixels and this share of its amodal mask on: less is a touching edge."""


def layers(shares: Float64Array) -> list[int]:
    """Layer of each part: 0 where nothing covers it, otherwise 1 + the highest layer among what covers it.

    Interlocked parts cover one another in a ring, which has no top. There the part with the smallest covered share
    within its ring is taken as uncovered by the ring (by lower index at equal shares), and the others follow.

    Args:
        shares: (N, N) share of part i (row, under) that part j (column, over) covers; 0 = not at all.
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


def interlocked(over: BoolArray) -> BoolArray:
    """Which parts (N,) lie, directly or through others, over themselves: members of a ring.

    Args:
        over: (N, N) whether part j (column) covers part i (row).
    """
    return np.asarray(np.diagonal(_reach(over)))


def _reach(over: BoolArray) -> BoolArray:
    """(N, N) whether j lies over i, directly or through others."""
    reach = over
    for _ in range(int(np.ceil(np.log2(max(2, len(over)))))):
        reach = reach | ((reach.astype(np.int64) @ reach.astype(np.int64)) > 0)
    return reach


def _top_of_a_ring(waiting: Float64Array, open_parts: BoolArray) -> int:
    """Among parts that only members of their own ring cover, the one with the smallest covered share."""
    reach = _reach(waiting > 0)
    source = open_parts & (~reach | reach.T).all(axis=1)
    share = np.where(source, waiting.sum(axis=1), np.inf)
    return int(np.argmin(share))
