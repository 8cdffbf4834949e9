"""What an ONNX file must be before a native parser sees it: a plain graph of known operators that holds its weights.

Read with a reader of our own (`protobuf.py`). Field numbers and value types: onnx/onnx.proto of ONNX 1.22.
"""

from __future__ import annotations

from collections.abc import Iterable

from graspnext.runtime.safety.model_limits import (
    EXPONENTS,
    MAX_INPUTS,
    MAX_LAYERS,
    MAX_NAME,
    ONNX_OPERATORS,
    RefusedModelError,
    check_count,
    check_finite,
    check_shape,
    quoted,
)
from graspnext.runtime.safety.protobuf import Message, Reader, Schema

IR_VERSIONS = range(4, 14)
OPSETS = range(13, 27)

_SCHEMA: Schema = {
    "model": {
        1: ("ir_version", "int"),
        2: ("producer_name", "text"),
        3: ("producer_version", "text"),
        4: ("domain", "text"),
        5: ("model_version", "int"),
        6: ("doc_string", "text"),
        7: ("graph", "graph"),
        8: ("opset_import", "opset*"),
    },
    "opset": {1: ("domain", "text"), 2: ("version", "int")},
    "graph": {
        1: ("node", "node*"),
        2: ("name", "text"),
        5: ("initializer", "tensor*"),
        10: ("doc_string", "text"),
        11: ("input", "value_info*"),
        12: ("output", "value_info*"),
        13: ("value_info", "value_info*"),
    },
    "node": {
        1: ("input", "text*"),
        2: ("output", "text*"),
        3: ("name", "text"),
        4: ("op_type", "text"),
        5: ("attribute", "attribute*"),
        6: ("doc_string", "text"),
        7: ("domain", "text"),
    },
    "attribute": {
        1: ("name", "text"),
        2: ("f", "float"),
        3: ("i", "int"),
        4: ("s", "bytes"),
        5: ("t", "tensor"),
        7: ("floats", "float*"),
        8: ("ints", "int*"),
        9: ("strings", "bytes*"),
        13: ("doc_string", "text"),
        20: ("type", "int"),
    },
    "tensor": {
        1: ("dims", "int*"),
        2: ("data_type", "int"),
        4: ("float_data", "float*"),
        5: ("int32_data", "count*"),
        7: ("int64_data", "count*"),
        8: ("name", "text"),
        9: ("raw_data", "bytes"),
        10: ("double_data", "double*"),
        11: ("uint64_data", "count*"),
        12: ("doc_string", "text"),
        13: ("external_data", "bytes*"),
        14: ("data_location", "int"),
    },
    "value_info": {1: ("name", "text"), 2: ("type", "type"), 3: ("doc_string", "text")},
    "type": {1: ("tensor_type", "tensor_type")},
    "tensor_type": {1: ("elem_type", "int"), 2: ("shape", "shape")},
    "shape": {1: ("dim", "dim*")},
    "dim": {1: ("dim_value", "int"), 2: ("dim_param", "text")},
}
"""No functions, training steps, sub-graphs, sparse tensors, sequences, strings or metadata; external data is read only
to be refused by its name."""

_FIRST_BYTE = b"\x08"
"""Tag of `ir_version`, so that no other format of model, which OpenVINO would look for as well, can begin here."""
_TFLITE = b"TFL3"
"""What one of them has behind its first four bytes."""
_ATTRIBUTES = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
"""Type of an attribute -> where its value stands."""
_FLOAT, _UINT8, _INT8, _UINT16, _INT16, _INT32, _INT64, _BOOL, _HALF, _DOUBLE = 1, 2, 3, 4, 5, 6, 7, 9, 10, 11
_UINT32, _UINT64, _BFLOAT16 = 12, 13, 16
_ELEMENTS: dict[int, tuple[int, str]] = {
    _FLOAT: (4, "float_data"),
    _UINT8: (1, "int32_data"),
    _INT8: (1, "int32_data"),
    _UINT16: (2, "int32_data"),
    _INT16: (2, "int32_data"),
    _INT32: (4, "int32_data"),
    _INT64: (8, "int64_data"),
    _BOOL: (1, "int32_data"),
    _HALF: (2, "int32_data"),
    _DOUBLE: (8, "double_data"),
    _UINT32: (4, "uint64_data"),
    _UINT64: (8, "uint64_data"),
    _BFLOAT16: (2, "int32_data"),
}
"""Type of an element -> bytes in `raw_data`, and the field that may hold it instead."""
_FLOATS = {_FLOAT: "f32", _HALF: "f16", _BFLOAT16: "bf16", _DOUBLE: "f64"}
_NUMBERS = frozenset({"float_data", "double_data"})
"""Stores whose numbers the reader has looked at."""
_STORES = frozenset({"raw_data", *(store for _, store in _ELEMENTS.values())})


def check_onnx(content: bytes, outputs: Iterable[str]) -> None:
    """Check a model: its structure, its operators, the order of its nodes, and that its constants are all there.

    Args:
        content: Of the file.
        outputs: What the model must give.

    Raises:
        RefusedModelError: It is damaged, or more than such a graph.
    """
    if content[:1] != _FIRST_BYTE or content[4:8] == _TFLITE:
        raise RefusedModelError("it does not begin as an ONNX model does")
    model = Reader(_SCHEMA).read(memoryview(content), "model")
    if model.get("ir_version") not in IR_VERSIONS:
        raise RefusedModelError(f"version {model.get('ir_version')} of the file's format")
    imported = [(opset.get("domain", ""), opset.get("version")) for opset in model.get("opset_import", [])]
    if len(imported) != 1 or imported[0][0] not in {"", "ai.onnx"} or imported[0][1] not in OPSETS:
        raise RefusedModelError(f"operator sets {quoted(imported)}; only ONNX's own from 13 on is known")
    if "graph" not in model:
        raise RefusedModelError("there is no graph")
    _check_graph(model["graph"], set(outputs))


def _check_graph(graph: Message, outputs: set[str]) -> None:
    nodes, tensors = graph.get("node", []), graph.get("initializer", [])
    check_count("nodes", len(nodes), MAX_LAYERS)
    check_count("constants", len(tensors), MAX_LAYERS)
    inputs = graph.get("input", [])
    if len(inputs) != 1 or inputs[0].get("type", {}).get("tensor_type", {}).get("elem_type") != _UINT8:
        raise RefusedModelError(f"{len(inputs)} inputs; a model takes one image of uint8")
    known: set[str] = set()
    for item in (*inputs, *tensors):
        _define(item.get("name", ""), known)
    for tensor in tensors:
        _check_tensor(tensor)
    for node in nodes:
        _check_node(node, known)
    given = [value.get("name", "") for value in graph.get("output", [])]
    if len(given) != len(set(given)) or not set(given) <= known:
        raise RefusedModelError("the outputs are not values of the graph, each once")
    if missing := sorted(outputs - set(given)):
        raise RefusedModelError(f"there is no output {', '.join(missing)}")


def _define(name: str, known: set[str]) -> None:
    if not name or len(name) > MAX_NAME:
        raise RefusedModelError(f"a value is called {quoted(name)}")
    if name in known:
        raise RefusedModelError(f"two values are called {quoted(name)}")
    known.add(name)


def _check_node(node: Message, known: set[str]) -> None:
    operator = node.get("op_type", "")
    if node.get("domain", "") not in {"", "ai.onnx"} or operator not in ONNX_OPERATORS:
        raise RefusedModelError(f"operator {quoted(operator)} of {quoted(node.get('domain', ''))} is not known")
    where = f"node {quoted(node.get('name', operator))}"
    inputs, outputs = node.get("input", []), node.get("output", [])
    check_count(f"inputs of {where}", len(inputs), MAX_INPUTS)
    if unknown := next((name for name in inputs if name and name not in known), None):
        raise RefusedModelError(f"{where} reads {quoted(unknown)} before it is made")
    for name in filter(None, outputs):  # an empty name is an output that nobody wants
        _define(name, known)
    names: set[str] = set()
    for attribute in node.get("attribute", []):
        name = attribute.get("name", "")
        if name in names:
            raise RefusedModelError(f"{where} has the attribute {quoted(name)} twice")
        names.add(name)
        _check_attribute(f"attribute {quoted(name)} of {where}", attribute)


def _check_attribute(where: str, attribute: Message) -> None:
    store = _ATTRIBUTES.get(attribute.get("type", 0))
    if store is None:
        raise RefusedModelError(f"{where} has the type {attribute.get('type', 0)}")
    if not set(attribute) <= {"name", "type", "doc_string", store}:
        raise RefusedModelError(f"{where} has more values than one")
    if store == "t":
        _check_tensor(attribute.get("t", {}))
    for text in [attribute.get("s", b""), *attribute.get("strings", [])]:
        check_count(f"bytes of {where}", len(text), MAX_NAME)


def _check_tensor(tensor: Message) -> None:
    where = f"constant {quoted(tensor.get('name', ''))}"
    if tensor.get("data_location", 0) != 0 or "external_data" in tensor:
        raise RefusedModelError(f"{where} refers to a file outside the model")
    if tensor.get("data_type") not in _ELEMENTS:
        raise RefusedModelError(f"{where} has elements of type {tensor.get('data_type')}")
    size, field = _ELEMENTS[tensor["data_type"]]
    elements = check_shape(where, tensor.get("dims", []))
    found = _STORES & set(tensor)
    if not found <= {"raw_data", field} or len(found) > 1:
        raise RefusedModelError(f"{where} holds its elements in {', '.join(sorted(found))}")
    if field in found and field not in _NUMBERS and tensor["data_type"] in _FLOATS:
        raise RefusedModelError(f"{where} holds halves of a number in {field}")  # which nobody writes, nor checks
    there = len(tensor["raw_data"]) / size if "raw_data" in found else tensor.get(field, 0)
    if there != elements:
        raise RefusedModelError(f"{where} has {there:g} elements where its shape says {elements}")
    if "raw_data" in found and tensor["data_type"] in _FLOATS:
        check_finite(where, tensor["raw_data"], *EXPONENTS[_FLOATS[tensor["data_type"]]])
