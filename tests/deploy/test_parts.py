"""Pre-processing, network and post-processing cut apart give together what the whole gives."""

from __future__ import annotations

import numpy as np
import onnx
from tests.deploy import tiny_run

from graspnext.deploy.model.layer_names import part_of
from graspnext.deploy.model.parts import cut, split
from graspnext.deploy.timing.compiled import CompiledModel
from graspnext.deploy.timing.lineup import draw_frame
from graspnext.geometry.predictions import OUTPUT_NAMES

FORM = {"runtime": "onnxruntime", "precision": "fp32", "threads": 1}


def test_parts_in_a_row_are_the_whole(model: bytes) -> None:
    image = draw_frame(90, rng=np.random.default_rng(0))[:70]
    known = {"image": image}
    parts = split(onnx.load_model_from_string(model))
    assert list(parts) == ["pre", "network", "post"]
    for name, part in parts.items():
        onnx.checker.check_model(part)
        kinds = {part_of(node.name) for node in part.graph.node if node.op_type in {"Conv", "Gemm", "RoiAlign"}}
        assert kinds == ({"network"} if name == "network" else set())
        compiled = CompiledModel(part.SerializeToString(), **FORM)
        known |= compiled.run({one: known[one] for one in compiled.inputs})
    whole = CompiledModel(model, **FORM).run({"image": image})
    for name in OUTPUT_NAMES:
        assert np.allclose(known[name], whole[name], atol=1e-5), name


def test_the_network_begins_at_the_square_and_gives_its_rows(model: bytes) -> None:
    network = split(onnx.load_model_from_string(model))["network"]
    shapes = [[one.dim_value for one in value.type.tensor_type.shape.dim] for value in network.graph.input]
    assert [1, 3, tiny_run.INPUT_SIZE, tiny_run.INPUT_SIZE] in shapes
    rows = {value.type.tensor_type.shape.dim[0].dim_value for value in network.graph.output}
    assert 100 in rows


def test_models_without_names_have_no_parts(model: bytes) -> None:
    loaded = onnx.load_model_from_string(model)
    for node in loaded.graph.node:
        node.name = f"node_{node.op_type}"
    assert split(loaded) == {}


def test_a_cut_takes_no_more_than_it_needs() -> None:
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    x, a, b, y = (value(name, onnx.TensorProto.FLOAT, [2]) for name in "xaby")
    nodes = [make("Neg", ["x"], ["a"]), make("Add", ["a", "w"], ["b"]), make("Mul", ["b", "a"], ["y"])]
    weights = onnx.numpy_helper.from_array(np.ones(2, np.float32), "w")
    whole = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [x], [y], [weights]))
    part = cut(whole, [x, a], [b])
    assert [node.op_type for node in part.graph.node] == ["Add"]
    assert [one.name for one in part.graph.input] == ["a"] and len(part.graph.initializer) == 1
    end = cut(whole, [a, b], [a, y])
    assert [node.op_type for node in end.graph.node] == ["Mul"] and not end.graph.initializer
    assert [one.name for one in end.graph.output] == ["y"]
