"""Where the cameras of a scene stand, drawn at random from ranges."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from graspnext.errors import ConfigError
from graspnext.geometry.cameras import look_at
from graspnext.types import Camera
from graspnext.world.parts.draws import between
from graspnext.world.ranges import check_range
from graspnext.world.scene import Container


@dataclass(frozen=True)
class CameraRanges:
    """Where cameras stand. The first view of a scene is roughly overhead, the others lie on a hemisphere."""

    field_of_view_rad: tuple[float, float] = (math.radians(35), math.radians(65))
    """Full angle over the shorter side of the picture."""
    overhead_tilt_rad: tuple[float, float] = (0.0, math.radians(12))
    """Angle between the optical axis and straight down, first view."""
    tilt_rad: tuple[float, float] = (0.0, math.radians(45))
    """The same, other views."""
    fill: tuple[float, float] = (0.5, 1.3)
    """Longer side of the container over the shorter side of the picture, both at three quarters of its height."""
    roll_rad: float = math.radians(12)
    """Largest roll of tilted views; overhead ones turn freely."""
    clearance_m: float = 0.25
    """Least distance from the camera to the container's rim."""

    def __post_init__(self) -> None:
        check_range("camera.field_of_view_rad", self.field_of_view_rad, 0.1, 2.5)
        check_range("camera.overhead_tilt_rad", self.overhead_tilt_rad, 0.0, 1.2)
        check_range("camera.tilt_rad", self.tilt_rad, 0.0, 1.2)
        check_range("camera.fill", self.fill, 0.05, 5.0)
        if not 0 <= self.roll_rad <= math.pi:
            raise ConfigError("camera.roll_rad", self.roll_rad, "in [0, pi]")
        if not self.clearance_m > 0:
            raise ConfigError("camera.clearance_m", self.clearance_m, "greater than 0")


def sample_cameras(
    ranges: CameraRanges, container: Container, *, views: int, image_size: tuple[int, int], rng: np.random.Generator
) -> tuple[Camera, ...]:
    """Cameras of one scene: the first roughly overhead, the others on a hemisphere.

    Args:
        ranges: Where they may stand.
        container: What they look at.
        views: How many.
        image_size: (height, width) px of their pictures.
        rng: Source of randomness.
    """
    return tuple(_sample_camera(ranges, container, image_size, overhead=i == 0, rng=rng) for i in range(views))


def _sample_camera(
    ranges: CameraRanges,
    container: Container,
    image_size: tuple[int, int],
    *,
    overhead: bool,
    rng: np.random.Generator,
) -> Camera:
    height, width = image_size
    view = between(*ranges.field_of_view_rad, rng=rng)
    focal = min(height, width) / 2 / np.tan(view / 2)
    tilt = between(*(ranges.overhead_tilt_rad if overhead else ranges.tilt_rad), rng=rng)
    azimuth = rng.uniform(0, 2 * np.pi)
    x, y, z = container.inner_size
    fill = between(*ranges.fill, rng=rng)
    middle = np.array([*(rng.uniform(-0.12, 0.12, 2) * (x, y)), 0.75 * z])
    # As wide a view as that fill would have: longer side / fill = 2 distance tan(view / 2).
    distance = max(x, y) / fill / (2 * np.tan(view / 2))
    distance = max(distance, 0.25 * z + ranges.clearance_m + 0.5 * max(x, y) * np.sin(tilt))
    away = np.array([np.sin(tilt) * np.cos(azimuth), np.sin(tilt) * np.sin(azimuth), np.cos(tilt)])
    roll = rng.uniform(-np.pi, np.pi) if overhead else rng.uniform(-ranges.roll_rad, ranges.roll_rad)
    pose = look_at(middle + distance * away, middle, float(roll))
    return Camera(width, height, float(focal), float(focal), width / 2, height / 2, pose)
