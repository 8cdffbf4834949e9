"""A trained network as it is deployed: what was done to weights in training is worked into them."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

from graspnext.network.blocks.conv import StandardisedConv2d

M = TypeVar("M", bound=nn.Module)


def fold(module: M) -> M:
    """A copy that computes the same with plain convolutions; names of layers stay."""
    copied = copy.deepcopy(module)
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            if isinstance(child, StandardisedConv2d):
                setattr(parent, name, child.folded())
    return copied
