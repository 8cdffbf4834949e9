"""Frames at points of a seen surface: where a cup touches it, along the inward normal."""

from __future__ import annotations

import numpy as np

from graspnext.data.foreign.suction import Surface
from graspnext.geometry import cameras
from graspnext.types import Float64Array, Int64Array


def contact_poses(surface: Surface, points_m: Float64Array) -> Float64Array:
    """Frames (P, 4, 4) at surface points (P, 3) m in the camera frame; z axes point into the surface.

    Normals come from the depth of neighbouring pixels of the same part; where there are none, the ray takes their
    place.
    """
    seen = cameras.project(surface.camera, points_m)
    height, width = surface.instance_ids.shape
    columns = np.clip(seen[:, 0].astype(np.int64), 0, width - 1)
    rows = np.clip(seen[:, 1].astype(np.int64), 0, height - 1)
    across, down = (_slope(surface, rows, columns, step) for step in ((0, 1), (1, 0)))  # (P, 3) each
    inward = np.cross(across, down)  # x right, y down: away from the camera
    lengths = np.linalg.norm(inward, axis=1)
    inward = np.where(lengths[:, None] > 0, inward, points_m)
    z = inward / np.linalg.norm(inward, axis=1, keepdims=True)
    helper = np.where(np.abs(z[:, :1]) < 0.9, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    x = helper - (helper * z).sum(axis=1, keepdims=True) * z
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    poses = np.zeros((len(points_m), 4, 4))
    poses[:, :3, 0], poses[:, :3, 1], poses[:, :3, 2] = x, np.cross(z, x), z
    poses[:, :3, 3], poses[:, 3, 3] = points_m, 1
    return poses


def _slope(surface: Surface, rows: Int64Array, columns: Int64Array, step: tuple[int, int]) -> Float64Array:
    """How the surface point (P, 3) moves with one pixel in a direction, over the neighbours of the same part."""
    height, width = surface.instance_ids.shape
    here, own = _points(surface, rows, columns), surface.instance_ids[rows, columns]
    total = np.zeros((len(rows), 3))
    count = np.zeros((len(rows), 1))
    for sign in (1, -1):
        other_rows, other_columns = rows + sign * step[0], columns + sign * step[1]
        inside = (other_rows >= 0) & (other_rows < height) & (other_columns >= 0) & (other_columns < width)
        r, c = np.where(inside, other_rows, rows), np.where(inside, other_columns, columns)
        same = inside & (surface.instance_ids[r, c] == own) & (surface.depth_m[r, c] > 0)
        total += np.where(same[:, None], sign * (_points(surface, r, c) - here), 0)
        count += same[:, None]
    return total / np.maximum(count, 1)


def _points(surface: Surface, rows: Int64Array, columns: Int64Array) -> Float64Array:
    camera, z = surface.camera, surface.depth_m[rows, columns].astype(np.float64)
    x, y = (columns + 0.5 - camera.cx) / camera.fx * z, (rows + 0.5 - camera.cy) / camera.fy * z
    return np.stack([x, y, z], axis=1)  # (P, 3)
