import numpy as np
import pytest
import trimesh

from graspnext.types import Camera
from graspnext.world.labels.center_of_mass import project_center_of_mass

CAMERA = Camera(640, 480, 500.0, 520.0, 310.0, 250.0)


def l_bracket(a: float, b: float, t: float, width: float) -> trimesh.Trimesh:
    """An L with legs a (along x) and b (along y), both t thick, extruded by `width` along z from 0."""
    outline = np.array([(0, 0), (a, 0), (a, t), (t, t), (t, b), (0, b)], dtype=float)
    bottom, top = np.c_[outline, np.zeros(6)], np.c_[outline, np.full(6, width)]
    fan = [(0, k, k + 1) for k in range(1, 5)]
    faces = [(i, k, j) for i, j, k in fan] + [(i + 6, j + 6, k + 6) for i, j, k in fan]
    for k in range(6):
        n = (k + 1) % 6
        faces += [(k, n, n + 6), (k, n + 6, k + 6)]
    return trimesh.Trimesh(np.concatenate([bottom, top]), faces, process=False)


def pinhole(point: np.ndarray) -> list[float]:
    x, y, z = point
    return [500 * x / z + 310, 520 * y / z + 250, z]


@pytest.mark.parametrize("kind", ["box", "cylinder", "bracket"])
def test_closed_forms(shop, kind: str) -> None:
    if kind == "box":
        solid, center = trimesh.creation.box(extents=(0.1, 0.2, 0.3), transform=shop.pose((0.03, 0, 0))), (0.03, 0, 0)
    elif kind == "cylinder":
        solid = trimesh.creation.cylinder(radius=0.02, height=0.1, sections=48, transform=shop.pose((0, 0.01, 0.05)))
        center = (0, 0.01, 0.05)
    else:
        a, b, t = 0.08, 0.05, 0.01
        solid = l_bracket(a, b, t, 0.03)
        first, second = a * t, (b - t) * t  # leg along x, rest of the leg along y
        center = (
            (first * a / 2 + second * t / 2) / (first + second),
            (first * t / 2 + second * (b + t) / 2) / (first + second),
            0.015,
        )
        assert solid.is_watertight
    rotation = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation, (0.1, -0.05, 0.9)
    expected = pinhole(np.array([-center[1] + 0.1, center[0] - 0.05, center[2] + 0.9]))
    assert project_center_of_mass(shop.part(solid), T, CAMERA) == pytest.approx(expected, rel=1e-5)


def test_it_may_lie_outside_the_image(shop) -> None:
    u, v, z = project_center_of_mass(shop.box(0.1, 0.1, 0.1), shop.pose((-1.0, 0, 0.5)), CAMERA)
    assert (u, v, z) == pytest.approx((-690, 250, 0.5))


def test_behind_the_camera_there_is_no_pixel(shop) -> None:
    assert np.isnan(project_center_of_mass(shop.box(0.1, 0.1, 0.1), shop.pose((0, 0, -0.5)), CAMERA)[:2]).all()
