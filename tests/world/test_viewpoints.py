"""Cameras: within their ranges, looking at the container, the same for the same seed."""

import numpy as np
import pytest

from graspnext.types import Camera
from graspnext.world.containers import sample_container
from graspnext.world.recipes import find_recipe
from graspnext.world.scene import Container
from graspnext.world.viewpoints import CameraRanges, sample_cameras

RECIPE = find_recipe("default")


def cameras_of(
    container: Container, ranges: CameraRanges = RECIPE.camera, *, rng: np.random.Generator
) -> tuple[Camera, ...]:
    return sample_cameras(ranges, container, views=RECIPE.views, image_size=RECIPE.image_size, rng=rng)


@pytest.mark.parametrize("kind", ["tote", "carton", "table"])
def test_cameras_look_at_the_container(kind: str) -> None:
    ranges = RECIPE.camera
    for seed in range(20):
        rng = np.random.default_rng(seed)
        container = sample_container(kind, rng=rng)
        cameras = cameras_of(container, rng=rng)
        assert len(cameras) == RECIPE.views
        x, y, z = container.inner_size
        for index, camera in enumerate(cameras):
            assert (camera.height, camera.width) == RECIPE.image_size
            view = 2 * np.arctan(camera.height / 2 / camera.fy)
            assert ranges.field_of_view_rad[0] - 1e-9 <= view <= ranges.field_of_view_rad[1] + 1e-9
            R, eye = camera.T_world_camera[:3, :3], camera.T_world_camera[:3, 3]
            np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
            tilt = np.arccos(-R[2, 2])
            low, high = ranges.overhead_tilt_rad if index == 0 else ranges.tilt_rad
            assert low - 1e-6 <= tilt <= high + 1e-6
            assert eye[2] > z + 0.05
            axis = eye + R[:, 2] * (0.75 * z - eye[2]) / R[2, 2]  # where the optical axis meets that height
            assert abs(axis[0]) <= 0.13 * x and abs(axis[1]) <= 0.13 * y


def test_fill_is_kept_where_there_is_room() -> None:
    ranges = CameraRanges(fill=(0.6, 0.6), overhead_tilt_rad=(0, 0))
    container = sample_container("table", rng=np.random.default_rng(1))
    camera = cameras_of(container, ranges, rng=np.random.default_rng(1))[0]
    distance = camera.T_world_camera[2, 3]
    pixels = max(container.inner_size[:2]) * camera.fx / distance
    assert pixels / min(RECIPE.image_size) == pytest.approx(0.6, rel=1e-6)


def test_same_seed_same_cameras() -> None:
    container = sample_container("carton", rng=np.random.default_rng(0))
    a, b = (cameras_of(container, rng=np.random.default_rng(9)) for _ in range(2))
    assert [c.T_world_camera.tobytes() for c in a] == [c.T_world_camera.tobytes() for c in b]
