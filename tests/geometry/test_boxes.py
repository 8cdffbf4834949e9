"""Boxes against counting pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from graspnext.geometry import boxes

CORNER = st.integers(0, 12)
BOX = st.tuples(CORNER, CORNER, CORNER, CORNER)
BOXES = st.lists(BOX, min_size=1, max_size=4)
Box = tuple[int, int, int, int]


def raster(box: Box) -> np.ndarray:
    image = np.zeros((12, 12), dtype=bool)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = True
    return image


@given(st.lists(BOX, min_size=1, max_size=4), st.lists(BOX, min_size=1, max_size=4))
def test_iou_and_area_count_pixels(
    first: list[tuple[int, int, int, int]], second: list[tuple[int, int, int, int]]
) -> None:
    a, b = np.array(first, dtype=np.float32), np.array(second, dtype=np.float32)
    matrix = boxes.iou(a, b)
    for i, box_a in enumerate(first):
        assert boxes.area(a)[i] == raster(box_a).sum()
        for j, box_b in enumerate(second):
            union = (raster(box_a) | raster(box_b)).sum()
            expected = (raster(box_a) & raster(box_b)).sum() / union if union else 0
            assert np.isclose(matrix[i, j], expected)


@given(st.integers(0, 10), st.integers(0, 10), st.integers(1, 6), st.integers(1, 6))
def test_from_mask_is_tight(x: int, y: int, width: int, height: int) -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[y : y + height, x : x + width] = True
    assert boxes.from_mask(mask).tolist() == [x, y, x + width, y + height]


def test_from_mask_of_nothing_is_zeros() -> None:
    assert boxes.from_mask(np.zeros((4, 4), dtype=bool)).tolist() == [0, 0, 0, 0]


def test_clip_and_xywh() -> None:
    box = np.array([[-3, 2, 40, 9]], dtype=np.float32)
    clipped = boxes.clip(box, height=8, width=30)
    assert clipped.tolist() == [[0, 2, 30, 8]]
    assert boxes.to_xywh(clipped).tolist() == [[0, 2, 30, 6]]
    assert boxes.from_xywh(boxes.to_xywh(clipped)).tolist() == clipped.tolist()
