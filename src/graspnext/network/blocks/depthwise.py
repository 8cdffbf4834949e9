"""Depthwise convolutions that train as fast on a CPU as their little arithmetic lets expect."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that trains in float32 on a CPU, whatever the precision around it.

    The backward pass of oneDNN's depthwise convolutions takes 4 to 8 times longer in bfloat16 than in float32, which
    costs more than the two casts: of a MobileNetV3 trunk's training step about a third.
    """

    @classmethod
    def of(cls, conv: nn.Conv2d) -> DepthwiseConv2d:
        """The same layer with the same parameters."""
        with torch.device("meta"):
            layer = cls(
                conv.in_channels,
                conv.out_channels,
                conv.kernel_size,  # type: ignore[arg-type]
                stride=conv.stride,  # type: ignore[arg-type]
                padding=conv.padding,  # type: ignore[arg-type]
                dilation=conv.dilation,  # type: ignore[arg-type]
                groups=conv.groups,
                bias=conv.bias is not None,
            )
        layer.weight, layer.bias = conv.weight, conv.bias
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H / stride, W / stride), in the precision of `x`."""
        if self.training and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float()).to(x.dtype)
        return super().forward(x)


def swap_depthwise(module: nn.Module) -> None:
    """Put a `DepthwiseConv2d` in the place of each depthwise convolution inside `module`; parameters and names stay."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and 1 < child.groups == child.in_channels:
            setattr(module, name, DepthwiseConv2d.of(child))
        else:
            swap_depthwise(child)
