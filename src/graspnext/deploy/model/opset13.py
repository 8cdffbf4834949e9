"""The same model for readers of ONNX opset 13, such as TensorRT 8.0 to 8.5 of older Jetson systems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from graspnext.errors import ConfigError

OPSET = 13
IR_VERSION = 7
"""Of the file's format, as ONNX 1.8 wrote it together with opset 13."""
_AXES_AS_ATTRIBUTE = frozenset({"ReduceMax", "ReduceMin", "ReduceMean", "ReduceL2", "ReduceProd"})
"""Reductions that take their axes as an input since opset 18."""
_LATER: dict[str, dict[str, object]] = {
    "Resize": {"antialias": 0, "keep_aspect_ratio_policy": b"stretch"},
    "ScatterND": {"reduction": b"none"},
    "RoiAlign": {"coordinate_transformation_mode": b"half_pixel"},
    **{name: {"noop_with_empty_axes": 0} for name in (*_AXES_AS_ATTRIBUTE, "ReduceSum")},
}
"""Operator -> attributes that opset 13 lacks, and the value with which leaving them out changes nothing."""
_KNOWN = _AXES_AS_ATTRIBUTE.union(
    """
    Abs Add And ArgMax AveragePool Cast Clip Concat Constant ConstantOfShape Conv ConvTranspose DequantizeLinear
    Div Equal Exp Expand Floor Gather GatherElements GatherND Gemm GlobalAveragePool Greater GreaterOrEqual
    HardSigmoid Identity IsInf IsNaN Less LessOrEqual Log MatMul Max MaxPool Min Mod Mul Neg NonMaxSuppression
    NonZero Not Or Pad Pow QuantizeLinear Range Reciprocal ReduceSum Relu Reshape Resize RoiAlign Round ScatterND
    Shape Sigmoid Slice Softmax Sqrt Squeeze Sub Sum Tile TopK Transpose Unsqueeze Where
    """.split()  # noqa: SIM905 - a list would take sixty lines
)
"""Operators whose other uses mean the same in both."""


def to_opset13(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in opset 13.

    RoiAlign has no half-pixel mode there: boxes are moved by half a cell instead. It also takes boxes narrower than a
    cell for a cell wide, which concerns boxes below 4 px.

    Raises:
        ConfigError: The model uses something that opset 13 cannot say.
    """
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in copied.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in copied.graph.node:
        if node.op_type not in _KNOWN:
            raise ConfigError("operator", node.op_type, f"one of opset {OPSET}: {', '.join(sorted(_KNOWN))}")
        if node.op_type == "RoiAlign":
            nodes.append(_shift_boxes(node, copied.graph))
        if node.op_type == "Shape" and node.attribute:
            nodes += _whole_shape(node, copied.graph)
            continue
        _drop_later(node)
        if node.op_type == "Reshape":
            _drop_zeros(node, constants)
        if node.op_type in _AXES_AS_ATTRIBUTE:
            _axes_to_attribute(node, constants)
        if node.op_type == "Pad" and len(node.input) > 3 and node.input[3]:
            raise ConfigError("Pad", node.name, "without chosen axes")
        if node.op_type == "Resize" and any(one.name == "axes" for one in node.attribute):
            raise ConfigError("Resize", node.name, "without chosen axes")
        nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del copied.graph.node[:]
    copied.graph.node.extend(nodes)
    for item in copied.opset_import:
        item.version = OPSET
    copied.ir_version = IR_VERSION
    onnx.checker.check_model(copied)
    return copied


def _drop_later(node: onnx.NodeProto) -> None:
    later = _LATER.get(node.op_type, {})
    for one in [one for one in node.attribute if one.name in later]:
        value = onnx.helper.get_attribute_value(one)
        if value != later[one.name]:
            raise ConfigError(f"{node.name}.{one.name}", value, f"{later[one.name]!r} for opset {OPSET}")
        node.attribute.remove(one)


def _drop_zeros(node: onnx.NodeProto, constants: Mapping[str, npt.NDArray[Any]]) -> None:
    """Forget that a 0 in the shape would mean an empty axis: there is none, and no map of a picture is empty."""
    if (constants.get(node.input[1], np.ones(1)) == 0).any():
        raise ConfigError(f"{node.name}.shape", constants[node.input[1]].tolist(), "without zeros")
    for one in [one for one in node.attribute if one.name == "allowzero"]:
        node.attribute.remove(one)


def _axes_to_attribute(node: onnx.NodeProto, constants: Mapping[str, npt.NDArray[Any]]) -> None:
    if len(node.input) < 2 or not node.input[1]:
        return
    if node.input[1] not in constants:
        raise ConfigError(f"{node.name}.axes", node.input[1], "constant")
    node.attribute.append(onnx.helper.make_attribute("axes", [int(axis) for axis in constants[node.input[1]]]))
    del node.input[1:]


def _shift_boxes(node: onnx.NodeProto, graph: onnx.GraphProto) -> onnx.NodeProto:
    """What moves a RoiAlign's boxes by half a cell, put before it."""
    scale = next(one.f for one in node.attribute if one.name == "spatial_scale")
    half, moved = f"{node.name}.half_cell", f"{node.name}.boxes"
    graph.initializer.append(numpy_helper.from_array(np.array(0.5 / scale, dtype=np.float32), half))
    shift = onnx.helper.make_node("Sub", [node.input[1], half], [moved], name=f"{node.name}.shift")
    node.input[1] = moved
    return shift


def _whole_shape(node: onnx.NodeProto, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """A Shape of some axes, which came later, as the Shape of all and a Slice of it."""
    bounds = {"start": 0, "end": np.iinfo(np.int64).max} | {one.name: one.i for one in node.attribute}
    names = {name: f"{node.name}.{name}" for name in ("start", "end", "axis", "whole")}
    for name, value in {**bounds, "axis": 0}.items():
        graph.initializer.append(numpy_helper.from_array(np.array([value], dtype=np.int64), names[name]))
    whole = onnx.helper.make_node("Shape", list(node.input), [names["whole"]], name=names["whole"])
    read = [names["whole"], names["start"], names["end"], names["axis"]]
    return [whole, onnx.helper.make_node("Slice", read, list(node.output), name=node.name)]
