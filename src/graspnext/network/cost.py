"""What a network costs: parameters and multiply-accumulates (MACs), in total and by part.

MACs are half of what torch's flop counter reports for convolutions and matrix products; elementwise work, poolings and
RoIAlign are not counted, as in the literature's tables. Everything runs on the meta device: no memory, no arithmetic.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from graspnext.errors import ConfigError
from graspnext.network.build import build_network
from graspnext.network.config import NetworkConfig
from graspnext.network.neck import STRIDES

SIZE_STEP = 32
"""Inputs are padded to multiples of this many pixels."""


@dataclass(frozen=True)
class PartCost:
    """Cost of one part."""

    name: str
    params_m: float
    """Parameters, millions."""
    gmacs: float
    """Multiply-accumulates, 1e9."""


@dataclass(frozen=True)
class CostReport:
    """Cost of a network on one image."""

    size: int
    """Side of the square image, px."""
    input_size: int
    """Side of the network's input: `size` padded to a multiple of 32; what the MACs are counted at."""
    proposals: int
    """RoIs that the box head reads."""
    detections: int
    """RoIs that the mask heads read."""
    params_m: float
    gmacs: float
    parts: tuple[PartCost, ...]

    def to_dict(self) -> dict[str, Any]:
        """{size, input_size, proposals, detections, total: {params_m, gmacs}, parts: [{name, params_m, gmacs}]}."""
        return {
            "size": self.size,
            "input_size": self.input_size,
            "proposals": self.proposals,
            "detections": self.detections,
            "total": {"params_m": self.params_m, "gmacs": self.gmacs},
            "parts": [asdict(part) for part in self.parts],
        }


def count_params(module: nn.Module) -> int:
    """Trainable numbers of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(module: nn.Module, *inputs: Any) -> int:
    """Multiply-accumulates of one call of a module, on whatever device its tensors are.

    Args:
        module: Called once without gradients.
        inputs: What it is called with.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return int(counter.get_total_flops()) // 2


def profile_network(config: NetworkConfig, size: int, *, proposals: int, detections: int) -> CostReport:
    """The cost of one square image.

    Args:
        config: The network.
        size: Side of the image, px.
        proposals: RoIs of the box head.
        detections: RoIs of the mask heads.

    Raises:
        ConfigError: A number is not positive.
    """
    for name, value in (("size", size), ("proposals", proposals), ("detections", detections)):
        if value < 1:
            raise ConfigError(name, value, "at least 1")
    side = -(-size // SIZE_STEP) * SIZE_STEP
    with torch.device("meta"):
        network = build_network(config).eval()
        image = torch.empty(1, 3, side, side)
        maps = [torch.empty(1, w, side // s, side // s) for w, s in zip(config.backbone.widths, STRIDES, strict=False)]
        levels = [torch.empty(1, config.neck.width, -(-side // s), -(-side // s)) for s in STRIDES]
        box_rois = torch.empty(proposals, config.neck.width, *[config.box_head.roi_size] * 2)
        mask_rois = torch.empty(detections, config.neck.width, *[config.mask_head.roi_size] * 2)
        calls: dict[str, tuple[nn.Module, Any]] = {
            "backbone": (network.backbone, image),
            "neck": (network.neck, maps),
            "rpn": (network.rpn, levels[1:]),
            "box_head": (network.box_head, box_rois),
            "mask_head": (network.mask_head, mask_rois),
            "dense_head": (network.dense_head, levels[0]),
        }
        parts = tuple(
            PartCost(name, count_params(part) / 1e6, count_macs(part, argument) / 1e9)
            for name, (part, argument) in calls.items()
        )
    return CostReport(
        size=size,
        input_size=side,
        proposals=proposals,
        detections=detections,
        params_m=sum(part.params_m for part in parts),
        gmacs=sum(part.gmacs for part in parts),
        parts=parts,
    )
