"""Layers as the runtimes run them: what they compute and move, against closed forms and the count of the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.deploy import tiny_run

from graspnext.deploy.timing.operators import describe, moved, profile_layers
from graspnext.network.cost import profile_network
from graspnext.network.presets import find_preset
from graspnext.runtime.bundle import open_bundle

SIDE = 24


@pytest.fixture(scope="module")
def small_model() -> bytes:
    """image (SIDE, SIDE, 3) uint8 -> conv 3x3 to 8, depthwise conv 5x5, transposed conv 2x2 to 4, and its product."""
    rng = np.random.default_rng(0)

    def tensor(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT, name="pre/cast"),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[2, 0, 1], name="pre/turn"),
        helper.make_node("Unsqueeze", ["planes", "axis"], ["x"], name="pre/batch"),
        helper.make_node("Conv", ["x", "w0"], ["a"], pads=[1] * 4, name="network.first/Conv"),
        helper.make_node("Relu", ["a"], ["a1"], name="network.first/Relu"),
        helper.make_node("Conv", ["a1", "w1"], ["b"], pads=[2] * 4, group=8, name="network.second/Conv"),
        helper.make_node("ConvTranspose", ["b", "w2"], ["c"], strides=[2, 2], name="network.third/ConvTranspose"),
        helper.make_node("MatMul", ["c", "w3"], ["y"], name="post/MatMul"),
    ]
    tensors = [
        numpy_helper.from_array(np.array([0], dtype=np.int64), "axis"),
        tensor("w0", 8, 3, 3, 3),
        tensor("w1", 8, 1, 5, 5),
        tensor("w2", 8, 4, 2, 2),
        tensor("w3", 2 * SIDE, 10),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, (SIDE, SIDE, 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4, 2 * SIDE, 10))],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def profile(model: bytes, runtime: str, size: int = SIDE) -> dict[str, Any]:
    images = [np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)]
    return profile_layers(model, images, runtime=runtime, precision="fp32", threads=1, runs=3)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_kinds_parts_and_macs_are_those_of_the_model(small_model: bytes, runtime: str) -> None:
    found = profile(small_model, runtime)
    kinds = {layer["kind"]: layer for layer in found["layers"] if layer["gmacs"]}
    pixels = SIDE * SIDE
    expected = {
        "conv 3x3": ("network", 8 * pixels * 27),
        "depthwise conv 5x5": ("network", 8 * pixels * 25),
        "transposed conv 2x2": ("network", 8 * pixels * 16),
        "product": ("post", 4 * 2 * SIDE * 10 * 2 * SIDE),
    }
    assert {kind: (layer["part"], round(layer["gmacs"] * 1e9)) for kind, layer in kinds.items()} == expected
    assert all(layer["ms"] > 0 for layer in found["layers"]) and found["wall_ms"] > 0
    product = kinds["product"]
    values = 4 * 2 * SIDE * (2 * SIDE + 10) + 2 * SIDE * 10
    assert product["mb"] * 1e6 == pytest.approx(4 * values, rel=0.02)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_macs_of_a_whole_network_are_those_that_profile_counts(
    tmp_path_factory: pytest.TempPathFactory, runtime: str
) -> None:
    bundle = tiny_run.tiny_bundle(tmp_path_factory.getbasetemp())
    size, height = tiny_run.INPUT_SIZE, 100
    found = profile(open_bundle(bundle).model, runtime, height)
    config = find_preset("tiny")
    counted = profile_network(
        config, size, proposals=config.rpn.proposals, detections=config.max_detections
    ).total.gmacs
    resampling = 3 * size * height * (height + size) / 1e9  # two products for each of three colours
    assert sum(layer["gmacs"] for layer in found["layers"]) == pytest.approx(counted + resampling, rel=0.02)


def test_bytes_of_layers_that_read_a_little_of_much() -> None:
    assert moved("conv 3x3", [100, 20], [50]) == 170
    assert moved("ROIAlign", [10_000, 8], [10]) == 160 + 8 + 10
    assert moved("ROIAlign", [100, 8], [10]) == 100 + 8 + 10
    assert moved("GatherElements", [10_000, 4], [16]) == 16 + 4 + 16
    assert moved("Range", [], [40]) == 40
    assert moved("Reshape", [400, 8], [400]) == 0


def test_words_for_kinds() -> None:
    assert describe("Conv", [(1, 8, 9, 9), (16, 4, 3, 3)], (1, 16, 9, 9)) == ("grouped conv 3x3", 16 * 81 * 36)
    assert describe("Convolution", [(1, 8, 9, 9), (2, 8, 4, 1, 7)], (1, 16, 9, 9)) == ("grouped conv 1x7", 16 * 81 * 28)
    assert describe("Convolution", [(1, 1, 9, 9), (4, 1, 3, 3)], (1, 4, 9, 9))[0] == "conv 3x3"
    assert describe("FullyConnected", [(300, 64), (10, 64)], (300, 10)) == ("product", 300 * 640)
    assert describe("Reorder", [(1, 8)], (1, 8)) == ("Reorder", 0.0)
