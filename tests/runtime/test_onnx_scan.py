"""Models like ours pass; whatever else ONNX can say is refused by its name, before a native parser sees it."""

from __future__ import annotations

import contextlib
import math
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from graspnext.runtime.safety.model_limits import MAX_LAYERS, RefusedModelError
from graspnext.runtime.safety.onnx_scan import check_onnx
from graspnext.runtime.safety.protobuf import MAX_FIELDS, Reader

small_model = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("small_model.py"))))
CONTENT: bytes = small_model.small_onnx()


def check(model: onnx.ModelProto) -> None:
    check_onnx(model.SerializeToString(), small_model.OUTPUTS)


@pytest.fixture
def model() -> onnx.ModelProto:
    return onnx.load_model_from_string(CONTENT)


def test_a_plain_graph_passes(model: onnx.ModelProto) -> None:
    check(model)
    model.graph.node[3].domain = "ai.onnx"
    check(model)


def test_a_missing_output_is_named() -> None:
    with pytest.raises(RefusedModelError, match="no output depth, pose"):
        check_onnx(CONTENT, ["scores", "pose", "depth"])


def branch() -> onnx.GraphProto:
    return helper.make_graph([], "inner", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])])


def external(model: onnx.ModelProto, location: str) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location


def foreign_node(model: onnx.ModelProto, operator: str, domain: str) -> None:
    model.graph.node[5].op_type, model.graph.node[5].domain = operator, domain


def with_if(model: onnx.ModelProto) -> None:
    node = helper.make_node("If", ["half"], ["w"], then_branch=branch(), else_branch=branch())
    model.graph.node.append(node)


def hidden_graph(model: onnx.ModelProto) -> None:
    model.graph.node[3].attribute.append(helper.make_attribute("extra", branch()))


def hidden_in_attribute(model: onnx.ModelProto) -> None:
    constant = next(node for node in model.graph.node if node.op_type == "Constant")
    constant.attribute[0].t.external_data.add().key = "location"


def add_function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("mine", "f", [], [], [], [helper.make_opsetid("", 18)]))


def add_sparse(model: onnx.ModelProto) -> None:
    values, indices = (numpy_helper.from_array(np.ones(1, dtype=kind), "s") for kind in (np.float32, np.int64))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [9]))


def claim(model: onnx.ModelProto, dims: list[int]) -> None:
    tensor = model.graph.initializer[0]
    del tensor.dims[:]
    tensor.dims.extend(dims)


def edit_tensor(model: onnx.ModelProto, **changes: Any) -> None:
    for name, value in changes.items():
        field = getattr(model.graph.initializer[0], name)
        field.extend(value) if isinstance(value, list) else setattr(model.graph.initializer[0], name, value)


def many_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.extend(helper.make_node("Relu", ["float"], [f"n{index}"]) for index in range(MAX_LAYERS))


CHANGES: dict[str, Callable[[onnx.ModelProto], object]] = {
    "refers to a file outside": lambda model: external(model, "weights.bin"),
    "'stem' refers to a file outside": lambda model: external(model, "../../etc/passwd"),
    "constant '' refers to a file outside": hidden_in_attribute,
    "operator 'Custom' of ''": lambda model: foreign_node(model, "Custom", ""),
    r"operator 'Conv' of 'com\.microsoft'": lambda model: foreign_node(model, "Conv", "com.microsoft"),
    r"operator 'Loop' of ''": lambda model: foreign_node(model, "Loop", ""),
    "field 6 of attribute is not allowed": hidden_graph,
    "of attribute is not allowed": with_if,
    "field 25 of model": add_function,
    "field 20 of model": lambda model: model.training_info.add(),
    "field 14 of model": lambda model: model.metadata_props.add(key="ort_config", value="{}"),
    "field 15 of graph": add_sparse,
    r"operator sets .*com\.microsoft": lambda model: model.opset_import.append(helper.make_opsetid("com.microsoft", 1)),
    "operator sets .*99": lambda model: setattr(model.opset_import[0], "version", 99),
    "version 99 of the file": lambda model: setattr(model, "ir_version", 99),
    "863 elements|elements where": lambda model: edit_tensor(model, raw_data=model.graph.initializer[0].raw_data[:-4]),
    "216 elements where its shape says 4611686018427387904": lambda model: claim(model, [2**31, 2**31]),
    "has the shape": lambda model: claim(model, [-1, 216]),
    "elements of type 8": lambda model: edit_tensor(model, data_type=TensorProto.STRING),
    "holds its elements in float_data, raw_data": lambda model: edit_tensor(model, float_data=[1.0]),
    "holds its elements in int64_data": lambda model: (
        edit_tensor(model, int64_data=[1]),
        model.graph.initializer[0].ClearField("raw_data"),
    ),
    "'stem' holds infinity or NaN": lambda model: edit_tensor(
        model, raw_data=b"\0\0\x80\x7f" + model.graph.initializer[0].raw_data[4:]
    ),
    r"tensor\.float_data holds infinity or NaN": lambda model: (
        edit_tensor(model, float_data=[math.inf]),
        model.graph.initializer[0].ClearField("raw_data"),
    ),
    r"attribute\.f holds infinity or NaN": lambda model: setattr(model.graph.node[1].attribute[0], "f", math.nan),
    "holds halves of a number in int32_data": lambda model: (
        edit_tensor(model, data_type=TensorProto.FLOAT16, int32_data=[0x7C00]),
        model.graph.initializer[0].ClearField("raw_data"),
    ),
    "two values are called 'stem'": lambda model: model.graph.initializer.append(model.graph.initializer[0]),
    "reads 'nowhere' before it is made": lambda model: model.graph.node[9].input.append("nowhere"),
    "reads 'valid' before it is made": lambda model: model.graph.node[9].input.append("valid"),
    "there is no output scores": lambda model: model.graph.output.remove(model.graph.output[0]),
    "2 inputs": lambda model: model.graph.input.append(helper.make_tensor_value_info("z", 1, [1])),
    "one image of uint8": lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", 1),
    "field 4 of type": lambda model: model.graph.output[0].type.sequence_type.SetInParent(),
    "nodes, more than the 20000": many_nodes,
    "inputs of node .* more than": lambda model: model.graph.node[9].input.extend(["float"] * 2000),
    "bytes, more than the 4096": lambda model: setattr(model.graph, "name", "x" * 5000),
    "with a NUL": lambda model: setattr(model.graph.node[1], "name", "a\0b"),
    "a value is called ''": lambda model: setattr(model.graph.initializer[3], "name", ""),
    "more values than one": lambda model: setattr(model.graph.node[1].attribute[0], "f", 1.0),
    "has the attribute 'to' twice": lambda model: model.graph.node[1].attribute.append(
        model.graph.node[1].attribute[0]
    ),
}


@pytest.mark.parametrize("said", CHANGES)
def test_what_bundles_never_hold_is_refused(model: onnx.ModelProto, said: str) -> None:
    CHANGES[said](model)
    with pytest.raises(RefusedModelError, match=said):
        check(model)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (CONTENT[:-3], "runs past the end"),
        (CONTENT + CONTENT, "is there twice"),  # other parsers would merge the two
        (CONTENT + b"\x08\x0a", r"model\.ir_version is there twice"),
        (b"<?xml version='1.0'?><net/>", "does not begin"),
        (b"\x08\x0a\x12\x08TFL3" + bytes(40), "does not begin"),
        (b"\x08\x0a\x3d\x00\x00\x00\x00", r"model\.graph has the wire type 5"),
        (b"\x08" + b"\xff" * 11, "has no end"),
        (b"\x08" + b"\xff" * 9 + b"\x7f", "has no end"),
        (b"\x08\x0a\x0b", "wire type 3"),
        (b"\x08\x0a\x12\x02\xff\xfe", "producer_name is no text"),
        (b"\x08\x0a", "operator sets"),
        (b"", "does not begin"),
    ],
)
def test_damaged_bytes_are_refused(content: bytes, said: str) -> None:
    with pytest.raises(RefusedModelError, match=said):
        check_onnx(content, ())


def test_many_empty_nodes_cost_little() -> None:
    """Two bytes each: a file of some megabytes would keep a reader without a limit busy for minutes."""
    nodes = b"\x0a\x00" * (MAX_FIELDS + 10)
    with pytest.raises(RefusedModelError, match="more than 1000000 fields"):
        check_onnx(b"\x08\x0a\x3a" + varint(len(nodes)) + nodes, ())


def test_bottomless_nesting_is_refused() -> None:
    message = b""
    for _ in range(40):
        message = b"\x0a" + varint(len(message)) + message
    with pytest.raises(RefusedModelError, match="nest deeper"):
        Reader({"node": {1: ("inner", "node")}}).read(memoryview(message), "node")


def test_packed_and_single_numbers_count_alike() -> None:
    reader = Reader({"t": {1: ("dims", "int*"), 4: ("floats", "float*"), 7: ("ints", "count*"), 9: ("one", "int")}})
    packed = b"\x0a\x03\x05\x80\x01" + b"\x22\x08" + bytes(8) + b"\x3a\x03\x05\x80\x01"
    single = b"\x08\x05\x08\x80\x01" + (b"\x25" + bytes(4)) * 2 + b"\x38\x05\x38\x80\x01"
    expected = {"dims": [5, 128], "floats": 2, "ints": 2}
    assert reader.read(memoryview(packed), "t") == reader.read(memoryview(single), "t") == expected
    assert reader.read(memoryview(b"\x48" + b"\xff" * 9 + b"\x01"), "t") == {"one": -1}
    for damaged in (b"\x4a\x01\x05", b"\x22\x03\0\0\0", b"\x3a\x01\x80"):
        with pytest.raises(RefusedModelError):
            reader.read(memoryview(damaged), "t")


@given(st.binary(max_size=200))
@settings(max_examples=300, derandomize=True)
def test_any_bytes(content: bytes) -> None:
    with contextlib.suppress(RefusedModelError):
        check_onnx(b"\x08\x0a" + content, ())
