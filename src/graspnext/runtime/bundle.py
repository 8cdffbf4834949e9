"""Model bundles: a folder with `card.json` and `model.onnx`, checked before any native parser sees a byte."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from graspnext.errors import BundleError
from graspnext.geometry.predictions import OUTPUT_NAMES
from graspnext.runtime.card import CARD_FILE, MODEL_FILE, SCHEMA_VERSION, Card
from graspnext.runtime.onnx_scan import MalformedError, has_external_data

MAX_CARD_BYTES = 4 << 20
MAX_MODEL_BYTES = 1 << 30
DEFAULT_NAME = "fast"
_AGAIN = "copy the bundle again, or write a new one with graspnext export"


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle whose files are what its card says."""

    path: Path
    card: Card
    model: bytes
    """Content of `model.onnx`: the very bytes that were hashed, so nothing can be swapped after the check."""


def default_bundle() -> Path:
    """Folder of the bundle that ships with the package.

    Raises:
        BundleError: This installation has none.
    """
    path = Path(__file__).parents[1] / "bundles" / DEFAULT_NAME
    if not (path / CARD_FILE).is_file():
        raise BundleError(path, "this installation ships no trained network", "name a bundle with --model")
    return path


def open_bundle(path: str | Path) -> Bundle:
    """Read and check a bundle.

    Raises:
        BundleError: A file is missing, not a regular file, damaged, of another schema version, or the model refers
            to files outside itself.
    """
    path = Path(path)
    if not path.is_dir():
        problem = "not a folder" if path.exists() else "no such folder"
        raise BundleError(path, problem, f"give a folder with {CARD_FILE} and {MODEL_FILE}")
    card = _read_card(path / CARD_FILE)
    for name, record in card.files.items():
        if name != MODEL_FILE:
            content = _read(path / name, MAX_MODEL_BYTES)
            _check_content(path / name, content, record.sha256, record.size_bytes)
    record = card.files[MODEL_FILE]
    model = _read(path / MODEL_FILE, MAX_MODEL_BYTES)
    _check_content(path / MODEL_FILE, model, record.sha256, record.size_bytes)
    try:
        external = has_external_data(model)
    except MalformedError as error:
        raise BundleError(path / MODEL_FILE, f"not an ONNX model ({error})", _AGAIN) from error
    if external:
        raise BundleError(path / MODEL_FILE, "the model refers to files outside itself", "export it with its weights")
    return Bundle(path, card, model)


def _read_card(path: Path) -> Card:
    content = _read(path, MAX_CARD_BYTES)
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(path, f"not JSON ({error})", _AGAIN) from error
    if not isinstance(values, dict):
        raise BundleError(path, "not a JSON object", _AGAIN)
    version = values.get("schema_version")
    if version != SCHEMA_VERSION:
        advice = f"this release reads version {SCHEMA_VERSION}: update graspnext or export the run again"
        raise BundleError(path, f"schema version {version!r}", advice)
    try:
        card = Card.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise BundleError(path, f"field '{where}': {fault['msg']}", _AGAIN) from error
    if MODEL_FILE not in card.files:
        raise BundleError(path, f"field 'files' does not list {MODEL_FILE}", _AGAIN)
    missing = [name for name in OUTPUT_NAMES if name not in card.outputs]
    if missing:
        raise BundleError(path, f"field 'outputs' lacks {', '.join(missing)}", _AGAIN)
    return card


def _read(path: Path, limit: int) -> bytes:
    """Content of a regular file that is no link and at most `limit` bytes long."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        raise BundleError(path, "the file is missing", _AGAIN) from error
    except PermissionError as error:
        raise BundleError(path, "permission denied", "make the file readable") from error
    except OSError as error:  # a link, since O_NOFOLLOW
        raise BundleError(path, f"cannot be opened as a plain file ({error.strerror})", _AGAIN) from error
    with os.fdopen(handle, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(path, "not a regular file", _AGAIN)
        if status.st_size > limit:
            raise BundleError(path, f"{status.st_size} bytes, more than the {limit} allowed", _AGAIN)
        return stream.read()


def _check_content(path: Path, content: bytes, sha256: str, size: int) -> None:
    if len(content) != size:
        raise BundleError(path, f"{len(content)} bytes, but {CARD_FILE} says {size}", _AGAIN)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BundleError(path, f"its SHA-256 is not the one in {CARD_FILE}", _AGAIN)
