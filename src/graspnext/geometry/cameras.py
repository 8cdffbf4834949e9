"""Pinhole projection and camera poses."""

from __future__ import annotations

import numpy as np

from graspnext.types import Camera, Float64Array


def project(camera: Camera, points_camera: Float64Array) -> Float64Array:
    """Points (N, 3) m in the camera frame to (N, 3): u px, v px, z m. Points at z <= 0 give NaN pixels."""
    points = np.asarray(points_camera, dtype=np.float64)
    z = points[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.where(z > 0, camera.fx * points[:, 0] / z + camera.cx, np.nan)
        v = np.where(z > 0, camera.fy * points[:, 1] / z + camera.cy, np.nan)
    return np.stack([u, v, z], axis=1)  # (N, 3)


def unproject(camera: Camera, points_image: Float64Array) -> Float64Array:
    """Points (N, 3) u px, v px, z m to the camera frame, (N, 3) m: the inverse of `project`. NaN stays NaN."""
    u, v, z = np.asarray(points_image, dtype=np.float64).T
    return np.stack([(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z], axis=1)  # (N, 3)


def rays(camera: Camera) -> Float64Array:
    """Directions (H, W, 3) through the pixel centres in the camera frame, scaled so that z = 1.

    A ray's parameter is therefore the depth z in metres.
    """
    u = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    v = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    directions = np.empty((camera.height, camera.width, 3))
    directions[..., 0] = u[None, :]
    directions[..., 1] = v[:, None]
    directions[..., 2] = 1.0
    return directions


def look_at(eye: Float64Array, target: Float64Array, roll_rad: float = 0.0) -> Float64Array:
    """T_world_camera (4, 4) of a camera at `eye` whose optical axis meets `target`, turned about it by `roll_rad`.

    With roll 0 the image's down direction is as close to world -z as it can be; straight down it is world -y.
    """
    eye, target = np.asarray(eye, dtype=np.float64), np.asarray(target, dtype=np.float64)
    forward = target - eye
    length = float(np.linalg.norm(forward))
    if length == 0:
        raise ValueError("look_at needs an eye that differs from its target")
    forward /= length
    down = np.array([0.0, 0.0, -1.0])
    if abs(forward[2]) > 1 - 1e-9:
        down = np.array([0.0, -1.0, 0.0])
    right = np.cross(down, forward)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cos, sin = np.cos(roll_rad), np.sin(roll_rad)
    rotation = np.stack([cos * right + sin * down, cos * down - sin * right, forward], axis=1)  # columns: x, y, z
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation, eye
    return T
