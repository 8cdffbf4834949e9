"""Dense heads at stride 4: where centres of mass lie, and how well a suction cup holds at each pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graspnext.errors import ConfigError
from graspnext.network.blocks.conv import ConvNormAct

CENTER_PRIOR = 0.1
"""Probability with which every pixel starts as a centre (Lin et al., ICCV 2017: focal loss needs a small one)."""


@dataclass(frozen=True)
class DenseHeadConfig:
    """One narrow trunk, two predictions."""

    width: int = 48
    depth: int = 2
    """3x3 convolutions of the trunk, at stride 4."""

    def __post_init__(self) -> None:
        if self.width < 8 or self.width % 8 or self.depth < 1:
            raise ConfigError("dense_head", (self.width, self.depth), "a width in multiples of 8 and a depth >= 1")


class DenseHead(nn.Module):
    """Centre-of-mass and suction heatmaps from the summed, upsampled pyramid."""

    def __init__(self, width: int, config: DenseHeadConfig) -> None:
        super().__init__()
        layers = [ConvNormAct(width, config.width)]
        layers += [ConvNormAct(config.width, config.width) for _ in range(config.depth - 1)]
        self.trunk = nn.Sequential(*layers)
        self.predict = nn.Conv2d(config.width, 2, 1)
        nn.init.normal_(self.predict.weight, std=0.01)
        with torch.no_grad():
            prior = -math.log((1 - CENTER_PRIOR) / CENTER_PRIOR)
            self.predict.bias.copy_(torch.tensor([prior, -2.0]))  # type: ignore[union-attr]

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Stride-4 level (B, C, h, w) to centre-of-mass logits and suction logits, (B, h, w) float32 each."""
        out = self.predict(self.trunk(level)).float()
        return out[:, 0], out[:, 1]
