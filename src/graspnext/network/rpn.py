"""Region proposals without anchors: each location proposes the amodal box of the instance that it sees.

As in FCOS (Tian et al., ICCV 2019) a location regresses one box. Unlike there, a location belongs to the instance that
is visible at it, not to every box that contains it: parts in a bin overlap so much that boxes are ambiguous where
visible masks are not. Objectness is trained towards the quality of the location's own box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graspnext.errors import ConfigError
from graspnext.network import boxes as box_ops
from graspnext.network.blocks.conv import ConvAct
from graspnext.network.blocks.precision import full_precision
from graspnext.network.nms import suppress, suppress_in_parallel

CODER_WEIGHTS = (1.0, 1.0)


@dataclass(frozen=True)
class RpnConfig:
    """Proposals from the pyramid's levels, from `finest_stride` to 64."""

    finest_stride: int = 8
    """4 or 8: the finest level that proposes. Stride 4 costs three times all others together."""
    depth: int = 2
    """3x3 convolutions before the predictions, shared by all levels."""
    reference: float = 6.0
    """Side of the square that deltas refer to, in strides of the level."""
    level_limits_px: tuple[float, ...] = (64.0, 128.0, 256.0)
    """Square-root areas of amodal boxes at which instances move to the next level."""
    level_overlap: float = 1.3
    """Instances within this factor of a limit train both levels."""
    min_coverage: float = 0.25
    """Share of a location's cell that an instance must cover to own it."""
    candidates_training: int = 600
    proposals_training: int = 150
    candidates: int = 1000
    """Best locations that enter non-maximum suppression."""
    proposals: int = 300
    """Boxes that leave it."""
    nms_iou: float = 0.7

    def __post_init__(self) -> None:
        for name in ("depth", "candidates_training", "proposals_training", "candidates", "proposals"):
            if getattr(self, name) < 1:
                raise ConfigError(f"rpn.{name}", getattr(self, name), "at least 1")
        if self.finest_stride not in (4, 8):
            raise ConfigError("rpn.finest_stride", self.finest_stride, "4 or 8")
        limits = 3 if self.finest_stride == 8 else 4
        if len(self.level_limits_px) != limits or sorted(self.level_limits_px) != list(self.level_limits_px):
            raise ConfigError("rpn.level_limits_px", self.level_limits_px, f"{limits} rising sizes, one between levels")
        if not 0 < self.nms_iou <= 1:
            raise ConfigError("rpn.nms_iou", self.nms_iou, "in (0, 1]")


@dataclass(frozen=True, eq=False)
class RpnOutput:
    """Predictions at all L locations of all levels, finest level first, row by row."""

    objectness: Tensor
    """(B, L) float32 logits."""
    boxes: Tensor
    """(B, L, 4) float32 xyxy px."""


class RegionProposals(nn.Module):
    """Objectness and one box at each location of the pyramid."""

    def __init__(self, width: int, strides: Sequence[int], config: RpnConfig) -> None:
        super().__init__()
        self.config = config
        self.strides = tuple(strides)
        self.tower = nn.Sequential(*[ConvAct(width, width) for _ in range(config.depth)])
        self.predict = nn.Conv2d(width, 5, 1)
        nn.init.normal_(self.predict.weight, std=0.01)
        nn.init.zeros_(self.predict.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.predict.bias[0] = -3.0  # type: ignore[index]  # few locations propose anything at first

    def forward(self, levels: Sequence[Tensor]) -> RpnOutput:
        """Levels (B, width, H_l, W_l), one a stride, to predictions at all their locations."""
        scores, boxes = [], []
        for level, stride in zip(levels, self.strides, strict=True):
            out = full_precision(self.predict(self.tower(level)))  # (B, 5, h, w)
            batch, _, height, width = out.shape
            flat = out.permute(0, 2, 3, 1).reshape(batch, height * width, 5)
            references = reference_boxes((height, width), stride, self.config.reference, out.device)
            scores.append(flat[..., 0])
            boxes.append(box_ops.decode(flat[..., 1:], references, CODER_WEIGHTS))  # (B, h * w, 4)
        return RpnOutput(torch.cat(scores, dim=1), torch.cat(boxes, dim=1))

    def propose(self, output: RpnOutput, size: tuple[int, int]) -> Tensor:
        """The best proposals of a single image.

        Args:
            output: What `forward` returned for a batch of one.
            size: (height, width) of the network's input, px.

        Returns:
            (proposals, 4) xyxy px inside the image, best first; zeros where fewer are left.
        """
        config = self.config
        scores = torch.sigmoid(output.objectness[0])
        best, order = torch.topk(scores, min(config.candidates, scores.shape[0]))
        boxes = box_ops.clip(output.boxes[0][order], size)
        return suppress(boxes, best, config.nms_iou, config.proposals)[0]

    def propose_in_training(self, output: RpnOutput, size: tuple[int, int]) -> Tensor:
        """The same for every image of a batch, in smaller numbers: (B, proposals_training, 4), without gradients."""
        config = self.config
        logits, boxes = output.objectness.detach(), output.boxes.detach()
        order = torch.topk(logits, min(config.candidates_training, logits.shape[1])).indices
        candidates = box_ops.clip(torch.take_along_dim(boxes, order[..., None], dim=1), size)
        return suppress_in_parallel(candidates, config.nms_iou, config.proposals_training)


def locations(size: tuple[int, int], stride: int, device: torch.device) -> Tensor:
    """Centres (h * w, 2) x, y px of the cells of a map of (h, w), row by row."""
    y = (torch.arange(size[0], device=device, dtype=torch.float32) + 0.5) * stride
    x = (torch.arange(size[1], device=device, dtype=torch.float32) + 0.5) * stride
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x.reshape(-1), grid_y.reshape(-1)], dim=1)


def reference_boxes(size: tuple[int, int], stride: int, reference: float, device: torch.device) -> Tensor:
    """Squares (h * w, 4) xyxy px of `reference` strides around the cell centres."""
    center = locations(size, stride, device)
    half = reference * stride / 2
    return torch.cat([center - half, center + half], dim=1)
