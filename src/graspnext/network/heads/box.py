"""Box head: is there an object in this proposal, how good is its box, and where exactly is it?"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from graspnext.errors import ConfigError
from graspnext.network.blocks.conv import ConvAct
from graspnext.network.blocks.precision import full_precision

CODER_WEIGHTS = (10.0, 5.0)
"""Factors of centre and side deltas: proposals are close, so raw deltas are small (Girshick, ICCV 2015)."""


@dataclass(frozen=True)
class BoxHeadConfig:
    """Convolutions, then a hidden layer, on RoI features."""

    roi_size: int = 7
    depth: int = 1
    """3x3 convolutions."""
    hidden: int = 256
    """Width of the fully connected layers."""
    nms_iou: float = 0.6
    """Amodal boxes overlap much in a bin: above the usual 0.5."""

    def __post_init__(self) -> None:
        if self.roi_size < 2 or self.hidden < 1 or self.depth < 0:
            raise ConfigError("box_head", (self.roi_size, self.hidden, self.depth), "roi >= 2, hidden >= 1, depth >= 0")
        if not 0 < self.nms_iou <= 1:
            raise ConfigError("box_head.nms_iou", self.nms_iou, "in (0, 1]")


class BoxHead(nn.Module):
    """Class-agnostic quality and box deltas of each RoI."""

    def __init__(self, width: int, config: BoxHeadConfig) -> None:
        super().__init__()
        self.config = config
        self.convs = nn.Sequential(*[ConvAct(width, width) for _ in range(config.depth)])
        self.hidden = nn.Sequential(
            nn.Flatten(),
            nn.Linear(width * config.roi_size**2, config.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(inplace=True),
        )
        self.score = nn.Linear(config.hidden, 1)
        self.delta = nn.Linear(config.hidden, 4)
        for layer in (self.hidden[1], self.hidden[3]):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.constant_(self.score.bias, -1.0)
        nn.init.normal_(self.delta.weight, std=0.001)
        nn.init.zeros_(self.delta.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """RoI features (R, width, roi_size, roi_size) to quality logits (R,) and deltas (R, 4), float32."""
        x = self.hidden(self.convs(features))
        return full_precision(self.score(x))[:, 0], full_precision(self.delta(x))
