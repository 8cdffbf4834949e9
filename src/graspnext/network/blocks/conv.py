"""Convolution with standardised weights, ReLU: the brick that everything else is laid with.

Nothing is normalised between the layers. What keeps signals at one scale is done to the weights, so that a trained
network is convolutions alone once `network.folding` has worked the rest into them: a normalisation of the maps, which
no runtime can fuse where it depends on the picture, took more than half of the time of a network (docs/networks.md).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

RELU_SCALE = math.sqrt(2 / (1 - 1 / math.pi))
"""Makes the variance of ReLU(x) that of x, for a normal x of mean 0."""
START = 0.05
"""Standard deviation of the weights that are learnt, of a filter of up to `START_INPUTS` inputs, at the start.

It changes nothing in what a layer does, and decides how fast it learns. AdamW moves every weight by about the learning
rate, whatever its size; where all n inputs of a filter agree, a step then moves its standardised output in proportion
to sqrt(n) over this deviation. The weights of wider filters start larger by just that factor, so that all turn alike.
"""
START_INPUTS = 1000
"""Inputs of a filter: channels times cells of the kernel."""
_EPSILON = 1e-10


class _Standardise(torch.autograd.Function):
    """Filters (O, I, k, k) and gains (O,) to filters of one size, and of mean 0 if asked for (`StandardisedConv2d`).

    Written out, since a step of training goes through all weights: four times faster than autograd's way on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, gain: Tensor, centered: bool) -> Tensor:
        count, factor = weight[0].numel(), RELU_SCALE if centered else math.sqrt(2)
        square = torch.linalg.vector_norm(weight, dim=(1, 2, 3), keepdim=True).square() / count  # (O, 1, 1, 1)
        mean = weight.mean(dim=(1, 2, 3), keepdim=True) if centered else torch.zeros_like(square)
        inverse = torch.rsqrt((square - mean.square()).clamp(min=0) + _EPSILON)
        scale = gain[:, None, None, None] * inverse * (factor / math.sqrt(count))
        ctx.save_for_backward(weight, mean, inverse, scale)
        ctx.centered, ctx.factor = centered, factor
        return torch.addcmul(-scale * mean, weight, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        weight, mean, inverse, scale = ctx.saved_tensors
        count = weight[0].numel()
        of_mean = gradient.mean(dim=(1, 2, 3), keepdim=True) if ctx.centered else torch.zeros_like(mean)
        of_product = ((gradient * weight).sum(dim=(1, 2, 3), keepdim=True) / count - of_mean * mean) * inverse
        slope = -scale * inverse * of_product
        of_weight = torch.addcmul(-scale * of_mean - slope * mean, weight, slope).addcmul_(gradient, scale)
        return of_weight, (of_product * (ctx.factor * math.sqrt(count))).flatten(), None


class StandardisedConv2d(nn.Conv2d):
    """A convolution whose weights have mean 0 and a fixed variance in each output channel, times a learnt gain.

    Maps that come from ReLU keep their variance and their mean of 0 (scaled weight standardisation: Brock, De and
    Smith, ICLR 2021, arXiv 2101.08692). Unlike a normalisation of the maps it does the same at any batch size.

    On the way back the variance of gradients grows by half with every layer, which matters where many follow each
    other without shortcuts. Those are better not centered: their weights have a fixed mean square alone (weight
    normalisation: Salimans and Kingma, NeurIPS 2016), with which maps and gradients both keep theirs (He et al., ICCV
    2015).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        centered: bool = True,
    ) -> None:
        """Make a layer with "same" padding for odd kernels.

        Args:
            in_channels: Of the map that comes in.
            out_channels: Of the map that goes out.
            kernel: Side of the kernel, cells.
            stride: Step, cells.
            groups: In how many parts channels are convolved apart.
            centered: Whether weights have mean 0.
        """
        super().__init__(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups)
        inputs = self.weight[0].numel()
        nn.init.normal_(self.weight, std=START * math.sqrt(max(inputs / START_INPUTS, 1.0)))
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]
        self.gain = nn.Parameter(torch.ones(out_channels))
        self.centered = centered

    def standardised(self) -> Tensor:
        """The weights (out, in / groups, k, k) that are convolved with."""
        weight: Tensor = _Standardise.apply(self.weight, self.gain, self.centered)
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H / stride, W / stride)."""
        out: Tensor = self._conv_forward(x, self.standardised(), self.bias)
        return out

    def folded(self) -> nn.Conv2d:
        """A plain convolution that does the same."""
        plain = nn.Conv2d(
            self.in_channels,
            self.out_channels,
            self.kernel_size,  # type: ignore[arg-type]
            stride=self.stride,  # type: ignore[arg-type]
            padding=self.padding,  # type: ignore[arg-type]
            groups=self.groups,
            device="meta",
        )
        plain.weight = nn.Parameter(self.standardised().detach())
        plain.bias = nn.Parameter(self.bias.detach().clone())  # type: ignore[union-attr]
        return plain


class ConvAct(nn.Module):
    """Convolution with standardised weights, ReLU."""

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
        self.conv = StandardisedConv2d(in_channels, out_channels, kernel, stride=stride, groups=groups)
        self.act = nn.ReLU(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H / stride, W / stride)."""
        return self.act(self.conv(x))  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Two dense 3x3 convolutions around a shortcut (He et al., CVPR 2016); starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvAct(channels, channels)
        self.second = ConvAct(channels, channels, act=False)
        nn.init.zeros_(self.second.conv.gain)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return self.act(self.second(self.first(x)) + x)  # type: ignore[no-any-return]
