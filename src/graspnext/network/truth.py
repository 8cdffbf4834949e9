"""What a whole batch is trained towards, in tensors whose shapes say nothing about single images.

Losses over such tensors never ask the device for a number: a GPU is given its work without being waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from graspnext.types import Targets

MASK_STRIDE = 4
"""Visible masks are read at every fourth pixel: enough to know who is seen where."""


@dataclass(frozen=True, eq=False)
class Truth:
    """Instances of B images side by side, N = the most that one image has, at least 1; the rest is not there."""

    counts: tuple[int, ...]
    """Instances of each image."""
    boxes: Tensor
    """(B, N, 4) float32 amodal xyxy px; zeros where nothing is there."""
    wanted: Tensor
    """(B, N) bool: there, and not ignored."""
    ignored: Tensor
    """(B, N) bool: there, neither positive nor negative."""
    occluded: Tensor
    """(B, N) bool."""
    centers: Tensor
    """(B, N, 2) float32 x, y px. NaN = unknown."""
    seen: Tensor
    """(B, N, H / 4, W / 4) bool: visible masks at the centre of each 4x4 pixels."""


def gather_truth(targets: Sequence[Targets]) -> Truth:
    """The targets of a batch as one."""
    counts = tuple(len(target.boxes) for target in targets)
    most, half = max(1, *counts), MASK_STRIDE // 2
    return Truth(
        counts,
        boxes=stack_rows([target.boxes for target in targets], most),
        wanted=stack_rows([~target.ignore for target in targets], most),
        ignored=stack_rows([target.ignore for target in targets], most),
        occluded=stack_rows([target.occluded for target in targets], most),
        centers=stack_rows([target.centers for target in targets], most),
        seen=stack_rows([target.visible_masks[:, half::MASK_STRIDE, half::MASK_STRIDE] for target in targets], most),
    )


def stack_rows(rows: Sequence[Tensor], length: int) -> Tensor:
    """Tensors (n_i, ...) of each image as one (B, length, ...), with zeros after their ends."""
    stacked = rows[0].new_zeros(len(rows), length, *rows[0].shape[1:])
    for into, row in zip(stacked, rows, strict=True):
        into[: len(row)] = row
    return stacked


def look_up(values: Tensor, index: Tensor) -> Tensor:
    """Rows (B, R, ...) of values (B, N, ...) at index (B, R) of each image; that of row 0 where it is negative."""
    index = index.clamp(min=0).view(*index.shape, *[1] * (values.dim() - 2))
    return torch.take_along_dim(values, index, dim=1)
