"""The files of a dataset as bytes and checked records; whatever goes wrong is a `DatasetError` that names the file."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PIL import UnidentifiedImageError
from pydantic import BaseModel, ValidationError

from graspnext.data.faults import DECODING_ERRORS, DatasetFaultError, Fault

_Model = TypeVar("_Model", bound=BaseModel)
_Result = TypeVar("_Result")

MAX_FILE_BYTES = 1 << 30
"""More than any file of a dataset has: a picture of 16384 x 16384 px, or the manifest of a million views."""


def read_bytes(root: Path, file: str, advice: str) -> bytes:
    """A file of a dataset, whole.

    Raises:
        DatasetError: It is missing, unreadable, or no plain file: a pipe would never end, a device never be read whole.
    """
    path = root / file

    def read() -> bytes:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a plain file")
        if found.st_size > MAX_FILE_BYTES:
            raise ValueError(f"{found.st_size} bytes are more than any file of a dataset has")
        return path.read_bytes()

    return attempt(read, root, file, advice)


def parse_record(model: type[_Model], content: bytes, root: Path, file: str, advice: str) -> _Model:
    """JSON bytes as a record.

    Raises:
        DatasetError: They are not JSON, or do not fit the schema.
    """
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        faults = [Fault(file, _location(one["loc"]), one["msg"], advice) for one in found]
        raise DatasetFaultError(root, *faults) from error


def _location(parts: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")


def attempt(action: Callable[[], _Result], root: Path, file: str, advice: str) -> _Result:
    """What an action on a file gives.

    Raises:
        DatasetError: The file is missing, or cannot be read or decoded.
    """
    try:
        return action()
    except FileNotFoundError as error:
        raise fault(root, file, "", "the file is missing", advice) from error
    except UnidentifiedImageError as error:
        raise fault(root, file, "", "not a PNG or WebP picture", advice) from error
    except DECODING_ERRORS as error:
        problem = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise fault(root, file, "", f"cannot be read: {problem}", advice) from error


def fault(root: Path, file: str, field: str, problem: str, advice: str) -> DatasetFaultError:
    """The error that says of one field of a file (or of the file, if empty) what is wrong and what to do."""
    return DatasetFaultError(root, Fault(file=file, field=field, problem=problem, advice=advice))


def as_px(size: tuple[int, int]) -> str:
    """(height, width) as people write it."""
    height, width = size
    return f"{width} x {height} px"
