"""Axis-aligned boxes, xyxy pixels: a box covers [x1, x2) x [y1, y2)."""

from __future__ import annotations

import numpy as np

from graspnext.types import BoolArray, Float32Array


def area(boxes: Float32Array) -> Float32Array:
    """Areas (N,) px^2 of boxes (N, 4) xyxy; 0 where a box is empty or inverted."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)  # (N, 2)
    return np.asarray(sides[:, 0] * sides[:, 1], dtype=np.float32)


def iou(a: Float32Array, b: Float32Array) -> Float32Array:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4) xyxy; 0 for empty pairs."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])  # (N, M, 2)
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])  # (N, M, 2)
    sides = np.clip(high - low, 0, None)
    inter = sides[..., 0] * sides[..., 1]  # (N, M)
    union = area(a)[:, None] + area(b)[None, :] - inter
    return np.asarray(inter / np.where(union > 0, union, 1), dtype=np.float32)


def clip(boxes: Float32Array, height: int, width: int) -> Float32Array:
    """Boxes (N, 4) xyxy cut to an image of (height, width)."""
    limits = np.array([width, height, width, height], dtype=np.float32)
    return np.clip(boxes, 0, limits).astype(np.float32)


def from_mask(mask: BoolArray) -> Float32Array:
    """The tight box (4,) xyxy of a mask (H, W); zeros for an empty mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return np.zeros(4, dtype=np.float32)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)


def to_xywh(boxes: Float32Array) -> Float32Array:
    """Boxes (..., 4) xyxy to xywh, the form of COCO files."""
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def from_xywh(boxes: Float32Array) -> Float32Array:
    """Boxes (..., 4) xywh to xyxy."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)
