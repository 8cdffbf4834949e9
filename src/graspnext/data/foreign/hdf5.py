"""HDF5 files of strangers: links and outside storage are not followed, sizes are checked before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from graspnext.data.foreign.opening import attempt, fault, plain_file
from graspnext.errors import MissingDependencyError
from graspnext.types import Float64Array

MAX_ROWS = 1_000_000
MAX_CHUNK_NUMBERS = 1 << 26


def import_h5py() -> Any:
    """The library.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingDependencyError("h5py", "reading and writing HDF5", "pip install 'graspnext[data]'") from error
    return h5py


class Hdf5:
    """A file that is open for reading; a context manager."""

    def __init__(self, root: Path, file: str) -> None:
        """Open it.

        Args:
            root: The set's folder.
            file: Path of the file inside it.

        Raises:
            DatasetFaultError: It is missing, or not HDF5.
            MissingDependencyError: h5py is not installed.
        """
        self._root, self._file, self._h5py = root, file, import_h5py()
        path = plain_file(root, file)
        self._handle = attempt(lambda: self._h5py.File(path, "r"), root, file)

    def __enter__(self) -> Hdf5:
        return self

    def __exit__(self, *_: object) -> None:
        attempt(self._handle.close, self._root, self._file)

    def array(self, path: str, tail: tuple[int, ...] = ()) -> Float64Array | None:
        """An array of numbers by its path; None where there is none.

        Args:
            path: Groups and name, with slashes.
            tail: Its shape after the first axis, which may have any length.

        Raises:
            DatasetFaultError: It is damaged, too large, of another shape or type, or kept elsewhere.
        """
        return attempt(lambda: self._array(path, tail), self._root, self._file, path)

    def _array(self, path: str, tail: tuple[int, ...]) -> Float64Array | None:
        node = self._handle
        for name in path.split("/"):
            if not isinstance(node, self._h5py.Group):
                raise self._fault(path, f"the group around '{name}' is an array")
            link = node.get(name, getlink=True)
            if link is None:
                return None
            if not isinstance(link, self._h5py.HardLink):
                raise self._fault(path, f"'{name}' is a link to elsewhere, which is not followed")
            node = node[name]
        if not isinstance(node, self._h5py.Dataset):
            raise self._fault(path, "it is a group, not an array")
        if node.external or node.is_virtual:
            raise self._fault(path, "its values are kept in another file, which is not followed")
        if node.dtype.kind not in "biuf":
            raise self._fault(path, f"it holds {node.dtype}, it must hold numbers")
        if node.shape is None or node.ndim != 1 + len(tail) or node.shape[1:] != tail or node.shape[0] > MAX_ROWS:
            wanted = " x ".join(["any", *map(str, tail)])
            raise self._fault(path, f"it is {node.shape}, it must be {wanted} with at most {MAX_ROWS} rows")
        if node.chunks is not None and np.prod(node.chunks, dtype=np.float64) > MAX_CHUNK_NUMBERS:
            raise self._fault(path, f"its chunks are {node.chunks}")
        values = np.asarray(node[()], dtype=np.float64)
        if not np.isfinite(values).all():
            raise self._fault(path, "it holds NaN or infinity")
        return values

    def _fault(self, path: str, problem: str) -> Exception:
        return fault(self._root, self._file, path, problem)
