"""How long each layer of a compiled model takes, with what it computes and what it moves: as the runtime says."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from graspnext.deploy.timing.compiled import CompiledModel
from graspnext.deploy.timing.onnx_origin import Origins, part_or_other
from graspnext.types import UInt8Array

Shape = tuple[int, ...]
ITEM_BYTES = {"f64": 8, "i64": 8, "f32": 4, "i32": 4, "u32": 4, "bf16": 2, "f16": 2, "i16": 2, "i8": 1, "u8": 1}
"""Of OpenVINO's and ONNX Runtime's element types, in OpenVINO's names; booleans and others count one byte."""
_ONNX_TYPES = {"float": "f32", "double": "f64", "float16": "f16", "bfloat16": "bf16", "int64": "i64", "int32": "i32"}
_ONNX_TYPES |= {"uint8": "u8", "int8": "i8", "bool": "u8", "uint32": "u32", "int16": "i16"}
VIEWS = frozenset({"Reshape", "ShapeOf", "Shape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
"""Layers that move nothing: they give the same memory another shape."""
ROI_READS = 16
"""Values that RoIAlign reads for each one it writes: four corners of 2x2 points."""
LAYOUT_KINDS = frozenset({"Reorder", "Transpose", "ReorderInput", "ReorderOutput"})
"""Layers that only bring values into another order or precision."""


@dataclass(frozen=True)
class Layer:
    """One layer as the runtime executes it, after it has merged what it merges."""

    name: str
    """Of the ONNX node that it comes from, or of the runtime's making."""
    part: str
    """pre, network, post, or other: made by the runtime between them."""
    kind: str
    """Such as "conv 3x3", "depthwise conv 5x5", "MatMul", "Reorder"."""
    implementation: str
    """The runtime's word for the kernel."""
    precision: str
    """Of the arithmetic: f32, bf16, i8, ..."""
    inputs: tuple[Shape, ...]
    output: Shape
    gmacs: float
    """Multiply-accumulates of convolutions and products, 1e9."""
    mb: float
    """Bytes read and written once each, weights included, 1e6."""
    ms: float
    """Median over the runs."""


def profile_layers(
    model: bytes, images: Sequence[UInt8Array], *, runtime: str, precision: str, threads: int, runs: int
) -> dict[str, Any]:
    """Time the layers of a model of the whole pipeline.

    Args:
        model: ONNX, from image to `OUTPUT_NAMES`.
        images: (H, W, 3) uint8 of one size; run by run the next one.
        runtime: openvino or onnxruntime.
        precision: Of the arithmetic.
        threads: 0 leaves them to the runtime.
        runs: That are measured, after two that are not.

    Returns:
        `layers`, as fields of `Layer`, in the order of execution, without those that take no time at all; `wall_ms`,
        the median of whole calls while layers are timed.
    """
    compiled = CompiledModel(model, runtime=runtime, precision=precision, threads=threads, profile=True)
    feeds = [{"image": image} for image in images]
    if runtime == "openvino":
        layers, wall = _openvino_layers(compiled, feeds, runs, Origins(model))
    else:
        layers, wall = _onnxruntime_layers(compiled, feeds, runs, Origins(model))
    return {"layers": [asdict(layer) for layer in layers if layer.ms > 0], "wall_ms": round(wall * 1e3, 3)}


def _openvino_layers(
    compiled: CompiledModel, feeds: Sequence[Mapping[str, Any]], runs: int, origins: Origins
) -> tuple[list[Layer], float]:
    taken: dict[str, list[float]] = defaultdict(list)
    walls = []
    for number in range(-2, runs):
        wall = compiled.time(feeds[number % len(feeds)])
        if number < 0:
            continue
        walls.append(wall)
        for one in compiled.openvino_layers()[1]:
            taken[one.node_name].append(one.real_time.total_seconds() * 1e3)
    graph = compiled.openvino_layers()[0]
    layers = []
    for node in graph.get_ordered_ops():
        name = node.get_friendly_name()
        info = {key: str(value.astype(str)) for key, value in node.get_rt_info().items()}
        if name in taken and info["layerType"] not in {"Input", "Const", "Output"}:
            layers.append(_openvino_layer(node, info, float(np.median(taken[name])), origins))
    return layers, float(np.median(walls))


def _openvino_layer(node: Any, info: Mapping[str, str], ms: float, origins: Origins) -> Layer:
    precision = info["primitiveType"].rpartition("_")[2].lower()
    sources = [one.get_source_output() for one in node.inputs()]
    inputs = [_shape(one.get_partial_shape()) for one in node.inputs()]
    outputs = [_shape(one.get_partial_shape()) for one in node.outputs()]
    read = [
        math.prod(shape) * _source_bytes(source, ITEM_BYTES.get(precision, 4))
        for shape, source in zip(inputs, sources, strict=True)
    ]
    types = info["outputPrecisions"].split(",")
    written = [math.prod(shape) * ITEM_BYTES.get(kind, 1) for shape, kind in zip(outputs, types, strict=False)]
    kind, macs = describe(info["layerType"], inputs, outputs[0] if outputs else ())
    merged = [node.get_friendly_name(), *info.get("originalLayersNames", "").split(",")]
    # what writes an output of the model goes by the name of that
    names = [name if (origin := origins.find(name, "")) is None else origin.name for name in merged]
    return Layer(
        name=names[0],
        part=next((found for found in map(part_or_other, names) if found != "other"), "other"),
        kind=kind,
        implementation=info["primitiveType"],
        precision=precision,
        inputs=tuple(inputs),
        output=outputs[0] if outputs else (),
        gmacs=macs / 1e9,
        mb=moved(kind, read, written) / 1e6,
        ms=round(ms, 4),
    )


def _source_bytes(source: Any, computed: int) -> int:
    """Bytes of an element that an input reads; weights are kept as the arithmetic wants them."""
    info = source.get_node().get_rt_info()
    types = str(info["outputPrecisions"].astype(str)).split(",")
    size = ITEM_BYTES.get(types[min(source.get_index(), len(types) - 1)], 1)
    return min(size, computed) if str(info["layerType"].astype(str)) == "Const" else size


def _shape(partial: Any) -> Shape:
    return tuple(dimension.get_length() if dimension.is_static else 0 for dimension in partial)


def _onnxruntime_layers(
    compiled: CompiledModel, feeds: Sequence[Mapping[str, Any]], runs: int, origins: Origins
) -> tuple[list[Layer], float]:
    walls = [compiled.time(feeds[number % len(feeds)]) for number in range(-2, runs)][2:]
    every: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for event in compiled.onnxruntime_events():
        if event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            every[event["args"]["node_index"], name].append(event)
    layers = [_onnxruntime_layer(name, calls, origins) for (_, name), calls in every.items()]
    return layers, float(np.median(walls))


def _onnxruntime_layer(name: str, calls: Sequence[Mapping[str, Any]], origins: Origins) -> Layer:
    about = calls[-1]["args"]
    origin = origins.find(name, about["op_name"])
    inputs, outputs = (_onnx_tensors(about[f"{side}_type_shape"]) for side in ("input", "output"))
    shapes, output = [one for _, one in inputs], outputs[0][1] if outputs else ()
    weights = () if origin is None else origins.weights(origin)
    if weights and shapes:  # the runtime leaves out weights that it packed, and counts channels that it padded with
        padded = shapes[0]
        shapes = [shapes[0], weights]
        if about["op_name"] in {"Conv", "FusedConv"}:
            groups = next((one.i for one in origin.attribute if one.name == "group"), 1) if origin else 1
            shapes[0] = (padded[0], weights[1] * groups, *padded[2:])
            output = (output[0], weights[0], *output[2:])
    kind, macs = describe(about["op_name"], shapes, output)
    read, written = ([ITEM_BYTES[word] * math.prod(one) for word, one in side] for side in (inputs, outputs))
    if weights and len(inputs) == 1:
        read.append(ITEM_BYTES[inputs[0][0]] * math.prod(weights))
    name = name if origin is None else origin.name
    return Layer(
        name=name,
        part=part_or_other(name),
        kind=kind,
        implementation=about["op_name"],
        precision=inputs[0][0] if inputs else "",
        inputs=tuple(shapes),
        output=output,
        gmacs=macs / 1e9,
        mb=moved(kind, read, written) / 1e6,
        ms=round(float(np.median([one["dur"] / 1e3 for one in calls[2:]])), 4) if len(calls) > 2 else 0.0,
    )


def _onnx_tensors(described: Sequence[Mapping[str, Sequence[int]]]) -> list[tuple[str, Shape]]:
    return [(_ONNX_TYPES.get(kind, "u8"), tuple(shape)) for one in described for kind, shape in one.items()]


def describe(operation: str, inputs: Sequence[Shape], output: Shape) -> tuple[str, float]:
    """A layer's kind in words, and its multiply-accumulates.

    Args:
        operation: OpenVINO's or ONNX's name of it.
        inputs: Shapes; the second is that of the weights, where there are any.
        output: Shape of the first output.
    """
    out = math.prod(output)
    if operation in {"Convolution", "Conv", "FusedConv", "QLinearConv"} and len(inputs) > 1:
        weights = inputs[3] if operation == "QLinearConv" else inputs[1]
        # (out, in of the group, ...); OpenVINO puts the groups in front where there are several
        _, per_group, *sides = weights[-len(inputs[0]) :]
        word = "conv" if per_group == inputs[0][1] else "depthwise conv" if per_group == 1 else "grouped conv"
        return f"{word} {'x'.join(map(str, sides))}", float(out * per_group * math.prod(sides))
    if operation in {"Deconvolution", "ConvTranspose"} and len(inputs) > 1:
        _, per_group, *sides = inputs[1][-len(inputs[0]) :]
        return f"transposed conv {'x'.join(map(str, sides))}", float(math.prod(inputs[0] + (per_group, *sides)))
    if operation in {"FullyConnected", "MatMul", "Gemm", "FusedMatMul", "FusedGemm"} and inputs and inputs[0]:
        return "product", float(out * inputs[0][-1])
    return operation, 0.0


def moved(kind: str, read: Sequence[int], written: Sequence[int]) -> int:
    """Bytes that a layer must read and write; those that pick from a large input read only what they pick."""
    out = sum(written)
    if kind in VIEWS:
        return 0
    if not read:
        return out
    if kind in {"ROIAlign", "RoiAlign"}:
        return min(read[0], ROI_READS * out) + sum(read[1:]) + out
    if kind.startswith("Gather"):
        return min(read[0], out) + sum(read[1:]) + out
    return sum(read) + out
