"""Where the cameras of a scene stand: one overhead, the others spread over a hemisphere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from graspnext.errors import ConfigError
from graspnext.geometry.cameras import look_at
from graspnext.types import Camera
from graspnext.world.parts.draws import between
from graspnext.world.ranges import check_range, check_share
from graspnext.world.scene import Container
from graspnext.world.sensors.models import Sensor, intrinsics

AZIMUTHS, TILTS, DISTANCES = 4, 3, 3
"""Cells of the hemisphere: 36 of them and the overhead view make the 37 views of MetaGraspNet."""
CELLS = AZIMUTHS * TILTS * DISTANCES


@dataclass(frozen=True)
class CameraRanges:
    """Where cameras stand. The first view of a scene is roughly overhead, the others lie on a hemisphere."""

    field_of_view_rad: tuple[float, float] = (math.radians(35), math.radians(65))
    """Full angle over the shorter side of the picture, for sensors without focal lengths of their own."""
    overhead_tilt_rad: tuple[float, float] = (0.0, math.radians(12))
    """Angle between the optical axis and straight down, first view."""
    tilt_rad: tuple[float, float] = (math.radians(5), math.radians(48))
    """The same, other views; three equal cells."""
    distance_m: tuple[float, float] = (0.45, 1.5)
    """Camera to the container's middle. Kept within the sensor's working range, and never nearer than the clearance."""
    fill: tuple[float, float] = (0.5, 1.3)
    """Longer side of the container over the shorter side of the picture, both at three quarters of its height.
    Kept where the distances allow; what is left of them are three equal cells."""
    off_center: float = 0.12
    """How far the optical axis may pass the container's middle, as a share of its length and width."""
    roll_rad: float = math.radians(12)
    """Largest roll of tilted views; overhead ones turn freely."""
    clearance_m: float = 0.25
    """Least distance from the camera to the container's rim."""

    def __post_init__(self) -> None:
        check_range("camera.field_of_view_rad", self.field_of_view_rad, 0.1, 2.5)
        check_range("camera.overhead_tilt_rad", self.overhead_tilt_rad, 0.0, 1.2)
        check_range("camera.tilt_rad", self.tilt_rad, 0.0, 1.2)
        check_range("camera.distance_m", self.distance_m, 0.05, 10.0)
        check_range("camera.fill", self.fill, 0.05, 5.0)
        check_share("camera.off_center", self.off_center)
        if not 0 <= self.roll_rad <= math.pi:
            raise ConfigError("camera.roll_rad", self.roll_rad, "in [0, pi]")
        if not self.clearance_m > 0:
            raise ConfigError("camera.clearance_m", self.clearance_m, "greater than 0")


def sample_cameras(
    ranges: CameraRanges,
    container: Container,
    sensor: Sensor,
    *,
    views: int,
    image_size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[Camera, ...]:
    """Cameras of one scene: one sensor moved about, the first view roughly overhead, the others on a hemisphere.

    Each of the others has a cell of azimuth x tilt x distance to itself, and a random place in it, until all cells
    are taken (37 views); then they are taken again. The order spreads any smaller number: each run of 4 views has
    all azimuths, each run of 3 all tilts and each run of 12 all pairs of the two.

    Args:
        ranges: Where they may stand.
        container: What they look at.
        sensor: Whose intrinsics they have. A label camera has no distortion: it is the very one that is rendered.
        views: How many.
        image_size: (height, width) px of their pictures.
        rng: Source of randomness.

    Source: the layout of views of MetaGraspNet, Gilles et al., "MetaGraspNetV2", 2023: 1 + 4 x 3 x 3.
    """
    lens = _lens(ranges, sensor, image_size, rng=rng)
    near, far = _distances(ranges, container, sensor, lens[0] / min(image_size))
    overhead = (rng.random(), between(*ranges.overhead_tilt_rad, rng=rng), between(near, far, rng=rng))
    places = [overhead]
    for azimuth, tilt, distance in _cells(views - 1, rng=rng):
        places.append(
            (
                (azimuth + rng.random()) / AZIMUTHS,
                _within(ranges.tilt_rad, (tilt + rng.random()) / TILTS),
                _within((near, far), (distance + rng.random()) / DISTANCES),
            )
        )
    rolls = [math.pi, *[ranges.roll_rad] * (views - 1)]
    return tuple(
        _camera(ranges, container, (image_size, lens), (*place, between(-roll, roll, rng=rng)), rng=rng)
        for place, roll in zip(places, rolls, strict=True)
    )


def _cells(count: int, *, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """Cells (azimuth, tilt, distance) in an order of which every beginning is spread; the order is random."""
    azimuths, tilts, distances = (rng.permutation(size) for size in (AZIMUTHS, TILTS, DISTANCES))
    cells = []
    for step in range(count):
        azimuth, tilt = step % AZIMUTHS, step % TILTS  # 4 and 3 have no common divisor: 12 steps give all pairs
        distance = (azimuth + tilt + step // (AZIMUTHS * TILTS)) % DISTANCES
        cells.append((int(azimuths[azimuth]), int(tilts[tilt]), int(distances[distance])))
    return cells


def _lens(
    ranges: CameraRanges, sensor: Sensor, image_size: tuple[int, int], *, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy."""
    angle = between(*ranges.field_of_view_rad, rng=rng)
    if sensor.focal_px is not None:
        return intrinsics(sensor, image_size)
    focal = min(image_size) / 2 / math.tan(angle / 2)
    return focal, focal, image_size[1] / 2, image_size[0] / 2


def _distances(ranges: CameraRanges, container: Container, sensor: Sensor, focal: float) -> tuple[float, float]:
    """Nearest and farthest camera, metres from the point it looks at; `focal` in shorter sides of the picture."""
    x, y, z = container.inner_size
    low = max(ranges.distance_m[0], sensor.working_range_m[0] + 0.25 * z)  # the rim is nearer than the middle
    high = max(low, min(ranges.distance_m[1], sensor.working_range_m[1] - 0.75 * z))  # the floor is farther
    near, far = (min(max(max(x, y) * focal / fill, low), high) for fill in reversed(ranges.fill))
    return near, far


def _within(ends: tuple[float, float], share: float) -> float:
    return ends[0] + share * (ends[1] - ends[0])


def _camera(
    ranges: CameraRanges,
    container: Container,
    optics: tuple[tuple[int, int], tuple[float, float, float, float]],
    place: tuple[float, float, float, float],
    *,
    rng: np.random.Generator,
) -> Camera:
    """A camera at (azimuth in turns, tilt rad, distance m, roll rad) with optics ((height, width), intrinsics)."""
    (height, width), lens = optics
    turns, tilt, distance, roll = place
    azimuth = 2 * math.pi * turns
    x, y, z = container.inner_size
    middle = np.array([*(rng.uniform(-ranges.off_center, ranges.off_center, 2) * (x, y)), 0.75 * z])
    distance = max(distance, 0.25 * z + ranges.clearance_m + 0.5 * max(x, y) * math.sin(tilt))
    away = np.array([math.sin(tilt) * math.cos(azimuth), math.sin(tilt) * math.sin(azimuth), math.cos(tilt)])
    return Camera(width, height, *lens, look_at(middle + distance * away, middle, roll))
