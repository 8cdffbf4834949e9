"""Measured depth: noise and hole rates against closed forms, shadows against brute-force rays to the second eye."""

import dataclasses
import math

import numpy as np
import pytest

from graspnext.types import BoolArray, Camera, Float32Array, UInt8Array
from graspnext.world.scene import Material
from graspnext.world.sensors.depth import _gloss, measure_depth, surface_angles
from graspnext.world.sensors.models import D415, D435, PHOTONEO, ZIVID, DepthNoise, Sensor, intrinsics

QUIET = DepthNoise(
    baseline_m=0.06,
    focal_px=600.0,
    field_of_view_rad=(2.5, 2.5),
    range_m=(0.05, 15.0),
    disparity_noise_px=0.0,
    noise_size_px=(0.0, 0.0),
    window_px=3.0,
    jitter_px=0.0,
    edge_growth=0.0,
    edge_holes=0.0,
    speckle_holes=0.0,
    dark_level=0.0,
    glare=0.0,
    gloss_loss=0.0,
    steep_rad=math.radians(89),
)
"""No effect but the shadow of the second eye."""
SIZE = 240
CAMERA = Camera(SIZE, SIZE, 600.0, 600.0, SIZE / 2, SIZE / 2)
GREY: UInt8Array = np.full((SIZE, SIZE, 3), 128, dtype=np.uint8)
MATT: Float32Array = np.zeros((SIZE, SIZE), dtype=np.float32)


def plane(depth: float) -> Float32Array:
    return np.full((SIZE, SIZE), depth, dtype=np.float32)


def slope(depth: float, angle: float, camera: Camera = CAMERA) -> Float32Array:
    """A plane through (0, 0, depth) turned about the camera's y axis."""
    x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    row = depth / (1 - x * math.tan(angle))
    return np.tile(row.astype(np.float32), (camera.height, 1))


def block(near: float = 0.6, far: float = 0.8) -> tuple[Float32Array, BoolArray]:
    """A square near thing in front of a far plane, and its mask."""
    mask = np.zeros((SIZE, SIZE), dtype=np.bool_)
    mask[80:160, 90:150] = True
    return np.where(mask, near, far).astype(np.float32), mask


def measured(
    depth: Float32Array,
    noise: DepthNoise = QUIET,
    *,
    seed: int = 0,
    image: UInt8Array = GREY,
    gloss: Float32Array = MATT,
    camera: Camera = CAMERA,
) -> Float32Array:
    return measure_depth(depth, image, camera, noise, gloss=gloss, rng=np.random.default_rng(seed))


def test_without_effects_depth_is_true() -> None:
    for depth in (plane(0.7), slope(0.7, 0.6)):
        result = measured(depth)
        assert result.dtype == np.float32 and result.shape == depth.shape
        np.testing.assert_allclose(result[:, 1:-1], depth[:, 1:-1], rtol=2e-4)  # the border has no mean


@pytest.mark.parametrize("sizes", [(0.0, 0.0), (2.0, 6.0)])
@pytest.mark.parametrize("depth", [0.4, 0.8, 1.6])
def test_noise_grows_with_the_square_of_depth(depth: float, sizes: tuple[float, float]) -> None:
    noise = dataclasses.replace(QUIET, disparity_noise_px=0.1, noise_size_px=sizes, grazing_noise=0.0, window_px=1.0)
    errors = np.stack([measured(plane(depth), noise, seed=seed) - depth for seed in range(10)])
    expected = depth**2 / (600 * 0.06) * 0.1
    assert errors.std() == pytest.approx(expected, rel=0.06)
    assert abs(errors.mean()) < 0.15 * expected


def test_noise_does_not_depend_on_the_size_of_the_picture() -> None:
    """The same sensor in a picture of half and of twice as many pixels: same spread, same size in the world."""
    noise = dataclasses.replace(QUIET, disparity_noise_px=0.1, noise_size_px=(3.0, 3.0), window_px=1.0)
    spreads, alike = [], []
    for size in (120, 240, 480):
        camera = Camera(size, size, 2.5 * size, 2.5 * size, size / 2, size / 2)
        flat, grey = np.full((size, size), 0.8, dtype=np.float32), np.full((size, size, 3), 128, dtype=np.uint8)
        gloss = np.zeros((size, size), dtype=np.float32)
        error = np.stack([measured(flat, noise, image=grey, gloss=gloss, camera=camera, seed=s) for s in range(12)])
        error -= np.float32(0.8)
        spreads.append(error.std())
        step = size // 60  # the same angle in each
        alike.append((error[..., step:] * error[..., :-step]).mean() / error.var())
    assert spreads == pytest.approx([0.8**2 / 36 * 0.1] * 3, rel=0.08)
    assert alike == pytest.approx([alike[0]] * 3, abs=0.05)


@pytest.mark.parametrize("degrees", [0, 40, 65])
def test_noise_grows_with_the_angle_of_the_surface(degrees: float) -> None:
    angle = math.radians(degrees)
    noise = dataclasses.replace(QUIET, disparity_noise_px=0.1, grazing_noise=0.3, window_px=1.0)
    depth = slope(0.8, angle)
    middle = slice(SIZE // 2 - 8, SIZE // 2 + 8)
    errors = np.stack([36 / measured(depth, noise, seed=seed) - 36 / depth for seed in range(12)])[..., middle]
    expected = 0.1 * (1 + 0.3 * angle**2 / (math.pi / 2 - angle) ** 2)
    assert errors.std() == pytest.approx(expected, rel=0.06)


def test_jitter_makes_slopes_noisy_and_edges_fray() -> None:
    """On a slope a displacement of s px is worth s times the depth's step from pixel to pixel."""
    noise = dataclasses.replace(QUIET, jitter_px=3.0, window_px=1.0)
    np.testing.assert_allclose(measured(plane(0.8), noise), 0.8, rtol=1e-5)
    depth = slope(0.8, 0.8)
    middle = (slice(None), slice(100, 140))
    errors = np.stack([measured(depth, noise, seed=seed) - depth for seed in range(20)])[:, *middle]
    step = np.abs(np.diff(depth, axis=1))[middle].mean()
    assert errors.std() == pytest.approx(3.0 * step, rel=0.2)


def test_disparity_and_depth_come_in_steps() -> None:
    noise = dataclasses.replace(QUIET, disparity_step_px=0.125)
    result = measured(slope(0.8, 0.5), noise)
    steps = 36 / result.astype(np.float64) / 0.125
    np.testing.assert_allclose(steps, np.rint(steps), atol=2e-3)
    rounded = measured(slope(0.8, 0.5), dataclasses.replace(QUIET, depth_step_m=0.005)) / 0.005
    np.testing.assert_allclose(rounded, np.rint(rounded), atol=1e-3)


def test_nothing_outside_the_range() -> None:
    noise = dataclasses.replace(QUIET, range_m=(0.5, 1.2))
    for depth, seen in ((0.4, False), (0.6, True), (1.1, True), (1.3, False)):
        assert (measured(plane(depth), noise) > 0).all() == seen
        assert (measured(plane(depth), noise) > 0).any() == seen
    unknown = plane(0.7)
    unknown[:40] = 0
    result = measured(unknown)
    assert not result[:38].any() and result[44:].all()


def visible_to_second_eye(depth: Float32Array, side: int) -> BoolArray:
    """Brute force: walk from each point to the second eye; hidden if the way passes through a surface 1 cm thick."""
    baseline, samples = QUIET.baseline_m, np.linspace(0.002, 0.998, 400)
    row = SIZE // 2
    z = depth[row].astype(np.float64)
    x = (np.arange(SIZE) + 0.5 - CAMERA.cx) / CAMERA.fx * z
    seen = np.ones(SIZE, dtype=np.bool_)
    for column in range(SIZE):
        way_x = x[column] + (side * baseline - x[column]) * samples
        way_z = z[column] * (1 - samples)
        u = np.floor(way_x / way_z * CAMERA.fx + CAMERA.cx).astype(int)
        inside = (u >= 0) & (u < SIZE)
        behind = way_z[inside] - z[u[inside]]
        seen[column] = not ((behind > 1e-3) & (behind < 0.01)).any()
    return seen


@pytest.mark.parametrize(("eye", "side"), [("right", 1), ("left", -1)])
def test_near_things_cast_shadows_to_one_side(eye: str, side: int) -> None:
    depth, mask = block()
    result = measured(depth, dataclasses.replace(QUIET, second_eye=eye))  # type: ignore[arg-type]
    holes = result == 0
    assert not holes[mask].any()
    width = 36 / 0.6 - 36 / 0.8  # px: the step of the disparity
    row = holes[120]
    assert row.sum() == pytest.approx(width, abs=2)
    assert row[90 - 12 : 90].all() if side == 1 else row[150 : 150 + 12].all()
    assert not holes[:78].any() and not holes[162:].any()
    np.testing.assert_array_less((row != ~visible_to_second_eye(depth, side)).sum(), 3)


def test_a_thin_thing_hides_a_strip_and_not_all_behind_it() -> None:
    depth = plane(0.9)
    depth[:, 180:184] = 0.5
    holes = measured(depth)[120] == 0
    shadow = 36 / 0.5 - 36 / 0.9
    assert holes.sum() == pytest.approx(4, abs=2)
    assert abs(np.flatnonzero(holes).mean() - (182 - shadow)) < 2
    np.testing.assert_array_less((holes != ~visible_to_second_eye(depth, 1)).sum(), 4)


def test_eyes_see_what_their_field_of_view_holds() -> None:
    """Parallel eyes miss a band as wide as the disparity on one side; toed-in ones none at that distance."""
    half = SIZE / 2 / 600
    noise = dataclasses.replace(QUIET, field_of_view_rad=(2 * math.atan(half), 2.0))
    for depth in (0.6, 1.2):
        holes = measured(plane(depth), noise) == 0
        assert holes.sum(axis=1).mean() == pytest.approx(36 / depth, abs=2) and holes[:, : int(36 / depth) - 9].all()
        toed = measured(plane(depth), dataclasses.replace(noise, verge_m=depth))
        assert (toed == 0).sum(axis=1).mean() < 3  # the border is ragged
    narrow = measured(plane(0.8), dataclasses.replace(QUIET, field_of_view_rad=(2.0, 2 * math.atan(half / 2))))
    assert not narrow[:58].any() and narrow[62:178].all()


def test_edges_grow_and_have_holes() -> None:
    depth, mask = block()
    noise = dataclasses.replace(QUIET, window_px=9.0, edge_growth=0.4, edge_holes=0.3, second_eye="left")
    grown, holes = [], []
    beside = np.zeros_like(mask)
    beside[90:150, 86:90] = True  # left of the near thing, no shadow there
    for seed in range(60):
        result = measured(depth, noise, seed=seed)
        grown.append(np.isclose(result[beside], 0.6, rtol=1e-3).mean())
        holes.append((result[beside] == 0).mean())
        assert (result[mask] > 0).all()
        assert (result[20:60, 20:60] > 0).all()
    assert np.mean(grown) == pytest.approx(0.4, abs=0.07)
    assert np.mean(holes) == pytest.approx(0.3, abs=0.07)


def test_slopes_are_no_edges() -> None:
    noise = dataclasses.replace(QUIET, window_px=9.0, edge_growth=0.4, edge_holes=0.6)
    assert measured(slope(0.8, math.radians(70)), noise).all()


def test_speckle_is_as_frequent_as_asked() -> None:
    for radius in (0.0, 1.5):
        noise = dataclasses.replace(QUIET, speckle_holes=0.02, speckle_px=radius)
        holes = np.mean([(measured(plane(0.7), noise, seed=seed) == 0).mean() for seed in range(12)])
        assert holes == pytest.approx(0.02, rel=0.2)


def hole_rate(depth: Float32Array, noise: DepthNoise, *, image: UInt8Array = GREY, gloss: float = 0.0) -> float:
    maps = np.full((SIZE, SIZE), gloss, dtype=np.float32)
    results = [measured(depth, noise, image=image, gloss=maps, seed=seed) for seed in range(8)]
    return float(np.mean([(one[60:180, 60:180] == 0).mean() for one in results]))


def test_dark_glossy_burnt_and_steep_surfaces_are_lost() -> None:
    dark = dataclasses.replace(QUIET, dark_level=0.02)
    levels = [hole_rate(plane(0.7), dark, image=np.full_like(GREY, level)) for level in (0, 8, 15, 25, 128)]
    assert levels[0] == 1 and levels == sorted(levels, reverse=True) and levels[-1] == 0
    assert 0.2 < levels[1] < 1
    half = np.full_like(GREY, 8)
    half[: SIZE // 4] = 200  # beside a bright surface the same level is dark; the rates are those of the middle
    assert hole_rate(plane(0.7), dark, image=half) > levels[1] + 0.1
    dim = (half * 0.6).astype(np.uint8)
    assert hole_rate(plane(0.7), dark, image=dim) == pytest.approx(hole_rate(plane(0.7), dark, image=half), abs=0.1)
    shiny = dataclasses.replace(QUIET, gloss_loss=0.6)
    assert hole_rate(plane(0.7), shiny, gloss=1.0) == pytest.approx((0.6 - 0.05) / 0.95, abs=0.12)
    assert hole_rate(plane(0.7), shiny, gloss=0.05) == 0
    glare = dataclasses.replace(QUIET, glare=0.9)
    assert hole_rate(plane(0.7), glare, gloss=0.8) > 0.4  # a mirror that faces the sensor
    assert hole_rate(slope(0.7, 0.9), glare, gloss=0.8) < 0.02  # turned away it reflects elsewhere
    white = np.full_like(GREY, 255)
    assert hole_rate(slope(0.7, 0.9), glare, gloss=0.8, image=white) > 0.4
    assert hole_rate(plane(0.7), glare, image=white) == 0  # white paper
    steep = dataclasses.replace(QUIET, steep_rad=math.radians(60))
    rates = [hole_rate(slope(0.7, math.radians(angle)), steep) for angle in (30, 55, 75)]
    assert rates[0] == rates[1] == 0 and rates[2] > 0.3


@pytest.mark.parametrize("degrees", [0, 30, 60, 80])
def test_surface_angles_of_a_slope(degrees: float) -> None:
    """Off the axis the line of sight is turned by the pixel's own angle."""
    angles = surface_angles(slope(0.8, math.radians(degrees)), CAMERA)
    x = np.degrees(np.arctan((np.arange(SIZE) + 0.5 - CAMERA.cx) / CAMERA.fx))
    row = np.degrees(angles[SIZE // 2])
    np.testing.assert_allclose(row[5:-5], np.abs(degrees + x)[5:-5], atol=1.0)
    depth, mask = block()
    assert np.degrees(surface_angles(depth, CAMERA)).max() < 20  # an edge is no steep surface
    assert mask.any()


def test_gloss_of_materials() -> None:
    paper, plastic, steel, film = (
        _gloss(Material((0.5, 0.5, 0.5), roughness, metallic, opacity=opacity))
        for roughness, metallic, opacity in ((0.9, 0.0, 1.0), (0.2, 0.0, 1.0), (0.1, 1.0, 1.0), (0.5, 0.0, 0.3))
    )
    assert paper < 0.01 < plastic < 0.2 < film <= 0.5 < steel < 1


@pytest.mark.parametrize("sensor", [D435, D415, ZIVID, PHOTONEO], ids=lambda sensor: sensor.name)
def test_real_sensors(sensor: Sensor) -> None:
    """More holes at edges than inside, noise as the model says, the same for the same seed."""
    camera = Camera(SIZE, SIZE, *intrinsics(sensor, (SIZE, SIZE)))
    depth, mask = block(0.65, 0.75)
    result = measured(depth, sensor.depth, camera=camera)
    assert result.tobytes() == measured(depth, sensor.depth, camera=camera).tobytes()
    assert result.tobytes() != measured(depth, sensor.depth, camera=camera, seed=1).tobytes()
    ring = np.zeros_like(mask)
    ring[70:170, 80:160] = True
    ring[92:148, 102:138] = False
    inside = np.zeros_like(mask)
    inside[95:145, 105:135] = True
    holes = result == 0
    assert holes[ring].mean() > 5 * holes[inside].mean() + 0.02
    assert holes[inside].mean() < 0.05
    model = sensor.depth
    errors = np.concatenate(
        [(measured(plane(0.7), model, camera=camera, seed=s)[90:150, 90:150] - 0.7).ravel() for s in range(40)]
    )
    errors = errors[errors > -0.5]
    expected = 0.7**2 / (model.focal_px * model.baseline_m) * model.disparity_noise_px
    rounding = math.hypot(0.7**2 / (model.focal_px * model.baseline_m) * model.disparity_step_px, model.depth_step_m)
    assert errors.std() == pytest.approx(math.hypot(expected, rounding / math.sqrt(12)), rel=0.15)
