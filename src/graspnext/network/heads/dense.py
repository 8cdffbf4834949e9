"""Dense heads at stride 4: where centres of mass lie, and how well a suction cup holds at each pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspnext.errors import ConfigError
from graspnext.network.blocks.conv import ConvAct
from graspnext.network.blocks.precision import full_precision

CENTER_PRIOR = 0.1
"""Probability with which every pixel starts as a centre (Lin et al., ICCV 2017: focal loss needs a small one)."""


@dataclass(frozen=True)
class DenseHeadConfig:
    """One trunk for both predictions, or one each."""

    width: int = 48
    depth: int = 2
    """3x3 convolutions of a trunk."""
    separate: bool = False
    """A trunk of its own for each prediction."""
    stride: int = 4
    """4 or 8: where the trunks work; predictions always come out at stride 4."""

    def __post_init__(self) -> None:
        if self.stride not in (4, 8):
            raise ConfigError("dense_head.stride", self.stride, "4 or 8")
        if self.width < 8 or self.width % 8 or self.depth < 1:
            raise ConfigError("dense_head", (self.width, self.depth), "a width in multiples of 8 and a depth >= 1")


class DenseHead(nn.Module):
    """Centre-of-mass and suction heatmaps from the summed, upsampled pyramid."""

    def __init__(self, width: int, config: DenseHeadConfig) -> None:
        super().__init__()
        self.stride = config.stride
        priors = (-math.log((1 - CENTER_PRIOR) / CENTER_PRIOR), -2.0)
        groups = [(prior,) for prior in priors] if config.separate else [priors]
        self.branches = nn.ModuleList(_branch(width, config, group) for group in groups)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Stride-4 level (B, C, h, w) to centre-of-mass logits and suction logits, (B, h, w) float32 each."""
        x = functional.avg_pool2d(level, 2) if self.stride == 8 else level
        out = full_precision(torch.cat([branch(x) for branch in self.branches], dim=1))  # (B, 2, h', w')
        if self.stride == 8:
            out = functional.interpolate(out, scale_factor=2.0, mode="bilinear", align_corners=False)
        return out[:, 0], out[:, 1]


def _branch(width: int, config: DenseHeadConfig, priors: Sequence[float]) -> nn.Sequential:
    """A trunk and as many predictions as there are priors, which are their first logits."""
    layers = [ConvAct(width, config.width)]
    layers += [ConvAct(config.width, config.width) for _ in range(config.depth - 1)]
    predict = nn.Conv2d(config.width, len(priors), 1)
    nn.init.normal_(predict.weight, std=0.01)
    with torch.no_grad():
        predict.bias.copy_(torch.tensor(priors))  # type: ignore[union-attr]
    return nn.Sequential(*layers, predict)
