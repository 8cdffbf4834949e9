"""What was made of mesh files, kept by the hash of their content: the same files are prepared once a machine.

Entries are whole or absent; one that is damaged counts as absent. The folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from graspnext.errors import MeshFileError
from graspnext.files import make_folder, write_bytes, write_json
from graspnext.world.parts.imported.shape import Shape, from_bytes, to_bytes

VERSION = 1
"""Raised whenever the same bytes would give another shape."""
_LIBRARIES = ("trimesh", "manifold3d", "coacd")


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/graspnext/parts`, or below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "graspnext" / "parts"


def key_of(digest: str) -> str:
    """The name of the entry for a file's digest, made by this release with these libraries."""
    made_by = [str(VERSION), *(f"{name} {_version(name)}" for name in _LIBRARIES)]
    return hashlib.sha256(json.dumps([digest, *made_by]).encode()).hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"


class ShapeCache:
    """Shapes and refusals by key."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder, made where it is missing; `cache_folder()` when None."""
        self.folder = cache_folder() if folder is None else folder

    def prepare(self) -> None:
        """Make the folder and see that it can be written.

        Raises:
            OutputError: It cannot.
        """
        write_bytes(make_folder(self.folder) / "README", b"Made by graspnext from mesh files; may be deleted.\n")

    def get(self, key: str) -> Shape | None:
        """The shape under a key; None where there is no whole one.

        Raises:
            MeshFileError: The file was refused.
        """
        try:
            return from_bytes((self.folder / f"{key}.npz").read_bytes())
        except (OSError, ValueError):
            pass
        try:
            problem, advice = json.loads((self.folder / f"{key}.json").read_bytes())
        except (OSError, ValueError, TypeError):
            return None
        raise MeshFileError(str(problem), str(advice))

    def put(self, key: str, shape: Shape) -> None:
        """Keep a shape.

        Raises:
            OutputError: The folder cannot be written.
        """
        self.put_bytes(key, to_bytes(shape))

    def put_bytes(self, key: str, content: bytes) -> None:
        """Keep the bytes of a shape."""
        write_bytes(self.folder / f"{key}.npz", content)

    def put_refusal(self, key: str, error: MeshFileError) -> None:
        """Keep why a file was refused."""
        write_json(self.folder / f"{key}.json", [error.problem, error.advice], indent=None)
