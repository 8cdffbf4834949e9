"""Visible mask, then amodal mask, then occlusion: each reads what was found before it.

The order is that of UOAIS (Back et al., ICRA 2022): what is seen tells what is hidden, and both tell whether
anything is hidden. Here the three share one narrow trunk, and the occlusion head also reads the share of the amodal
mask that the predicted visible mask leaves free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspnext.errors import ConfigError
from graspnext.network.blocks.conv import ConvAct
from graspnext.network.blocks.precision import full_precision


@dataclass(frozen=True)
class MaskHeadConfig:
    """Widths on RoI features; masks come out at twice the RoI's size."""

    kind: Literal["shared"] = "shared"
    roi_size: int = 14
    width: int = 64
    depth: int = 2
    """3x3 convolutions of the shared trunk."""

    def __post_init__(self) -> None:
        if self.kind != "shared":
            raise ConfigError("mask_head.kind", self.kind, "'shared' here")
        if self.roi_size < 4 or self.roi_size % 2:
            raise ConfigError("mask_head.roi_size", self.roi_size, "even and at least 4")
        if self.width < 8 or self.width % 8 or self.depth < 1:
            raise ConfigError("mask_head", (self.width, self.depth), "a width in multiples of 8 and a depth >= 1")

    @property
    def mask_size(self) -> int:
        """Cells along each side of a predicted mask."""
        return 2 * self.roi_size


class MaskPredictor(nn.Module):
    """Features to mask logits at twice their size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(width, width // 2, 2, stride=2)
        self.logits = nn.Conv2d(width // 2, 1, 1)
        nn.init.kaiming_normal_(self.up.weight, nonlinearity="relu")
        nn.init.zeros_(self.up.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.zeros_(self.logits.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(R, C, S, S) to logits (R, 2 S, 2 S) float32."""
        return full_precision(self.logits(functional.relu(self.up(x))))[:, 0]


class MaskHead(nn.Module):
    """Visible mask, amodal mask and occlusion of each RoI, in this order."""

    def __init__(self, width: int, config: MaskHeadConfig) -> None:
        super().__init__()
        self.config = config
        inner = config.width
        self.trunk = nn.Sequential(ConvAct(width, inner), *[ConvAct(inner, inner) for _ in range(config.depth - 1)])
        self.visible = ConvAct(inner, inner)
        self.visible_mask = MaskPredictor(inner)
        self.amodal = ConvAct(2 * inner, inner)
        self.amodal_mask = MaskPredictor(inner)
        self.occlusion = ConvAct(2 * inner, inner)
        self.occluded = nn.Linear(inner + 1, 1)
        nn.init.normal_(self.occluded.weight, std=0.05)
        nn.init.zeros_(self.occluded.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """RoI features (R, C, S, S) to visible logits (R, 2 S, 2 S), amodal logits (the same), occluded logits (R,)."""
        trunk = self.trunk(features)
        visible = self.visible(trunk)
        amodal = self.amodal(torch.cat([trunk, visible], dim=1))
        visible_logits, amodal_logits = self.visible_mask(visible), self.amodal_mask(amodal)
        both = functional.avg_pool2d(torch.cat([visible, amodal], dim=1), 2)
        pooled = full_precision(self.occlusion(both)).mean(dim=(2, 3))  # (R, inner)
        hidden = hidden_share(visible_logits.detach(), amodal_logits.detach())
        occluded = full_precision(self.occluded(torch.cat([pooled, hidden[:, None]], dim=1)))
        return visible_logits, amodal_logits, occluded[:, 0]


def hidden_share(visible_logits: Tensor, amodal_logits: Tensor) -> Tensor:
    """Share (R,) in [0, 1] of the amodal mask that the visible mask leaves free, from logits (R, M, M) each."""
    visible = torch.sigmoid(visible_logits).sum(dim=(1, 2))
    amodal = torch.sigmoid(amodal_logits).sum(dim=(1, 2))
    return (1 - visible / amodal.clamp(min=1.0)).clamp(0, 1)
