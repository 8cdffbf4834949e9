"""Attention condensers: self-attention that learns a condensed embedding of space and channels together.

Re-implemented from the published equations. With C condensation, E embedding, X expansion and F selective attention:
Q = C(V), K = E(Q), A = X(K), V' = F(V, A, S) = V * A * S with a learned scale S.
Sources: TinySpeech (arXiv 2008.04245), AttendNets (arXiv 2009.14385), AttendNeXt (arXiv 2208.06980).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspnext.network.blocks.conv import ConvAct
from graspnext.network.blocks.downsample import BlurPool


class AttentionCondenser(nn.Module):
    """V + V * A * S: A in [0, 1] from a half-resolution embedding; S is learned, one number, and starts at 1."""

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(8, channels // reduction)
        self.condense = nn.MaxPool2d(2, ceil_mode=True)
        self.embed = ConvAct(channels, hidden)  # joint local and cross-channel relationships
        self.expand = nn.Conv2d(hidden, channels, 1)
        nn.init.kaiming_normal_(self.expand.weight, nonlinearity="sigmoid")
        nn.init.zeros_(self.expand.bias)  # type: ignore[arg-type]
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        attention = torch.sigmoid(self.expand(self.embed(self.condense(x))))  # (B, C, H / 2, W / 2)
        attention = functional.interpolate(attention, size=x.shape[-2:], mode="nearest")
        return x + x * attention * self.scale.to(x.dtype)


class VisualAttentionCondenser(nn.Module):
    """An attention condenser between 1x1 down-mixing and up-mixing of channels, around a shortcut (AttendNets)."""

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(8, channels // reduction)
        self.down = ConvAct(channels, hidden, 1)
        self.condenser = AttentionCondenser(hidden, reduction=2)
        self.up = ConvAct(hidden, channels, 1, act=False)
        nn.init.zeros_(self.up.conv.gain)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same; starts as the identity on non-negative maps."""
        return self.act(x + self.up(self.condenser(self.down(x))))  # type: ignore[no-any-return]


class DoubleCondensingBlock(nn.Module):
    """Down-sampling by 2 in which the attention and the value path are both condensed (AttendNeXt).

    y = ReLU(gate(F(x)) * P(x)): F two 3x3 convolutions, P a 1x1 projection, both on the blurred, halved map; the gate
    is a softmax over channels times their number, so that a map keeps its scale.
    """

    def __init__(self, in_channels: int, out_channels: int, *, taps: int = 2, groups: int = 1) -> None:
        super().__init__()
        self.blur = BlurPool(taps)
        self.attention = nn.Sequential(
            ConvAct(in_channels, out_channels, groups=groups),
            ConvAct(out_channels, out_channels, groups=groups, act=False),
        )
        self.value = ConvAct(in_channels, out_channels, 1, act=False)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W), both even, to (B, out, H / 2, W / 2)."""
        x = self.blur(x)
        logits: Tensor = self.attention(x)
        gate = torch.softmax(logits, dim=1) * logits.shape[1]
        return self.act(gate * self.value(x))  # type: ignore[no-any-return]
