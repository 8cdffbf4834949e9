"""What the losses of an image are divided by.

Each image has losses of its own (docs/training.md), so none can be divided by what a whole batch holds. Divided by the
image's own positives, a picture of one part would weigh as much as a full bin, and an empty one without bound: losses
over all places of a map are therefore divided by what an ordinary picture holds, which full bins exceed.
"""

from __future__ import annotations

import torch
from torch import Tensor


def mean_of(values: Tensor, counted: Tensor) -> Tensor:
    """Mean (B,) over the rows of values (B, R) that are counted (B, R) bool; 0 where none is."""
    return torch.where(counted, values, 0).sum(dim=1) / counted.sum(dim=1).clamp(min=1)


def sum_per(ordinary: float, values: Tensor, counted: Tensor) -> Tensor:
    """Sum (B,) over the rows of values (B, R) that are counted (B, R) bool, divided by an ordinary number of them."""
    return torch.where(counted, values, 0).sum(dim=1) / ordinary
