"""Nodes named after modules, and the network cut out along these names."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from tests.deploy import tiny_run

from graspnext.deploy.model.layer_names import name_layers, network_boundary, part_of
from graspnext.deploy.model.onnx_file import store_as_float
from graspnext.deploy.model.parts import extract_network, split
from graspnext.network.pipeline import Pipeline
from graspnext.runtime.onnxruntime_backend import import_onnxruntime


@pytest.fixture(scope="module", name="model")
def plain_model(model: bytes) -> onnx.ModelProto:
    """With its weights where they are used."""
    plain = onnx.load_model_from_string(model)
    store_as_float(plain)
    return plain


def test_every_convolution_carries_the_name_of_its_module(pipeline: Pipeline, model: onnx.ModelProto) -> None:
    modules = dict(pipeline.named_modules())
    convolutions = [node for node in model.graph.node if node.op_type in {"Conv", "ConvTranspose"}]
    assert convolutions
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for node in convolutions:
        module = modules[node.name.partition("/")[0]]
        assert isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d)
        assert weights[node.input[1]] == tuple(module.weight.shape)
    used = {node.name.partition("/")[0] for node in convolutions}
    assert used == {name for name, module in modules.items() if isinstance(module, torch.nn.modules.conv._ConvNd)}


def test_names_are_unique_and_parts_follow_each_other(model: onnx.ModelProto) -> None:
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert {part_of(name) for name in names} == {"pre", "network", "post"}
    made = {output: part_of(node.name) for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        read = {made[name] for name in node.input if name in made}
        assert "post" not in read or part_of(node.name) == "post"
        assert "network" not in read or part_of(node.name) != "pre"


def test_the_parts_give_what_the_whole_gives(model: onnx.ModelProto) -> None:
    ort = import_onnxruntime()

    def run(part: onnx.ModelProto, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
        session = ort.InferenceSession(part.SerializeToString(), providers=["CPUExecutionProvider"])
        read = {one.name: values[one.name] for one in session.get_inputs()}
        names = [one.name for one in session.get_outputs()]
        return dict(zip(names, session.run(names, read), strict=True))

    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    whole = run(model, {"image": image})
    values = {"image": image}
    for part in split(model).values():
        onnx.checker.check_model(part)
        values |= run(part, values)
    for name, wanted in whole.items():
        np.testing.assert_allclose(values[name], wanted, atol=1e-6, rtol=1e-6)
    assert (whole["scores"] > 0).any()


def test_the_network_begins_at_the_square(model: onnx.ModelProto) -> None:
    network = extract_network(model)
    shapes = [[one.dim_value for one in value.type.tensor_type.shape.dim] for value in network.graph.input]
    side = tiny_run.INPUT_SIZE
    assert shapes == [[1, 3, side, side], [2]]
    assert {part_of(node.name) for node in network.graph.node} == {"network"}
    assert network_boundary(model)[0] == [value.name for value in network.graph.input]


def test_nodes_of_no_module_go_where_they_lie() -> None:
    def node(kind: str, reads: str, writes: str, scopes: str = "") -> onnx.NodeProto:
        made = onnx.helper.make_node(kind, [reads], [writes])
        if scopes:
            made.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
        return made

    nodes = [
        node("Cast", "image", "a"),
        node("Relu", "a", "b", "['', 'network', 'relu']"),
        node("Cast", "b", "c"),
        node("Relu", "c", "d", "['', 'network', 'network.neck', 'relu_1']"),
        node("Cast", "d", "e"),
        node("Abs", "image", "f", "['', 'abs']"),
        node("Exp", "d", "g", "not a list"),
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], []))
    name_layers(model)
    names = [one.name for one in model.graph.node]
    assert names == [
        "pre/Cast",
        "network/Relu",
        "network/Cast",
        "network.neck/Relu",
        "post/Cast",
        "pre/Abs",
        "post/Exp",
    ]
