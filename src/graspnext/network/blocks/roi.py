"""RoIAlign (He et al., ICCV 2017) over a pyramid: torchvision's kernel for inference, gathered sums for training.

Both sample 2x2 points a cell with bilinear interpolation, half-pixel aligned; they agree to rounding. On CPU the
gathered form, a weighted `embedding_bag` over channels-last features, trains several times faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import roi_align

from graspnext.network import boxes as box_ops
from graspnext.network.blocks.precision import full_precision

SAMPLES = 2
"""Sampling points a cell and axis."""


@dataclass(frozen=True)
class RoiLevels:
    """Which pyramid level serves which RoI."""

    strides: tuple[int, ...]
    """Strides of the levels, px, rising."""
    finest_limit_px: float
    """RoIs whose square-root area is below this use the first level; each doubling moves one level up."""

    def assign(self, boxes: Tensor) -> Tensor:
        """Level index (R,) int64 of boxes (R, 4) xyxy px."""
        size = box_ops.area(boxes).sqrt().clamp(min=box_ops.EPSILON)
        level = torch.floor(torch.log2(size / self.finest_limit_px)) + 1
        return level.clamp(0, len(self.strides) - 1).to(torch.int64)


def pool_by_kernel(features: Sequence[Tensor], rois: Tensor, levels: RoiLevels, size: int) -> Tensor:
    """RoI features (R, C, size, size) by torchvision's kernel; every level is pooled and one is chosen, so that
    shapes never depend on the data.

    Args:
        features: One (B, C, H_l, W_l) a level of `levels`.
        rois: (R, 5) float32: batch index and xyxy px of the network's input.
        levels: Strides and choice of the level.
        size: Cells along each side.
    """
    assigned = levels.assign(rois[:, 1:])[:, None, None, None]
    out: Tensor | None = None
    for index, (feature, stride) in enumerate(zip(features, levels.strides, strict=True)):
        pooled = roi_align(full_precision(feature), rois, (size, size), 1.0 / stride, SAMPLES, True)
        out = pooled if out is None else torch.where(assigned == index, pooled, out)
    assert out is not None
    return out


def pool_by_gather(
    features: Sequence[Tensor], requests: Sequence[tuple[Tensor, int]], levels: RoiLevels
) -> list[Tensor]:
    """`pool_by_kernel` as one weighted `embedding_bag`, differentiable in the features, in their own dtype.

    Args:
        features: One (B, C, H_l, W_l) a level of `levels`.
        requests: RoIs (R, 5) and cells along each side, of every set to pool; one pass serves all, since gathering
            the table and its gradient costs more than the sums.
        levels: Strides and choice of the level.

    Returns:
        One (R, C, size, size) a request, channels last.
    """
    channels = features[0].shape[1]
    table = torch.cat([feature.permute(0, 2, 3, 1).reshape(-1, channels) for feature in features])  # (T, C)
    shapes = [(f.shape[0], f.shape[2], f.shape[3]) for f in features]
    with torch.no_grad():
        samples = [_samples(shapes, rois, levels, size) for rois, size in requests]
        index = torch.cat([sample[0] for sample in samples])
        weight = torch.cat([sample[1] for sample in samples]).to(table.dtype)
    pooled = functional.embedding_bag(index, table, mode="sum", per_sample_weights=weight)  # (cells, C)
    parts = torch.split(pooled, [len(rois) * size**2 for rois, size in requests])
    return [
        part.view(-1, size, size, channels).permute(0, 3, 1, 2) for part, (_, size) in zip(parts, requests, strict=True)
    ]


def _samples(
    shapes: Sequence[tuple[int, int, int]], rois: Tensor, levels: RoiLevels, size: int
) -> tuple[Tensor, Tensor]:
    """Rows of the feature table and their weights, (R * size^2, 16) each: 2x2 points of 4 corners a cell."""
    device = rois.device
    assigned = levels.assign(rois[:, 1:])
    starts, start = [], 0
    for batch, rows, columns in shapes:
        starts.append(start)
        start += batch * rows * columns
    table = torch.tensor(
        [[s, h, w, stride] for s, (_, h, w), stride in zip(starts, shapes, levels.strides, strict=True)], device=device
    )
    first, height, width, stride = table[assigned].unbind(1)  # (R,) each
    base = first + rois[:, 0].to(torch.int64) * height * width
    scaled = rois[:, 1:] / stride[:, None] - 0.5  # cell centres of a level at whole numbers
    x_index, x_weight = _axis_samples(scaled[:, 0], scaled[:, 2], width, size)  # (R, size, 4)
    y_index, y_weight = _axis_samples(scaled[:, 1], scaled[:, 3], height, size)
    first_of_row = base[:, None, None] + y_index * width[:, None, None]  # (R, size, 4)
    index = first_of_row[:, :, None, :, None] + x_index[:, None, :, None, :]  # (R, size y, size x, 4, 4)
    weight = y_weight[:, :, None, :, None] * x_weight[:, None, :, None, :]
    return index.reshape(-1, 16), weight.reshape(-1, 16)


def _axis_samples(low: Tensor, high: Tensor, length: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Linear interpolation along one axis: cell indices and weights (R, size, 4), two points of two neighbours each.

    Points more than one cell outside the map count 0, the others are clamped to it, as in torchvision.
    """
    step = (torch.arange(size * SAMPLES, device=low.device, dtype=torch.float32) + 0.5) / (size * SAMPLES)
    point = low[:, None] + step[None, :] * (high - low)[:, None]  # (R, size * 2)
    last = (length - 1)[:, None]
    inside = (point >= -1) & (point <= length[:, None])
    point = torch.minimum(point.clamp(min=0), last.to(point.dtype))
    near = point.floor().to(torch.int64)
    far = torch.minimum(near + 1, last)
    fraction = point - near
    index = torch.stack([near, far], dim=2)  # (R, size * 2, 2)
    weight = torch.stack([1 - fraction, fraction], dim=2) * inside[:, :, None] / SAMPLES
    rois = low.shape[0]
    return index.view(rois, size, 2 * SAMPLES), weight.view(rois, size, 2 * SAMPLES)
