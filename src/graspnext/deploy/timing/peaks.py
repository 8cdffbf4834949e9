"""What a machine can do at best in a runtime: operations a second of large convolutions and products, bytes a second.

Measured, not read off a data sheet: on the same cores, with the same threads, through the same runtime as the network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from graspnext.deploy.timing.compiled import CompiledModel
from graspnext.types import Float32Array

OPSET = 18
CHANNELS = 256
SIDE = 96
DEPTH = 3
"""Convolutions in a row, so that bringing the first input into the runtime's order weighs little."""
PRODUCT = 2048
COPY_MB = (16, 64, 256)
"""Sizes of the array that is read and written; the quickest counts."""
RUNS = 7


def measure_peaks(*, runtime: str, precision: str, threads: int) -> dict[str, Any]:
    """Best rates of several runs each.

    Returns:
        `gmacs_per_s`, by what was run and `best`; `gb_per_s`, by size in MB and `best`.
    """
    form = {"runtime": runtime, "precision": precision, "threads": threads}
    quantised = precision == "int8"
    rng = np.random.default_rng(0)
    rates = {}
    for name, (model, shape, gmacs) in {
        "conv 3x3": convolutions(3, quantised=quantised, rng=rng),
        "conv 1x1": convolutions(1, quantised=quantised, rng=rng),
        "product": product(quantised=quantised, rng=rng),
    }.items():
        inputs = {"x": rng.normal(size=shape).astype(np.float32)}
        rates[name] = round(gmacs / _quickest(model, inputs, form), 1)
    speeds = {}
    for size in COPY_MB:
        values = np.ones((1, 64, size * 250_000 // 64 // 100, 100), dtype=np.float32)
        seconds = _quickest(scaling(values.shape), {"x": values}, {**form, "precision": "fp32"})
        speeds[str(size)] = round(2 * values.nbytes / 1e9 / seconds, 2)
    return {
        "gmacs_per_s": {**rates, "best": max(rates.values())},
        "gb_per_s": {**speeds, "best": max(speeds.values())},
    }


def convolutions(kernel: int, *, quantised: bool, rng: np.random.Generator) -> tuple[bytes, tuple[int, ...], float]:
    """A row of convolutions: the model, the shape of its input `x`, and what it computes, GMACs."""
    shape = (1, CHANNELS, SIDE, SIDE)
    nodes: list[onnx.NodeProto] = []
    tensors: list[onnx.TensorProto] = []
    value = "x"
    for step in range(DEPTH):
        weights = (rng.normal(size=(CHANNELS, CHANNELS, kernel, kernel)) / CHANNELS / kernel).astype(np.float32)
        names = _operands(value, weights, step, nodes, tensors, quantised=quantised)
        nodes.append(helper.make_node("Conv", names, [f"conv{step}"], pads=[kernel // 2] * 4))
        nodes.append(helper.make_node("Relu", [f"conv{step}"], [f"relu{step}"]))
        value = f"relu{step}"
    gmacs = DEPTH * CHANNELS * CHANNELS * kernel * kernel * SIDE * SIDE / 1e9
    return _model(nodes, tensors, value, shape, shape), shape, gmacs


def product(*, quantised: bool, rng: np.random.Generator) -> tuple[bytes, tuple[int, ...], float]:
    """A product of square matrices, as `convolutions`."""
    shape = (PRODUCT, PRODUCT)
    nodes: list[onnx.NodeProto] = []
    tensors: list[onnx.TensorProto] = []
    weights = (rng.normal(size=shape) / PRODUCT).astype(np.float32)
    names = _operands("x", weights, 0, nodes, tensors, quantised=quantised)
    nodes.append(helper.make_node("MatMul", names, ["y"]))
    return _model(nodes, tensors, "y", shape, shape), shape, PRODUCT**3 / 1e9


def scaling(shape: tuple[int, ...]) -> bytes:
    """A model that reads an array, changes every value, and writes it."""
    factor = numpy_helper.from_array(np.float32(0.5).reshape(1), "factor")
    return _model([helper.make_node("Mul", ["x", "factor"], ["y"])], [factor], "y", shape, shape)


def _operands(
    value: str,
    weights: Float32Array,
    step: int,
    nodes: list[onnx.NodeProto],
    tensors: list[onnx.TensorProto],
    *,
    quantised: bool,
) -> list[str]:
    """Names of a layer's data and weights; quantised ones pass through 8 bits, as in a quantised network."""
    if not quantised:
        tensors.append(numpy_helper.from_array(weights, f"w{step}"))
        return [value, f"w{step}"]
    scale = np.float32(np.abs(weights).max() / 127)
    tensors.append(numpy_helper.from_array(np.float32(0.04).reshape(()), f"x_scale{step}"))
    tensors.append(numpy_helper.from_array(np.uint8(64 if step == 0 else 0).reshape(()), f"x_zero{step}"))
    tensors.append(numpy_helper.from_array(np.round(weights / scale).astype(np.int8), f"w_int{step}"))
    tensors.append(numpy_helper.from_array(scale.reshape(()), f"w_scale{step}"))
    about = [f"x_scale{step}", f"x_zero{step}"]
    nodes.append(helper.make_node("QuantizeLinear", [value, *about], [f"x_int{step}"]))
    nodes.append(helper.make_node("DequantizeLinear", [f"x_int{step}", *about], [f"x_back{step}"]))
    nodes.append(helper.make_node("DequantizeLinear", [f"w_int{step}", f"w_scale{step}"], [f"w_back{step}"]))
    return [f"x_back{step}", f"w_back{step}"]


def _model(
    nodes: list[onnx.NodeProto],
    tensors: list[onnx.TensorProto],
    output: str,
    shape_in: tuple[int, ...],
    shape_out: tuple[int, ...],
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "peak",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape_in)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape_out)],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


def _quickest(model: bytes, inputs: dict[str, Float32Array], form: dict[str, Any]) -> float:
    """Seconds of the quickest of several calls, after two that are not counted."""
    compiled = CompiledModel(model, **form)
    return min([compiled.time(inputs) for _ in range(RUNS + 2)][2:])
