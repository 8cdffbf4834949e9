"""How well each detection fits each instance, as COCO measures it: IoU of boxes and masks, OKS of one keypoint.

A crowd (an instance that is not asked for) fits a detection by the share of the detection that lies inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graspnext.geometry import boxes, masks
from graspnext.types import BoolArray, Float32Array, Float64Array

MASK_THRESHOLD = 0.5
MIN_SIMILARITY = 0.5
"""The least threshold that AP asks for. Where a cheap bound shows that a pair of masks lies below it, 0 stands."""
OKS_CONSTANT = 0.2
"""COCO's k of the centre of mass: OKS = exp(-d^2 / (2 s^2 k^2)), s^2 = amodal area, d in px. (Its code has k / 2.)"""


def box_similarity(found: Float32Array, truths: Float32Array, crowd: BoolArray) -> Float64Array:
    """IoU (D, T) of boxes (D, 4) and (T, 4) xyxy px; with a crowd (T,) the share of the detection inside it."""
    a, b = found.astype(np.float64), truths.astype(np.float64)
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])  # (D, T, 2)
    inter = np.prod(np.clip(sides, 0, None), axis=2)  # (D, T)
    of_found, of_truth = np.prod(a[:, 2:] - a[:, :2], axis=1), np.prod(b[:, 2:] - b[:, :2], axis=1)
    union = np.where(crowd, of_found[:, None], of_found[:, None] + of_truth - inter)
    return np.asarray(np.divide(inter, union, out=np.zeros_like(inter), where=inter > 0))


@dataclass(frozen=True, eq=False)
class Cutout:
    """A binary mask without the empty picture around it."""

    pixels: BoolArray
    """(h, w)"""
    top: int
    left: int
    area: int
    """Number of pixels set."""

    @classmethod
    def of_mask(cls, mask: BoolArray) -> Cutout:
        """From a mask (H, W)."""
        left, top, right, bottom = (int(value) for value in boxes.from_mask(mask))
        pixels = np.ascontiguousarray(mask[top:bottom, left:right])
        return cls(pixels, top, left, int(np.count_nonzero(pixels)))

    @classmethod
    def of_roi(cls, probability: Float32Array, box: Float32Array, height: int, width: int) -> Cutout:
        """From a RoI mask (M, M) over its box (4,) xyxy px in an image: where it is at least 0.5."""
        crop, top, left = masks.paste_crop(probability, box, height, width)
        pixels = crop >= MASK_THRESHOLD
        return cls(pixels, top, left, int(np.count_nonzero(pixels)))


def mask_similarity(found: Sequence[Cutout], truths: Sequence[Cutout], crowd: BoolArray) -> Float64Array:
    """IoU (D, T) of masks; with a crowd (T,) the share of the detection inside it. Below `MIN_SIMILARITY` maybe 0."""
    a, b = _windows(found), _windows(truths)
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])  # (D, T, 2)
    most = np.prod(np.clip(sides, 0, None), axis=2)  # (D, T) px that the windows share
    of_found = np.array([one.area for one in found], dtype=np.int64)[:, None]  # (D, 1)
    of_truth = np.array([one.area for one in truths], dtype=np.int64)[None]  # (1, T)
    most = np.minimum(np.minimum(most, of_found), of_truth)
    union = np.where(crowd, of_found, of_found + of_truth - most)  # the least that it can be
    result = np.zeros(most.shape)
    for d, t in np.argwhere((most > 0) & (most >= MIN_SIMILARITY * union)):
        inter = _shared(found[d], truths[t])
        result[d, t] = inter / (found[d].area if crowd[t] else found[d].area + truths[t].area - inter)
    return result


def _windows(cutouts: Sequence[Cutout]) -> Float64Array:
    rows = [(c.left, c.top, c.left + c.pixels.shape[1], c.top + c.pixels.shape[0]) for c in cutouts]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _shared(a: Cutout, b: Cutout) -> int:
    top, left = max(a.top, b.top), max(a.left, b.left)
    bottom = min(a.top + a.pixels.shape[0], b.top + b.pixels.shape[0])
    right = min(a.left + a.pixels.shape[1], b.left + b.pixels.shape[1])
    of_a = a.pixels[top - a.top : bottom - a.top, left - a.left : right - a.left]
    of_b = b.pixels[top - b.top : bottom - b.top, left - b.left : right - b.left]
    return int(np.count_nonzero(of_a & of_b))


def point_similarity(
    found: Float32Array, truths: Float32Array, truth_boxes: Float32Array, area: Float64Array
) -> Float64Array:
    """OKS (D, T) of points.

    Args:
        found: (D, 2) px.
        truths: (T, 2) px; NaN = unknown. By COCO's rule a point fits such an instance fully in its box grown by the
            box's own size on every side.
        truth_boxes: (T, 4) xyxy px.
        area: (T,) px^2, the square of the scale.
    """
    points = found.astype(np.float64)[:, None]  # (D, 1, 2)
    low, high = truth_boxes[:, :2].astype(np.float64), truth_boxes[:, 2:].astype(np.float64)
    side = high - low
    outside = np.maximum(low - side - points, 0) + np.maximum(points - high - side, 0)  # (D, T, 2)
    known = np.isfinite(truths).all(axis=1, keepdims=True)  # (T, 1)
    apart = np.where(known, points - truths.astype(np.float64), outside)
    squared = np.square(apart).sum(axis=2)  # (D, T) px^2
    return np.asarray(np.exp(-(squared / OKS_CONSTANT**2 / (area + np.spacing(1)) / 2)))
