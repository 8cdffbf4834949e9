"""Model bundles: a folder with `card.json` and `model.onnx`, checked before any native parser sees a byte.

What the check cannot see, a trial in another process can: see `quarantine.py`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from graspnext.errors import BundleError
from graspnext.geometry.predictions import OUTPUT_NAMES
from graspnext.runtime.card import BUNDLE_FILES, CARD_FILE, IR_FILES, MODEL_FILE, SCHEMA_VERSION, Card
from graspnext.runtime.safety.ir_scan import check_ir
from graspnext.runtime.safety.model_limits import RefusedModelError, quoted
from graspnext.runtime.safety.onnx_scan import check_onnx

MAX_CARD_BYTES = 4 << 20
MAX_MODEL_BYTES = 1 << 30
MAX_CARD_DEPTH = 40
"""Of lists and objects within each other."""
DEFAULT_NAME = "fast"
_BUNDLES = "bundles"
"""Folder of the package."""
_AGAIN = "copy the bundle again, or write a new one with graspnext export"


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle whose files are what its card says."""

    path: Path
    card: Card
    model: bytes
    """Content of `model.onnx`: the very bytes that were hashed, so nothing can be swapped after the check."""
    ir: tuple[bytes, bytes] | None = None
    """Content of `model.xml` and `model.bin`, OpenVINO's own form of the model, where the bundle has it."""


def default_bundle() -> Path:
    """Folder of the bundle that ships with the package.

    Raises:
        BundleError: This installation has none.
    """
    path = _shipped() / DEFAULT_NAME
    if not (path / CARD_FILE).is_file():
        raise BundleError(path, "this installation ships no trained network", "name a bundle with --model")
    return path


def is_shipped(path: Path) -> bool:
    """Whether a bundle came with the package: who can change it can change the package too."""
    return path.resolve().is_relative_to(_shipped().resolve())


def _shipped() -> Path:
    return Path(__file__).parents[1] / _BUNDLES


def open_bundle(path: str | Path) -> Bundle:
    """Read and check a bundle.

    Raises:
        BundleError: A file is missing, not a regular file of its own, damaged, of another schema version, or the model
            is more than a plain graph of known operators that holds its weights (see `onnx_scan`, `ir_scan`).
    """
    path = Path(path)
    if not path.is_dir():
        problem = "not a folder" if path.exists() else "no such folder"
        raise BundleError(path, problem, f"give a folder with {CARD_FILE} and {MODEL_FILE}")
    links = is_shipped(path)  # installers link the files of packages to their store
    card = _read_card(path / CARD_FILE, links=links)
    contents = {}
    for name, record in card.files.items():
        contents[name] = _read(path / name, MAX_MODEL_BYTES, links=links)
        _check_content(path / name, contents[name], record.sha256, record.size_bytes)
    for name in (name for name in contents if name.endswith(".onnx")):
        with _refused(path / name):
            check_onnx(contents[name], OUTPUT_NAMES)
    xml, weights = (contents.get(name) for name in IR_FILES)
    if xml is None or weights is None:
        return Bundle(path, card, contents[MODEL_FILE])
    with _refused(path / IR_FILES[0]):
        check_ir(xml, weights, OUTPUT_NAMES)
    return Bundle(path, card, contents[MODEL_FILE], (xml, weights))


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except RefusedModelError as error:
        raise BundleError(path, f"not a model of graspnext ({error})", _AGAIN) from error


def _read_card(path: Path, *, links: bool) -> Card:
    content = _read(path, MAX_CARD_BYTES, links=links)
    try:
        values = json.loads(
            content.decode(), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
        json.dumps(values, ensure_ascii=False).encode()  # half a character could not be printed later
    except (ValueError, RecursionError) as error:
        raise BundleError(path, f"not JSON ({error})", _AGAIN) from error
    if not isinstance(values, dict):
        raise BundleError(path, "not a JSON object", _AGAIN)
    version = values.get("schema_version")
    if version != SCHEMA_VERSION:
        advice = f"this release reads version {SCHEMA_VERSION}: update graspnext or export the run again"
        raise BundleError(path, f"schema version {ascii(version)[:80]}", advice)
    if _depth(values) > MAX_CARD_DEPTH:
        raise BundleError(path, f"lists or objects nest deeper than {MAX_CARD_DEPTH}", _AGAIN)
    try:
        card = Card.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise BundleError(path, f"field {quoted(where)}: {' '.join(fault['msg'].split())}", _AGAIN) from error
    if MODEL_FILE not in card.files:
        raise BundleError(path, f"field 'files' does not list {MODEL_FILE}", _AGAIN)
    if unknown := sorted(set(card.files) - set(BUNDLE_FILES)):
        raise BundleError(path, f"field 'files' lists {unknown[0]}, which no bundle has", _AGAIN)
    if len(set(IR_FILES) & set(card.files)) == 1:
        raise BundleError(path, f"field 'files' lists one of {' and '.join(IR_FILES)} without the other", _AGAIN)
    missing = [name for name in OUTPUT_NAMES if name not in card.outputs]
    if missing:
        raise BundleError(path, f"field 'outputs' lacks {', '.join(missing)}", _AGAIN)
    return card


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key is there twice")
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _depth(values: object) -> int:
    depth, level = 0, [values]
    while level:
        depth += 1
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
    return depth


def _read(path: Path, limit: int, *, links: bool) -> bytes:
    """Content of a regular file that is no symbolic link, has no second name unless `links`, and at most `limit` bytes.

    A second name (a hard link) would let whoever made the bundle hand over a file that only its reader may read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        raise BundleError(path, "the file is missing", _AGAIN) from error
    except PermissionError as error:
        raise BundleError(path, "permission denied", "make the file readable") from error
    except OSError as error:  # a link, since O_NOFOLLOW
        raise BundleError(path, f"cannot be opened as a plain file ({error.strerror})", _AGAIN) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise BundleError(path, "not a regular file", _AGAIN)
    with os.fdopen(handle, "rb") as stream:
        status = os.fstat(stream.fileno())
        if status.st_nlink > 1 and not links:
            raise BundleError(path, f"a hard link ({status.st_nlink} names)", "copy the bundle instead of linking it")
        if status.st_size > limit:
            raise BundleError(path, f"{status.st_size} bytes, more than the {limit} allowed", _AGAIN)
        return stream.read(limit)


def _check_content(path: Path, content: bytes, sha256: str, size: int) -> None:
    if len(content) != size:
        raise BundleError(path, f"{len(content)} bytes, but {CARD_FILE} says {size}", _AGAIN)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BundleError(path, f"its SHA-256 is not the one in {CARD_FILE}", _AGAIN)
