"""What an OpenVINO model (IR: an XML file and a file of constants) must be before OpenVINO sees it.

The XML is read by expat with every declaration refused, so nothing in it can name an entity or another file. What is
not named below is refused: bodies of loops, sub-models, custom layers, layers of extensions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from graspnext.runtime.safety.model_limits import (
    EXPONENTS,
    MAX_INPUTS,
    MAX_LAYERS,
    MAX_NAME,
    OPENVINO_LAYERS,
    RefusedModelError,
    check_count,
    check_finite,
    check_shape,
    quoted,
)

MAX_XML_BYTES = 64 << 20
MAX_ELEMENTS = 1_000_000
MAX_ATTRIBUTE = 20_000
"""Characters of the value of one attribute: lists of numbers are the longest."""
IR_VERSIONS = ("10", "11")

_INSIDE: Mapping[str, frozenset[str]] = {
    "": frozenset({"net"}),
    "net": frozenset({"layers", "edges", "rt_info"}),
    "layers": frozenset({"layer"}),
    "layer": frozenset({"data", "input", "output", "rt_info"}),
    "input": frozenset({"port"}),
    "output": frozenset({"port"}),
    "port": frozenset({"dim", "rt_info"}),
    "edges": frozenset({"edge"}),
    "rt_info": frozenset({"attribute", "info"}),
}
"""Element -> what may stand in it; others hold nothing."""
_SOLE = frozenset({"layers", "edges", "data", "input", "output"})
"""At most one in its parent."""
_OPSET = re.compile(r"opset([1-9][0-9]?)\Z")
_MAX_OPSET = 16
_NUMBER = re.compile(r"[0-9]{1,15}\Z")
_BITS = {
    "boolean": 8,
    "bf16": 16,
    "f16": 16,
    "f32": 32,
    "f64": 64,
    "i4": 4,
    "i8": 8,
    "i16": 16,
    "i32": 32,
    "i64": 64,
    "u1": 1,
    "u4": 4,
    "u8": 8,
    "u16": 16,
    "u32": 32,
    "u64": 64,
}
"""Type of an element -> bits in the file of constants."""


@dataclass
class _Layer:
    """One layer, as far as it is checked."""

    about: Mapping[str, str]
    data: Mapping[str, str] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    """Numbers of its ports."""
    outputs: list[str] = field(default_factory=list)


def check_ir(xml: bytes, constants: bytes, outputs: Iterable[str]) -> None:
    """Check a model.

    Args:
        xml: Content of the XML file.
        constants: Content of the file beside it.
        outputs: What the model must give.

    Raises:
        RefusedModelError: It is damaged, or more than a plain graph of OpenVINO's own layers.
    """
    check_count("bytes of XML", len(xml), MAX_XML_BYTES)
    if not xml.startswith((b"<?xml", b"<net")):
        raise RefusedModelError("not an OpenVINO model")
    reader = _Reader()
    reader.read(xml)
    layers: dict[str, _Layer] = {}
    for layer in reader.layers:
        number = layer.about.get("id", "")
        if not _NUMBER.match(number) or number in layers:
            raise RefusedModelError(f"a layer has the number {quoted(number)}, or two have it")
        layers[number] = layer
        _check_layer(layer, memoryview(constants))
    kinds = Counter(layer.about["type"] for layer in layers.values())
    if kinds["Parameter"] != 1:
        raise RefusedModelError(f"{kinds['Parameter']} inputs; a model takes one image")
    _check_edges(layers, reader.edges)
    if missing := sorted(set(outputs) - reader.names):
        raise RefusedModelError(f"there is no output {', '.join(missing)}")


class _Reader:
    """Turns XML into layers and edges."""

    def __init__(self) -> None:
        self.layers: list[_Layer] = []
        self.edges: list[Mapping[str, str]] = []
        self.names: set[str] = set()
        """What tensors are called."""
        self._path: list[str] = []
        self._seen: list[Counter[str]] = [Counter()]
        self._elements = 0

    def read(self, xml: bytes) -> None:
        parser = expat.ParserCreate("utf-8")  # overrules what the file says of itself
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.XmlDeclHandler = self._declaration
        # The reader behind this one skips comments and instructions or takes them in its own way; no writer makes any.
        for kind in ("StartDoctypeDecl", "EntityDecl", "ExternalEntityRef", "SkippedEntity", "ProcessingInstruction"):
            setattr(parser, f"{kind}Handler", _forbidden)
        parser.CommentHandler = parser.StartCdataSectionHandler = _forbidden
        try:
            parser.Parse(xml, True)
        except expat.ExpatError as error:
            raise RefusedModelError(f"not XML ({error})") from error

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if version != "1.0" or (encoding or "utf-8").lower() != "utf-8":
            raise RefusedModelError("XML that is not of version 1.0 in UTF-8")

    def _text(self, text: str) -> None:
        if text.strip() and self._path[-1] != "dim":
            raise RefusedModelError(f"text in {self._path[-1]}")
        if self._path[-1] == "dim" and len(text) > MAX_NAME:
            raise RefusedModelError("a long text in dim")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        check_count("elements", self._elements, MAX_ELEMENTS)
        parent = self._path[-1] if self._path else ""
        if name not in _INSIDE.get(parent, ()):
            raise RefusedModelError(f"element {quoted(name)} in {quoted(parent)} is not allowed")
        self._seen[-1][name] += 1
        if name in _SOLE and self._seen[-1][name] > 1:
            raise RefusedModelError(f"a second element {quoted(name)} in {quoted(parent)}")
        for key, value in attributes.items():
            check_count(f"characters of {quoted(key)}", len(value), MAX_ATTRIBUTE)
        self._path.append(name)
        self._seen.append(Counter())
        self._keep(name, parent, attributes)

    def _keep(self, name: str, parent: str, attributes: dict[str, str]) -> None:
        if name == "net" and attributes.get("version") not in IR_VERSIONS:
            raise RefusedModelError(f"version {quoted(attributes.get('version', ''))} of the file's format")
        if name == "layer":
            check_count("layers", len(self.layers) + 1, MAX_LAYERS)
            self.layers.append(_Layer(attributes))
        elif name == "data":
            self.layers[-1].data = attributes
        elif name == "edge":
            self.edges.append(attributes)
        elif name == "port":
            layer = self.layers[-1]
            (layer.inputs if parent == "input" else layer.outputs).append(attributes.get("id", ""))
            self.names.update(attributes.get("names", "").split(","))

    def _end(self, name: str) -> None:
        self._path.pop()
        self._seen.pop()


def _forbidden(*_: object) -> NoReturn:
    raise RefusedModelError("XML with declarations, entities, comments or instructions")


def _check_layer(layer: _Layer, constants: memoryview) -> None:
    kind, version = layer.about.get("type", ""), layer.about.get("version", "")
    where = f"layer {quoted(layer.about.get('name', ''))}"
    opset = _OPSET.match(version)
    if kind not in OPENVINO_LAYERS or opset is None or int(opset[1]) > _MAX_OPSET:
        raise RefusedModelError(f"{where} is a {quoted(kind)} of {quoted(version)}, which is not known")
    check_count(f"inputs of {where}", len(layer.inputs), MAX_INPUTS)
    ports = layer.inputs + layer.outputs
    if len(set(ports)) < len(ports) or not all(_NUMBER.match(port) for port in ports):
        raise RefusedModelError(f"{where} has ports whose numbers are none, or not their own")
    if kind == "Const":
        _check_constant(where, layer, constants)


def _check_constant(where: str, layer: _Layer, constants: memoryview) -> None:
    element = layer.data.get("element_type", "")
    if element not in _BITS or layer.inputs or len(layer.outputs) != 1:
        raise RefusedModelError(f"{where} is no constant, or has elements of type {quoted(element)}")
    offset, size = (_number(where, layer.data, name) for name in ("offset", "size"))
    if offset + size > len(constants):
        raise RefusedModelError(f"{where} ends at byte {offset + size} of {len(constants)}")
    text = layer.data.get("shape", "").strip()
    dims = [part.strip() for part in text.split(",")] if text else []
    if not all(_NUMBER.match(part) for part in dims):
        raise RefusedModelError(f"{where} has the shape {quoted(text)}")
    elements = check_shape(where, [int(part) for part in dims])
    if size != (elements * _BITS[element] + 7) // 8:
        raise RefusedModelError(f"{where} has {size} bytes where its shape says {elements} elements")
    if element in EXPONENTS:
        check_finite(where, constants[offset : offset + size], *EXPONENTS[element])


def _number(where: str, values: Mapping[str, str], name: str) -> int:
    text = values.get(name, "")
    if not _NUMBER.match(text):
        raise RefusedModelError(f"{where} has the {name} {quoted(text)}")
    return int(text)


def _check_edges(layers: Mapping[str, _Layer], edges: Iterable[Mapping[str, str]]) -> None:
    """Each input is fed by one output that exists, and nothing feeds itself."""
    fed: set[tuple[str, str]] = set()
    feeds: dict[str, list[str]] = {number: [] for number in layers}
    for edge in edges:
        source, target = edge.get("from-layer", ""), edge.get("to-layer", "")
        known = source in layers and target in layers
        if not known or edge.get("from-port") not in layers[source].outputs:
            raise RefusedModelError(f"an edge comes from {quoted(source)}, which has no such output")
        port = edge.get("to-port", "")
        if port not in layers[target].inputs or (target, port) in fed:
            raise RefusedModelError(f"an edge leads to port {quoted(port)} of {quoted(target)}, which takes none")
        fed.add((target, port))
        feeds[source].append(target)
    if len(fed) != sum(len(layer.inputs) for layer in layers.values()):
        raise RefusedModelError("an input of a layer is not fed")
    waiting = Counter(target for targets in feeds.values() for target in targets)
    ready = [number for number in layers if not waiting[number]]
    done = 0
    while ready:
        done += 1
        for target in feeds[ready.pop()]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    if done != len(layers):
        raise RefusedModelError("layers feed themselves in a circle")
