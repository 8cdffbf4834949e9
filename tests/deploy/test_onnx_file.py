"""Changes to ONNX models must not change what they compute: checked by ONNX's own reference evaluator."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from graspnext.deploy.model.onnx_file import keep_boxes_exact, keep_reduced_axes, round_weights, store_as_half, strip
from graspnext.runtime.openvino_backend import openvino_core

RNG = np.random.default_rng(0)


def model_of(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: list[int]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    assert inferred.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    return ReferenceEvaluator(model).run(None, {"x": x})[0]


def test_half_storage_is_lossless_and_chooses_by_value() -> None:
    exact = RNG.normal(size=(32, 32)).astype(np.float16).astype(np.float32)
    other = RNG.normal(size=(32, 32)).astype(np.float32)
    huge = np.full((32, 32), 1e30, dtype=np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "exact"], ["a"]),
        helper.make_node("MatMul", ["a", "other"], ["b"]),
        helper.make_node("Add", ["b", "huge"], ["y"]),
    ]
    model = model_of(nodes, {"exact": exact, "other": other, "huge": huge}, [32, 32])
    x = RNG.normal(size=(32, 32)).astype(np.float32)
    before = run(model, x)
    assert store_as_half(model) == 32 * 32 * 2
    assert np.array_equal(run(model, x), before)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kinds == {"exact.half": TensorProto.FLOAT16, "other": TensorProto.FLOAT, "huge": TensorProto.FLOAT}


@pytest.mark.parametrize("operator", ["ReduceSum", "ReduceMean", "ReduceMax"])
@pytest.mark.parametrize("axes", [[2], [-1], [0, 2]])
def test_kept_axes_change_no_result_and_no_name(operator: str, axes: list[int]) -> None:
    nodes = [helper.make_node(operator, ["x", "axes"], ["y"], keepdims=0)]
    model = model_of(nodes, {"axes": np.array(axes)}, [3, 4, 5])
    x = RNG.normal(size=(3, 4, 5)).astype(np.float32)
    before = run(model, x)
    keep_reduced_axes(model)
    after = run(model, x)
    assert [node.op_type for node in model.graph.node] == [operator, "Squeeze"]
    assert after.shape == before.shape
    assert np.allclose(after, before)


def test_openvino_computes_a_weighted_reduction() -> None:
    """The defect that `keep_reduced_axes` goes around: without it, results here are off by 1 and more."""
    weights = ((np.arange(16) + 0.5) / 16).astype(np.float32)
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("ReduceSum", ["square", "axes"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "weights"], ["y"]),
    ]
    model = model_of(nodes, {"axes": np.array([2]), "weights": weights}, [60, 16, 16])
    x = RNG.uniform(size=(60, 16, 16)).astype(np.float32)
    expected = (x**2).sum(axis=2) * weights
    keep_reduced_axes(model)
    core = openvino_core()
    compiled = core.compile_model(core.read_model(model=model.SerializeToString(), weights=b""), "CPU")
    assert np.abs(compiled([x])[0] - expected).max() < 1e-2


def pooling() -> onnx.ModelProto:
    """Boxes (R, 4) in front of which image numbers are put, as the exporter writes it; they are also results."""
    nodes = [
        helper.make_node("Identity", ["x"], ["boxes"], name="network/Identity"),
        helper.make_node("IsNaN", ["boxes"], ["lost"], name="network/IsNaN"),
        helper.make_node("Where", ["lost", "zero", "boxes"], ["numbers"], name="network/Where"),
        helper.make_node("Concat", ["images", "numbers"], ["rois"], axis=1, name="network/Concat"),
        helper.make_node("Slice", ["rois", "one", "five", "one"], ["cut"], name="network/Slice"),
        helper.make_node("RoiAlign", ["map", "cut", "image"], ["pooled"], output_height=2, output_width=2, name="pool"),
        helper.make_node("ReduceSum", ["pooled"], ["sum"], keepdims=0, name="network/ReduceSum"),
        helper.make_node("Add", ["boxes", "sum"], ["y"], name="post/Add"),
    ]
    constants = {
        "zero": np.float32(0),
        "images": np.zeros((3, 1), dtype=np.float32),
        "one": np.array([1]),
        "five": np.array([5]),
        "image": np.zeros(3, dtype=np.int64),
        "map": RNG.normal(size=(1, 2, 64, 64)).astype(np.float32),
    }
    return model_of(nodes, constants, [3, 4])


def test_boxes_are_read_where_they_are_made() -> None:
    model = pooling()
    x = np.array([[1.5, 2, 40, 50], [10, 3, 30, 30.25], [0, 0, 64, 64]], dtype=np.float32)
    before = run(model, x)
    keep_boxes_exact(model)
    names = {node.name: node for node in model.graph.node}
    assert set(names) == {
        *("network/Identity", "network/Identity.lost", "network/Identity.safe"),
        *("pool", "network/ReduceSum", "post/Add"),
    }
    assert names["pool"].input[1] == names["network/Identity.safe"].output[0] == names["post/Add"].input[0] == "boxes"
    np.testing.assert_array_equal(run(model, x), before)
    assert np.isfinite(run(model, np.full_like(x, np.nan))).all()


def test_boxes_of_other_makers_stay() -> None:
    model = pooling()
    model.graph.node[5].input[1] = "x"  # read at once
    del model.graph.node[1:5]
    wanted = model.SerializeToString()
    keep_boxes_exact(model)
    assert model.SerializeToString() == wanted


def test_strip_takes_every_trace_out() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"], doc_string="File /home/me/secret.py")]
    model = model_of(nodes, {"unused": np.zeros(3, dtype=np.float32)}, [2])
    model.doc_string = model.graph.doc_string = model.graph.initializer[0].doc_string = "secret"
    for item in (model, model.graph, model.graph.node[0]):
        entry = item.metadata_props.add()
        entry.key, entry.value = "trace", "secret"
    strip(model)
    assert b"secret" not in model.SerializeToString()
    assert run(model, np.array([-1, 2], dtype=np.float32)).tolist() == [0, 2]


def test_rounding_takes_matrices_and_leaves_vectors() -> None:
    layer = nn.Linear(40, 40)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    round_weights(layer)
    assert np.array_equal(layer.weight.detach().numpy(), weight.numpy().astype(np.float16).astype(np.float32))
    assert np.array_equal(layer.bias.detach().numpy(), bias.numpy())
