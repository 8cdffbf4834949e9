"""Rigid transforms and rotations, (4, 4) and (3, 3) matrices; quaternions as (w, x, y, z)."""

from __future__ import annotations

import numpy as np

from graspnext.types import Float64Array


def transform(T_a_b: Float64Array, points_b: Float64Array) -> Float64Array:
    """Points (..., 3) given in frame b, in frame a."""
    return np.asarray(points_b @ T_a_b[:3, :3].T + T_a_b[:3, 3], dtype=np.float64)


def inverse(T_a_b: Float64Array) -> Float64Array:
    """T_b_a (4, 4) of a rigid T_a_b."""
    T_b_a = np.eye(4)
    T_b_a[:3, :3] = T_a_b[:3, :3].T
    T_b_a[:3, 3] = -T_a_b[:3, :3].T @ T_a_b[:3, 3]
    return T_b_a


def from_quaternion(q: Float64Array) -> Float64Array:
    """Rotation (3, 3) of a quaternion (w, x, y, z), which need not be of unit length."""
    w, x, y, z = np.asarray(q, dtype=np.float64) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def random_quaternion(*, rng: np.random.Generator) -> Float64Array:
    """A uniformly distributed unit quaternion (4,) (w, x, y, z) (a normalised Gaussian: Muller, 1959)."""
    q = rng.normal(size=4)
    return np.asarray(q / np.linalg.norm(q), dtype=np.float64)
