"""The model for old readers says what the present one says."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from graspnext.deploy.frames import check_frames
from graspnext.deploy.model.opset13 import to_opset13
from graspnext.errors import ConfigError
from graspnext.geometry import boxes
from graspnext.runtime.onnxruntime_backend import OnnxRuntimeBackend, import_onnxruntime


def test_onnx_runtime_finds_the_same_in_both(model: bytes) -> None:
    old = to_opset13(onnx.load_model_from_string(model))
    assert [item.version for item in old.opset_import] == [13]
    names = {node.op_type for node in old.graph.node}
    assert {"RoiAlign", "NonMaxSuppression", "ReduceMax"} <= names
    present, converted = (OnnxRuntimeBackend(one, num_threads=1) for one in (model, old.SerializeToString()))
    for frame in check_frames(5, rng=np.random.default_rng(0)):
        expected, found = present.run(frame), converted.run(frame)
        ours, theirs = (np.flatnonzero(one["scores"] > 0.2) for one in (expected, found))
        overlap = boxes.iou(expected["amodal_boxes"][ours], found["amodal_boxes"][theirs])  # (N, M)
        gap = np.abs(expected["scores"][ours][:, None] - found["scores"][theirs][None])
        same = ((overlap > 0.99) & (gap < 1e-3)).any(axis=1)
        # A random network proposes many boxes narrower than a cell, which are pooled differently.
        assert len(same) > 5
        assert same.mean() > 0.8
        np.testing.assert_allclose(expected["suction"], found["suction"], atol=1e-4)


@pytest.mark.parametrize("scale", [0.25, 1 / 16])
def test_shifted_boxes_replace_the_half_pixel_mode(scale: float) -> None:
    rng = np.random.default_rng(1)
    values = {
        "x": rng.normal(size=(1, 3, 24, 24)).astype(np.float32),
        "boxes": np.array([[1.0, 2.0, 9.0, 7.0], [0.0, 0.0, 24.0, 24.0], [3.3, 1.1, 20.7, 23.9]], np.float32) / scale,
    }
    node = helper.make_node(
        "RoiAlign",
        ["x", "boxes", "batch"],
        ["y"],
        name="network/RoiAlign",
        coordinate_transformation_mode="half_pixel",
        mode="avg",
        output_height=5,
        output_width=5,
        sampling_ratio=2,
        spatial_scale=scale,
    )
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in values.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, (3, 3, 5, 5))
    batch = numpy_helper.from_array(np.zeros(3, dtype=np.int64), "batch")
    graph = helper.make_graph([node], "g", inputs, [output], [batch])
    new = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    ort = import_onnxruntime()
    results = [
        ort.InferenceSession(one.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, values)[0]
        for one in (new, to_opset13(new))
    ]
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)


def test_what_opset_13_cannot_say_is_refused() -> None:
    def model_of(node: onnx.NodeProto) -> onnx.ModelProto:
        value = helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 3))
        return helper.make_model(helper.make_graph([node], "g", [value], []))

    with pytest.raises(ConfigError, match="GroupNormalization"):
        to_opset13(model_of(helper.make_node("GroupNormalization", ["x", "x", "x"], ["y"])))
    with pytest.raises(ConfigError, match=r"network/Reshape\.shape is \[0, 3\]"):
        shape = numpy_helper.from_array(np.array([0, 3]), "shape")
        reshape = model_of(helper.make_node("Reshape", ["x", "shape"], ["y"], name="network/Reshape", allowzero=1))
        reshape.graph.initializer.append(shape)
        to_opset13(reshape)
    with pytest.raises(ConfigError, match="axes is 'x'"):
        to_opset13(model_of(helper.make_node("ReduceMean", ["x", "x"], ["y"], name="network/ReduceMean")))
