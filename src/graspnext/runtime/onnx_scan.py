"""A walk over the protobuf bytes of an ONNX file, far enough to find tensors that live in other files.

A model that names external data can make a native parser read any path of the machine. Bundles never have such
tensors, so one is refused before a parser sees it. (Field numbers: onnx/onnx.proto of ONNX 1.16.)
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 32

_TENSOR, _SPARSE, _ATTRIBUTE, _NODE, _GRAPH, _FUNCTION, _TRAINING, _MODEL = range(8)
_CHILDREN: dict[int, dict[int, int]] = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _TENSOR: {},
}
"""Message -> {field that holds messages: which message}."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


class MalformedError(ValueError):
    """The bytes are not a protobuf message, or nest deeper than any model does."""


def has_external_data(content: bytes) -> bool:
    """Whether any tensor of an ONNX model (in graphs, sub-graphs, functions or attributes) lies in another file.

    Raises:
        MalformedError: The bytes cannot be walked.
    """
    return _search(memoryview(content), _MODEL, 0)


def _search(message: memoryview, kind: int, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise MalformedError(f"messages nest deeper than {_MAX_DEPTH}")
    for field, value in _fields(message):
        if kind == _TENSOR and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)):
            return True
        child = _CHILDREN[kind].get(field)
        if child is not None and isinstance(value, memoryview) and _search(value, child, depth + 1):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """(number, content) of each field; the content of a varint is its value."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        field, wire = tag >> 3, tag & 7
        if field == 0:
            raise MalformedError(f"field number 0 at byte {position}")
        if wire == _VARINT:
            number, position = _varint(message, position)
            yield field, number
            continue
        if wire == _BYTES:
            length, position = _varint(message, position)
        elif wire in {_FIXED32, _FIXED64}:
            length = 4 if wire == _FIXED32 else 8
        else:
            raise MalformedError(f"wire type {wire} at byte {position}")
        if position + length > len(message):
            raise MalformedError(f"a field of {length} bytes at byte {position} runs past the end")
        yield field, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise MalformedError(f"a number at byte {position} has no end")
