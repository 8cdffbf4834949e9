"""Augmentation. The oracle is the picture itself: it carries the view's coordinates, so each output pixel tells where
it came from, and masks, boxes, centres and suction must agree with what the view has there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from graspnext.data.augmentation import AugmentationConfig, augment
from graspnext.data.sample import Sample
from graspnext.errors import ConfigError
from graspnext.types import BoolArray, Float64Array, View

SIDE = 120
STILL = {
    "brightness": 0.0,
    "contrast": 0.0,
    "saturation": 0.0,
    "hue": 0.0,
    "white_balance": 0.0,
    "gamma": 0.0,
    "blur_probability": 0.0,
    "noise_probability": 0.0,
}
"""No change of colour."""


@pytest.fixture(scope="module")
def mapped(tiny_view: Callable[..., View]) -> View:
    """A view whose picture holds (2 u, 2 v, tent(u, v)) at the pixel (u, v)."""
    view = tiny_view("s", 0, size=SIDE, num_parts=9, rng=np.random.default_rng(11))
    v, u = np.mgrid[0:SIDE, 0:SIDE]
    return replace(view, image=np.stack([2 * u, 2 * v, tent(u, v)], axis=-1).astype(np.uint8))


def tent(u: Float64Array, v: Float64Array) -> Float64Array:
    """A third channel that tells the view from padding: no constant colour, not even the mean, has its value."""
    return np.asarray(2 * np.abs(u - SIDE / 2) + np.abs(v - SIDE / 2))


def origins(sample: Sample) -> tuple[Float64Array, BoolArray]:
    """Where each output pixel came from, (S, S, 2) px centres in the view, and which lie on the view."""
    u, v = sample.image[..., 0] / 2.0, sample.image[..., 1] / 2.0
    on_view = np.abs(sample.image[..., 2] - tent(u, v)) <= 4
    return np.stack([u + 0.5, v + 0.5], axis=-1), on_view


def tight(mask: BoolArray) -> list[int]:
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize("size", [64, 160])
def test_at_scale_one_every_pixel_keeps_its_labels(mapped: View, size: int) -> None:
    config = AugmentationConfig(size=size, scale_range=(1.0, 1.0), min_visible_px=5, **STILL)
    orientations = set()
    for seed in range(24):
        sample = augment(mapped, config, rng=np.random.default_rng(seed))
        where, on_view = origins(sample)
        u, v = (np.where(on_view, where[..., axis] - 0.5, 0).astype(int) for axis in range(2))
        suction = np.where(on_view, mapped.labels.suction[v, u], 0)
        np.testing.assert_allclose(sample.suction, pooled(suction), atol=1e-6)

        expected = []
        for one in mapped.labels.instances:
            amodal = one.amodal_mask[v, u] & on_view
            if amodal.any():
                expected.append((one, amodal, one.visible_mask[v, u] & on_view))
        assert len(sample.boxes) == len(expected)
        step_x, step_y, corner = affine(where, on_view)
        orientations.add((*step_x, *step_y))
        for index, (one, amodal, visible) in enumerate(expected):
            np.testing.assert_array_equal(sample.amodal_masks[index], amodal)
            np.testing.assert_array_equal(sample.visible_masks[index], visible)
            assert sample.boxes[index].tolist() == tight(amodal)
            assert sample.occluded[index] == one.occluded
            few = visible.sum() < 5 or visible.sum() < 0.05 * amodal.sum()
            assert sample.ignore[index] == (one.ignore or few)
            x, y = sample.centers[index]
            np.testing.assert_allclose(corner + x * step_x + y * step_y, one.center_of_mass[:2], atol=1e-3)
    assert len(orientations) == 8  # all mirrors and quarter turns


def pooled(values: Float64Array) -> Float64Array:
    cells = range(0, len(values), 4)
    return np.array([[values[y : y + 4, x : x + 4].mean(dtype=np.float64) for x in cells] for y in cells], np.float32)


def affine(where: Float64Array, on_view: BoolArray) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Steps in the view for a step in x and in y, and the view's point at the output's corner (0, 0)."""
    rows, columns = np.nonzero(on_view)
    design = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)
    solution = np.linalg.lstsq(design, where[on_view], rcond=None)[0]
    return np.round(solution[0], 6), np.round(solution[1], 6), solution[2]


@pytest.mark.parametrize("scale", [0.6, 0.83, 1.5])
def test_at_other_scales_labels_follow_the_picture(mapped: View, scale: float) -> None:
    config = AugmentationConfig(size=96, scale_range=(scale, scale), **STILL)
    checked = 0
    for seed in range(8):
        sample = augment(mapped, config, rng=np.random.default_rng(seed))
        where, on_view = origins(sample)
        step_x, step_y, corner = affine(where, on_view)
        assert np.linalg.norm(step_x) == pytest.approx(1 / scale, rel=0.02)
        v, u = np.mgrid[0:96, 0:96] + 0.5
        exact = corner + u[..., None] * step_x + v[..., None] * step_y  # (S, S, 2)
        for index, center in enumerate(sample.centers):
            back = corner + center[0] * step_x + center[1] * step_y
            distance = [np.hypot(*(back - one.center_of_mass[:2])) for one in mapped.labels.instances]
            one = mapped.labels.instances[int(np.argmin(distance))]
            assert min(distance) < 0.5
            for mask, whole in (
                (sample.amodal_masks[index], one.amodal_mask),
                (sample.visible_masks[index], one.visible_mask),
            ):
                for y, x in np.argwhere(on_view)[::17]:
                    column, row = np.floor(exact[y, x]).astype(int)
                    around = whole[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
                    if around.size and (around.all() or not around.any()):  # a pixel away from any border
                        assert mask[y, x] == around.all()
                        checked += 1
            assert sample.boxes[index].tolist() == tight(sample.amodal_masks[index])
    assert checked > 1000


def test_nothing_to_change_changes_nothing(tiny_view: Callable[..., View]) -> None:
    view = tiny_view("s", 0, size=64, num_parts=4, rng=np.random.default_rng(3))
    config = AugmentationConfig(size=64, scale_range=(1.0, 1.0), flip=False, rotate90=False, **STILL)
    sample = augment(view, config, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(sample.image, view.image)
    np.testing.assert_array_equal(sample.amodal_masks, [one.amodal_mask for one in view.labels.instances])


def test_quarter_turns_alone_never_mirror(mapped: View) -> None:
    config = AugmentationConfig(size=96, scale_range=(1.0, 1.0), flip=False, **STILL)
    turns = set()
    for seed in range(24):
        step_x, step_y, _ = affine(*origins(augment(mapped, config, rng=np.random.default_rng(seed))))
        assert step_x[0] * step_y[1] - step_x[1] * step_y[0] == pytest.approx(1, abs=1e-3)  # +1: no mirror
        turns.add(tuple(step_x))
    assert len(turns) == 4


def test_the_same_state_gives_the_same_sample(mapped: View) -> None:
    config = AugmentationConfig(size=64, noise_probability=1.0, blur_probability=1.0)
    one, same, other = (augment(mapped, config, rng=np.random.default_rng(seed)) for seed in (4, 4, 5))
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(same, name))
    assert not np.array_equal(one.image, other.image)


def test_a_crop_beside_all_parts_has_empty_targets(mapped: View) -> None:
    bare = replace(mapped, labels=replace(mapped.labels, instances=(), suction=mapped.labels.suction * 0))
    sample = augment(bare, AugmentationConfig(size=32), rng=np.random.default_rng(0))
    assert sample.boxes.shape == (0, 4)
    assert sample.visible_masks.shape == (0, 32, 32)
    assert not sample.suction.any()


def test_views_need_not_be_square(mapped: View) -> None:
    top = 70
    instances = []
    for one in mapped.labels.instances:
        amodal, visible = one.amodal_mask[:top], one.visible_mask[:top]
        if amodal.any():
            box = np.array(tight(amodal), dtype=np.float32)
            instances.append(replace(one, amodal_mask=amodal, visible_mask=visible, amodal_box=box))
    labels = replace(
        mapped.labels,
        instances=tuple(instances),
        instance_ids=mapped.labels.instance_ids[:top],
        suction=mapped.labels.suction[:top],
    )
    view = replace(mapped, image=mapped.image[:top], labels=labels)
    config = AugmentationConfig(size=80, scale_range=(1.0, 1.0), **STILL)
    for seed in range(8):
        sample = augment(view, config, rng=np.random.default_rng(seed))
        where, on_view = origins(sample)
        assert on_view.sum() == 70 * 80
        u, v = (np.where(on_view, where[..., axis] - 0.5, 0).astype(int) for axis in range(2))
        union = np.any([one.amodal_mask for one in instances], axis=0)
        np.testing.assert_array_equal(sample.amodal_masks.any(axis=0), union[v, u] & on_view)


def test_grey_stays_grey_under_hue_and_saturation(mapped: View) -> None:
    grey = replace(mapped, image=np.repeat(mapped.image[..., :1], 3, axis=2))
    config = AugmentationConfig(
        size=SIDE, scale_range=(1.0, 1.0), flip=False, rotate90=False, **(STILL | {"saturation": 0.9, "hue": 0.5})
    )
    for seed in range(5):
        image = augment(grey, config, rng=np.random.default_rng(seed)).image
        assert np.abs(image.astype(int) - grey.image).max() <= 1


def test_noise_has_the_spread_that_is_asked_for(mapped: View) -> None:
    flat = replace(mapped, image=np.full_like(mapped.image, 128))
    config = AugmentationConfig(size=SIDE, scale_range=(1.0, 1.0), **(STILL | {"noise_probability": 1.0}))
    spreads = []
    for seed in range(40):
        noise = augment(flat, config, rng=np.random.default_rng(seed)).image.astype(float) - 128
        assert abs(noise.mean()) < 0.2
        spreads.append(noise.std())
    assert 0 <= min(spreads) < 2
    assert 6 < max(spreads) <= 8.3  # uniform in 0 ... 8 levels


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 30),
        ("size", 0),
        ("scale_range", (1.5, 0.5)),
        ("scale_range", (0.0, 1.0)),
        ("contrast", 1.0),
        ("brightness", float("nan")),
        ("noise_probability", 1.5),
        ("noise_levels", -1.0),
        ("min_visible_px", -1),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=field):
        AugmentationConfig(**{field: value})  # type: ignore[arg-type]
