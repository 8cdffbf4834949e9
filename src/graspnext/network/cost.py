"""What a network costs: parameters, multiply-accumulates (MACs) and activations, by part and by type of layer.

MACs are half of what torch's flop counter reports for convolutions and matrix products; elementwise work, poolings and
RoIAlign are not counted, as in the literature's tables. Activations are the maps that autograd keeps for the way back.
The network is counted as it is deployed (`folding.fold`). Everything runs on the meta device: no memory, no arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.flop_counter import FlopCounterMode

from graspnext.errors import ConfigError
from graspnext.network.build import build_network
from graspnext.network.config import NetworkConfig
from graspnext.network.folding import fold
from graspnext.network.pipeline import fitting_input_size

OTHER = "other"
"""Type of what no layer did: a module's own scales, products, joined maps, copies of what is overwritten in place."""


@dataclass(frozen=True)
class Cost:
    """Cost of a part, of all layers of one type, or of the whole."""

    name: str
    params_m: float = 0.0
    """Parameters, millions."""
    gmacs: float = 0.0
    """Multiply-accumulates, 1e9."""
    activation_mb: float = 0.0
    """Maps that autograd keeps for the way back, float32, 1e6 bytes, batch 1; by type: those that such layers wrote.
    Inference reuses most of this memory."""

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


class CostTrace:
    """Calls modules and notes what each call costs, by type of layer.

    A layer that is called several times (heads shared by pyramid levels) brings its parameters the first time only, and
    a map that several layers keep counts once, where it is kept first.
    """

    def __init__(self) -> None:
        self.parts: list[Cost] = []
        """One a call, in order."""
        self.layers: dict[str, Cost] = {}
        """By type of layer, over all calls."""
        self._counted: set[int] = set()
        self._writers: dict[StorageWeakRef, str] = {}
        self._kept: set[StorageWeakRef] = set()

    def given(self, name: str, *tensors: Tensor) -> None:
        """Maps that enter from outside: should a call keep them, they count as written by `name`."""
        self._writers |= dict.fromkeys(map(_storage, tensors), name)

    def call(self, name: str, module: nn.Module, *inputs: Any) -> Any:
        """Call a module as training would, add its cost to `parts` and `layers`, and return its output.

        Args:
            name: Of the part.
            module: In training mode.
            inputs: What it is called with.
        """
        before = sum(self.layers.values(), Cost(name))
        with FlopCounterMode(display=False) as counter, self._watch(module, counter):
            output = module(*inputs)
        layers = sum(self.layers.values(), Cost(name))
        macs = counter.get_total_flops() // 2 / 1e9
        params = count_params(module) / 1e6
        bare = Cost(OTHER, params - layers.params_m + before.params_m, macs - layers.gmacs + before.gmacs)
        if bare.params_m > 1e-9 or bare.gmacs > 1e-12:
            self._add(bare)
        self.parts.append(Cost(name, params, macs, layers.activation_mb - before.activation_mb))
        return output

    @contextmanager
    def _watch(self, module: nn.Module, counter: FlopCounterMode) -> Iterator[None]:
        reached = 0
        fixed = {_storage(tensor) for tensor in (*module.parameters(), *module.buffers())}
        kept: dict[StorageWeakRef, int] = {}

        def note(layer: nn.Module, _inputs: Any, output: Any) -> None:
            nonlocal reached
            if not any(layer.children()) and id(layer) not in self._counted:
                self._counted.add(id(layer))
                self._add(Cost(layer_type(layer), params_m=count_params(layer) / 1e6))
            macs, reached = counter.get_total_flops() // 2 - reached, counter.get_total_flops() // 2
            self._add(Cost(layer_type(layer), gmacs=macs / 1e9))
            if isinstance(output, Tensor):
                self._writers.setdefault(_storage(output), layer_type(layer))

        def keep(tensor: Tensor) -> Tensor:
            storage = _storage(tensor)
            if storage not in fixed and storage not in self._kept:
                self._kept.add(storage)
                kept[storage] = tensor.untyped_storage().nbytes()
            return tensor

        hooks = [layer.register_forward_hook(note) for layer in module.modules()]
        try:
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                yield
        finally:
            for hook in hooks:
                hook.remove()
        for storage, size in kept.items():
            self._add(Cost(self._writers.get(storage, OTHER), activation_mb=size / 1e6))

    def _add(self, cost: Cost) -> None:
        self.layers[cost.name] = self.layers.get(cost.name, Cost(cost.name)) + cost


def _storage(tensor: Tensor) -> StorageWeakRef:
    """What tells a tensor's memory from that of others, also after it is gone."""
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


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
    side = fitting_input_size(size)
    trace = CostTrace()
    with torch.device("meta"):
        network = fold(build_network(config)).train()
        image = torch.empty(1, 3, side, side)
        box_rois = torch.empty(proposals, config.neck.width, *[config.box_head.roi_size] * 2)
        mask_rois = torch.empty(detections, config.neck.width, *[config.mask_head.roi_size] * 2)
        trace.given("image", image)
        trace.given("roi features", box_rois, mask_rois)
        maps = trace.call("backbone", network.backbone, image)
        levels = trace.call("neck", network.neck, maps)
        trace.call("rpn", network.rpn, levels[-len(network.rpn.strides) :])
        trace.call("box_head", network.box_head, box_rois)
        trace.call("mask_head", network.mask_head, mask_rois)
        trace.call("dense_head", network.dense_head, levels[0])
    layers = [cost for cost in trace.layers.values() if cost.params_m or cost.gmacs or cost.activation_mb]
    return CostReport(
        size=size,
        input_size=side,
        proposals=proposals,
        detections=detections,
        parts=tuple(trace.parts),
        layers=tuple(sorted(layers, key=lambda cost: (-cost.gmacs, -cost.activation_mb, cost.name))),
    )
