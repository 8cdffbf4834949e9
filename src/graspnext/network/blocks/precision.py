"""Where half precision ends: predictions leave the heads in full precision, whatever they were computed in."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """`x` in float32 where it is in half precision; float32 and float64 stay as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
