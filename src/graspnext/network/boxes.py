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
    """Shared areas (N, M) of boxes (N, 4) and (M, 4)."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = (high - low).clamp(min=0)
    return sides[..., 0] * sides[..., 1]  # (N, M)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4)."""
    shared = pairwise_intersection(a, b)
    return shared / (area(a)[:, None] + area(b)[None, :] - shared).clamp(min=EPSILON)


def iou_and_giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (Rezatofighi et al., CVPR 2019) of matching rows of (N, 4) and (N, 4): (N,) each."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    union = (area(a) + area(b) - shared).clamp(min=EPSILON)
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).clamp(min=0).prod(dim=1)
    iou = shared / union
    return iou, iou - (hull - union) / hull.clamp(min=EPSILON)


def encode(boxes: Tensor, anchors: Tensor, weights: tuple[float, float]) -> Tensor:
    """Deltas (N, 4) = (dx, dy, dw, dh) that take `anchors` (N, 4) to `boxes` (N, 4) (Girshick et al., CVPR 2014).

    Args:
        boxes: xyxy px.
        anchors: xyxy px, not empty.
        weights: Factors of the centre's and of the sides' deltas.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=EPSILON)
    anchor_sides = (anchors[:, 2:] - anchors[:, :2]).clamp(min=EPSILON)
    shift = ((boxes[:, :2] + boxes[:, 2:]) - (anchors[:, :2] + anchors[:, 2:])) / (2 * anchor_sides)
    return torch.cat([shift * weights[0], torch.log(sides / anchor_sides) * weights[1]], dim=1)  # (N, 4)


def decode(deltas: Tensor, anchors: Tensor, weights: tuple[float, float]) -> Tensor:
    """Inverse of `encode`: boxes (N, 4) xyxy px; sides change by at most a factor of 16."""
    anchor_sides = anchors[:, 2:] - anchors[:, :2]
    center = (anchors[:, :2] + anchors[:, 2:]) / 2 + deltas[:, :2] / weights[0] * anchor_sides
    half = anchor_sides * torch.exp((deltas[:, 2:] / weights[1]).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)) / 2
    return torch.cat([center - half, center + half], dim=1)  # (N, 4) xyxy px


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (N, 4) cut to an image of (height, width)."""
    height, width = size
    x = boxes[:, 0::2].clamp(0, width)
    y = boxes[:, 1::2].clamp(0, height)
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1)


def jitter(boxes: Tensor, amount: float, *, generator: torch.Generator) -> Tensor:
    """Boxes (N, 4) with centre and sides disturbed by normal noise of `amount` times the sides (sides: log)."""
    noise = torch.randn(boxes.shape, generator=generator, device=generator.device).to(boxes.device)
    return decode(noise.clamp(-2, 2) * amount, boxes, (1.0, 1.0))
