"""Depth images from files: metres, or an `InputImageError` that says what to do."""

from __future__ import annotations

import io
import tokenize
from pathlib import Path
from typing import Any

import numpy as np

from graspnext.errors import InputImageError
from graspnext.runtime.images import DECODER_ERRORS, MAX_PIXELS, load_picture, read_bytes
from graspnext.types import Float32Array

UNIT_M = 0.001
"""Metres that one unit of a whole number stands for when nothing else is said: most cameras store millimetres."""
NEAREST_M, FARTHEST_M = 0.01, 50.0
"""A depth image wholly outside this range was read in a wrong unit."""
MISSING_VALUE = 65535
"""Largest value of 16 bits: beyond what the camera measures, in most public sets (0 is, in all)."""
WINDOW_PX = 2
"""Rows and columns to each side of a point over which `depth_at` takes the median."""

Values = np.ndarray[tuple[int, ...], np.dtype[Any]]


def read_depth(path: str | Path, *, unit_m: float | None = None) -> Float32Array:
    """The depth in a file as (H, W) float32 metres, 0 = missing.

    PNG and TIFF of 16 or 32 bits, TIFF of floats, NPY of any real numbers, without pickled objects. What is not finite
    or not above 0 is missing, and so is 65535 in 16 bits.

    Args:
        path: The file.
        unit_m: Metres of one unit; None: 0.001 for whole numbers, 1 for floats.

    Raises:
        InputImageError: The file cannot be read, has 8 bits or colours, or lies wholly outside 0.01 to 50 m.
    """
    path = Path(path)
    values = _npy(path) if path.suffix.lower() == ".npy" else _picture(path)
    is_whole = np.issubdtype(values.dtype, np.integer)
    unit = unit_m if unit_m is not None else UNIT_M if is_whole else 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        depth_m = (values.astype(np.float64) * unit).astype(np.float32)
    depth_m = _known(depth_m)
    if values.dtype.itemsize == 2 and is_whole:
        depth_m[values == MISSING_VALUE] = 0
    advice = "give the unit of the file with --depth-unit-m: 0.001 for millimetres, 0.0001 for tenths of them"
    _check_range(path, depth_m, advice, said=f" with units of {unit:g} m")
    return depth_m


def checked_depth(source: str, depth_m: Values) -> Float32Array:
    """Depth from a program's own hands as (H, W) float32 metres, 0 = missing.

    Args:
        source: What the image is called in messages.
        depth_m: (H, W) floating point, metres; what is not finite or not above 0 is missing.

    Raises:
        InputImageError: It is no such array, or lies wholly outside 0.01 to 50 m.
    """
    values = np.asarray(depth_m)
    if values.dtype.kind != "f":
        raise InputImageError(source, f"depth of {values.dtype}", "give metres as floats: counts times their unit")
    known = _known(values.astype(np.float32))
    _check_range(source, known, "give metres")
    return known


def _known(depth_m: Float32Array) -> Float32Array:
    return np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, np.float32(0))


def depth_at(depth_m: Float32Array, u: float, v: float) -> float | None:
    """Metres at a point of the image: the median of what is measured within 2 px; None where nothing is, and outside.

    Args:
        depth_m: (H, W) float32, 0 = missing.
        u: Column, px.
        v: Row, px.
    """
    if not (0 <= v < depth_m.shape[0] and 0 <= u < depth_m.shape[1]):
        return None
    row, column = int(v), int(u)
    window = depth_m[
        max(0, row - WINDOW_PX) : row + WINDOW_PX + 1,
        max(0, column - WINDOW_PX) : column + WINDOW_PX + 1,
    ]
    measured = window[window > 0]
    return float(np.median(measured)) if measured.size else None


def _picture(path: Path) -> Values:
    picture = load_picture(path)
    if not picture.mode.startswith(("I", "F")):
        what = f"the picture has mode {picture.mode}, not depth: 8 bits or colours cannot hold distances"
        raise InputImageError(path, what, "give a PNG of 16 bits, a TIFF of floats or an NPY file")
    try:
        return np.asarray(picture)
    except DECODER_ERRORS as error:
        raise InputImageError(path, f"the depth cannot be decoded ({error})", "write it again") from error


def _npy(path: Path) -> Values:
    """The array of an NPY file. What its header claims is compared with its length before memory is taken."""
    content = read_bytes(path)
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(stream)
    except (*DECODER_ERRORS, tokenize.TokenError) as error:
        raise InputImageError(path, "not an NPY file", "write it with numpy.save, an array (H, W)") from error
    if dtype.kind not in "iuf":
        raise InputImageError(path, f"an array of {dtype}", "save whole numbers or floats")
    if len(shape) == 3 and shape[2] == 1:
        shape = shape[:2]
    if len(shape) != 2 or min(shape) < 1 or shape[0] * shape[1] > MAX_PIXELS:
        raise InputImageError(path, f"an array {shape}", "save depth as (H, W), at most 100 megapixels")
    count, begin = shape[0] * shape[1], stream.tell()
    if len(content) - begin < count * dtype.itemsize:
        raise InputImageError(path, "the file is cut", "record or copy it again")
    values = np.frombuffer(content, dtype, count, begin)
    return values.reshape(shape[::-1]).T if is_fortran else values.reshape(shape)


def _check_range(source: str | Path, depth_m: Float32Array, advice: str, *, said: str = "") -> None:
    measured = depth_m[depth_m > 0]
    if not measured.size or (measured.min() <= FARTHEST_M and measured.max() >= NEAREST_M):
        return
    where = f"beyond {FARTHEST_M:.0f} m" if measured.min() > FARTHEST_M else f"nearer than {NEAREST_M} m"
    what = f"all depth is {where} (the median is {np.median(measured):.4g} m{said})"
    raise InputImageError(source, what, advice)
