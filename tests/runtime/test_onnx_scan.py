"""External tensors are found wherever ONNX can hide them; other bytes never do worse than MalformedError."""

from __future__ import annotations

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from graspnext.runtime.onnx_scan import MalformedError, has_external_data


def tensor(name: str, *, external: bool) -> onnx.TensorProto:
    made = numpy_helper.from_array(np.arange(4, dtype=np.float32), name)
    if external:
        made.ClearField("raw_data")
        made.data_location = TensorProto.EXTERNAL
        entry = made.external_data.add()
        entry.key, entry.value = "location", "../../etc/passwd"
    return made


def model(place: str, *, external: bool) -> bytes:
    hidden = tensor("hidden", external=external)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    constant = helper.make_node(
        "Constant", [], ["y"], value=hidden if place == "attribute" else tensor("c", external=False)
    )
    nodes, initializers, functions = [constant], [], []
    if place == "initializer":
        initializers = [hidden]
    if place == "subgraph":
        inner = helper.make_graph([helper.make_node("Identity", ["hidden"], ["z"])], "inner", [], [output], [hidden])
        nodes.append(helper.make_node("If", ["condition"], ["w"], then_branch=inner, else_branch=inner))
    if place == "function":
        body = [helper.make_node("Constant", [], ["f"], value=hidden)]
        functions = [helper.make_function("mine", "f", [], ["f"], body, [helper.make_opsetid("", 18)])]
    graph = helper.make_graph(nodes, "graph", [], [output], initializers)
    if place == "sparse":
        graph.sparse_initializer.append(helper.make_sparse_tensor(hidden, tensor("at", external=False), [9]))
    return helper.make_model(graph, functions=functions).SerializeToString()


@pytest.mark.parametrize("place", ["attribute", "initializer", "subgraph", "function", "sparse"])
def test_external_tensors_are_found(place: str) -> None:
    assert has_external_data(model(place, external=True))
    assert not has_external_data(model(place, external=False))


def test_an_external_entry_without_the_flag_counts_too() -> None:
    made = tensor("a", external=True)
    made.ClearField("data_location")
    graph = helper.make_graph([], "graph", [], [], [made])
    assert has_external_data(helper.make_model(graph).SerializeToString())


def test_truncated_models_are_malformed() -> None:
    content = model("initializer", external=False)
    with pytest.raises(MalformedError):
        has_external_data(content[:-3])


def test_bottomless_nesting_is_malformed() -> None:
    """Graph in attribute in node in graph, 40 times."""
    message = b""
    for _ in range(40):
        for field in (6, 5, 1):
            message = bytes([field << 3 | 2]) + varint(len(message)) + message
    with pytest.raises(MalformedError, match="nest deeper"):
        has_external_data(b"\x3a" + varint(len(message)) + message)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes(content: bytes) -> None:
    with contextlib.suppress(MalformedError):
        assert has_external_data(content) in {True, False}
