"""Targets and losses of the dense heads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from graspnext.types import Targets

MIN_OVERLAP = 0.7
"""IoU that a box must keep when its corners move by the Gaussian's radius."""
POSITIVE_POWER = 2
NEGATIVE_POWER = 4


def gaussian_radius(sides: Tensor) -> Tensor:
    """Radius (N,) by which both corners of boxes with sides (N, 2) may move while IoU stays >= 0.7.

    The smallest over three cases: one corner inwards and one outwards, both inwards, both outwards (Law and Deng,
    CornerNet, ECCV 2018; their code's roots, with the quadratic formula put right).
    """
    total, product, overlap = sides.sum(1), sides.prod(1), MIN_OVERLAP
    shifted = (total - (total**2 - 4 * product * (1 - overlap) / (1 + overlap)).clamp(min=0).sqrt()) / 2
    shrunk = (total - (total**2 - 4 * product * (1 - overlap)).clamp(min=0).sqrt()) / 4
    grown = (-total + (total**2 + 4 * product * (1 / overlap - 1)).sqrt()) / 4
    return torch.minimum(shifted, torch.minimum(shrunk, grown))


def center_target(targets: Targets, size: tuple[int, int], stride: int) -> tuple[Tensor, Tensor]:
    """Heatmap and weight of one image, (h, w) float32 each.

    The heatmap is 1 in the cell of each centre of mass and falls off as a Gaussian whose radius comes from the amodal
    box. The weight is 0 at ignored instances and inside the boxes of those whose centre is unknown (NaN); it is 0
    everywhere when no centre of an image with instances is known. Centres outside the map are left out.
    """
    device = targets.boxes.device
    height, width = size
    heat, weight = torch.zeros(size, device=device), _known_weight(targets, size, stride)
    cell = (targets.centers / stride).floor()  # (N, 2)
    limits = torch.tensor([width, height], device=device)
    inside = ((cell >= 0) & (cell < limits)).all(dim=1)
    if not bool(inside.any()):
        return heat, weight
    cell, ignore = cell[inside], targets.ignore[inside]
    sides = (targets.boxes[inside, 2:] - targets.boxes[inside, :2]) / stride
    sigma = (2 * gaussian_radius(sides) + 1) / 6
    factor = -0.5 / sigma.square()
    x = torch.exp((torch.arange(width, device=device) - cell[:, 0:1]).square() * factor[:, None])  # (N, w)
    y = torch.exp((torch.arange(height, device=device) - cell[:, 1:2]).square() * factor[:, None])  # (N, h)
    bumps = y[:, :, None] * x[:, None, :]  # (N, h, w)
    heat = (bumps * ~ignore[:, None, None]).amax(dim=0)
    return heat, weight * (1 - (bumps * ignore[:, None, None]).amax(dim=0))


def _known_weight(targets: Targets, size: tuple[int, int], stride: int) -> Tensor:
    """(h, w) float32: 0 where a centre of mass may lie that nobody knows, otherwise 1."""
    device = targets.boxes.device
    unknown = ~targets.centers.isfinite().all(dim=1)  # (N,)
    if len(unknown) == 0:
        return torch.ones(size, device=device)
    low, high = (targets.boxes[:, :2] / stride).floor(), (targets.boxes[:, 2:] / stride).ceil()
    y, x = (torch.arange(side, device=device) for side in size)
    rows = (y >= low[:, 1:2]) & (y < high[:, 1:2]) & unknown[:, None]  # (N, h)
    columns = (x >= low[:, 0:1]) & (x < high[:, 0:1])  # (N, w)
    boxes = rows.float().T @ columns.float()  # (h, w): how many lie over each cell; no value is waited for
    return ((boxes == 0) & ~unknown.all()).float()


def center_loss(logits: Tensor, heat: Tensor, weight: Tensor) -> Tensor:
    """Penalty-reduced focal loss (Zhou et al., Objects as Points, 2019), a scalar per centre.

    Args:
        logits: (B, h, w).
        heat: (B, h, w) in [0, 1], exactly 1 at centres.
        weight: (B, h, w) in [0, 1].
    """
    probability = torch.sigmoid(logits)
    peak = heat == 1
    gain = torch.where(
        peak,
        (1 - probability) ** POSITIVE_POWER * functional.logsigmoid(logits),
        (1 - heat) ** NEGATIVE_POWER * probability**POSITIVE_POWER * functional.logsigmoid(-logits),
    )
    return -(gain * weight).sum() / peak.sum().clamp(min=1)


def suction_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error of the heatmap (B, h, w) in [0, 1] over the cells whose label is known (not NaN); else 0."""
    known = wanted.isfinite()
    error = torch.sigmoid(logits) - torch.where(known, wanted, 0)
    return torch.where(known, error.square(), 0).sum() / known.sum().clamp(min=1)
