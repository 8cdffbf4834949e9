"""Between a dense suction map and scattered, scored contact points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from graspnext.geometry import cameras
from graspnext.types import Camera, Float32Array, Float64Array, Int32Array, Int64Array

Splat = Literal["point", "disc", "gaussian"]
BEHIND_M = 0.01
"""A contact point this far behind the measured surface is hidden there."""


@dataclass(frozen=True, eq=False)
class Surface:
    """What the camera sees."""

    camera: Camera
    instance_ids: Int32Array
    """(H, W), 0 = background."""
    depth_m: Float32Array
    """(H, W), 0 = missing."""


def locate(surface: Surface, points_m: Float64Array) -> tuple[Float64Array, Int64Array]:
    """Where points (P, 3) in the camera frame are seen.

    Returns:
        (P, 3) u, v px, z m, and the id (P,) of the instance seen there: 0 where the point lies outside the picture,
        on the background, or behind what the camera sees.
    """
    seen = cameras.project(surface.camera, points_m)
    height, width = surface.instance_ids.shape
    inside = (seen[:, 2] > 0) & (seen[:, :2] >= 0).all(axis=1) & (seen[:, 0] < width) & (seen[:, 1] < height)
    owner = np.zeros(len(seen), dtype=np.int64)
    columns, rows = seen[inside, 0].astype(np.int64), seen[inside, 1].astype(np.int64)
    depth = surface.depth_m[rows, columns]
    hidden = (depth > 0) & (seen[inside, 2] > depth + BEHIND_M)
    owner[inside] = np.where(hidden, 0, surface.instance_ids[rows, columns])
    return seen, owner


def splat(
    surface: Surface, points_m: Float64Array, scores: Float64Array, *, how: Splat, radius_m: float
) -> Float32Array:
    """A dense map (H, W) in [0, 1] from contact points (P, 3) and their scores (P,) in [0, 1].

    Each point gives its score to the pixel it is seen at ("point"), to all pixels of its part within the projected cup
    ("disc"), or fading from the middle with half of that radius as standard deviation ("gaussian"); where several
    points meet, the highest counts. Nothing is given to other parts or to the background.
    """
    seen, owner = locate(surface, points_m)
    out = np.zeros(surface.instance_ids.shape, dtype=np.float32)
    height, width = surface.instance_ids.shape
    focal = (surface.camera.fx + surface.camera.fy) / 2
    for (u, v, z), instance, score in zip(seen[owner > 0], owner[owner > 0], scores[owner > 0], strict=True):
        radius = 0.0 if how == "point" else min(radius_m * focal / z, height + width)
        left, right = max(0, int(u - radius)), min(width, int(u + radius) + 1)
        top, bottom = max(0, int(v - radius)), min(height, int(v + radius) + 1)
        window = (slice(top, bottom), slice(left, right))
        value: Float32Array | float = score
        mine = surface.instance_ids[window] == instance
        if how != "point":
            y, x = np.ogrid[top:bottom, left:right]
            squared = (x + 0.5 - u) ** 2 + (y + 0.5 - v) ** 2
            mine &= (squared <= radius**2) | ((x == int(u)) & (y == int(v)))
            if how == "gaussian":
                value = (score * np.exp(-2 * squared / max(radius, 0.5) ** 2)).astype(np.float32)
        np.maximum(out[window], np.where(mine, value, 0), out=out[window], casting="unsafe")
    return out


def scatter(
    surface: Surface, scores: Float32Array, *, spacing_px: int
) -> tuple[Float64Array, Float64Array, Int64Array]:
    """Scored contact points from a dense map: the best pixel of each cell of a grid, by part.

    Args:
        surface: What the camera sees; pixels without depth give no point.
        scores: (H, W) in [0, 1].
        spacing_px: Side of a cell.

    Returns:
        Points (P, 3) m in the camera frame, scores (P,) above 0, and the ids (P,) of their instances.
    """
    rows, columns = np.nonzero((scores > 0) & (surface.instance_ids > 0) & (surface.depth_m > 0))
    ids = surface.instance_ids[rows, columns].astype(np.int64)
    cells = np.stack([ids, rows // spacing_px, columns // spacing_px], axis=1)  # (P, 3)
    middle = spacing_px / 2 - 0.5
    off_center = np.abs(rows % spacing_px - middle) + np.abs(columns % spacing_px - middle)
    best_first = np.lexsort((off_center, -scores[rows, columns]))  # of equal scores the one in the middle
    _, first = np.unique(cells[best_first], axis=0, return_index=True)
    chosen = best_first[first]
    rows, columns = rows[chosen], columns[chosen]
    z = surface.depth_m[rows, columns].astype(np.float64)
    camera = surface.camera
    x, y = (columns + 0.5 - camera.cx) / camera.fx * z, (rows + 0.5 - camera.cy) / camera.fy * z
    return np.stack([x, y, z], axis=1), scores[rows, columns].astype(np.float64), ids[chosen]
