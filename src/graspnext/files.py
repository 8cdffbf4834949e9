"""Files that are either whole or not there: write aside, flush, rename."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graspnext.errors import OutputError

_ADVICE = {
    errno.ENOSPC: ("no space left on the device", "free some space and run again"),
    errno.EDQUOT: ("disk quota exceeded", "free some space and run again"),
    errno.EACCES: ("permission denied", "choose a folder that you may write to"),
    errno.EPERM: ("operation not permitted", "choose a folder that you may write to"),
    errno.EROFS: ("read-only file system", "choose a folder that you may write to"),
    errno.ENOTDIR: ("a file stands where a folder must be", "move it or choose another path"),
    errno.EEXIST: ("a file stands where a folder must be", "move it or choose another path"),
    errno.EISDIR: ("a folder stands where a file must be", "choose another path"),
}


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn what the system says when `path` cannot be written into an `OutputError`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        problem, advice = _ADVICE.get(error.errno or 0, (error.strerror or str(error), "check the path and the disk"))
        raise OutputError(path, problem, advice) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that at every instant it is either the old one, absent, or the whole new one.

    Raises:
        OutputError: The folder or the file cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk: before that, a rename is lost when the power fails."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # file systems without this for folders
            raise
    finally:
        os.close(descriptor)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: object, *, indent: int | None = 2) -> None:
    """`write_bytes` for JSON; NaN and infinity are refused, keys keep their order."""
    write_text(path, json.dumps(content, indent=indent, allow_nan=False) + "\n")


def make_folder(path: Path) -> Path:
    """Make a folder and its parents, and return it.

    Raises:
        OutputError: It cannot be made.
    """
    with output_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path
