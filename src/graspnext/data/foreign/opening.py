"""Opening files that strangers wrote: whatever is wrong with one is a `DatasetFaultError` that names it."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, TypeAdapter, ValidationError

from graspnext.data.faults import DECODING_ERRORS, DatasetFaultError, Fault
from graspnext.errors import GraspNextError
from graspnext.types import Float32Array, UInt8Array

MAX_SIDE_PX = 16384
MAX_JSON_BYTES = 1 << 26
"""Of a file a view; annotation files of whole sets have a limit of their own."""
_FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
"""Pictures that are opened; others of Pillow's formats are read by programs of their own, or are no pictures."""
REPAIR = "get the file again from where the data set is given out"

_Result = TypeVar("_Result")
_Model = TypeVar("_Model", bound=BaseModel)


def fault(root: Path, file: str, field: str, problem: str, advice: str = REPAIR) -> DatasetFaultError:
    """The error for one thing that is wrong with a file, given relative to the set's folder."""
    return DatasetFaultError(root, Fault(file=file, field=field, problem=problem, advice=advice))


def attempt(action: Callable[[], _Result], root: Path, file: str, field: str = "") -> _Result:
    """The result of decoding something.

    Raises:
        DatasetFaultError: It cannot be decoded.
    """
    try:
        return action()
    except GraspNextError:
        raise
    except FileNotFoundError as error:
        raise fault(root, file, field, "the file is missing") from error
    except UnidentifiedImageError as error:
        raise fault(root, file, field, "not a picture") from error
    except DECODING_ERRORS as error:
        text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise fault(root, file, field, f"cannot be read: {' '.join(text.split())[:200]}") from error


def plain_file(root: Path, file: str) -> Path:
    """The path of a file, once it is sure that reading it ends: a pipe would wait for ever.

    Raises:
        DatasetFaultError: It is missing, or no plain file.
    """
    path = root / file
    if not stat.S_ISREG(attempt(path.stat, root, file).st_mode):
        raise fault(root, file, "", "not a plain file")
    return path


def read_json(root: Path, file: str, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """A JSON file.

    Raises:
        DatasetFaultError: It is missing, larger than `max_bytes`, or not JSON.
    """

    def load() -> Any:
        path = plain_file(root, file)
        if path.stat().st_size > max_bytes:
            raise fault(root, file, "", f"larger than {max_bytes >> 20} MiB")
        return json.loads(path.read_bytes())

    return attempt(load, root, file)


def parse(model: type[_Model] | TypeAdapter[Any], content: Any, root: Path, file: str, field: str = "") -> Any:
    """Decoded JSON as a record.

    Raises:
        DatasetFaultError: It does not fit; one fault for each of the first 20 places.
    """
    try:
        return model.validate_python(content) if isinstance(model, TypeAdapter) else model.model_validate(content)
    except ValidationError as error:
        faults = [
            Fault(file, ".".join([*filter(None, [field]), *map(str, one["loc"])]), one["msg"], REPAIR)
            for one in error.errors(include_input=False, include_url=False)[:20]
        ]
        raise DatasetFaultError(root, *faults) from error


def picture_size(root: Path, file: str) -> tuple[int, int]:
    """(height, width) of a picture, from its header alone.

    Raises:
        DatasetFaultError: It is missing or no picture.
    """

    def look() -> tuple[int, int]:
        with Image.open(plain_file(root, file), formats=_FORMATS) as image:
            return image.height, image.width

    return attempt(look, root, file)


def read_rgb(root: Path, file: str) -> UInt8Array:
    """A colour picture (H, W, 3) uint8, RGB; alpha is dropped, not blended.

    Raises:
        DatasetFaultError: It is missing, damaged, too large, or not 8-bit colour.
    """
    image = _open(root, file, ("RGB", "RGBA"))
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8)[..., :3])


def read_counts(root: Path, file: str) -> Float32Array:
    """A one-channel picture (H, W) of 8 or 16 bits as numbers.

    Raises:
        DatasetFaultError: It is missing, damaged, too large, or not grey.
    """
    return np.asarray(_open(root, file, ("L", "I;16", "I;16B", "I")), dtype=np.float32)


def _open(root: Path, file: str, modes: tuple[str, ...]) -> Image.Image:
    content = attempt(plain_file(root, file).read_bytes, root, file)
    image = attempt(lambda: Image.open(io.BytesIO(content), formats=_FORMATS), root, file)
    if max(image.size) > MAX_SIDE_PX:  # before a pixel is decoded: a small file can claim a huge picture
        raise fault(root, file, "", f"the picture is {image.width} x {image.height} px")
    if image.mode not in modes:
        raise fault(root, file, "", f"the picture's mode is {image.mode}, it must be {' or '.join(modes)}")
    attempt(image.load, root, file)
    return image
