"""Targets and losses of the dense heads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from graspnext.network.losses.mean import mean_of
from graspnext.network.truth import Truth

MIN_OVERLAP = 0.7
"""IoU that a box must keep when its corners move by the Gaussian's radius."""
POSITIVE_POWER = 2
NEGATIVE_POWER = 4
CENTER_SHARE = 1 / 700
"""Of all cells, what holds a centre in an ordinary picture of a bin: 9 of the 6,400 of a 320-pixel crop of `bench`."""


def gaussian_radius(sides: Tensor) -> Tensor:
    """Radius (...) by which both corners of boxes with sides (..., 2) may move while IoU stays >= 0.7.

    The smallest over three cases: one corner inwards and one outwards, both inwards, both outwards (Law and Deng,
    CornerNet, ECCV 2018; their code's roots, with the quadratic formula put right).
    """
    total, product, overlap = sides.sum(-1), sides.prod(-1), MIN_OVERLAP
    shifted = (total - (total**2 - 4 * product * (1 - overlap) / (1 + overlap)).clamp(min=0).sqrt()) / 2
    shrunk = (total - (total**2 - 4 * product * (1 - overlap)).clamp(min=0).sqrt()) / 4
    grown = (-total + (total**2 + 4 * product * (1 / overlap - 1)).sqrt()) / 4
    return torch.minimum(shifted, torch.minimum(shrunk, grown))


def center_target(truth: Truth, size: tuple[int, int], stride: int) -> tuple[Tensor, Tensor]:
    """Heatmap and weight of each image, (B, h, w) float32 each.

    The heatmap is 1 in the cell of each centre of mass and falls off as a Gaussian whose radius comes from the amodal
    box. The weight is 0 at ignored instances and inside the boxes of those whose centre is unknown (NaN); it is 0
    everywhere when no centre of an image with instances is known. Centres outside the map are left out.
    """
    device = truth.boxes.device
    height, width = size
    cell = (truth.centers / stride).floor()  # (B, N, 2)
    inside = (cell[..., 0] >= 0) & (cell[..., 0] < width) & (cell[..., 1] >= 0) & (cell[..., 1] < height)
    cell = torch.where(inside[..., None], cell, 0)  # unknown ones must not be computed with
    sigma = (2 * gaussian_radius((truth.boxes[..., 2:] - truth.boxes[..., :2]) / stride) + 1) / 6
    factor = -0.5 / sigma.square()[..., None]
    x = torch.exp((torch.arange(width, device=device) - cell[..., 0:1]).square() * factor)  # (B, N, w)
    y = torch.exp((torch.arange(height, device=device) - cell[..., 1:2]).square() * factor)  # (B, N, h)
    wanted, ignored = (
        ((y * (inside & which)[..., None])[..., :, None] * x[..., None, :]).amax(dim=1)  # (B, h, w)
        for which in (truth.wanted, truth.ignored)
    )
    return wanted, _known_weight(truth, size, stride) * (1 - ignored)


def _known_weight(truth: Truth, size: tuple[int, int], stride: int) -> Tensor:
    """(B, h, w) float32: 0 where a centre of mass may lie that nobody knows, otherwise 1."""
    known = truth.centers.isfinite().all(dim=2)  # (B, N)
    there = truth.wanted | truth.ignored
    unknown = there & ~known
    low, high = (truth.boxes[..., :2] / stride).floor(), (truth.boxes[..., 2:] / stride).ceil()
    y, x = (torch.arange(side, device=known.device) for side in size)
    rows = (y >= low[..., 1:2]) & (y < high[..., 1:2]) & unknown[..., None]  # (B, N, h)
    columns = (x >= low[..., 0:1]) & (x < high[..., 0:1])  # (B, N, w)
    boxes = rows.float().transpose(1, 2) @ columns.float()  # (B, h, w): how many lie over each cell
    silent = unknown.any(dim=1) & ~(there & known).any(dim=1)  # (B,)
    return ((boxes == 0) & ~silent[:, None, None]).float()


def center_loss(logits: Tensor, heat: Tensor, weight: Tensor) -> Tensor:
    """Penalty-reduced focal loss (Zhou et al., Objects as Points, 2019) of each image (B,), a sum over cells
    per ordinary number of centres.

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
    return -(gain * weight).sum(dim=(1, 2)) / (CENTER_SHARE * heat[0].numel())


def suction_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error (B,) of heatmaps (B, h, w) in [0, 1] over each image's cells of known label (not NaN)."""
    known = wanted.isfinite()
    error = torch.sigmoid(logits) - torch.where(known, wanted, 0)
    return mean_of(error.square().flatten(1), known.flatten(1))
