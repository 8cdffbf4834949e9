"""Pictures: each effect alone against its closed form in linear light, all together the same for the same seed."""

import dataclasses
import math

import numpy as np
import pytest

from graspnext.errors import ConfigError
from graspnext.types import Float64Array, UInt8Array
from graspnext.world.sensors.models import BASLER, D435, IDEAL, PHOTONEO, PictureNoise, Sensor, crop_scale
from graspnext.world.sensors.picture import CaptureRanges, take_picture

NOTHING = CaptureRanges(
    exposure_stops=(0, 0),
    gain=(1, 1),
    white_balance_mired=(0, 0),
    tint=(0, 0),
    vignetting=(0, 0),
    defocus=(0, 0),
    motion_probability=0,
    sharpen=(0, 0),
    jpeg_probability=0,
)
"""No effect at all."""
CLEAN = Sensor("clean", (200, 200), picture=PictureNoise(full_well_e=1e12, read_noise_e=0, vignetting=0))
"""No noise either."""


def srgb(linear: float) -> float:
    return 255 * (12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055)


def linear(image: UInt8Array) -> Float64Array:
    level = image / 255.0
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def flat(level: float, size: int = 200) -> UInt8Array:
    return np.full((size, size, 3), round(srgb(level)), dtype=np.uint8)


def taken(image: UInt8Array, sensor: Sensor, *, seed: int = 0, **changes: object) -> UInt8Array:
    ranges = dataclasses.replace(NOTHING, **changes)  # type: ignore[arg-type]
    return take_picture(image, sensor, ranges, rng=np.random.default_rng(seed))


@pytest.fixture(scope="module")
def photo() -> UInt8Array:
    """Blocks of many colours, with edges."""
    blocks = np.random.default_rng(3).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((10, 10, 1), dtype=np.uint8))


def test_no_effect_changes_nothing(photo: UInt8Array) -> None:
    result = taken(photo, CLEAN)
    assert result.dtype == np.uint8 and result.shape == photo.shape
    assert np.abs(result.astype(int) - photo).max() <= 1


def test_ideal_sensors_give_the_picture_back(photo: UInt8Array) -> None:
    assert take_picture(photo, IDEAL, CaptureRanges(), rng=np.random.default_rng(0)) is photo


@pytest.mark.parametrize("stops", [-1.0, 0.5, 1.0])
def test_exposure_scales_linear_light(stops: float) -> None:
    result = taken(flat(0.2), CLEAN, exposure_stops=(stops, stops))
    assert linear(result).mean() == pytest.approx(linear(flat(0.2)).mean() * 2**stops, rel=0.02)
    assert taken(flat(0.9), CLEAN, exposure_stops=(1, 1)).min() == 255  # too much light saturates


def test_white_balance_is_warm_or_cool() -> None:
    red, green, blue = linear(taken(flat(0.3), CLEAN, white_balance_mired=(25, 25))).mean(axis=(0, 1))
    assert red > 1.03 * green and blue < 0.97 * green
    red, green, blue = linear(taken(flat(0.3), CLEAN, white_balance_mired=(-25, -25))).mean(axis=(0, 1))
    assert red < 0.99 * green and blue > 1.03 * green
    tinted = linear(taken(flat(0.3), CLEAN, tint=(0.1, 0.1))).mean(axis=(0, 1))
    assert tinted[1] / tinted[0] == pytest.approx(1.1, rel=0.02)


@pytest.mark.parametrize(("level", "gain"), [(0.1, 1), (0.4, 1), (0.4, 4), (0.7, 8)])
def test_noise_has_the_variance_of_its_electrons(level: float, gain: float) -> None:
    """Of n electrons n +- sqrt(n) arrive and reading adds its own; a pixel here gathers 2 x 2 native ones."""
    chip = PictureNoise(full_well_e=2000, read_noise_e=10, vignetting=0)
    sensor = Sensor("chip", (800, 800), picture=chip)
    result = linear(taken(flat(level, 400), sensor, gain=(gain, gain)))
    signal = float(linear(flat(level, 2)).mean())
    electrons = signal * chip.full_well_e / gain * 4
    expected = math.sqrt(electrons + 4 * chip.read_noise_e**2) / (chip.full_well_e / gain * 4)
    rounding = signal ** (1 - 1 / 2.4) * 2.4 / 1.055 / 255 / math.sqrt(12)  # one grey level, in linear light
    assert result.std() == pytest.approx(math.hypot(expected, rounding), rel=0.04)
    assert result.mean() == pytest.approx(signal, rel=0.02)
    apart = [np.corrcoef(result[..., a].ravel(), result[..., b].ravel())[0, 1] for a, b in ((0, 1), (1, 2))]
    assert np.abs(apart).max() < 0.02  # each channel has noise of its own


def test_vignetting_falls_with_the_square_of_the_native_radius() -> None:
    lens = PictureNoise(full_well_e=1e12, read_noise_e=0, vignetting=0.4)
    sensor = Sensor("lens", (300, 600), picture=lens)
    result = linear(taken(flat(0.5), sensor, vignetting=(1, 1))) / linear(flat(0.5))
    assert result[95:105, 95:105].mean() == pytest.approx(1, abs=0.01)
    scale = crop_scale(sensor, (200, 200))
    assert scale == 1.5
    corner = (99.5 * math.sqrt(2) * scale / (math.hypot(300, 600) / 2)) ** 2
    assert result[0, 0].mean() == pytest.approx(1 - 0.4 * corner, abs=0.01)


def test_blur_keeps_light_and_place() -> None:
    """A bright dot keeps its light and its middle; defocus spreads it by its variance, a move along a line."""
    dot = np.zeros((200, 200, 3), dtype=np.uint8)
    dot[96:105, 96:105] = 200
    rows = np.arange(200) + 0.5

    def shape(image: UInt8Array) -> tuple[float, float, float, float, float]:
        light = linear(image).sum(axis=2)
        u, v = (light.sum(axis=axis) @ rows / light.sum() for axis in (0, 1))
        spread = [float(light.sum(axis=axis) @ (rows - m) ** 2 / light.sum()) for axis, m in ((0, u), (1, v))]
        return float(light.sum()), float(u), float(v), spread[0], spread[1]

    total, u, v, spread, _ = shape(dot)
    for seed in range(6):
        light, x, y, wide, high = shape(
            taken(dot, CLEAN, seed=seed, motion_probability=1, motion=(0.04, 0.04))  # 8 px
        )
        assert light == pytest.approx(total, rel=0.02)
        assert (x, y) == pytest.approx((u, v), abs=0.02)
        assert wide + high - 2 * spread == pytest.approx(8**2 / 12, rel=0.4)  # in whole pixels
    light, x, y, wide, high = shape(taken(dot, CLEAN, defocus=(0.003, 0.003)))  # 0.6 px
    assert light == pytest.approx(total, rel=0.02) and (x, y) == pytest.approx((u, v), abs=0.02)
    assert wide - spread == pytest.approx(0.36, abs=0.1) and high - spread == pytest.approx(0.36, abs=0.1)
    light, x, y, wide, high = shape(taken(dot, CLEAN, defocus=(0.015, 0.015)))  # 3 px
    assert light == pytest.approx(total, rel=0.03) and (x, y) == pytest.approx((u, v), abs=0.05)
    assert wide - spread == pytest.approx(9, rel=0.1) and high - spread == pytest.approx(9, rel=0.1)


def test_sharpening_overshoots_at_edges_alone() -> None:
    step = flat(0.2)
    step[:, 100:] = flat(0.6)[:, 100:]
    result = taken(step, CLEAN, sharpen=(0.5, 0.5)).astype(int) - step
    assert result[:, 99].max() < -3 and result[:, 100].min() > 3
    assert np.abs(result[:, :95]).max() <= 1 and np.abs(result[:, 105:]).max() <= 1


def test_mono_pictures_are_grey(photo: UInt8Array) -> None:
    result = take_picture(photo, PHOTONEO, CaptureRanges(jpeg_probability=0), rng=np.random.default_rng(1))
    assert (result == result[..., :1]).all()
    quiet = dataclasses.replace(PHOTONEO, picture=dataclasses.replace(CLEAN.picture, mono=True))
    weighted = linear(photo) @ [0.2126, 0.7152, 0.0722]
    assert np.abs(linear(taken(photo, quiet))[..., 0] - weighted).max() < 0.006


def test_jpeg_stays_near(photo: UInt8Array) -> None:
    result = taken(photo, CLEAN, jpeg_probability=1, jpeg_quality=(80, 80))
    assert result.shape == photo.shape and result.dtype == np.uint8
    assert 0.1 < np.abs(result.astype(int) - photo).mean() < 12


@pytest.mark.parametrize("sensor", [D435, BASLER, PHOTONEO], ids=lambda sensor: sensor.name)
def test_same_seed_same_bytes(photo: UInt8Array, sensor: Sensor) -> None:
    before = photo.copy()
    for seed in range(4):
        a, b = (take_picture(photo, sensor, CaptureRanges(), rng=np.random.default_rng(seed)) for _ in range(2))
        assert a.tobytes() == b.tobytes()
        other = take_picture(photo, sensor, CaptureRanges(), rng=np.random.default_rng(seed + 50))
        assert not np.array_equal(a, other)
    np.testing.assert_array_equal(photo, before)


def test_what_is_drawn_does_not_depend_on_the_picture(photo: UInt8Array) -> None:
    """The stream stands at the same place after a dark and a bright picture."""
    for seed in range(5):
        a, b = np.random.default_rng(seed), np.random.default_rng(seed)
        take_picture(photo, D435, CaptureRanges(), rng=a)
        take_picture(np.zeros_like(photo), D435, CaptureRanges(), rng=b)
        assert a.integers(2**60) == b.integers(2**60)


@pytest.mark.parametrize(
    "changes",
    [
        {"exposure_stops": (1, -1)},
        {"gain": (0, 1)},
        {"motion_probability": 1.5},
        {"jpeg_quality": (0, 50)},
        {"sharpen": (0, 9)},
        {"white_balance_mired": (-200, 0)},
    ],
)
def test_bad_ranges_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"capture.{next(iter(changes))}"):
        CaptureRanges(**changes)  # type: ignore[arg-type]
