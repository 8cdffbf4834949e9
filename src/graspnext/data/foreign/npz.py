"""NumPy archives of strangers: no pickle, sizes known before a byte is decoded, masks one at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from graspnext.data.foreign.opening import attempt, fault, plain_file

MAX_ARRAY_BYTES = 1 << 30
"""Of one array that is read whole."""
MAX_PLANES = 4096
"""Of a stack that is read plane by plane."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Stack:
    """An array to be written, of which one entry along the first axis is made at a time."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    planes: Iterable[Array]


class Npz:
    """An archive that is open for reading; a context manager."""

    def __init__(self, root: Path, file: str) -> None:
        """Open it.

        Args:
            root: The set's folder.
            file: Path of the archive inside it.

        Raises:
            DatasetFaultError: It is missing, or no archive.
        """
        self._root, self._file = root, file
        self._archive = attempt(lambda: zipfile.ZipFile(plain_file(root, file)), root, file)
        self._names = frozenset(self._archive.namelist())

    def __enter__(self) -> Npz:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def __contains__(self, key: str) -> bool:
        return f"{key}.npy" in self._names

    def array(self, key: str, shape: tuple[int | None, ...]) -> Array:
        """One array, of a number type.

        Args:
            key: Its name in the archive.
            shape: What it must have; None stands for any length.

        Raises:
            DatasetFaultError: It is missing, damaged, too large, or of another shape or type.
        """
        with self._open(key) as stream:
            found, fortran, dtype = self._header(key, stream, shape)
            if int(np.prod(found, dtype=np.float64)) * dtype.itemsize > MAX_ARRAY_BYTES:
                raise self._fault(key, f"{found} numbers of {dtype} are more than {MAX_ARRAY_BYTES >> 20} MiB")
            flat = self._read(key, stream, int(np.prod(found, dtype=np.int64)), dtype)
            self._end(key, stream)
        return flat.reshape(found, order="F" if fortran else "C")

    def planes(self, key: str, shape: tuple[int | None, ...]) -> Iterator[Array]:
        """The entries along the first axis of an array, one after the other, so that one is in memory at a time.

        Args:
            key: The array's name in the archive.
            shape: What it must have; None stands for any length.

        Raises:
            DatasetFaultError: As for `array`.
        """
        with self._open(key) as stream:
            found, fortran, dtype = self._header(key, stream, shape)
            if fortran and found[0] > 1:  # planes lie interleaved
                yield from self.array(key, shape)
                return
            if found[0] > MAX_PLANES:
                raise self._fault(key, f"{found[0]} planes are more than {MAX_PLANES}")
            for _ in range(found[0]):
                flat = self._read(key, stream, int(np.prod(found[1:], dtype=np.int64)), dtype)
                yield flat.reshape(found[1:], order="F" if fortran else "C")
            self._end(key, stream)

    def _open(self, key: str) -> IO[bytes]:
        if key not in self:
            raise self._fault(key, "the array is missing")
        return attempt(lambda: self._archive.open(f"{key}.npy"), self._root, self._file, key)

    def _header(
        self, key: str, stream: IO[bytes], shape: tuple[int | None, ...]
    ) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        def read() -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
            version = npy.read_magic(stream)
            if version not in {(1, 0), (2, 0)}:
                raise self._fault(key, f"the array is of version {version}")
            header = npy.read_array_header_1_0(stream) if version == (1, 0) else npy.read_array_header_2_0(stream)
            return tuple(int(length) for length in header[0]), bool(header[1]), np.dtype(header[2])

        found, fortran, dtype = attempt(read, self._root, self._file, key)
        if dtype.kind not in "biuf" or dtype.itemsize > 8:
            raise self._fault(key, f"the array holds {dtype}, it must hold numbers")
        fits = len(found) == len(shape) and all(w in {None, n} for n, w in zip(found, shape, strict=True))
        if not fits or min(found, default=0) < 0:
            wanted = " x ".join("any" if length is None else str(length) for length in shape)
            raise self._fault(key, f"the array is {' x '.join(map(str, found))}, it must be {wanted}")
        return found, fortran, dtype

    def _read(self, key: str, stream: IO[bytes], count: int, dtype: np.dtype[Any]) -> Array:
        wanted = count * dtype.itemsize
        if wanted > MAX_ARRAY_BYTES:
            raise self._fault(key, f"{count} numbers of {dtype} are more than {MAX_ARRAY_BYTES >> 20} MiB")
        content = attempt(lambda: stream.read(wanted), self._root, self._file, key)
        if len(content) != wanted:
            raise self._fault(key, f"the array ends after {len(content)} of {wanted} bytes")
        return np.frombuffer(content, dtype=dtype)

    def _end(self, key: str, stream: IO[bytes]) -> None:
        if attempt(lambda: stream.read(1), self._root, self._file, key):  # reading the end also checks the sum
            raise self._fault(key, "the array has more bytes than its shape asks for")

    def _fault(self, key: str, problem: str) -> Exception:
        return fault(self._root, self._file, key, problem)


def write_npz(path: Path, arrays: dict[str, Array | Stack]) -> None:
    """Write an archive; the same arrays give the same bytes.

    Args:
        path: The file; its folder exists.
        arrays: By name; stacks are compressed one entry after the other.

    Raises:
        OSError: It cannot be written.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for key, values in arrays.items():
            entry = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as stream:
                header = {"descr": values.dtype.str, "fortran_order": False, "shape": values.shape}
                npy.write_array_header_1_0(stream, header)
                for plane in [values] if isinstance(values, np.ndarray) else values.planes:
                    stream.write(np.ascontiguousarray(plane, dtype=values.dtype).tobytes())
