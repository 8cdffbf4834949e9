"""Camera models: intrinsics, picture noise and depth noise of real sensors, as plain values (docs/sensors.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from graspnext.errors import ConfigError
from graspnext.world.parts.draws import weighted
from graspnext.world.ranges import check_range, check_share


@dataclass(frozen=True)
class PictureNoise:
    """The imager behind the lens. Noise is counted in electrons, as data sheets (EMVA 1288) do."""

    full_well_e: float = 10_000.0
    """Electrons of a pixel that just saturates, at gain 1."""
    read_noise_e: float = 4.0
    """Standard deviation in the dark, electrons."""
    vignetting: float = 0.1
    """[0, 1): light lost in the corners of the native picture."""
    mono: bool = False
    """One grey channel, written three times."""
    perfect: bool = False
    """The picture stays as it is rendered."""

    def __post_init__(self) -> None:
        if not self.full_well_e > 0:
            raise ConfigError("picture.full_well_e", self.full_well_e, "greater than 0")
        if not self.read_noise_e >= 0:
            raise ConfigError("picture.read_noise_e", self.read_noise_e, "at least 0")
        if not 0 <= self.vignetting < 1:
            raise ConfigError("picture.vignetting", self.vignetting, "in [0, 1)")


@dataclass(frozen=True)
class DepthNoise:
    """Depth by triangulation over a baseline: two cameras (stereo), or a projector and a camera (structured light).

    Both measure a disparity d = f b / z; they differ in numbers. Lengths are in pixels of the depth imager, so that
    nothing here depends on the size of a dataset's pictures.
    """

    baseline_m: float = 0.0
    """Distance of the second eye or projector; 0 = this camera measures no depth."""
    focal_px: float = 1000.0
    """Focal length of the depth imager."""
    field_of_view_rad: tuple[float, float] = (1.5, 1.2)
    """Full angles of the depth imager, horizontal and vertical; the second eye's are the same."""
    verge_m: float = 0.0
    """Distance at which both eyes' fields of view coincide, since they are toed in; 0 = parallel."""
    range_m: tuple[float, float] = (0.3, 3.0)
    """Depth outside is missing."""
    second_eye: Literal["right", "left"] = "right"
    """Where the second eye is, seen from the first: near things cast their shadows to the other side."""
    disparity_noise_px: float = 0.05
    """Standard deviation of the disparity on a matt surface seen face on; in depth z^2 / (f b) times it."""
    noise_size_px: tuple[float, float] = (1.0, 8.0)
    """Gaussian radius of fine grain, and of slow waves: neighbours share the matching window, hence the noise."""
    wave_share: float = 0.3
    """[0, 1]: share of the noise's variance in the slow waves."""
    grazing_noise: float = 0.05
    """k: the noise grows by 1 + k a^2 / (pi/2 - a)^2 with the angle a between surface normal and line of sight."""
    disparity_step_px: float = 0.0
    """Sub-pixel step of the matcher; 0 = none."""
    depth_step_m: float = 0.0
    """Unit of the depth put out; 0 = none."""
    window_px: float = 5.0
    """Width of the matching window: how far a near edge may grow over what lies behind."""
    jitter_px: float = 0.5
    """Standard deviation of the place that a pixel really looks at: edges fray, slopes get noisier."""
    edge_growth: float = 0.4
    """[0, 1]: share of the pixels beside a depth edge that take the near depth."""
    edge_holes: float = 0.12
    """[0, 1]: share of them that are missing."""
    edge_step_px: float = 1.0
    """Disparity step between neighbours that counts as an edge, and that hides what is behind it."""
    speckle_holes: float = 0.0005
    """[0, 1]: share of pixels missing anywhere."""
    speckle_px: float = 1.0
    """Gaussian radius of the field that decides on speckle: its size."""
    blotch_px: float = 6.0
    """The same for holes in dark, glossy and steep surfaces."""
    dark_level: float = 0.008
    """Linear brightness, as a share of that of the picture's bright surfaces and times cos a, below which holes begin;
    at 0 all is missing."""
    glare: float = 0.5
    """[0, 1]: share missing where a mirror-like surface faces the camera, or the picture is saturated."""
    gloss_loss: float = 0.5
    """[0, 1]: share missing on a mirror-like or transparent surface at any angle."""
    steep_rad: float = math.radians(75)
    """Angle between normal and line of sight from which holes begin; at pi/2 all is missing."""

    def __post_init__(self) -> None:
        if not self.baseline_m >= 0:
            raise ConfigError("depth.baseline_m", self.baseline_m, "at least 0")
        if not self.focal_px > 0:
            raise ConfigError("depth.focal_px", self.focal_px, "greater than 0")
        if not 0 < min(self.field_of_view_rad) <= max(self.field_of_view_rad) < math.pi:
            raise ConfigError("depth.field_of_view_rad", self.field_of_view_rad, "two angles in (0, pi)")
        check_range("depth.range_m", self.range_m, 0.01, 20.0)
        for name in ("wave_share", "edge_growth", "edge_holes", "speckle_holes", "glare", "gloss_loss"):
            check_share(f"depth.{name}", getattr(self, name))
        if self.edge_growth + self.edge_holes > 1:
            raise ConfigError("depth.edge_holes", self.edge_holes, f"at most 1 - edge_growth = {1 - self.edge_growth}")
        for name in (
            *("disparity_noise_px", "grazing_noise", "disparity_step_px", "depth_step_m", "window_px"),
            *("jitter_px", "edge_step_px", "speckle_px", "blotch_px", "dark_level", "verge_m"),
        ):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"depth.{name}", getattr(self, name), "at least 0")
        if not 0 <= self.noise_size_px[0] <= self.noise_size_px[1]:
            raise ConfigError("depth.noise_size_px", self.noise_size_px, "a pair that rises from 0 or more")
        if not 0 < self.steep_rad < math.pi / 2:
            raise ConfigError("depth.steep_rad", self.steep_rad, "in (0, pi/2)")


@dataclass(frozen=True)
class Sensor:
    """One camera model."""

    name: str
    native_size: tuple[int, int] = (1200, 1200)
    """(height, width) px of its own picture."""
    focal_px: tuple[float, float] | None = None
    """fx, fy of its own picture; None = any, drawn from the recipe's `camera.field_of_view_rad`."""
    principal_offset_px: tuple[float, float] = (0.0, 0.0)
    """Principal point of its own picture, x and y, from the middle."""
    working_range_m: tuple[float, float] = (0.1, 10.0)
    """Depths that cameras of this kind are set up for: viewpoints keep the container's inside in it."""
    picture: PictureNoise = field(default_factory=PictureNoise)
    depth: DepthNoise = field(default_factory=DepthNoise)

    def __post_init__(self) -> None:
        if min(self.native_size) < 32:
            raise ConfigError(f"{self.name}.native_size", self.native_size, "(height, width), each at least 32 px")
        if self.focal_px is not None and not min(self.focal_px) > 0:
            raise ConfigError(f"{self.name}.focal_px", self.focal_px, "None, or two numbers greater than 0")
        check_range(f"{self.name}.working_range_m", self.working_range_m, 0.01, 20.0)

    @property
    def measures_depth(self) -> bool:
        """Whether it has a second eye."""
        return self.depth.baseline_m > 0


def crop_scale(sensor: Sensor, image_size: tuple[int, int]) -> float:
    """Native pixels per pixel of a dataset's picture (height, width).

    The picture is the largest centred crop of its shape from the native one, then resized: a picture narrower than
    the native one keeps the native vertical field of view, a wider one the horizontal.
    """
    return min(native / wanted for native, wanted in zip(sensor.native_size, image_size, strict=True))


def intrinsics(sensor: Sensor, image_size: tuple[int, int]) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy px of a sensor with known focal lengths in a picture (height, width) cropped as in `crop_scale`.

    Pixel centres lie at half-integers, so a crop and resize about the middle scales the offset from the middle.

    Raises:
        ConfigError: The sensor has no focal lengths of its own.
    """
    if sensor.focal_px is None:
        raise ConfigError(f"{sensor.name}.focal_px", None, "two numbers greater than 0")
    scale = crop_scale(sensor, image_size)
    fx, fy = (focal / scale for focal in sensor.focal_px)
    x, y = (offset / scale for offset in sensor.principal_offset_px)
    return fx, fy, image_size[1] / 2 + x, image_size[0] / 2 + y


def _focal(pixels: int, field_of_view_deg: float) -> float:
    return pixels / 2 / math.tan(math.radians(field_of_view_deg) / 2)


IDEAL = Sensor("ideal", picture=PictureNoise(vignetting=0.0, perfect=True))
"""A pinhole of any field of view; the picture as rendered, no depth but the clean one."""

_D4XX_PICTURE = PictureNoise(full_well_e=4_500.0, read_noise_e=4.0, vignetting=0.25)
"""Small pixels (1.4 um) of a rolling-shutter colour imager: an approximation, no data sheet gives them."""

D435 = Sensor(
    "realsense_d435",
    (1080, 1920),
    (_focal(1920, 69), _focal(1920, 69)),
    working_range_m=(0.3, 3.0),
    picture=_D4XX_PICTURE,
    depth=DepthNoise(
        baseline_m=0.050,
        focal_px=_focal(1280, 87),
        field_of_view_rad=(math.radians(87), math.radians(58)),
        range_m=(0.28, 10.0),
        disparity_noise_px=0.14,
        noise_size_px=(4.0, 11.0),
        wave_share=0.7,
        disparity_step_px=1 / 32,
        depth_step_m=0.001,
        window_px=7.0,
        jitter_px=1.0,
    ),
)
"""Data sheet 337029: colour 1920x1080 at 69x42 degrees, depth 1280x720 at 87x58, baseline 50 mm, least depth 0.28 m."""

D415 = Sensor(
    "realsense_d415",
    (1080, 1920),
    (_focal(1920, 69), _focal(1920, 69)),
    working_range_m=(0.45, 3.0),
    picture=_D4XX_PICTURE,
    depth=DepthNoise(
        baseline_m=0.055,
        focal_px=_focal(1280, 65),
        field_of_view_rad=(math.radians(65), math.radians(40)),
        range_m=(0.45, 10.0),
        disparity_noise_px=0.17,
        noise_size_px=(4.0, 11.0),
        wave_share=0.7,
        disparity_step_px=1 / 32,
        depth_step_m=0.001,
        window_px=7.0,
        jitter_px=1.0,
    ),
)
"""Data sheet 337029: colour 1920x1080 at 69x42 degrees, depth 1280x720 at 65x40, baseline 55 mm, least depth 0.45 m."""

_STRUCTURED_LIGHT = DepthNoise(
    baseline_m=0.1,
    focal_px=1785.0,
    disparity_noise_px=0.03,
    noise_size_px=(0.6, 4.0),
    wave_share=0.2,
    window_px=3.0,
    jitter_px=0.3,
    edge_growth=0.05,
    edge_holes=0.6,
    edge_step_px=3.0,
    dark_level=0.02,
    verge_m=0.7,
    glare=0.9,
    gloss_loss=0.7,
    steep_rad=math.radians(70),
)

ZIVID = Sensor(
    "zivid_like",
    (1200, 1944),
    (1784.49, 1786.49),
    (3.03, -1.38),
    (0.5, 1.5),
    PictureNoise(full_well_e=10_000.0, read_noise_e=3.0, vignetting=0.1),
    replace(_STRUCTURED_LIGHT, field_of_view_rad=(1.0, 0.66), range_m=(0.3, 1.7)),
)
"""Like a Zivid 2: 1944x1200, the intrinsics of one in use (MetaGraspNet's real views); the rest is approximate."""

PHOTONEO = Sensor(
    "photoneo_like",
    (1544, 2064),
    (2270.0, 2270.0),
    working_range_m=(0.458, 1.118),
    picture=PictureNoise(full_well_e=10_500.0, read_noise_e=2.5, vignetting=0.1, mono=True),
    depth=replace(
        _STRUCTURED_LIGHT,
        baseline_m=0.24,
        focal_px=2270.0,
        field_of_view_rad=(0.86, 0.66),
        range_m=(0.458, 1.118),
        disparity_noise_px=0.1,
        second_eye="left",
        verge_m=0.65,
        jitter_px=0.5,
    ),
)
"""Like a PhoXi 3D Scanner M: 2064x1544, 458 to 1118 mm, grey texture; focal length, baseline and noise approximate."""

BASLER = Sensor(
    "basler_like",
    (1200, 1920),
    (8.0 / 0.00586, 8.0 / 0.00586),
    picture=PictureNoise(full_well_e=33_000.0, read_noise_e=7.0, vignetting=0.15),
)
"""Like an industrial camera with a 2.3 MP global-shutter imager of 5.86 um pixels behind an 8 mm lens; no depth."""

OWN = "own"
"""The name by which a recipe's `own_sensor` has its weight."""

SENSORS: dict[str, Sensor] = {sensor.name: sensor for sensor in (IDEAL, D435, D415, ZIVID, PHOTONEO, BASLER)}


def sample_sensor(weights: Mapping[str, float], own: Sensor, *, rng: np.random.Generator) -> Sensor:
    """One sensor, as often as its weight says.

    Args:
        weights: Name in `SENSORS`, or `OWN` -> weight; at least one is positive.
        own: What `OWN` stands for.
        rng: Source of randomness.
    """
    name = weighted(weights, rng=rng)
    return own if name == OWN else SENSORS[name]
