"""Targets and losses of the mask and occlusion heads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from graspnext.network.losses.mean import mean_of

SAMPLES = 2
"""Points a mask cell and axis."""


def crop_masks(masks: Tensor, index: Tensor, boxes: Tensor, size: int) -> Tensor:
    """What the mask of each RoI's own instance looks like inside the RoI.

    Args:
        masks: (N, H, W) bool, of one image.
        index: (R,) int64, instance of each RoI; those of a negative one are worthless.
        boxes: (R, 4) xyxy px.
        size: Cells along each side.

    Returns:
        (R, size, size) float32 in [0, 1]: share of 2x2 points a cell that lie on the mask; 0 outside the image.
    """
    if len(masks) == 0:
        return boxes.new_zeros(len(boxes), size, size)
    step = (torch.arange(size * SAMPLES, device=boxes.device, dtype=torch.float32) + 0.5) / (size * SAMPLES)
    x = boxes[:, 0:1] + step * (boxes[:, 2:3] - boxes[:, 0:1])  # (R, 2 size)
    y = boxes[:, 1:2] + step * (boxes[:, 3:4] - boxes[:, 1:2])
    height, width = masks.shape[1:]
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    row = y.long().clamp(0, height - 1)[:, :, None]
    column = x.long().clamp(0, width - 1)[:, None, :]
    points = masks[index.clamp(min=0)[:, None, None], row, column] & inside  # (R, 2 size, 2 size)
    return functional.avg_pool2d(points[:, None].float(), SAMPLES)[:, 0]  # (R, size, size)


def mask_loss(logits: Tensor, wanted: Tensor, valid: Tensor) -> Tensor:
    """Binary cross-entropy (B,) of logits against shares (B, R, M, M) both, mean over the valid (B, R) RoIs."""
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted.to(logits.dtype), reduction="none")
    return mean_of(entropy.mean(dim=(2, 3)), valid)


def occlusion_loss(logits: Tensor, occluded: Tensor, valid: Tensor) -> Tensor:
    """Binary cross-entropy (B,) of logits against bools (B, R) both, mean over the valid (B, R) RoIs."""
    entropy = functional.binary_cross_entropy_with_logits(logits, occluded.to(logits.dtype), reduction="none")
    return mean_of(entropy, valid)
