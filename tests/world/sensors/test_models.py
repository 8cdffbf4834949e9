"""Sensors: intrinsics against closed forms and a brute-force crop, weights that are kept, numbers that are refused."""

import dataclasses
import math

import numpy as np
import pytest

from graspnext.errors import ConfigError
from graspnext.world.sensors.models import (
    D415,
    D435,
    IDEAL,
    OWN,
    PHOTONEO,
    SENSORS,
    ZIVID,
    DepthNoise,
    PictureNoise,
    Sensor,
    crop_scale,
    intrinsics,
    sample_sensor,
)


def test_data_sheets() -> None:
    """What 337029 states: full angles of the native pictures, baselines, and the least depth of 126 disparities."""
    for sensor, depth_angles, baseline in ((D435, (87, 58), 0.050), (D415, (65, 40), 0.055)):
        fx, fy, _, _ = intrinsics(sensor, sensor.native_size)
        assert 2 * math.degrees(math.atan(1920 / 2 / fx)) == pytest.approx(69)
        assert 2 * math.degrees(math.atan(1080 / 2 / fy)) == pytest.approx(42, abs=1)
        assert sensor.depth.baseline_m == baseline
        assert [math.degrees(angle) for angle in sensor.depth.field_of_view_rad] == pytest.approx(depth_angles)
        assert 2 * math.degrees(math.atan(640 / sensor.depth.focal_px)) == pytest.approx(depth_angles[0])
        assert sensor.depth.range_m[0] == pytest.approx(sensor.depth.focal_px * baseline / 126, abs=0.02)
    assert intrinsics(ZIVID, (1200, 1944)) == pytest.approx((1784.49, 1786.49, 975.03, 598.62))
    assert PHOTONEO.picture.mono and PHOTONEO.working_range_m == (0.458, 1.118)
    assert {name for name, sensor in SENSORS.items() if not sensor.measures_depth} == {"ideal", "basler_like"}


@pytest.mark.parametrize("image_size", [(512, 512), (128, 128), (1200, 1200), (300, 400), (256, 900), (600, 972)])
def test_a_crop_keeps_every_line_of_sight(image_size: tuple[int, int]) -> None:
    """Crop and resize as arithmetic on native pixels, then compare the ray through each corner."""
    height, width = ZIVID.native_size
    fx, fy, cx, cy = intrinsics(ZIVID, image_size)
    scale = crop_scale(ZIVID, image_size)
    left, top = (width - image_size[1] * scale) / 2, (height - image_size[0] * scale) / 2
    assert min(left, top) == pytest.approx(0, abs=1e-9) and max(left, top) >= 0  # as large as it can be
    assert ZIVID.focal_px is not None
    for u, v in ((0, 0), (image_size[1], 0), (0, image_size[0]), (image_size[1], image_size[0])):
        native = (
            (u * scale + left - (width / 2 + ZIVID.principal_offset_px[0])) / ZIVID.focal_px[0],
            (v * scale + top - (height / 2 + ZIVID.principal_offset_px[1])) / ZIVID.focal_px[1],
        )
        assert ((u - cx) / fx, (v - cy) / fy) == pytest.approx(native)


def test_a_square_keeps_the_vertical_field_of_view() -> None:
    for size in (96, 512, 1200):
        _, fy, _, _ = intrinsics(D435, (size, size))
        assert D435.focal_px is not None
        assert math.atan(size / 2 / fy) == pytest.approx(math.atan(1080 / 2 / D435.focal_px[1]))


def test_weights_are_kept_whatever_their_order() -> None:
    own = Sensor(OWN, focal_px=(1000.0, 1000.0))
    weights = {"zivid_like": 1.0, "ideal": 3.0, OWN: 1.0, "basler_like": 0.0}
    draws = [sample_sensor(weights, own, rng=np.random.default_rng(seed)) for seed in range(1000)]
    again = [sample_sensor(dict(reversed(weights.items())), own, rng=np.random.default_rng(s)) for s in range(1000)]
    assert draws == again
    shares = {name: sum(one.name == name for one in draws) / 1000 for name in weights}
    assert shares["ideal"] == pytest.approx(0.6, abs=0.05) and shares[OWN] == pytest.approx(0.2, abs=0.04)
    assert shares["basler_like"] == 0
    assert next(one for one in draws if one.name == OWN) is own


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Sensor("mine", (8, 8)), "mine.native_size"),
        (lambda: Sensor("mine", focal_px=(0.0, 100.0)), "mine.focal_px"),
        (lambda: Sensor("mine", working_range_m=(2.0, 1.0)), "mine.working_range_m"),
        (lambda: intrinsics(IDEAL, (64, 64)), "ideal.focal_px"),
        (lambda: PictureNoise(full_well_e=0), "picture.full_well_e"),
        (lambda: PictureNoise(read_noise_e=-1), "picture.read_noise_e"),
        (lambda: PictureNoise(vignetting=1.0), "picture.vignetting"),
        (lambda: DepthNoise(baseline_m=-0.1), "depth.baseline_m"),
        (lambda: DepthNoise(focal_px=0), "depth.focal_px"),
        (lambda: DepthNoise(range_m=(0.0, 1.0)), "depth.range_m"),
        (lambda: DepthNoise(edge_growth=0.8, edge_holes=0.3), "depth.edge_holes is 0.3; it must be at most"),
        (lambda: DepthNoise(disparity_noise_px=float("nan")), "depth.disparity_noise_px"),
        (lambda: DepthNoise(noise_size_px=(3.0, 2.0)), "depth.noise_size_px"),
        (lambda: DepthNoise(steep_rad=2.0), "depth.steep_rad"),
        (lambda: DepthNoise(field_of_view_rad=(0.0, 1.0)), "depth.field_of_view_rad"),
    ],
)
def test_bad_numbers_are_refused(make: object, match: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=match):
        make()


def test_sensors_are_plain_values() -> None:
    for sensor in SENSORS.values():
        assert dataclasses.replace(sensor) == sensor
        assert hash(sensor) == hash(dataclasses.replace(sensor))
