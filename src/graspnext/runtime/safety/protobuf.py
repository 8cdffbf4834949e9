"""Protocol-buffer messages read by a schema, strictly: what the schema does not name is refused.

Real parsers skip fields that they do not know, take the last of several, and merge messages that come twice. A check
that reads a file in another way than the parser behind it checks nothing, so here all of that is an error. So are
infinity and NaN, wherever a number may stand.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from graspnext.runtime.safety.model_limits import EXPONENTS, RefusedModelError, check_finite, quoted

Schema = Mapping[str, Mapping[int, tuple[str, str]]]
"""Message -> field number -> name and kind: int, float, double, text, bytes or the name of a message. A kind that ends
in * may come many times."""
Message = dict[str, Any]
"""Field -> value: an int, a str, a memoryview, a message, or a list of these. Of repeated floats, doubles and counted
integers only the number is kept."""

MAX_FIELDS = 1_000_000
MAX_TEXT = 4_096
_MAX_DEPTH = 16
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIRES = {"int": _VARINT, "count": _VARINT, "float": _FIXED32, "double": _FIXED64}
_WIDTHS = {"float": (4, "f32"), "double": (8, "f64")}
"""Bytes of a number, and its name among `EXPONENTS`."""


class Reader:
    """Reads one file; keeps count, so that a small file cannot keep it busy for long."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._left = MAX_FIELDS

    def read(self, content: memoryview, kind: str, depth: int = 0) -> Message:
        """A message and all within it.

        Raises:
            RefusedModelError: The bytes are no such message.
        """
        if depth > _MAX_DEPTH:
            raise RefusedModelError(f"messages nest deeper than {_MAX_DEPTH}")
        fields = self._schema[kind]
        message: Message = {}
        for number, wire, value in self._fields(content):
            if number not in fields:
                raise RefusedModelError(f"field {number} of {kind} is not allowed")
            name, of = fields[number]
            many = of.endswith("*")
            read = self._value(f"{kind}.{name}", of, wire, value, depth)
            if not many and name in message:
                raise RefusedModelError(f"{kind}.{name} is there twice")
            if not many:
                message[name] = read
            elif of in {"count*", "float*", "double*"}:
                message[name] = message.get(name, 0) + read
            else:
                message.setdefault(name, []).extend(read if isinstance(read, list) else [read])
        return message

    def _value(self, where: str, kind: str, wire: int, value: Any, depth: int) -> Any:
        many, kind = kind.endswith("*"), kind.removesuffix("*")
        number = kind in _WIRES
        if wire != _WIRES.get(kind, _BYTES) and not (number and many and wire == _BYTES):
            raise RefusedModelError(f"{where} has the wire type {wire}")
        if number and wire == _BYTES:
            return self._packed(where, kind, value)
        if kind == "int":
            return value
        if kind in _WIDTHS:
            check_finite(where, value, *EXPONENTS[_WIDTHS[kind][1]])
        if number:
            return 1
        if kind == "bytes":
            return value
        return _text(where, value) if kind == "text" else self.read(value, kind, depth + 1)

    def _packed(self, where: str, kind: str, content: memoryview) -> Any:
        """Numbers one after another: their values, or only how many they are."""
        if kind in _WIDTHS:
            width, element = _WIDTHS[kind]
            if len(content) % width:
                raise RefusedModelError(f"{where} ends within a number")
            check_finite(where, content, *EXPONENTS[element])
            return len(content) // width
        if kind == "count":
            ends = np.frombuffer(content, dtype=np.uint8) < 128
            if len(content) and not ends[-1]:
                raise RefusedModelError(f"{where} ends within a number")
            return int(ends.sum())
        numbers = []
        position = 0
        while position < len(content):
            self._spend()
            number, position = _varint(content, position)
            numbers.append(number)
        return numbers

    def _fields(self, content: memoryview) -> Iterator[tuple[int, int, memoryview | int]]:
        position = 0
        while position < len(content):
            self._spend()
            tag, position = _varint(content, position)
            number, wire = tag >> 3, tag & 7
            if wire == _VARINT:
                value, position = _varint(content, position)
                yield number, wire, value
                continue
            if wire == _BYTES:
                length, position = _varint(content, position)
            elif wire in {_FIXED32, _FIXED64}:
                length = 4 if wire == _FIXED32 else 8
            else:
                raise RefusedModelError(f"wire type {wire} at byte {position}")
            if not 0 <= length <= len(content) - position:
                raise RefusedModelError(f"a field of {length} bytes at byte {position} runs past the end")
            yield number, wire, content[position : position + length]
            position += length

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise RefusedModelError(f"more than {MAX_FIELDS} fields")


def _text(where: str, content: memoryview) -> str:
    if len(content) > MAX_TEXT:
        raise RefusedModelError(f"{where} has {len(content)} bytes, more than the {MAX_TEXT} allowed")
    try:
        text = str(content, "utf-8")
    except UnicodeDecodeError as error:
        raise RefusedModelError(f"{where} is no text") from error
    if "\0" in text:
        raise RefusedModelError(f"{where} is {quoted(text)}, with a NUL")
    return text


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    """A number of 64 bits with its sign, and where the next byte is."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(content):
            break
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if value >> 64:
                break
            return struct.unpack("<q", struct.pack("<Q", value))[0], position
    raise RefusedModelError(f"a number at byte {position} has no end")
