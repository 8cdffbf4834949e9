"""The feature pyramid: semantics flow down, every level ends with the same width (Lin et al., CVPR 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from graspnext.errors import ConfigError
from graspnext.network.blocks.conv import ConvAct

STRIDES = (4, 8, 16, 32, 64)
"""Strides of the pyramid's levels, px."""


@dataclass(frozen=True)
class NeckConfig:
    """The pyramid."""

    width: int = 96
    """Channels of every level."""
    finest_conv: bool = False
    """A 3x3 convolution on the stride-4 level too, as in the original: it costs as much as all others together."""

    def __post_init__(self) -> None:
        if self.width < 8 or self.width % 8:
            raise ConfigError("neck.width", self.width, "a positive multiple of 8")


class FeaturePyramid(nn.Module):
    """Maps at strides 4 to 32 in, pyramid P2 to P6 at strides 4 to 64 out.

    Each level is the convolved sum of its lateral map and the level above, so that the stride-4 level holds the summed,
    upsampled pyramid. Without `finest_conv` the stride-4 level has no convolution of its own.
    """

    def __init__(self, in_channels: Sequence[int], config: NeckConfig) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(_lateral(channels, config.width) for channels in in_channels)
        finest = ConvAct(config.width, config.width) if config.finest_conv else nn.ReLU(inplace=True)
        self.finest = finest
        self.outputs = nn.ModuleList(ConvAct(config.width, config.width) for _ in in_channels[1:])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Four maps, strides 4 to 32, to five levels (B, width, H_l, W_l), finest first."""
        laterals = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        x = self.outputs[-1](laterals[-1])
        levels = [x]
        for index in reversed(range(len(laterals) - 1)):
            above = functional.interpolate(x, size=laterals[index].shape[-2:], mode="nearest")
            x = laterals[index].add_(above)  # in place: at stride 4 every copy counts
            x = self.outputs[index - 1](x) if index else self.finest(x)
            levels.insert(0, x)
        levels.append(functional.max_pool2d(levels[-1], 2, ceil_mode=True))  # stride 64, for the largest objects
        return levels


def _lateral(in_channels: int, out_channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, 1)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv
