"""Every form in which COCO files write a mask: compressed or plain run lengths, polygons."""

from __future__ import annotations

from typing import Any

import numpy as np

from graspnext.geometry import masks
from graspnext.types import BoolArray, Float64Array

MAX_POLYGON_POINTS = 1 << 20


def decode_segmentation(content: Any, size: tuple[int, int]) -> BoolArray:
    """A mask (H, W).

    Args:
        content: `{"size", "counts"}` with COCO's string or a list of run lengths, or a list of polygons
            [x1, y1, x2, y2, ...] px.
        size: (height, width) that it must have.

    Raises:
        ValueError: It is malformed or of another size.
    """
    if isinstance(content, dict):
        return _from_runs(content, size)
    if isinstance(content, list):
        inside = np.zeros(size, dtype=np.bool_)
        for polygon in content:
            inside |= _from_polygon(polygon, size)
        return inside
    raise ValueError(f"a mask is run lengths or polygons, not {type(content).__name__}")


def _from_runs(content: dict[str, Any], size: tuple[int, int]) -> BoolArray:
    found, counts = content.get("size"), content.get("counts")
    if not isinstance(found, list) or len(found) != 2 or tuple(found) != size:
        raise ValueError(f"the mask's size is {found}, the picture's {list(size)} (height, width)")
    if isinstance(counts, str):
        return masks.decode(size, counts)
    if not isinstance(counts, list) or not all(type(run) is int and 0 <= run <= size[0] * size[1] for run in counts):
        raise ValueError("counts are neither a string nor a list of run lengths")
    if sum(counts) != size[0] * size[1]:
        raise ValueError(f"runs cover {sum(counts)} pixels but the mask has {size[0] * size[1]}")
    values = np.arange(len(counts)) % 2 == 1  # zeros first
    return np.repeat(values, counts).reshape(size, order="F")


def _from_polygon(content: Any, size: tuple[int, int]) -> BoolArray:
    """The pixels (H, W) whose centres lie inside by the even-odd rule."""
    height, width = size
    if not isinstance(content, list) or len(content) < 6 or len(content) % 2 or len(content) > 2 * MAX_POLYGON_POINTS:
        raise ValueError("a polygon is a list of at least three x, y pairs")
    if not all(isinstance(value, int | float) and abs(value) < 1e6 for value in content):
        raise ValueError("a polygon holds something that is no coordinate")
    points: Float64Array = np.array(content, dtype=np.float64).reshape(-1, 2)  # (P, 2) x, y
    # One toggle at the first pixel right of every crossing of an edge with a row of centres; a sum along rows fills.
    toggles = np.zeros((height, width + 1), dtype=np.int64)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        low, high = min(y1, y2), max(y1, y2)
        rows = np.arange(max(0, int(np.ceil(low - 0.5))), min(height, int(np.ceil(high - 0.5))))
        crossings = x1 + (rows + 0.5 - y1) * (x2 - x1) / (y2 - y1)
        columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)
        np.add.at(toggles, (rows, columns), 1)
    return np.asarray(np.cumsum(toggles[:, :width], axis=1) % 2 == 1)
