"""Reading pictures that nobody has checked: whatever the bytes are, an RGB array or an `InputImageError`."""

from __future__ import annotations

import io
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from graspnext.errors import InputImageError
from graspnext.types import UInt8Array

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
"""Decoders that may see the bytes; all others stay closed."""
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
"""What a folder is searched for."""
MAX_PIXELS = 100_000_000
"""Largest picture that is decoded; a header that claims more is refused before any memory is taken."""
MAX_FILE_BYTES = 1 << 30
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what brings the picture upright."""

DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    LookupError,
    EOFError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What decoders are known to raise on damaged files."""


def read_image(path: str | Path) -> UInt8Array:
    """The picture in a file as (H, W, 3) uint8, RGB, upright.

    PNG, JPEG, TIFF, BMP and WEBP; the first frame where there are several. Grey is repeated, 16 bits are scaled to 8,
    floats up to 1 count as [0, 1], up to 255 as levels, beyond that they are scaled by their largest value; transparent
    pixels are laid over black, palettes and CMYK are converted.

    Raises:
        InputImageError: The file is missing, unreadable, empty, truncated, larger than 100 megapixels, or no picture.
    """
    path = Path(path)
    picture = load_picture(path)
    try:
        return np.ascontiguousarray(_to_rgb(_upright(picture)))
    except DECODER_ERRORS as error:
        raise _damaged(path, error) from error


def is_turned(path: Path) -> bool:
    """Whether the camera asks for the picture to be turned or mirrored, as `read_image` does."""
    return load_picture(path).getexif().get(_ORIENTATION_TAG, 1) in _TURNS


def load_picture(path: Path) -> Image.Image:
    """The picture in a file as it is stored: any mode, not turned.

    Raises:
        InputImageError: As `read_image`.
    """
    content = read_bytes(path)
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, "more than 100 megapixels") from error
    except UnidentifiedImageError as error:
        raise InputImageError(path, "not an image", f"give a file of one of: {', '.join(FORMATS)}") from error
    except DECODER_ERRORS as error:
        raise _damaged(path, error) from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise _too_large(path, f"{width} x {height} pixels")
    if width < 1 or height < 1:
        raise InputImageError(path, f"{width} x {height} pixels", "give an image that is not empty")
    try:
        picture.load()
    except DECODER_ERRORS as error:
        raise _damaged(path, error) from error
    return picture


def read_bytes(path: Path, *, most: int = MAX_FILE_BYTES) -> bytes:
    """The content of a regular file.

    Raises:
        InputImageError: It is missing, a folder, a device, empty, too large, or may not be read.
    """
    with _reading(path):
        size = _checked_size(path)
        if size > most:
            raise InputImageError(path, f"{size / 1e9:.1f} GB large", f"give a file below {most / 1e9:.1f} GB")
        return path.read_bytes()


def read_head(path: Path, num_bytes: int) -> bytes:
    """The first bytes of a regular file of any size.

    Raises:
        InputImageError: It is missing, a folder, a device, empty, or may not be read.
    """
    with _reading(path):
        _checked_size(path)
        with path.open("rb") as stream:
            return stream.read(num_bytes)


def _checked_size(path: Path) -> int:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise InputImageError(path, "a folder, not an image", "give the images inside it")
    if not stat.S_ISREG(status.st_mode):
        raise InputImageError(path, "not a regular file", "give an image file")
    if status.st_size == 0:
        raise InputImageError(path, "the file is empty", "record or copy the image again")
    return status.st_size


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what the system says when `path` cannot be read into an `InputImageError`."""
    try:
        yield
    except InputImageError:
        raise
    except FileNotFoundError as error:
        raise InputImageError(path, "no such file", "check the path") from error
    except PermissionError as error:
        raise InputImageError(path, "permission denied", "make the file readable") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputImageError(repr(str(path)), f"cannot be read ({error})", "check the path and the disk") from error


def _damaged(path: Path, error: BaseException) -> InputImageError:
    said = " ".join(str(error).split())[:120] or type(error).__name__
    return InputImageError(path, f"the image is damaged or truncated ({said})", "record or copy the image again")


def _too_large(path: Path, size: str) -> InputImageError:
    return InputImageError(path, f"the image claims {size}", f"give one of at most {MAX_PIXELS // 10**6} megapixels")


def _upright(picture: Image.Image) -> Image.Image:
    """The picture turned as its EXIF orientation says; damaged EXIF says nothing."""
    try:
        turn = _TURNS.get(picture.getexif().get(_ORIENTATION_TAG, 1))
    except DECODER_ERRORS:
        return picture
    return picture if turn is None else picture.transpose(turn)


def _to_rgb(picture: Image.Image) -> UInt8Array:
    """Any mode of Pillow as (H, W, 3) uint8."""
    if picture.mode.startswith(("I", "F")):
        return _from_wide(np.asarray(picture))
    if picture.mode == "P" and "transparency" in picture.info:
        picture = picture.convert("RGBA")
    if picture.mode in {"RGBA", "LA", "PA", "La", "RGBa"}:
        layered = np.asarray(picture.convert("RGBA"), dtype=np.uint16)  # (H, W, 4)
        return ((layered[..., :3] * layered[..., 3:] + 127) // 255).astype(np.uint8)
    return np.asarray(picture.convert("RGB"), dtype=np.uint8)


def _from_wide(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> UInt8Array:
    """Grey of 16 or 32 bits or float (H, W) as (H, W, 3) uint8.

    Integers use the full 16-bit range, or their largest value when that is beyond it; floats up to 1 count as [0, 1],
    floats up to 255 as levels.
    """
    grey = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(grey.max())
    if np.issubdtype(values.dtype, np.integer):
        full = max(top, 65535.0)
    elif top <= 1:
        full = 1.0
    else:
        full = max(top, 255.0)
    levels = np.clip(grey / full * 255, 0, 255).round().astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=-1)  # (H, W, 3)
