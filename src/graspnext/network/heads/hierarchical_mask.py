"""The wide mask heads of UOAIS-Net, as the paper's baselines carry them: visible, then amodal, then occlusion.

Layout after Back et al., "Unseen Object Amodal Instance Segmentation via Hierarchical Occlusion Modeling", ICRA 2022:
each task reads the RoI and what the tasks before it found ("guidance"), and fuses both with an upsampled copy of the
box head's RoI features ("multi-level coding"). The box head of the baselines is fully connected, so there are no
convolved box features to code: the pooled RoI features take their place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspnext.errors import ConfigError
from graspnext.network.blocks.conv import StandardisedConv2d
from graspnext.network.blocks.precision import full_precision
from graspnext.network.heads.mask import MaskPredictor


@dataclass(frozen=True)
class HierarchicalMaskHeadConfig:
    """Widths on RoI features; masks come out at twice the RoI's size."""

    kind: Literal["hierarchical"] = "hierarchical"
    roi_size: int = 14
    width: int = 256
    """Channels of every task's features; guidance and fusion work at two and three times as many."""

    def __post_init__(self) -> None:
        if self.kind != "hierarchical":
            raise ConfigError("mask_head.kind", self.kind, "'hierarchical' here")
        if self.roi_size < 4 or self.roi_size % 2:
            raise ConfigError("mask_head.roi_size", self.roi_size, "even and at least 4")
        if self.width < 8 or self.width % 8:
            raise ConfigError("mask_head.width", self.width, "a positive multiple of 8")

    @property
    def mask_size(self) -> int:
        """Cells along each side of a predicted mask."""
        return 2 * self.roi_size


def _conv(in_channels: int, out_channels: int, kernel: int = 3, *, stride: int = 1) -> nn.Sequential:
    """Convolution, ReLU. Up to thirty follow each other without a shortcut, so gradients have to keep their scale."""
    conv = StandardisedConv2d(in_channels, out_channels, kernel, stride=stride, centered=False)
    return nn.Sequential(conv, nn.ReLU(inplace=True))


class _Task(nn.Module):
    """Guidance, one convolution, fusion with the coded box features, three more convolutions."""

    def __init__(self, in_channels: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        self.guidance = nn.Sequential(
            _conv(in_channels, in_channels),
            _conv(in_channels, in_channels),
            _conv(in_channels, width),
        )
        self.first = _conv(width, width)
        self.fusion = nn.Sequential(_conv(2 * width, 2 * width), _conv(2 * width, 2 * width), _conv(2 * width, width))
        self.rest = nn.Sequential(_conv(width, width, stride=stride), _conv(width, width), _conv(width, width))

    def forward(self, guides: list[Tensor], coded: Tensor) -> Tensor:
        """Guides (R, width, S, S) each and coded box features (R, width, S, S) to (R, width, S / stride, ...)."""
        x = self.first(self.guidance(torch.cat(guides, dim=1)))
        return self.rest(self.fusion(torch.cat([x, coded], dim=1)))  # type: ignore[no-any-return]


class HierarchicalMaskHead(nn.Module):
    """Visible mask, amodal mask and occlusion of each RoI, in this order."""

    def __init__(self, width: int, config: HierarchicalMaskHeadConfig) -> None:
        super().__init__()
        self.config = config
        inner = config.width
        self.reduce = _conv(width, inner, 1) if width != inner else nn.Identity()
        self.coding = nn.Sequential(
            nn.ConvTranspose2d(inner, inner, 2, stride=2),
            nn.ReLU(inplace=True),
            _conv(inner, inner),
            _conv(inner, inner),
        )
        self.visible = _Task(inner, inner)
        self.visible_mask = MaskPredictor(inner)
        self.amodal = _Task(2 * inner, inner)
        self.amodal_mask = MaskPredictor(inner)
        self.occlusion = _Task(3 * inner, inner, stride=2)
        self.occluded = nn.Linear(inner * (config.roi_size // 2) ** 2, 1)
        self.scale = self.occluded.in_features**-0.5  # or each step of AdamW would move the logit by their number
        nn.init.normal_(self.coding[0].weight, std=math.sqrt(2 / inner))  # type: ignore[arg-type]  # inputs of a cell
        nn.init.zeros_(self.coding[0].bias)  # type: ignore[arg-type]
        nn.init.normal_(self.occluded.weight, std=0.1)
        nn.init.zeros_(self.occluded.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """RoI features (R, C, S, S) to visible logits (R, 2 S, 2 S), amodal logits (the same), occluded logits (R,)."""
        roi = self.reduce(features)
        coded = self.coding(functional.avg_pool2d(roi, 2))
        visible = self.visible([roi], coded)
        amodal = self.amodal([roi, visible], coded)
        occlusion = self.occlusion([roi, visible, amodal], coded)
        return (
            self.visible_mask(visible),
            self.amodal_mask(amodal),
            full_precision(self.occluded(self.scale * occlusion.flatten(1)))[:, 0],
        )
