"""Damage: of bytes, and of what the bytes mean, so that a part of it gets past checks of form."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from graspnext.runtime.safety.model_limits import ONNX_OPERATORS, OPENVINO_LAYERS

NUMBERS = (0, 1, -1, 2, 3, 7, 127, 255, 1000, 2**16, 2**31 - 1, -(2**31), 2**32 + 1, 2**62, -(2**63))
TEXTS = ("", "x", "..", "../../etc/passwd", "/etc/passwd", "NaN", "\u00e9", "a" * 2000, "line\nbreak", "0x10", "-1")


def pick(items: Any, rng: np.random.Generator) -> Any:
    """One of them."""
    return items[int(rng.integers(len(items)))]


def mutate_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """One of: flipped bytes, a cut, a removed, repeated or foreign piece, extreme numbers."""
    data = bytearray(content)
    kind, at = int(rng.integers(6)), int(rng.integers(len(data)))
    end = min(len(data), at + int(rng.integers(1, 64)))
    if kind == 0:
        for place in rng.integers(0, len(data), int(rng.integers(1, 20))):
            data[place] = int(rng.integers(256))
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        del data[at:end]
    elif kind == 3:
        data[at:at] = data[at:end]
    elif kind == 4:
        data[at:end] = rng.integers(0, 256, end - at, dtype=np.uint8).tobytes()
    else:
        data[at : at + 4] = pick([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0"], rng)
    return bytes(data) or b"x"


def mutate_json(content: bytes, rng: np.random.Generator) -> bytes:
    """A value replaced, removed, added or nested, anywhere in the tree."""
    root = json.loads(content)
    places = list(_places(root))
    parent, key = pick(places, rng)
    others: list[Any] = [*NUMBERS, *TEXTS, None, True, 1e308, [], {}, [[]], {"a": 1}, parent[key], "Infinity"]
    kind = int(rng.integers(5))
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[pick(TEXTS, rng)] = pick(others, rng)
    elif kind == 2:
        for _ in range(int(rng.integers(1, 200))):
            parent[key] = [parent[key]]
    else:
        parent[key] = pick(others, rng)
    text = json.dumps(root)
    return text.replace('"Infinity"', pick(["NaN", "Infinity", "-0.0", "1e999", '"Infinity"'], rng)).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def mutate_onnx(content: bytes, rng: np.random.Generator) -> bytes:
    """The graph changed where it means something: wiring, operators, attributes, constants, types."""
    model = onnx.load_model_from_string(content)
    for _ in range(int(rng.integers(1, 4))):
        pick(ONNX_CHANGES, rng)(model.graph, rng)
    out: bytes = model.SerializeToString()
    return out


def _rewire(graph: Any, rng: np.random.Generator) -> None:
    index = int(rng.integers(len(graph.node)))
    node = graph.node[index]
    known = [tensor.name for tensor in graph.initializer] + ["image"]
    known += [name for before in graph.node[:index] for name in before.output]
    if node.input:
        node.input[int(rng.integers(len(node.input)))] = pick([*known, *known, "", "nowhere"], rng)


def _other_operator(graph: Any, rng: np.random.Generator) -> None:
    pick(graph.node, rng).op_type = pick([*sorted(ONNX_OPERATORS), "Loop", "If", "Custom"], rng)


def _attribute(graph: Any, rng: np.random.Generator) -> None:
    having = [node for node in graph.node if node.attribute]
    attribute = pick(pick(having, rng).attribute, rng)
    if attribute.type == onnx.AttributeProto.INT:
        attribute.i = pick(NUMBERS, rng)
    elif attribute.type == onnx.AttributeProto.INTS:
        at = int(rng.integers(len(attribute.ints)))
        if rng.random() < 0.3:
            attribute.ints.append(pick(NUMBERS, rng))
        attribute.ints[at] = pick(NUMBERS, rng)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = pick((0.0, -1.0, 1e30, float("nan"), float("inf")), rng)
    elif attribute.type == onnx.AttributeProto.STRING:
        attribute.s = pick(TEXTS, rng).encode()


def _new_attribute(graph: Any, rng: np.random.Generator) -> None:
    name = pick(("axis", "pads", "strides", "group", "dilations", "kernel_shape", "to", "perm", "mode", "x"), rng)
    value = pick([pick(NUMBERS, rng), [pick(NUMBERS, rng) for _ in range(int(rng.integers(1, 5)))], "linear"], rng)
    pick(graph.node, rng).attribute.append(helper.make_attribute(name, value))


def _less(graph: Any, rng: np.random.Generator) -> None:
    del pick([graph.node, graph.initializer, graph.output], rng)[0]


def _lose(graph: Any, rng: np.random.Generator) -> None:
    node = pick(graph.node, rng)
    field = pick([field for field in (node.input, node.output, node.attribute) if field], rng)
    del field[int(rng.integers(len(field)))]


def _values(graph: Any, rng: np.random.Generator) -> None:
    """Other numbers in a constant of the same shape."""
    tensor = pick(graph.initializer, rng)
    values = numpy_helper.to_array(tensor).copy()
    if values.size:
        limits = [-1, 0, 1, 1000] if values.dtype.kind in "iu" else [0.0, 1e38, -1e38, np.nan, np.inf]
        flat = values.reshape(-1)
        number = pick([*limits, 2**31, -(2**63)] if values.dtype == np.int64 else limits, rng)
        flat[int(rng.integers(flat.size))] = min(number, 100) if values.dtype == np.int8 else number
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _shape(graph: Any, rng: np.random.Generator) -> None:
    """Another shape of a constant, with as many elements as it says or not."""
    tensor = pick(graph.initializer, rng)
    if rng.random() < 0.5:
        values = numpy_helper.to_array(tensor)
        shape = pick([(values.size,), (1, *values.shape), (*values.shape, 1), values.shape[::-1]], rng)
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values.reshape(shape)), tensor.name))
    elif tensor.dims:
        tensor.dims[int(rng.integers(len(tensor.dims)))] = pick(NUMBERS, rng)


def _type(graph: Any, rng: np.random.Generator) -> None:
    """Another type of a constant, with the same elements or with the same bytes."""
    tensor = pick(graph.initializer, rng)
    if rng.random() < 0.6:
        values = numpy_helper.to_array(tensor)
        kind = pick((np.float16, np.float64, np.int32, np.int64, np.uint8, np.bool_), rng)
        with np.errstate(all="ignore"):
            tensor.CopyFrom(numpy_helper.from_array(values.astype(kind), tensor.name))
    else:
        tensor.data_type = int(rng.integers(0, 30))


def _hide(graph: Any, rng: np.random.Generator) -> None:
    """A constant in another file."""
    tensor = pick(graph.initializer, rng)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", pick(TEXTS, rng)
    tensor.data_location = int(rng.integers(2))


def _declare(graph: Any, rng: np.random.Generator) -> None:
    value = pick([*graph.output, *graph.input], rng).type.tensor_type
    if rng.random() < 0.5:
        value.elem_type = pick((TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64, TensorProto.STRING), rng)
    else:
        value.shape.dim.add().dim_value = pick(NUMBERS, rng)


ONNX_CHANGES = (
    _rewire, _rewire, _other_operator, _attribute, _attribute, _new_attribute, _less, _lose, _values, _values, _shape,
    _type, _hide, _declare,
)  # fmt: skip


def mutate_xml(content: bytes, rng: np.random.Generator) -> bytes:
    """The model's XML changed where it means something: values of attributes, wiring, kinds of layers, elements."""
    text = content.decode()
    for _ in range(int(rng.integers(1, 4))):
        text = pick(XML_CHANGES, rng)(text, rng)
    return text.encode()


def _replace(text: str, match: re.Match[str], new: str) -> str:
    return text[: match.start()] + new + text[match.end() :]


def _xml_value(text: str, rng: np.random.Generator) -> str:
    match = pick(list(re.finditer(r'(?<==)"[^"]*"', text)), rng)
    return _replace(text, match, f'"{pick([*NUMBERS, *TEXTS, "true", "1,1", "f32", "auto"], rng)}"')


def _xml_number(text: str, rng: np.random.Generator) -> str:
    """A number of a layer's data, near to what it was or far."""
    match = pick(list(re.finditer(r"(?<=[\",])-?\d+(?=[\",])", text)), rng)
    return _replace(text, match, str(pick([int(match[0]) + 1, int(match[0]) - 1, *NUMBERS], rng)))


def _xml_wire(text: str, rng: np.random.Generator) -> str:
    edges = list(re.finditer(r'from-layer="(\d+)" from-port="(\d+)"', text))
    return _replace(text, pick(edges, rng), pick(edges, rng)[0])


def _xml_kind(text: str, rng: np.random.Generator) -> str:
    match = pick(list(re.finditer(r'type="\w+" version="\w+"', text)), rng)
    kind = pick([*sorted(OPENVINO_LAYERS), "If", "TensorIterator", "ReadValue"], rng)
    return _replace(text, match, f'type="{kind}" version="opset{int(rng.integers(1, 17))}"')


def _xml_swap(text: str, rng: np.random.Generator) -> str:
    """The data of one layer in another one."""
    having = list(re.finditer(r"<data [^>]*/>", text))
    return _replace(text, pick(having, rng), pick(having, rng)[0])


def _xml_lose(text: str, rng: np.random.Generator) -> str:
    kind = pick((r"<data [^>]*/>", r"<edge [^>]*/>", r"<dim>[^<]*</dim>", r"<layer .*?</layer>", r' \w+="[^"]*"'), rng)
    found = list(re.finditer(kind, text, re.DOTALL))
    return _replace(text, pick(found, rng), "") if found else text


def _xml_dim(text: str, rng: np.random.Generator) -> str:
    match = pick(list(re.finditer(r"(?<=<dim>)[^<]*(?=</dim>)", text)), rng)
    return _replace(text, match, str(pick(NUMBERS, rng)))


def _xml_add(text: str, rng: np.random.Generator) -> str:
    at = pick([match.end() for match in re.finditer(">", text)], rng)
    head = '<!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    return text[:at] + pick((head, "&x;", "<body/>", "<!-- -->", "<![CDATA[x]]>", "<layer/>", "x"), rng) + text[at:]


XML_CHANGES = (
    _xml_value, _xml_number, _xml_number, _xml_wire, _xml_wire, _xml_kind, _xml_swap, _xml_lose, _xml_dim, _xml_add,
)  # fmt: skip


def mutate_png(content: bytes, rng: np.random.Generator) -> bytes:
    """Chunks changed inside, lost, doubled or in another order, with their check sums made right again."""
    chunks = []
    at = 8
    while at < len(content):
        length, name = struct.unpack(">I4s", content[at : at + 8])
        chunks.append([name, content[at + 8 : at + 8 + length]])
        at += length + 12
    one = int(rng.integers(len(chunks)))
    kind = int(rng.integers(5))
    if kind == 0 and len(chunks) > 1:
        del chunks[one]
    elif kind == 1:
        chunks.insert(int(rng.integers(len(chunks))), chunks[one])
    elif chunks[one][0] == b"IDAT" and kind < 4:
        pixels = zlib.decompressobj().decompress(chunks[one][1])
        chunks[one][1] = zlib.compress(mutate_bytes(pixels, rng) if pixels else b"x")
    elif chunks[one][1]:
        chunks[one][1] = mutate_bytes(chunks[one][1], rng)
    out = content[:8]
    for name, inside in chunks:
        out += struct.pack(">I", len(inside)) + name + inside + struct.pack(">I", zlib.crc32(name + inside))
    return out


def mutate_numbers(content: bytes, rng: np.random.Generator) -> bytes:
    """A number of the header (sizes, offsets, counts, types of tags) made small or large, in either order of bytes."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(4, min(len(data), 400)))
        width = pick((1, 2, 4), rng)
        data[at : at + width] = (pick(NUMBERS, rng) & (256**width - 1)).to_bytes(width, pick(("little", "big"), rng))
    return bytes(data)
