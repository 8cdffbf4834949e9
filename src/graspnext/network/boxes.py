"""Box arithmetic on tensors: xyxy pixels, a box covers [x1, x2) x [y1, y2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MAX_LOG_RATIO = math.log(16.0)
"""Largest change of a side that a delta may ask for; keeps exp() finite early in training."""
EPSILON = 1e-6


def area(boxes: Tensor) -> Tensor:
    """Areas (...,) px^2 of boxes (..., 4); 0 where empty."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def pairwise_intersection(a: Tensor, b: Tensor) -> Tensor:
    """Shared areas (..., N, M) of boxes (..., N, 4) and (..., M, 4)."""
    # Coordinate by coordinate: an axis of two at the end would leave the arithmetic without vectors.
    first = [side.contiguous()[..., :, None] for side in a.unbind(-1)]
    other = [side.contiguous()[..., None, :] for side in b.unbind(-1)]
    width = torch.minimum(first[2], other[2]).sub_(torch.maximum(first[0], other[0])).clamp_(min=0)
    height = torch.minimum(first[3], other[3]).sub_(torch.maximum(first[1], other[1])).clamp_(min=0)
    return width.mul_(height)  # (..., N, M)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (..., N, M) of boxes (..., N, 4) and (..., M, 4)."""
    shared = pairwise_intersection(a, b)
    return shared / (area(a)[..., :, None] + area(b)[..., None, :] - shared).clamp(min=EPSILON)


def iou_and_giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (Rezatofighi et al., CVPR 2019) of matching boxes (..., 4) and (..., 4): (...) each."""
    shared = area(torch.cat([torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])], dim=-1))
    hull = area(torch.cat([torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])], dim=-1))
    union = (area(a) + area(b) - shared).clamp(min=EPSILON)
    iou = shared / union
    return iou, iou - (hull - union) / hull.clamp(min=EPSILON)


def encode(boxes: Tensor, anchors: Tensor, weights: tuple[float, float]) -> Tensor:
    """Deltas (..., 4) = (dx, dy, dw, dh) that take `anchors` (..., 4) to `boxes` (..., 4) (Girshick et al., CVPR 2014).

    Args:
        boxes: xyxy px.
        anchors: xyxy px, not empty.
        weights: Factors of the centre's and of the sides' deltas.
    """
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=EPSILON)
    anchor_sides = (anchors[..., 2:] - anchors[..., :2]).clamp(min=EPSILON)
    shift = ((boxes[..., :2] + boxes[..., 2:]) - (anchors[..., :2] + anchors[..., 2:])) / (2 * anchor_sides)
    return torch.cat([shift * weights[0], torch.log(sides / anchor_sides) * weights[1]], dim=-1)  # (..., 4)


def decode(deltas: Tensor, anchors: Tensor, weights: tuple[float, float]) -> Tensor:
    """Inverse of `encode`: boxes (..., 4) xyxy px; sides change by at most a factor of 16."""
    anchor_sides = anchors[..., 2:] - anchors[..., :2]
    center = (anchors[..., :2] + anchors[..., 2:]) / 2 + deltas[..., :2] / weights[0] * anchor_sides
    half = anchor_sides * torch.exp((deltas[..., 2:] / weights[1]).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)) / 2
    return torch.cat([center - half, center + half], dim=-1)  # (..., 4) xyxy px


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) cut to an image of (height, width)."""
    height, width = size
    x = boxes[..., 0::2].clamp(0, width)
    y = boxes[..., 1::2].clamp(0, height)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


def jitter(boxes: Tensor, noise: Tensor, amount: float) -> Tensor:
    """Boxes (..., 4), moved and scaled by `amount` times their sides times normal `noise` (..., 4) (sides: log)."""
    return decode(noise.clamp(-2, 2) * amount, boxes, (1.0, 1.0))
