"""Contact points and frames on surfaces whose normals are known."""

from __future__ import annotations

import numpy as np
import pytest

from graspnext.data.foreign.grasp_poses import contact_poses
from graspnext.data.foreign.suction import Surface, locate, scatter, splat
from graspnext.geometry import cameras
from graspnext.types import Camera

CAMERA = Camera(60, 50, 90.0, 95.0, 31.0, 24.0)


def plane(normal: tuple[float, float, float], distance: float) -> Surface:
    """A plane n x = d over the whole picture, its right half another part."""
    rays = cameras.rays(CAMERA)
    depth = distance / (rays @ np.array(normal))
    ids = np.ones((50, 60), dtype=np.int32)
    ids[:, 30:] = 2
    return Surface(CAMERA, ids, depth.astype(np.float32))


@pytest.mark.parametrize("normal", [(0.0, 0.0, 1.0), (0.3, -0.2, 0.933), (-0.5, 0.4, 0.768)])
def test_frames_point_into_the_surface(normal: tuple[float, float, float]) -> None:
    surface = plane(normal, 0.5)
    points, scores, owners = scatter(surface, np.full((50, 60), 0.5, dtype=np.float32), spacing_px=5)
    assert len(points) == 2 * 6 * 10 and (scores == 0.5).all() and set(owners) == {1, 2}
    np.testing.assert_allclose(points @ np.array(normal), 0.5, rtol=1e-5)
    poses = contact_poses(surface, points)
    unit = np.array(normal) / np.linalg.norm(normal)
    np.testing.assert_allclose(poses[:, :3, 2], np.tile(unit, (len(points), 1)), atol=2e-3)
    np.testing.assert_allclose(
        poses[:, :3, :3] @ poses[:, :3, :3].transpose(0, 2, 1), np.tile(np.eye(3), (120, 1, 1)), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(poses[:, :3, :3]), 1)
    np.testing.assert_array_equal(poses[:, :3, 3], points)


def test_a_lonely_pixel_is_approached_along_its_ray() -> None:
    ids = np.zeros((50, 60), dtype=np.int32)
    ids[3, 4] = 1
    surface = Surface(CAMERA, ids, np.full((50, 60), 0.7, dtype=np.float32))
    points, _, _ = scatter(surface, ids.astype(np.float32), spacing_px=4)
    (pose,) = contact_poses(surface, points)
    np.testing.assert_allclose(pose[:3, 2], points[0] / np.linalg.norm(points[0]))


def test_points_outside_behind_or_on_the_background_belong_to_nobody() -> None:
    surface = plane((0.0, 0.0, 1.0), 0.5)
    surface.instance_ids[:10] = 0
    points = np.array([[0, 0, 0.5], [0, 0, 0.52], [0, 0, -0.5], [5, 0, 0.5], [0, -0.12, 0.5], [0, 0, 0.3]])
    assert locate(surface, points)[1].tolist() == [2, 0, 0, 0, 0, 2]


def test_the_best_pixel_of_a_cell_is_kept() -> None:
    surface = plane((0.0, 0.0, 1.0), 0.5)
    scores = np.zeros((50, 60), dtype=np.float32)
    scores[8, 8], scores[9, 11], scores[20, 29], scores[20, 30] = 0.4, 0.9, 0.3, 0.2
    surface.depth_m[20, 30] = 0  # no depth, no point
    points, kept, owners = scatter(surface, scores, spacing_px=4)
    np.testing.assert_allclose(kept, [0.9, 0.3], rtol=1e-6)
    assert owners.tolist() == [1, 1]
    back = splat(surface, points, kept, how="point", radius_m=0.01)
    assert back[9, 11] == pytest.approx(0.9) and back[20, 29] == pytest.approx(0.3) and (back > 0).sum() == 2
