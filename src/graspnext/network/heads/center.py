"""One centre of mass for each detection, read off the heatmap that all instances share."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import roi_align

PRIOR_SIGMA = 0.3
"""Width of the prior around the box's centre, in sides of the box."""
FLOOR = 0.01
"""Added to the heatmap, so that prior and mask decide where it is silent."""
OFF_MASK = 0.1
REACH = 2
"""The peak is refined within this many cells: 5x5."""


def locate_centers(heatmap: Tensor, stride: int, boxes: Tensor, masks: Tensor) -> Tensor:
    """Centres of mass in pixels of the network's input.

    The heatmap inside each box, times a Gaussian prior and a share of the amodal mask, has its largest cell refined
    by the weighted mean of the cells around it. Outside the mask a cell keeps `OFF_MASK` of its score: a ring's centre
    of mass lies in its hole.

    Args:
        heatmap: (h, w) in [0, 1].
        stride: Pixels a cell of the heatmap.
        boxes: (D, 4) xyxy px.
        masks: (D, M, M) amodal probabilities over the boxes.

    Returns:
        (D, 2) x, y px.
    """
    count, size = masks.shape[0], masks.shape[1]
    rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], dim=1)
    heat = roi_align(heatmap[None, None], rois, (size, size), 1.0 / stride, 1, True)[:, 0]  # (D, M, M)
    cell = (torch.arange(size, device=boxes.device, dtype=boxes.dtype) + 0.5) / size  # (M,) in sides of the box
    prior = torch.exp(-0.5 * ((cell - 0.5) / PRIOR_SIGMA) ** 2)
    score = ((heat + FLOOR) * (OFF_MASK + (1 - OFF_MASK) * masks) * (prior[:, None] * prior[None, :])).reshape(
        count, size * size
    )
    peak = score.argmax(dim=1)
    row, column = (peak // size)[:, None], (peak % size)[:, None]
    index = torch.arange(size, device=boxes.device)[None, :]
    window = ((index - row).abs() <= REACH)[:, :, None] & ((index - column).abs() <= REACH)[:, None, :]  # (D, M, M)
    weight = score.reshape(count, size, size).square() * window
    total = weight.sum(dim=(1, 2)).clamp(min=1e-12)
    x = (weight.sum(dim=1) * cell).sum(dim=1) / total
    y = (weight.sum(dim=2) * cell).sum(dim=1) / total
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes[:, :2] + torch.stack([x, y], dim=1) * sides
