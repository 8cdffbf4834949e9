"""Projection against pinhole arithmetic done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graspnext.geometry import cameras, rotations
from graspnext.types import Camera

CAMERA = Camera(width=640, height=480, fx=500.0, fy=510.0, cx=321.5, cy=239.0)


def test_project_by_hand() -> None:
    uvz = cameras.project(CAMERA, np.array([[0.1, -0.2, 0.5], [0.0, 0.0, 2.0], [0.0, 0.0, -1.0]]))
    assert uvz[0].tolist() == pytest.approx([500 * 0.2 + 321.5, 510 * -0.4 + 239.0, 0.5])
    assert uvz[1].tolist() == pytest.approx([321.5, 239.0, 2.0])
    assert np.isnan(uvz[2, :2]).all()


def test_unproject_by_hand_and_back() -> None:
    found = cameras.unproject(CAMERA, np.array([[821.5, 749.0, 0.5], [0.0, 0.0, np.nan]]))
    assert found[0].tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert np.isnan(found[1]).all()
    points = np.random.default_rng(0).uniform((-1, -1, 0.1), (1, 1, 3), (50, 3))
    assert np.allclose(cameras.unproject(CAMERA, cameras.project(CAMERA, points)), points)


def test_rays_pass_through_pixel_centres() -> None:
    directions = cameras.rays(CAMERA)
    assert directions.shape == (480, 640, 3)
    points = directions.reshape(-1, 3) * np.linspace(0.1, 3, 480 * 640)[:, None]
    uvz = cameras.project(CAMERA, points)
    v, u = np.divmod(np.arange(480 * 640), 640)
    assert np.allclose(uvz[:, 0], u + 0.5)
    assert np.allclose(uvz[:, 1], v + 0.5)


@given(st.tuples(*[st.floats(-3, 3)] * 3), st.floats(-3.2, 3.2))
def test_look_at_sees_its_target_in_the_middle(eye: tuple[float, float, float], roll: float) -> None:
    target = np.array([0.1, 0.2, -3.5])
    T = cameras.look_at(np.array(eye), target, roll)
    assert np.allclose(T[:3, :3].T @ T[:3, :3], np.eye(3), atol=1e-9)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1)
    seen = rotations.transform(rotations.inverse(T), target)
    assert np.allclose(seen[:2], 0, atol=1e-9)
    assert seen[2] == pytest.approx(np.linalg.norm(target - eye))


def test_look_at_keeps_world_up_up() -> None:
    T = cameras.look_at(np.array([1.0, 0.0, 1.0]), np.zeros(3))
    above = rotations.transform(rotations.inverse(T), np.array([0.0, 0.0, 0.1]))
    assert above[1] < 0  # y points down in the camera


def test_look_at_refuses_its_own_eye() -> None:
    with pytest.raises(ValueError, match="differs from its target"):
        cameras.look_at(np.ones(3), np.ones(3))
