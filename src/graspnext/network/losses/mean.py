"""Means over those entries of an image that say something."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_of(values: Tensor, counted: Tensor) -> Tensor:
    """Mean (B,) over the rows of values (B, R) that are counted (B, R) bool; 0 where none is."""
    return torch.where(counted, values, 0).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
