"""What one view sees of each part alone, and of all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graspnext.geometry import cameras, rotations
from graspnext.types import Camera, Float32Array, Float64Array, Int32Array
from graspnext.world.labels.rays import Tracer
from graspnext.world.labels.surface import PartSurface
from graspnext.world.scene import Floor

NEAR_M = 1e-3
"""Vertices nearer to the camera plane than this have no useful projection."""


@dataclass(frozen=True, eq=False)
class Silhouette:
    """One placement as it would be seen alone, inside a window of the image that holds all of it."""

    placement: int
    """Index into `Scene.placements`."""
    rows: slice
    columns: slice
    depth_m: Float32Array
    """(h, w) z in metres, inf outside the part."""
    face: Int32Array
    """(h, w) face of the part's mesh seen, -1 outside."""


@dataclass(frozen=True, eq=False)
class Composition:
    """What is seen of all parts together."""

    ids: Int32Array
    """(H, W) placement index + 1, 0 where no part is seen."""
    depth_m: Float32Array
    """(H, W) z in metres of parts, container and floor; inf where nothing is."""
    face: Int32Array
    """(H, W) face of the part's mesh seen, -1 where no part is."""


def cast(
    placement: int, surface: PartSurface, T_camera_part: Float64Array, camera: Camera, rays: Float64Array
) -> Silhouette | None:
    """Rays through the pixel centres at one part alone; None if it has no pixel in the image.

    Args:
        placement: Its index in the scene.
        surface: The part.
        T_camera_part: (4, 4) part frame to camera frame.
        camera: The view.
        rays: (H, W, 3) `geometry.cameras.rays(camera)`.
    """
    rows, columns = _window(surface.part.mesh.vertices, T_camera_part, camera)
    shape = rays[rows, columns].shape[:2]
    if 0 in shape:
        return None
    T_part_camera = rotations.inverse(T_camera_part)
    hits = surface.tracer.hits(T_part_camera[:3, 3], _turned(rays[rows, columns], T_part_camera))
    if not (hits.face >= 0).any():
        return None
    return Silhouette(placement, rows, columns, hits.distance.reshape(shape), hits.face.reshape(shape))


def _window(vertices: Float32Array, T_camera_part: Float64Array, camera: Camera) -> tuple[slice, slice]:
    """Rows and columns whose pixel centres can see the part; the whole image if it reaches behind the camera."""
    points = rotations.transform(T_camera_part, vertices.astype(np.float64))
    if points[:, 2].max() <= 0:
        return slice(0, 0), slice(0, 0)
    if points[:, 2].min() < NEAR_M:
        return slice(0, camera.height), slice(0, camera.width)
    pixels = cameras.project(camera, points)
    low, high = np.floor(pixels[:, :2].min(axis=0)), np.ceil(pixels[:, :2].max(axis=0))
    left, right = np.clip([low[0], high[0]], 0, camera.width).astype(int)
    top, bottom = np.clip([low[1], high[1]], 0, camera.height).astype(int)
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def surroundings(still: Tracer, floor: Floor, camera: Camera, rays: Float64Array) -> Float32Array:
    """Depth (H, W) of container, props and floor without any part: z in metres, inf where nothing is."""
    T = camera.T_world_camera
    directions = _turned(rays, T)  # (H W, 3)
    depth = still.hits(T[:3, 3], directions).distance
    start = T[:3, 3].astype(np.float32)
    below = np.flatnonzero(np.isinf(depth) | (T[2, 3] <= floor.height_m))  # the floor lies under all that stands on it
    x, y, z = directions[below].T
    with np.errstate(divide="ignore", invalid="ignore"):
        ground = (np.float32(floor.height_m) - start[2]) / z
        valid = ground > 0
        for along, first in ((x, start[0]), (y, start[1])):
            valid &= np.abs(first + ground * along) <= floor.half_size_m
    depth[below] = np.minimum(depth[below], np.where(valid, ground, np.float32(np.inf)))
    return depth.reshape(rays.shape[:2])


def _turned(rays: Float64Array, T_a_camera: Float64Array) -> Float32Array:
    """The rays of a window of the image (h, w, 3) in frame a, (h w, 3): a sum of rows and columns, since z is 1."""
    rotation = T_a_camera[:3, :3]
    across, down = rays[0, :, 0], rays[:, 0, 1]
    turned = np.empty(rays.shape, dtype=np.float32)
    for axis in range(3):
        column = (rotation[axis, 0] * across).astype(np.float32)
        row = (rotation[axis, 1] * down + rotation[axis, 2]).astype(np.float32)
        np.add(column[None, :], row[:, None], out=turned[..., axis])
    return turned.reshape(-1, 3)


def compose(silhouettes: Sequence[Silhouette], background_m: Float32Array) -> Composition:
    """The nearest surface wins each pixel; at equal depth a part wins over the background and over later parts."""
    depth = background_m.copy()
    ids = np.zeros(depth.shape, dtype=np.int32)
    face = np.full(depth.shape, -1, dtype=np.int32)
    for item in silhouettes:
        window = (item.rows, item.columns)
        nearer = (item.depth_m < depth[window]) | ((item.depth_m == depth[window]) & (ids[window] == 0))
        nearer &= item.face >= 0
        depth[window][nearer] = item.depth_m[nearer]
        ids[window][nearer] = item.placement + 1
        face[window][nearer] = item.face[nearer]
    return Composition(ids, depth, face)
