"""Rotations against hand-made cases and scipy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from graspnext.geometry import rotations


@given(st.integers(0, 2**32 - 1))
def test_from_quaternion_equals_scipy(seed: int) -> None:
    q = rotations.random_quaternion(rng=np.random.default_rng(seed))
    assert np.isclose(np.linalg.norm(q), 1)
    theirs = Rotation.from_quat([q[1], q[2], q[3], q[0]]).as_matrix()
    assert np.allclose(rotations.from_quaternion(2.5 * q), theirs)


@given(st.integers(0, 2**32 - 1))
def test_inverse_undoes_transform(seed: int) -> None:
    rng = np.random.default_rng(seed)
    T = np.eye(4)
    T[:3, :3] = rotations.from_quaternion(rotations.random_quaternion(rng=rng))
    T[:3, 3] = rng.normal(size=3)
    points = rng.normal(size=(5, 3))
    there = rotations.transform(T, points)
    assert np.allclose(there[0], (T @ [*points[0], 1])[:3])
    assert np.allclose(rotations.transform(rotations.inverse(T), there), points)
