"""Convolution, group normalisation, ReLU: the brick that everything else is laid with."""

from __future__ import annotations

from torch import Tensor, nn

CHANNELS_PER_GROUP = 16
"""Channels that are normalised together; fewer where a layer is not a multiple of it."""


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation (Wu and He, ECCV 2018), independent of the batch size.

    Args:
        channels: Channels of the map; groups hold 16 of them, or the largest power of two that divides them.
    """
    size = CHANNELS_PER_GROUP
    while channels % size:
        size //= 2
    return nn.GroupNorm(channels // size, channels)


class ConvNormAct(nn.Module):
    """Convolution without bias, group normalisation, ReLU; "same" padding for odd kernels."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
        )
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        self.norm = group_norm(out_channels)
        self.act = nn.ReLU(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H / stride, W / stride)."""
        return self.act(self.norm(self.conv(x)))  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Two dense 3x3 convolutions around a shortcut (He et al., CVPR 2016); starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNormAct(channels, channels)
        self.second = ConvNormAct(channels, channels, act=False)
        nn.init.zeros_(self.second.norm.weight)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return self.act(self.second(self.first(x)) + x)  # type: ignore[no-any-return]
