"""Do masks lie where depth and picture change? Finds masks that were shifted against their view.

The border of a part is seen as an edge in depth: a step, or at least a crease where it touches what it lies on. The
share of a mask's border pixels at such an edge is therefore near 1 (0.9 at least over 800 masks of generated views),
and lower for every shifted copy of the border, by 0.1 at least. A mask that was moved by a few pixels turns this
round: its border fits well at another place, and better than at its own. Borders between parts are left out, since
parts may lie flush, and rows of equal parts fit one another's edges; and the other place must be free, or its owner's
mask would have to be wrong as well. Depth that is too coarse or noisy to show edges raises no alarm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspnext.geometry import boxes
from graspnext.types import BoolArray, Float32Array, Int32Array, Int64Array, UInt8Array

MAX_SHIFT_PX = 8
"""Shifts that are tried in each direction."""
MIN_SHIFT_PX = 2.5
"""A border's own place is known to a pixel; from this distance on another place counts as one."""
MIN_BORDER_PX = 40
"""Shorter borders fit somewhere by chance."""
MIN_GAIN = 0.1
"""By how much more of the border must lie at edges elsewhere: of 40 px, two standard deviations of a fair share."""
MIN_FIT = 0.8
"""Share of a border at edges in its true place, at the very least: no other place is one."""
MIN_FREE_SHARE = 0.8
"""Of the pixels that a mask would gain by moving, how many must be background."""
MIN_VIEW_BORDER_PX = 200
MIN_PICTURE_BORDER_PX = 400
MIN_VIEW_SHARE = 0.6
"""Smallest share of all borders of a view that lie at depth edges, here or after a shift: 0.9 at least over 80
generated views, 0.3 at most for the depth of another view."""
MIN_PICTURE_GAIN = 1.45
"""How much steeper the picture is on a shifted copy of all borders than on themselves, to call it shifted: no alarm
over 6,000 generated views."""
MIN_PICTURE_CONTRAST = 1.02
"""Steepness of the picture on the borders over that around them: about 1 for the picture of another view (of
400, 15 % lie below 1 and 48 % below 1.05); no alarm over 6,000 generated views."""
MAX_QUIET = 7.5
"""Grey levels over two pixels that half of a picture may exceed before it counts as wild: no border stands out."""
_GOLDEN_RATIO = 0.6180339887498949
_MIN_EDGE_M = 3e-4
"""Bend of depth within two pixels that counts as an edge; six times the rounding of the depth file."""
_NOISE_FACTOR = 6.0
_MAX_CLEAN_NOISE_M = 1e-3
_GREY_LIMIT = 60.0
"""Grey levels over two pixels from which the picture is no steeper: few strong edges must not outweigh many."""

_STEPS = np.arange(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1)
_SHIFTS = np.stack(np.meshgrid(_STEPS, _STEPS, indexing="ij"), axis=-1).reshape(-1, 2)  # (S, 2) rows, columns
_NEAR = np.abs(_SHIFTS).max(axis=1) <= 1
_FAR = np.hypot(_SHIFTS[:, 0], _SHIFTS[:, 1]) >= MIN_SHIFT_PX


@dataclass(frozen=True)
class Fit:
    """How well a border fits where it is, and where it fits best among places that are not its own."""

    here: float
    elsewhere: float
    shift: tuple[int, int]
    """(x, y) px from here to elsewhere."""
    mean: float
    """Over all other places."""
    median: float
    """Of single pixels at all other places."""


def border(mask: BoolArray, owner: Int32Array | None = None, limit: int = 500) -> Int64Array:
    """Pixels (N, 2) row, column of a mask (H, W) beside a pixel outside it, at most `limit`.

    The image's own border is none. With `owner` (H, W), 0 = background, only pixels beside the background count.
    """
    x1, y1, x2, y2 = (int(value) for value in boxes.from_mask(mask))
    top, left = max(y1 - 1, 0), max(x1 - 1, 0)
    crop = mask[top : y2 + 1, left : x2 + 1]
    within = crop if owner is None else owner[top : y2 + 1, left : x2 + 1] != 0
    padded = np.pad(within, 1, constant_values=True)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    found: Int64Array = np.argwhere(crop & ~inner) + np.array([top, left])  # (N, 2)
    return thinned(found, limit)


def thinned(pixels: Int64Array, limit: int) -> Int64Array:
    """At most `limit` of the pixels (N, 2), evenly; every second of a border in rows would be its left side alone."""
    if len(pixels) <= limit:
        return pixels
    places = np.arange(limit) * _GOLDEN_RATIO % 1  # spreads evenly, with no period that rows could share
    return pixels[np.unique((places * len(pixels)).astype(np.int64))]


def depth_edges(depth_m: Float32Array) -> tuple[BoolArray, bool]:
    """Where depth (H, W) bends, and whether it is clean enough for a missing edge to mean something.

    Planes have an inverse depth that is linear in the image, so that its second difference is 0 on them.
    """
    known = depth_m > 0
    inverse = np.where(known, 1 / np.where(known, depth_m, 1), np.nan)
    bend = np.zeros(depth_m.shape, dtype=np.float32)
    bend[1:-1] = np.nan_to_num(np.abs(inverse[2:] - 2 * inverse[1:-1] + inverse[:-2]))
    across = np.nan_to_num(np.abs(inverse[:, 2:] - 2 * inverse[:, 1:-1] + inverse[:, :-2]))
    bend[:, 1:-1] = np.maximum(bend[:, 1:-1], across)
    bend *= depth_m * depth_m  # back to metres
    noise = float(np.median(bend[known])) if known.any() else np.inf
    threshold = max(_MIN_EDGE_M, _NOISE_FACTOR * noise)
    return (bend > threshold) | ~known, threshold <= _MAX_CLEAN_NOISE_M


def steepness(image: UInt8Array) -> Float32Array:
    """How fast the brightness of a picture (H, W, 3) changes, (H, W) in grey levels over two pixels, capped."""
    grey = image.astype(np.float32).mean(axis=2)
    steep = np.zeros_like(grey)
    steep[1:-1, 1:-1] = np.hypot(grey[1:-1, 2:] - grey[1:-1, :-2], grey[2:, 1:-1] - grey[:-2, 1:-1])
    return np.asarray(np.minimum(steep, _GREY_LIMIT), dtype=np.float32)


def fit(border_px: Int64Array, values: Float32Array | BoolArray) -> Fit:
    """The mean of a map (H, W) over a border (N, 2), over copies of it nearby, and over copies further off."""
    limits = np.array(values.shape) - 1
    places = np.clip(border_px[None] + _SHIFTS[:, None], 0, limits)  # (S, N, 2)
    found = values[places[..., 0], places[..., 1]]  # (S, N)
    means = found.mean(axis=1)  # (S,)
    best = int(np.argmax(np.where(_FAR, means, -np.inf)))
    y, x = _SHIFTS[best]
    return Fit(
        here=float(means[_NEAR].max()),
        elsewhere=float(means[best]),
        shift=(int(x), int(y)),
        mean=float(means[_FAR].mean()),
        median=float(np.median(found[_FAR][::7])),
    )


def shifted(border_px: Int64Array, edges: BoolArray) -> tuple[int, int] | None:
    """The shift (x, y) px after which a border (N, 2) would fit the depth; None if it fits best where it is."""
    if len(border_px) < MIN_BORDER_PX:
        return None
    found = fit(border_px, edges)
    return found.shift if found.elsewhere > max(MIN_FIT, found.here + MIN_GAIN) else None


def is_free(mask: BoolArray, owner: Int32Array, shift: tuple[int, int]) -> bool:
    """Whether a mask (H, W) would gain mostly background, where `owner` (H, W) is 0, by a shift (x, y) px."""
    places = np.argwhere(mask) + np.array(shift[::-1])
    places = places[((places >= 0) & (places < np.array(mask.shape))).all(axis=1)]
    gained = places[~mask[places[:, 0], places[:, 1]]]
    return len(gained) > 0 and bool(np.mean(owner[gained[:, 0], gained[:, 1]] == 0) >= MIN_FREE_SHARE)
