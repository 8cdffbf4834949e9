"""One training sample as numpy arrays: an image of the network's input size and what to learn from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspnext.types import BoolArray, Float32Array, UInt8Array

SUCTION_STRIDE = 4
"""Pixels of the input per cell of the suction target."""


@dataclass(frozen=True, eq=False)
class Sample:
    """An image and its targets; N instances."""

    image: UInt8Array
    """(H, W, 3) uint8, RGB."""
    boxes: Float32Array
    """(N, 4) float32 amodal xyxy px, inside the image."""
    visible_masks: BoolArray
    """(N, H, W) bool."""
    amodal_masks: BoolArray
    """(N, H, W) bool."""
    occluded: BoolArray
    """(N,) bool."""
    centers: Float32Array
    """(N, 2) float32 u, v px of the projected centre of mass; may lie outside the image. NaN = unknown."""
    ignore: BoolArray
    """(N,) bool: neither positive nor negative."""
    suction: Float32Array
    """(H / 4, W / 4) float32 in [0, 1]: label map, mean-pooled to stride 4. NaN = unknown."""


def mean_pool(values: Float32Array, stride: int) -> Float32Array:
    """Means (ceil(H / stride), ceil(W / stride)) of the blocks of a map (H, W); border blocks mean what they have."""
    height, width = values.shape
    rows, columns = np.arange(0, height, stride), np.arange(0, width, stride)
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    counts = np.outer(np.minimum(rows + stride, height) - rows, np.minimum(columns + stride, width) - columns)
    return np.asarray(sums / counts, dtype=np.float32)
