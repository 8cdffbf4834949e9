"""A frozen model in 8 bits: weights and maps of the network's layers as integers, calibrated on pictures.

Post-training quantisation by NNCF, written as QuantizeLinear and DequantizeLinear, which every runtime reads. What
comes before the network and behind it stays in floating point. So may single layers: `rank_layers` says which of them
lose most by their own doing.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from graspnext.deploy.layer_names import network_boundary, part_of
from graspnext.deploy.onnx_file import store_as_float, store_as_half
from graspnext.deploy.values import OnnxRuntimeValues
from graspnext.errors import ConfigError, MissingDependencyError
from graspnext.types import UInt8Array

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators whose layers may be kept in floating point one by one."""
_TELEMETRY = "openvino_telemetry"
_EPSILON = 1e-12


@dataclass(frozen=True)
class QuantiseConfig:
    """What is quantised."""

    float_layers: tuple[str, ...] = ()
    """Layers of the network that stay in floating point, by the names of their nodes."""

    def __post_init__(self) -> None:
        for name in self.float_layers:
            if part_of(name) != "network":
                raise ConfigError("float_layers", name, "names of layers of the network")


def import_nncf() -> Any:
    """The module `nncf`, kept from reporting its use (see `runtime.openvino_backend.import_openvino`).

    Raises:
        MissingDependencyError: It is not installed.
    """
    hide = _TELEMETRY not in sys.modules
    if hide:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        module = importlib.import_module("nncf")
    except ImportError as error:
        raise MissingDependencyError("nncf", "precision int8", "pip install 'graspnext[export]'") from error
    finally:
        if hide:
            del sys.modules[_TELEMETRY]
    module.set_log_level(logging.ERROR)
    return module


def quantise(model: bytes, frames: Sequence[UInt8Array], *, config: QuantiseConfig) -> tuple[bytes, dict[str, Any]]:
    """Quantise a frozen pipeline.

    Args:
        model: ONNX, with layers named after their modules, as `export.freeze` writes it.
        frames: Images (H, W, 3) uint8, RGB, whose maps give the ranges; a hundred from the training data will do.
        config: What is left out.

    Returns:
        The quantised model, and for the card: `frames` and `float_layers`.

    Raises:
        ConfigError: There are no frames, or a layer does not exist.
        MissingDependencyError: NNCF is not installed.
    """
    if not frames:
        raise ConfigError("frames", 0, "at least one picture to calibrate on")
    nncf = import_nncf()
    source = onnx.load_model_from_string(model)
    store_as_float(source)
    names = {node.name for node in source.graph.node}
    if unknown := sorted(set(config.float_layers) - names):
        raise ConfigError("float_layers", unknown[0], "a layer of the model")
    boundary = {name for side in network_boundary(source) for name in side}
    kept = [value for value in source.graph.value_info if value.name in boundary]
    left = [name for name in names if part_of(name) != "network"]
    quantised: onnx.ModelProto = nncf.quantize(
        source,
        nncf.Dataset(list(frames), lambda image: {source.graph.input[0].name: np.ascontiguousarray(image)}),
        subset_size=len(frames),
        ignored_scope=nncf.IgnoredScope(names=[*left, *config.float_layers], validate=False),
    )
    del quantised.graph.value_info[:]
    quantised.graph.value_info.extend(kept)
    del quantised.metadata_props[:]
    _name_steps(quantised)
    store_as_half(quantised)
    onnx.checker.check_model(quantised)
    about = {"frames": len(frames), "float_layers": sorted(config.float_layers)}
    return quantised.SerializeToString(deterministic=True), about


def quantised_layers(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Layers whose inputs are dequantised integers."""
    makers = {output: node.op_type for node in model.graph.node for output in node.output}
    return [
        node
        for node in model.graph.node
        if node.op_type in WEIGHTED and len(node.input) > 1 and makers.get(node.input[1]) == "DequantizeLinear"
    ]


def rank_layers(model: bytes, quantised: bytes, frames: Sequence[UInt8Array]) -> dict[str, float]:
    """Quantised layers by what each adds to the error of its output, most first.

    An error is the root mean square of the difference over that of the value. What a layer adds is measured as the root
    of the difference of squares behind and before it, as if errors did not know of each other.

    Args:
        model: In floating point.
        quantised: The same, quantised.
        frames: Images (H, W, 3) uint8, RGB; a few.
    """
    exact, rough = (onnx.load_model_from_string(content) for content in (model, quantised))
    layers = {node.name: node for node in exact.graph.node}
    pairs = [
        (node.name, layers[node.name].input[0], node.output[0])
        for node in quantised_layers(rough)
        if node.name in layers
    ]
    wanted = list(dict.fromkeys(name for _, before, behind in pairs for name in (before, behind)))
    sources = [OnnxRuntimeValues(one, optimised=False, num_threads=0) for one in (exact, rough)]
    squares = np.zeros((len(wanted), 2))
    for image in frames:
        for start in range(0, len(wanted), 16):  # a few maps at a time: they are large
            names = wanted[start : start + 16]
            a, b = (source.values(image, names) for source in sources)
            for row, name in enumerate(names, start):
                squares[row] += _square(b[name] - a[name]), _square(a[name])
    errors = dict(zip(wanted, squares[:, 0] / np.maximum(squares[:, 1], _EPSILON), strict=True))
    added = {layer: float(np.sqrt(max(0.0, errors[behind] - errors[before]))) for layer, before, behind in pairs}
    return dict(sorted(added.items(), key=lambda item: -item[1]))


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
