"""Cameras: one overhead, the others spread over a hemisphere, with a sensor's intrinsics, within all ranges."""

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest

from graspnext.errors import ConfigError
from graspnext.geometry.cameras import project
from graspnext.types import Camera, Float64Array
from graspnext.world.containers import sample_container
from graspnext.world.scene import Container
from graspnext.world.sensors.models import D435, IDEAL, PHOTONEO, SENSORS, Sensor, intrinsics
from graspnext.world.viewpoints import AZIMUTHS, CELLS, DISTANCES, TILTS, CameraRanges, sample_cameras

RANGES = CameraRanges()
CENTRED = dataclasses.replace(RANGES, off_center=0.0, clearance_m=0.01)
"""Every optical axis meets the container's middle, and nothing pushes a camera away: places can be read off poses."""


def cameras_of(
    ranges: CameraRanges = RANGES,
    kind: str = "tote",
    sensor: Sensor = IDEAL,
    *,
    seed: int,
    views: int = 37,
    image_size: tuple[int, int] = (512, 512),
) -> tuple[Container, tuple[Camera, ...]]:
    container = sample_container(kind, rng=np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    return container, sample_cameras(ranges, container, sensor, views=views, image_size=image_size, rng=rng)


def places(container: Container, cameras: tuple[Camera, ...]) -> Float64Array:
    """(V, 3): azimuth in [0, 1) turns, tilt rad, distance m from the container's middle; of centred cameras."""
    found = []
    for camera in cameras:
        x, y, z = camera.T_world_camera[:3, 3] - [0, 0, 0.75 * container.inner_size[2]]
        distance = math.sqrt(x * x + y * y + z * z)
        found.append((math.atan2(y, x) / (2 * math.pi) % 1, math.acos(z / distance), distance))
    return np.array(found)


def cells_of(found: Float64Array) -> list[tuple[int, int, int]]:
    """The cell of each view but the first, by the ranges of the tilt and what distances there are."""
    low, high = RANGES.tilt_rad
    near, far = found[1:, 2].min(), found[1:, 2].max()
    azimuth = np.floor(found[1:, 0] * AZIMUTHS)
    tilt = np.floor((found[1:, 1] - low) / (high - low) * TILTS)
    distance = np.minimum(np.floor((found[1:, 2] - near) / (far - near) * DISTANCES), DISTANCES - 1)
    return [(int(a), int(t), int(d)) for a, t, d in zip(azimuth, tilt, distance, strict=True)]


@pytest.mark.parametrize("sensor", SENSORS.values(), ids=SENSORS)
@pytest.mark.parametrize("kind", ["tote", "carton", "table"])
def test_cameras_stay_in_their_ranges(kind: str, sensor: Sensor) -> None:
    for seed in range(6):
        container, cameras = cameras_of(kind=kind, sensor=sensor, seed=seed, views=5, image_size=(300, 400))
        x, y, z = container.inner_size
        for index, camera in enumerate(cameras):
            assert (camera.height, camera.width) == (300, 400)
            R, eye = camera.T_world_camera[:3, :3], camera.T_world_camera[:3, 3]
            np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
            tilt = math.acos(-R[2, 2])
            low, high = RANGES.tilt_rad if index else RANGES.overhead_tilt_rad
            assert low - 1e-6 <= tilt <= high + 1e-6
            assert eye[2] > z + 0.05
            axis = eye + R[:, 2] * (0.75 * z - eye[2]) / R[2, 2]  # where the optical axis meets that height
            assert abs(axis[0]) <= 0.1201 * x and abs(axis[1]) <= 0.1201 * y
            assert len({(one.fx, one.fy, one.cx, one.cy) for one in cameras}) == 1
        if sensor.focal_px is not None:
            assert (cameras[0].fx, cameras[0].fy, cameras[0].cx, cameras[0].cy) == intrinsics(sensor, (300, 400))
        else:
            angle = 2 * math.atan(150 / cameras[0].fx)
            assert RANGES.field_of_view_rad[0] <= angle <= RANGES.field_of_view_rad[1]


def test_37_views_are_the_grid_of_metagraspnet() -> None:
    """Every cell of 4 azimuths x 3 tilts x 3 distances holds one view; the first view is overhead."""
    wide = dataclasses.replace(CENTRED, fill=(0.05, 5.0), distance_m=(0.7, 1.4))
    for seed in range(5):
        container, cameras = cameras_of(wide, "table", seed=seed)
        found = places(container, cameras)
        assert found[0, 1] <= RANGES.overhead_tilt_rad[1]
        assert (found[:, 2] >= 0.7).all() and (found[:, 2] <= 1.4).all()
        distance = np.floor((found[1:, 2] - 0.7) / 0.7 * DISTANCES).astype(int)
        cells = {(a, t, int(d)) for (a, t, _), d in zip(cells_of(found), distance, strict=True)}
        assert len(cells) == CELLS == 36


@pytest.mark.parametrize("views", [5, 13])
def test_few_views_are_spread_too(views: int) -> None:
    seen: set[tuple[int, ...]] = set()
    for seed in range(8):
        container, cameras = cameras_of(CENTRED, "table", seed=seed, views=views)
        cells = cells_of(places(container, cameras))
        azimuths, tilts = Counter(cell[0] for cell in cells), Counter(cell[1] for cell in cells)
        assert set(azimuths.values()) == {(views - 1) // AZIMUTHS}
        assert len(tilts) == TILTS and max(tilts.values()) - min(tilts.values()) <= 1
        assert len({cell[:2] for cell in cells}) == views - 1  # no direction twice
        seen.add(tuple(cell[0] for cell in cells[:4]))
    assert len(seen) > 3  # in differing orders


def test_more_views_than_cells_take_them_again() -> None:
    container, cameras = cameras_of(CENTRED, "table", seed=1, views=73)
    counted = Counter(cell[:2] for cell in cells_of(places(container, cameras)))
    assert len(counted) == AZIMUTHS * TILTS and set(counted.values()) == {2 * DISTANCES}


def test_fill_is_kept_where_there_is_room() -> None:
    ranges = dataclasses.replace(CENTRED, fill=(0.6, 0.6), overhead_tilt_rad=(0, 0), distance_m=(0.1, 9.0))
    container, cameras = cameras_of(ranges, "table", seed=1)
    for camera, distance in zip(cameras, places(container, cameras)[:, 2], strict=True):
        assert max(container.inner_size[:2]) * camera.fx / distance / 512 == pytest.approx(0.6, rel=1e-6)


def test_distances_stay_within_the_working_range() -> None:
    """The Photoneo-like sensor sees from 458 to 1118 mm: what it looks at has to lie in there, floor and rim."""
    wide = dataclasses.replace(RANGES, distance_m=(0.1, 5.0), fill=(0.05, 5.0), overhead_tilt_rad=(0, 0), off_center=0)
    low, high = PHOTONEO.working_range_m
    for seed in range(10):
        container, cameras = cameras_of(wide, sensor=PHOTONEO, seed=seed, views=1)
        height = cameras[0].T_world_camera[2, 3]
        assert height <= high + 1e-9
        assert height - container.inner_size[2] >= low - 1e-9


def test_clearance_wins_over_distance() -> None:
    ranges = dataclasses.replace(CENTRED, clearance_m=0.8, distance_m=(0.1, 0.2))
    container, cameras = cameras_of(ranges, seed=2)
    for camera in cameras:
        assert np.linalg.norm(camera.T_world_camera[:3, 3] - [0, 0, 0.75 * container.inner_size[2]]) >= 0.8


def test_the_principal_point_is_where_the_axis_goes() -> None:
    _, cameras = cameras_of(CENTRED, sensor=SENSORS["zivid_like"], seed=3, views=2)
    for camera in cameras:
        axis = project(camera, np.array([[0.0, 0.0, 1.0]]))[0]
        assert axis[:2] == pytest.approx((camera.cx, camera.cy))
        assert abs(camera.cx - 256) > 0.5


def test_same_seed_same_cameras() -> None:
    (_, a), (_, b), (_, c) = (cameras_of(sensor=D435, seed=seed, views=6) for seed in (9, 9, 10))
    assert [one.T_world_camera.tobytes() for one in a] == [one.T_world_camera.tobytes() for one in b]
    assert a[1].T_world_camera.tobytes() != c[1].T_world_camera.tobytes()


@pytest.mark.parametrize(
    "changes", [{"distance_m": (2.0, 1.0)}, {"off_center": 1.5}, {"fill": (0.0, 1.0)}, {"tilt_rad": (0.1, 2.0)}]
)
def test_bad_ranges_are_refused(changes: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(ConfigError, match=f"camera.{next(iter(changes))}"):
        dataclasses.replace(RANGES, **changes)
