"""What a network costs: parameters, multiply-accumulates (MACs) and activations, by part and by type of layer.

MACs are half of what torch's flop counter reports for convolutions and matrix products; elementwise work, poolings and
RoIAlign are not counted, as in the literature's tables. Everything runs on the meta device: no memory, no arithmetic.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import FrozenBatchNorm2d

from graspnext.errors import ConfigError
from graspnext.network.build import build_network
from graspnext.network.config import NetworkConfig
from graspnext.network.neck import STRIDES

SIZE_STEP = 32
"""Inputs are padded to multiples of this many pixels."""
_TRACED = (torch.nn.modules.conv._ConvNd, nn.Linear, nn.GroupNorm, nn.BatchNorm2d, FrozenBatchNorm2d)
"""Layers that write a new map. Activations work in place, poolings and resizing are small."""


@dataclass(frozen=True)
class Cost:
    """Cost of a part, of all layers of one type, or of the whole."""

    name: str
    params_m: float = 0.0
    """Parameters, millions."""
    gmacs: float = 0.0
    """Multiply-accumulates, 1e9."""
    activation_mb: float = 0.0
    """Outputs of convolutions, linear layers and normalisations in float32, 1e6 bytes, batch 1: what training keeps
    for the way back at the least. Inference reuses most of it."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.name,
            self.params_m + other.params_m,
            self.gmacs + other.gmacs,
            self.activation_mb + other.activation_mb,
        )


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
    parts: tuple[Cost, ...]
    layers: tuple[Cost, ...]
    """By type of layer, such as "conv 3x3" or "depthwise conv 5x5", most MACs first."""

    @property
    def total(self) -> Cost:
        """The sum of the parts."""
        return sum(self.parts, Cost("total"))

    def to_dict(self) -> dict[str, Any]:
        """{size, input_size, proposals, detections, total, parts, layers}, a cost as its fields."""
        total = asdict(self.total)
        del total["name"]
        return {
            "size": self.size,
            "input_size": self.input_size,
            "proposals": self.proposals,
            "detections": self.detections,
            "total": total,
            "parts": [asdict(part) for part in self.parts],
            "layers": [asdict(layer) for layer in self.layers],
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


def layer_costs(module: nn.Module, *inputs: Any) -> list[Cost]:
    """One cost a call of a convolution, linear layer or normalisation inside a module, in the order of the calls.

    A layer that is called several times (heads shared by pyramid levels) brings its parameters the first time only.

    Args:
        module: Called once without gradients.
        inputs: What it is called with.
    """
    costs: list[Cost] = []
    seen: set[int] = set()
    reached = 0

    def note(layer: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        nonlocal reached
        macs, reached = counter.get_total_flops() // 2 - reached, counter.get_total_flops() // 2
        params = 0 if id(layer) in seen else count_params(layer)
        seen.add(id(layer))
        costs.append(Cost(layer_type(layer), params / 1e6, macs / 1e9, output.numel() * 4 / 1e6))

    hooks = [layer.register_forward_hook(note) for layer in module.modules() if isinstance(layer, _TRACED)]
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return costs


def layer_type(layer: nn.Module) -> str:
    """What a layer is, in words: "conv 3x3", "conv 7x7 /2", "grouped conv 3x3", "linear", "groupnorm"."""
    if not isinstance(layer, torch.nn.modules.conv._ConvNd):
        return type(layer).__name__.lower()
    depthwise = 1 < layer.groups == layer.in_channels
    kind = "depthwise " if depthwise else "grouped " if layer.groups > 1 else ""
    name = "transposed conv" if isinstance(layer, nn.ConvTranspose2d) else "conv"
    step = f" /{layer.stride[0]}" if max(layer.stride) > 1 else ""
    return f"{kind}{name} {'x'.join(map(str, layer.kernel_size))}{step}"


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
            "rpn": (network.rpn, levels[-len(network.rpn.strides) :]),
            "box_head": (network.box_head, box_rois),
            "mask_head": (network.mask_head, mask_rois),
            "dense_head": (network.dense_head, levels[0]),
        }
        parts: list[Cost] = []
        by_type: dict[str, Cost] = defaultdict(lambda: Cost(""))
        for name, (part, argument) in calls.items():
            layers = layer_costs(part, argument)
            activation_mb = sum(layer.activation_mb for layer in layers)
            macs = count_macs(part, argument)
            parts.append(Cost(name, count_params(part) / 1e6, macs / 1e9, activation_mb))
            bare = count_params(part) / 1e6 - sum(layer.params_m for layer in layers)  # scales that are no layer's
            for layer in [*layers, Cost("other", bare)] if bare > 1e-9 else layers:
                by_type[layer.name] = Cost(layer.name) + by_type[layer.name] + layer
    return CostReport(
        size=size,
        input_size=side,
        proposals=proposals,
        detections=detections,
        parts=tuple(parts),
        layers=tuple(sorted(by_type.values(), key=lambda cost: (-cost.gmacs, -cost.activation_mb, cost.name))),
    )
