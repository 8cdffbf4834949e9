"""Anti-aliased down-sampling: low-pass filter, then keep every second sample (Zhang, ICML 2019, arXiv 1904.11486)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from graspnext.errors import ConfigError
from graspnext.network.blocks.conv import ConvAct

TAPS = (2, 3, 4, 5)
Placement = Literal["before", "after"]


class BlurPool(nn.Module):
    """Fixed separable binomial filter with stride 2 and reflected borders; no parameters.

    A binomial filter of n taps is a chain of n - 1 means of two, so the blur is a chain of 2x2 mean poolings: on CPU
    several times faster than one depthwise convolution, forward and backward.
    """

    def __init__(self, taps: int) -> None:
        super().__init__()
        if taps not in TAPS:
            raise ConfigError("taps", taps, f"one of {TAPS}")
        self.taps = taps

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), both even, to (B, C, H / 2, W / 2)."""
        pad = (self.taps - 1) // 2  # even filters are centred between two samples, odd ones on the left one
        if pad:
            x = functional.pad(x, (pad, pad, pad, pad), mode="reflect")
        for _ in range(self.taps - 2):
            x = functional.avg_pool2d(x, 2, stride=1)
        return functional.avg_pool2d(x, 2)


class AntiAliasedDown(nn.Module):
    """Halve a map and change its channels: blur then 3x3 convolution, or 3x3 convolution then blur.

    "before" filters the input and convolves at the low resolution: a quarter of the cost of "after", which is
    the order of Zhang's paper.
    """

    def __init__(self, in_channels: int, out_channels: int, *, taps: int, placement: Placement = "before") -> None:
        super().__init__()
        blur = BlurPool(taps)
        conv = ConvAct(in_channels, out_channels)
        self.layers = nn.Sequential(blur, conv) if placement == "before" else nn.Sequential(conv, blur)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W), both even, to (B, out, H / 2, W / 2)."""
        return self.layers(x)  # type: ignore[no-any-return]
