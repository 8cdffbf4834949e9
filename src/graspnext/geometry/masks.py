"""Binary masks: COCO run lengths and pasting of RoI masks, vectorised in numpy.

COCO's compressed run-length form stores column-major run lengths (zeros first), each as the difference to the
run two before it (from the fourth run on), in little-endian groups of five bits: bit 5 says that a group follows,
bit 4 of the last group is the sign, and 48 is added to make it printable. (Format: pycocotools `maskApi.c`.)
"""

from __future__ import annotations

import numpy as np

from graspnext.types import BoolArray, Float32Array, Int64Array

MAX_MASK_PIXELS = 1 << 28
"""Largest mask that `decode` will allocate; protects against hostile sizes."""


def encode(mask: BoolArray) -> dict[str, object]:
    """A mask (H, W) as `{"size": [H, W], "counts": str}` in COCO's compressed form."""
    height, width = mask.shape
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], edges, [flat.size]])
    runs = np.diff(starts)
    if flat.size and flat[0]:  # runs start with zeros
        runs = np.concatenate([[0], runs])
    return {"size": [height, width], "counts": _compress(runs.astype(np.int64))}


def decode(size: tuple[int, int], counts: str) -> BoolArray:
    """The mask (H, W) of a COCO compressed run-length string.

    Raises:
        ValueError: The string is malformed, or its runs do not fill exactly (H, W).
    """
    height, width = size
    runs = _runs(size, counts)
    flat = np.zeros(height * width, dtype=np.bool_)
    start = int(runs[0]) if runs.size else 0
    inner = runs[1 : runs.size - runs.size % 2]  # the background before and after, most of a mask, is there already
    flat[start : start + int(inner.sum())] = np.repeat(np.arange(inner.size) % 2 == 0, inner)
    return flat.reshape((height, width), order="F")


def area(size: tuple[int, int], counts: str) -> int:
    """Number of pixels of the mask that `decode` would give, in a tenth of its time.

    Raises:
        ValueError: As `decode`.
    """
    return int(_runs(size, counts)[1::2].sum())


def _runs(size: tuple[int, int], counts: str) -> Int64Array:
    height, width = size
    if height < 0 or width < 0 or height * width > MAX_MASK_PIXELS:
        raise ValueError(f"mask size {height} x {width} is out of range (at most {MAX_MASK_PIXELS} pixels)")
    runs = _decompress(counts)
    if runs.size and (runs.min() < 0 or runs.max() > height * width):
        raise ValueError("a run length is negative or longer than the mask")
    if runs.sum() != height * width:
        raise ValueError(f"runs cover {int(runs.sum())} pixels but the mask has {height * width}")
    return runs


def _compress(runs: Int64Array) -> str:
    deltas = runs.copy()
    deltas[3:] -= runs[1:-2]
    characters: list[Int64Array] = []
    owners = []
    remaining, index, step = deltas, np.arange(runs.size), 0
    while remaining.size:
        low = remaining & 31
        rest = remaining >> 5
        more = np.where(low & 16, rest != -1, rest != 0)
        characters.append((low | np.where(more, 32, 0)) + 48)
        owners.append(index * 16 + step)
        remaining, index, step = rest[more], index[more], step + 1
    if not characters:
        return ""
    order = np.argsort(np.concatenate(owners), kind="stable")
    return np.concatenate(characters)[order].astype(np.uint8).tobytes().decode("ascii")


def _decompress(counts: str) -> Int64Array:
    try:
        codes = np.frombuffer(counts.encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError as error:
        raise ValueError("run lengths hold a character that is not ASCII") from error
    if codes.size == 0:
        return np.zeros(0, dtype=np.int64)
    if codes.min() < 0 or codes.max() > 63:
        raise ValueError("run lengths hold a character outside COCO's alphabet")
    last = (codes & 32) == 0
    if not last[-1]:
        raise ValueError("run lengths end in the middle of a number")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    position = np.arange(codes.size) - np.repeat(starts, ends - starts + 1)
    if position.max() > 9:
        raise ValueError("a run length has too many digits")
    values = np.add.reduceat((codes & 31) << (5 * position), starts)
    negative = (codes[ends] & 16) != 0
    values -= np.where(negative, np.int64(1) << (5 * (position[ends] + 1)), 0)
    return _integrate(values)


def _integrate(deltas: Int64Array) -> Int64Array:
    """Undo the differences: runs[i] = deltas[i] + runs[i - 2] for i >= 3."""
    runs = deltas.copy()
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def paste(probability: Float32Array, box: Float32Array, height: int, width: int) -> Float32Array:
    """A RoI mask (M, M) laid over its box (4,) xyxy px in an image: (height, width) float32, 0 outside the box.

    Bilinear between the centres of the RoI's cells, the inverse of RoIAlign with aligned cells.
    """
    out = np.zeros((height, width), dtype=np.float32)
    crop, top, left = paste_crop(probability, box, height, width)
    out[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    return out


def paste_crop(probability: Float32Array, box: Float32Array, height: int, width: int) -> tuple[Float32Array, int, int]:
    """The part of `paste` that may differ from 0, (h, w), and its first row and column; (0, 0) off the image."""
    x1, y1, x2, y2 = (float(value) for value in box)
    left, right = max(0, int(np.floor(x1))), min(width, int(np.ceil(x2)))
    top, bottom = max(0, int(np.floor(y1))), min(height, int(np.ceil(y2)))
    if left >= right or top >= bottom or x2 <= x1 or y2 <= y1:
        return np.zeros((0, 0), dtype=np.float32), 0, 0
    first, second, share, inside = _taps(np.arange(top, bottom), y1, y2, probability.shape[0])
    rows = (probability[first] * (1 - share)[:, None] + probability[second] * share[:, None]) * inside[:, None]
    first, second, share, inside = _taps(np.arange(left, right), x1, x2, probability.shape[1])
    return rows[:, first] * ((1 - share) * inside) + rows[:, second] * (share * inside), top, left


def _taps(
    pixels: Int64Array, low: float, high: float, cells: int
) -> tuple[Int64Array, Int64Array, Float32Array, Float32Array]:
    """The two cells (P,) that each pixel centre lies between, the second's share (P,), and whether it is in the box."""
    position = np.clip((pixels + 0.5 - low) / (high - low) * cells - 0.5, 0, cells - 1).astype(np.float32)  # (P,)
    first = np.floor(position).astype(np.int64)
    inside = (pixels + 0.5 >= low) & (pixels + 0.5 <= high)
    return first, np.minimum(first + 1, cells - 1), position - first, inside.astype(np.float32)
