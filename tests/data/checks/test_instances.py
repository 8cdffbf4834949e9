"""Layers: an order is wrong where no cover, seen or hidden, can explain it."""

from __future__ import annotations

import numpy as np

from graspnext.data.checks.instances import Masks, _perhaps_covering

SIZE = 40


def masks_of(*rectangles: tuple[slice, slice], order: list[int]) -> Masks:
    """Amodal rectangles, painted in an order that may differ from pixel to pixel's truth: the last is seen."""
    amodal = {}
    for index, (rows, columns) in enumerate(rectangles):
        amodal[index] = np.zeros((SIZE, SIZE), dtype=bool)
        amodal[index][rows, columns] = True
    owner = np.zeros((SIZE, SIZE), dtype=np.int32)
    for index in order:
        owner[amodal[index]] = index + 1
    return Masks(amodal, {index: owner == index + 1 for index in amodal}, owner)


def test_what_is_seen_in_front_may_cover_and_what_is_seen_behind_may_not() -> None:
    found = _perhaps_covering(masks_of((slice(0, 20), slice(0, 20)), (slice(10, 30), slice(0, 20)), order=[0, 1]))
    assert found == {0: {1}, 1: set()}


def test_under_a_third_part_either_may_cover_the_other() -> None:
    low, high, lid = (slice(0, 20), slice(0, 20)), (slice(15, 35), slice(0, 20)), (slice(12, 24), slice(0, 20))
    assert _perhaps_covering(masks_of(low, high, lid, order=[0, 1, 2])) == {0: {1, 2}, 1: {0, 2}, 2: set()}


def test_a_touch_is_no_cover() -> None:
    found = _perhaps_covering(masks_of((slice(0, 20), slice(0, 20)), (slice(19, 30), slice(13, 20)), order=[0, 1]))
    assert found == {0: set(), 1: set()}  # 7 px, under the 8 that count
