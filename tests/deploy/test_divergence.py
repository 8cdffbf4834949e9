"""Sabotage: one thing is broken in one layer, and the layer must be found by its name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from graspnext.deploy.comparison.divergence import ALLOWED, Inspector
from graspnext.deploy.frames import check_frames
from graspnext.deploy.model.onnx_file import keep_reduced_axes
from graspnext.deploy.model.values import Graph, OnnxRuntimeValues, OpenVinoValues
from graspnext.deploy.timing.machine import can_do
from graspnext.network.pipeline import Pipeline
from graspnext.types import UInt8Array

WEIGHTS = ("network.backbone.stem.weight", "network.rpn.predict.weight", "network.box_head.score.weight")


@pytest.fixture(scope="module")
def sound(model: bytes, pipeline: Pipeline) -> Inspector:
    """Of a file that is right; its torch side serves the sabotaged ones as well."""
    return Inspector(model, pipeline, num_threads=1)


@pytest.fixture(scope="module")
def image() -> UInt8Array:
    return check_frames(rng=np.random.default_rng(0))[1]


def one_weight_changed(model: bytes, name: str) -> tuple[bytes, str]:
    """The model with the largest weight of a layer halved, and the name of the node that uses it."""
    changed = onnx.load_from_string(model)
    tensor = next(one for one in changed.graph.initializer if one.name.removesuffix(".half") == name)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[np.abs(values).argmax()] /= 2
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    user = next(node for node in changed.graph.node if name in node.input and node.op_type != "Cast")
    return changed.SerializeToString(), user.name


def inspector_of(model: bytes, sound: Inspector) -> Inspector:
    inspector = Inspector(model, sound._pipeline, num_threads=1)
    inspector.__dict__["torch"] = sound.torch
    return inspector


def source_of(model: bytes, precision: str) -> OpenVinoValues:
    return OpenVinoValues(SimpleNamespace(model=model, ir=None), precision=precision, num_threads=1)  # type: ignore[arg-type]


def test_nothing_is_found_in_a_sound_file(sound: Inspector, image: UInt8Array) -> None:
    first, largest = sound.in_graph(image, "fp32")
    assert first is None and largest is not None
    assert 0 < largest.error < ALLOWED["fp32"] / 5
    assert sound.near_tie(None, image) is None


def test_torch_has_nearly_every_value(sound: Inspector) -> None:
    names = {name for node in sound.graph.nodes if node.op_type in {"Conv", "Gemm", "Relu"} for name in node.output}
    assert len(names) > 60 and names <= sound.torch.names | {name for name in names if name.startswith("val_")}
    assert len(names & sound.torch.names) > 0.9 * len(names)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_a_changed_weight_in_the_file(model: bytes, sound: Inspector, image: UInt8Array, weight: str) -> None:
    changed, layer = one_weight_changed(model, weight)
    first, _ = inspector_of(changed, sound).in_graph(image, "fp32")
    assert first is not None and (first.kind, first.layer) == ("graph", layer)
    assert layer in str(first) and first.to_dict()["error"] > ALLOWED["fp32"]


def test_a_changed_threshold_of_suppression_in_the_file(model: bytes, sound: Inspector, image: UInt8Array) -> None:
    changed = onnx.load_from_string(model)
    node = [one for one in changed.graph.node if one.op_type == "NonMaxSuppression"][-1]
    threshold = numpy_helper.from_array(np.array([0.2], dtype=np.float32), "other_threshold")
    changed.graph.initializer.append(threshold)
    node.input[3] = "other_threshold"
    inspector = inspector_of(changed.SerializeToString(), sound)
    first, _ = inspector.in_graph(image, "fp32")
    assert first is not None and (first.op, first.layer) == ("NonMaxSuppression", node.name)
    assert inspector.near_tie(None, image) is None, "not near a tie: decided wrongly"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_a_layer_that_a_runtime_computes_wrongly(
    model: bytes, sound: Inspector, image: UInt8Array, weight: str, precision: str
) -> None:
    """In bf16 every layer differs by 2^-8, those behind the broken one by more: still the broken one is named."""
    changed, layer = one_weight_changed(model, weight)
    found = sound.in_runtime(source_of(changed, precision), image, precision)
    assert (found.kind, found.layer) == ("runtime", layer)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_nothing_is_found_in_a_sound_runtime(model: bytes, sound: Inspector, image: UInt8Array, precision: str) -> None:
    found = sound.in_runtime(source_of(model, precision), image, precision)
    assert found.kind == "spread" and 0 < found.error < ALLOWED[precision]


def test_an_option_that_breaks_the_precision(model: bytes, sound: Inspector, image: UInt8Array) -> None:
    if not can_do("openvino", "bf16"):
        pytest.skip("this processor has no bf16")
    source = source_of(model, "bf16")
    found = sound.in_runtime(source, image, "fp32")
    heavy = [node.name for node in sound.graph.nodes if node.op_type in {"Conv", "MatMul"}]
    assert found.kind == "runtime" and found.layer in heavy[:4]
    assert 2**-11 < found.error < 2**-4


def weighted_reduction() -> onnx.ModelProto:
    """What OpenVINO 2026.4 merges wrongly (`onnx_file.keep_reduced_axes`), between two layers that are sound."""
    weights = ((np.arange(16) + 0.5) / 16).astype(np.float32)
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"], name="first"),
        helper.make_node("ReduceSum", ["square", "axes"], ["sum"], keepdims=0, name="reduction"),
        helper.make_node("Mul", ["sum", "weights"], ["weighted"], name="weighting"),
        helper.make_node("Sqrt", ["weighted"], ["y"], name="last"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [60, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([2]), "axes"), numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def test_a_wrong_merge_is_found_though_looking_cures_it(sound: Inspector) -> None:
    x: Any = np.random.default_rng(0).uniform(size=(60, 16, 16)).astype(np.float32)
    model = weighted_reduction()
    content = model.SerializeToString()
    found = Inspector(content, sound._pipeline, num_threads=1).in_runtime(source_of(content, "fp32"), x, "fp32")
    assert (found.kind, found.layer) == ("merge", "reduction")
    keep_reduced_axes(model)
    content = model.SerializeToString()
    found = Inspector(content, sound._pipeline, num_threads=1).in_runtime(source_of(content, "fp32"), x, "fp32")
    assert found.kind == "spread"


def test_memory_is_bounded_by_chunks(sound: Inspector, image: UInt8Array) -> None:
    budget = 1 << 21
    whole = sound.graph.chunks(image, budget_bytes=1 << 40, num_threads=1)
    chunks = sound.graph.chunks(image, budget_bytes=budget, num_threads=1)
    assert len(whole) == 1 and len(chunks) > 3
    assert [node.name for chunk in chunks for node in chunk] == [node.name for node in whole[0]]
    for chunk in chunks:
        names = {name for node in chunk for name in (*sound.graph.inputs_of(node), *node.output) if name}
        values = sound.plain.values(image, names - {sound.graph.image})
        held = sum(4 * values[name].size for name in names if name in values)
        assert held <= budget or len(chunk) == 1


def test_a_value_alone_is_what_it_is_in_the_graph(sound: Inspector, image: UInt8Array) -> None:
    graph = Graph.of(sound.graph.model)
    names = [node.output[0] for node in graph.nodes if node.op_type in {"Conv", "RoiAlign", "TopK"}]
    sources = [name for one in names for name in graph.inputs_of(graph.makers[one]) if name != graph.image]
    source = OnnxRuntimeValues(graph.model, optimised=False, num_threads=1)
    values = source.values(image, [*names, *sources])
    alone = graph.alone(names, {**{name: values[name] for name in sources}, graph.image: image}, 1)
    assert len(alone) > 30
    for name, value in alone.items():
        assert np.array_equal(value, values[name], equal_nan=True)


def quantised(sound: Inspector, image: UInt8Array, spoilt: str = "") -> bytes:
    """The model with 8-bit activations before every convolution; those of one layer with a far too narrow range."""
    model = onnx.ModelProto()
    model.CopyFrom(sound.graph.model)
    sources = {node.input[0] for node in model.graph.node if node.op_type == "Conv"} & set(sound.graph.makers)
    values = sound.plain.values(image, sources)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[0] in sources:
            name = node.input[0]
            scale = float(np.abs(values[name]).max()) / 127 / (50 if node.name == spoilt else 1)
            constants = (np.array(scale, dtype=np.float32), np.array(0, dtype=np.int8))
            words = [f"{node.name}.{one}" for one in ("scale", "zero", "bytes", "floats")]
            model.graph.initializer.extend(map(numpy_helper.from_array, constants, words[:2]))
            nodes.append(helper.make_node("QuantizeLinear", [name, *words[:2]], [words[2]], name=words[2]))
            nodes.append(helper.make_node("DequantizeLinear", [words[2], *words[:2]], [words[3]], name=words[3]))
            node.input[0] = words[3]
        nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    return bytes(model.SerializeToString())


def test_a_layer_that_quantisation_spoils(sound: Inspector, image: UInt8Array) -> None:
    convolutions = [node.name for node in sound.graph.nodes if node.op_type == "Conv"]
    fair = inspector_of(quantised(sound, image), sound)
    first, largest = fair.in_graph(image, "int8")
    assert first is None and largest is not None and 1e-3 < largest.error < ALLOWED["int8"]
    for layer in convolutions[15:-1:9]:  # some of the first ones see nothing but zeros in a random network
        content = quantised(sound, image, layer)
        first, _ = inspector_of(content, sound).in_graph(image, "int8")
        assert first is not None and (first.kind, first.layer) == ("graph", layer)
    found = fair.in_runtime(source_of(content, "fp32"), image, "int8")
    assert (found.kind, found.layer) == ("runtime", f"{layer}.bytes"), "of the layer, what differs is its first node"
