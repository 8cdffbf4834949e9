"""A frozen model in 8 bits: weights and maps of the network's layers as integers, calibrated on pictures.

Post-training quantisation by NNCF, written as QuantizeLinear and DequantizeLinear, which every runtime reads. Integers
are for maps on their way from layer to layer. What comes before the network and behind it stays in floating point, and
so does arithmetic with boxes, scores and centres inside it: 8 bits are steps of 2.5 px in a picture of 640. So may
single layers: `rank_layers` says which of them err most by their own doing.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from graspnext.deploy.model.layer_names import network_boundary, part_of
from graspnext.deploy.model.onnx_file import store_as_float, store_as_half
from graspnext.deploy.model.values import Graph, OnnxRuntimeValues
from graspnext.errors import ConfigError, MissingDependencyError
from graspnext.runtime.openvino_backend import without_telemetry
from graspnext.types import UInt8Array

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators whose layers may be kept in floating point one by one."""
_CARRYING = frozenset(
    {"Add", "AveragePool", "Clip", "Concat", "GlobalAveragePool", "HardSigmoid", "HardSwish", "LeakyRelu"}
    | {"MaxPool", "Mul", "Pad", "Relu", "Resize", "Sigmoid"}
)
"""Operators between layers that may be quantised; sums, quotients, roots and choices may not."""
_PASSING = frozenset({"Flatten", "Reshape", "RoiAlign", "Squeeze", "Transpose", "Unsqueeze", "Where"})
"""Operators behind which maps go on that were quantised before, themselves as they are."""
_EPSILON = 1e-12


@dataclass(frozen=True)
class QuantiseConfig:
    """What is quantised."""

    float_layers: tuple[str, ...] = ()
    """Layers of the network that stay in floating point, by the names of their nodes, with all that carries maps to
    them and with the layers that share their weights."""

    def __post_init__(self) -> None:
        for name in self.float_layers:
            if part_of(name) != "network":
                raise ConfigError("float_layers", name, "names of layers of the network")


def import_nncf() -> Any:
    """The module `nncf`, kept from reporting its use (see `without_telemetry`).

    Raises:
        MissingDependencyError: It is not installed.
    """
    with without_telemetry():
        try:
            module = importlib.import_module("nncf")
        except ImportError as error:
            raise MissingDependencyError("nncf", "precision int8", "pip install 'graspnext[export]'") from error
    module.set_log_level(logging.ERROR)
    return module


def quantise(model: bytes, frames: Sequence[UInt8Array], *, config: QuantiseConfig) -> tuple[bytes, dict[str, Any]]:
    """Quantise a frozen pipeline.

    Args:
        model: ONNX, with layers named after their modules, as `export.freeze` writes it.
        frames: Images (H, W, 3) uint8, RGB, whose maps give the ranges; a hundred from the training data will do.
        config: What is left out.

    Returns:
        The quantised model, and for the card: `frames`, their number, and `float_layers`, also by shared weights.

    Raises:
        ConfigError: There are no frames, or a layer does not exist.
        MissingDependencyError: NNCF is not installed.
    """
    if not frames:
        raise ConfigError("frames", 0, "at least one picture to calibrate on")
    nncf = import_nncf()
    source = onnx.load_model_from_string(model)
    store_as_float(source)
    exact, float_layers = _in_floating_point(source, config.float_layers)
    boundary = {name for side in network_boundary(source) for name in side}
    kept = [value for value in source.graph.value_info if value.name in boundary]
    pictures = nncf.Dataset(list(frames), lambda image: {source.graph.input[0].name: np.ascontiguousarray(image)})
    ignored = nncf.IgnoredScope(names=exact, validate=False)
    with redirect_stdout(sys.stderr):  # NNCF shows its progress where results belong
        quantised: onnx.ModelProto = nncf.quantize(source, pictures, subset_size=len(frames), ignored_scope=ignored)
    del quantised.graph.value_info[:]
    quantised.graph.value_info.extend(kept)
    del quantised.metadata_props[:]
    _name_steps(quantised)
    store_as_half(quantised)
    onnx.checker.check_model(quantised)
    about = {"frames": len(frames), "float_layers": float_layers}
    return quantised.SerializeToString(deterministic=True), about


def _in_floating_point(model: onnx.ModelProto, wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of all nodes that stay in floating point, and of the layers among them.

    Raises:
        ConfigError: There is no such layer.
    """
    graph = Graph.of(model)
    layers = {node.name: node for node in graph.nodes if _is_layer(node, graph)}
    if unknown := sorted(set(wanted) - set(layers)):
        raise ConfigError("float_layers", unknown[0], "a layer of the model")
    weights = {layers[name].input[1] for name in wanted}
    chosen = sorted(name for name, node in layers.items() if node.input[1] in weights)
    carriers = {name: _carriers(node, graph) for name, node in layers.items()}
    able = {node.name for nodes in carriers.values() for node in nodes if node.op_type in _CARRYING} | set(layers)
    able -= {node.name for name in chosen for node in carriers[name]} | set(chosen)
    return [node.name for node in model.graph.node if node.name not in able], chosen


def _is_layer(node: onnx.NodeProto, graph: Graph) -> bool:
    return node.op_type in WEIGHTED and part_of(node.name) == "network" and node.input[1] in graph.constants


def _carriers(layer: onnx.NodeProto, graph: Graph) -> list[onnx.NodeProto]:
    """The nodes that carry maps of other layers to a layer."""
    found: dict[str, onnx.NodeProto] = {}
    waiting = [layer.input[0]]
    while waiting:
        node = graph.makers.get(waiting.pop())
        if node is None or node.name in found or part_of(node.name) != "network":
            continue
        if node.op_type in _CARRYING | _PASSING:
            found[node.name] = node
            waiting += _maps_of(node)
    return list(found.values())


def _maps_of(node: onnx.NodeProto) -> list[str]:
    """Names of what a node carries on, without what says where and how."""
    names = list(node.input)
    if node.op_type == "Where":
        return names[1:]
    return names if node.op_type in {"Add", "Concat", "Mul"} else names[:1]


def quantised_layers(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Layers whose inputs are dequantised integers."""
    makers = {output: node.op_type for node in model.graph.node for output in node.output}
    return [
        node
        for node in model.graph.node
        if node.op_type in WEIGHTED and len(node.input) > 1 and makers.get(node.input[1]) == "DequantizeLinear"
    ]


def rank_layers(model: bytes, quantised: bytes, frames: Sequence[UInt8Array]) -> dict[str, float]:
    """Quantised layers by the error of their output that is their own doing, most first.

    Each layer runs on what the layers before it put out in floating point, so that no error is passed on, and RoIs are
    the same ones in the same order. An error is the root mean square of the difference over that of the output.

    Args:
        model: In floating point.
        quantised: The same, quantised.
        frames: Images (H, W, 3) uint8, RGB; a few.
    """
    exact, rough = (onnx.load_model_from_string(content) for content in (model, quantised))
    known = {name for node in exact.graph.node for name in node.output}
    layers = {node.output[0]: node.name for node in quantised_layers(rough) if node.output[0] in known}
    source, graph = OnnxRuntimeValues(exact, optimised=False, num_threads=0), Graph.of(rough)
    squares = {layer: np.zeros(2) for layer in layers.values()}
    for image in frames:
        true = source.values(image, layers)
        own = graph.alone(list(layers), {graph.image: image, **{name: true[name] for name in layers}}, num_threads=0)
        for name, layer in layers.items():
            squares[layer] += _square(own[name] - true[name]), _square(true[name])
    errors = {layer: float(np.sqrt(one / max(whole, _EPSILON))) for layer, (one, whole) in squares.items()}
    return dict(sorted(errors.items(), key=lambda item: -item[1]))


def _square(values: npt.NDArray[Any]) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def _name_steps(model: onnx.ModelProto) -> None:
    """Name the nodes that quantisation put in: a weight's after its layer, a map's after the layer that made it."""
    constants = {tensor.name for tensor in model.graph.initializer}
    readers = {name: node for node in reversed(model.graph.node) for name in node.input}
    makers: dict[str, onnx.NodeProto] = {}
    taken: Counter[str] = Counter(node.name for node in model.graph.node)
    for node in model.graph.node:
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            near = readers.get(node.output[0]) if node.input[0] in constants else makers.get(node.input[0])
            layer = "network" if near is None or part_of(near.name) != "network" else near.name.partition("/")[0]
            name = f"{layer}/{node.op_type}"
            node.name = f"{name}.{taken[name]}" if taken[name] else name
            taken[name] += 1
        makers |= dict.fromkeys(node.output, node)
