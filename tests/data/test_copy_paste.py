"""Copy-paste. The oracle repaints each sample pixel by pixel: the donor's picture carries its own coordinates, so that
the pixels deep inside a pasted part tell which part it is, how it is turned and where it lies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from graspnext.data.augmentation import AugmentationConfig, augment, augment_at, draw_placement
from graspnext.data.copy_paste import MAX_HIDDEN, MAX_SIDE, can_be_pasted
from graspnext.data.crop import Placement
from graspnext.data.format import ManifestEntry
from graspnext.data.reader import Dataset, OpenView
from graspnext.data.sample import Sample
from graspnext.data.stream import GROUP, SampleStream
from graspnext.errors import ConfigError
from graspnext.types import BoolArray, Instance, View

SIDE = 120
STILL: dict[str, Any] = {
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
AT_ONE = AugmentationConfig(
    size=96, scale_range=(1.0, 1.0), min_visible_px=12, paste_probability=1.0, paste_parts=4, **STILL
)
AROUND = np.ones((3, 3), dtype=np.bool_)
DONOR_BLUE = 251
"""The third channel of the donor's picture; the view's stays below."""


@pytest.fixture(scope="module")
def view(tiny_view: Callable[..., View]) -> View:
    """Holds (u, v, 0) at the pixel (u, v), so that suction can be looked up."""
    made = tiny_view("s", 0, size=SIDE, num_parts=9, rng=np.random.default_rng(11))
    return replace(made, image=coordinates(0))


@pytest.fixture(scope="module")
def donor(tiny_view: Callable[..., View]) -> View:
    """Holds (u, v, DONOR_BLUE) at the pixel (u, v)."""
    made = tiny_view("d", 0, size=SIDE, num_parts=7, rng=np.random.default_rng(13))
    assert sum(can_be_pasted(one, (SIDE, SIDE)) for one in made.labels.instances) >= 3
    return replace(made, image=coordinates(DONOR_BLUE))


def coordinates(blue: int) -> np.ndarray:
    v, u = np.mgrid[0:SIDE, 0:SIDE]
    return np.stack([u, v, np.full_like(u, blue)], axis=-1).astype(np.uint8)


def both(view: View, donor: View, config: AugmentationConfig, seed: int) -> tuple[Sample, Sample]:
    """The same sample without and with pasted parts."""
    plain = augment(view, config, rng=np.random.default_rng(seed))
    return plain, augment(view, config, rng=np.random.default_rng(seed), donor=lambda _: donor)


def read_off(sample: Sample, index: int, donor: View) -> tuple[Instance, BoolArray, np.ndarray, np.ndarray]:
    """Which part of the donor a pasted one is, its mask by its own pixels, and origin and steps of its map."""
    core = ndimage.binary_erosion(sample.visible_masks[index], AROUND)
    assert (sample.image[core][:, 2] == DONOR_BLUE).all()
    rows, columns = np.nonzero(core)
    design = np.stack([columns, rows, np.ones(len(rows))], axis=1)
    steps = np.linalg.lstsq(design, sample.image[core][:, :2].astype(float), rcond=None)[0].round()  # (3, 2)
    assert (design @ steps == sample.image[core][:, :2]).all()  # a rigid map of pixels to pixels
    assert abs(np.linalg.det(steps[:2])) == 1
    v, u = np.mgrid[0 : AT_ONE.size, 0 : AT_ONE.size]
    where = np.stack([u, v, np.ones_like(u)], axis=-1) @ steps  # (S, S, 2) donor pixel under each
    x, y = where[..., 0].astype(int), where[..., 1].astype(int)
    known = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    ids = np.where(known, donor.labels.instance_ids[np.clip(y, 0, SIDE - 1), np.clip(x, 0, SIDE - 1)], 0)
    (part,) = (one for one in donor.labels.instances if one.id == np.median(ids[core]))
    scores = donor.labels.suction[np.clip(y, 0, SIDE - 1), np.clip(x, 0, SIDE - 1)]
    return part, ids == part.id, scores, steps


def test_at_scale_one_a_repainting_pixel_by_pixel_agrees(view: View, donor: View) -> None:
    compared, seen_turns = 0, set()
    for seed in range(40):
        plain, sample = both(view, donor, AT_ONE, seed)
        count, old = len(sample.boxes) - len(plain.boxes), len(plain.boxes)
        assert 1 <= count <= 4
        size = AT_ONE.size
        covers = [sample.amodal_masks[old + k] for k in range(count)]
        if any(mask.sum() < 60 or sample.visible_masks[old + k].sum() < 60 for k, mask in enumerate(covers)):
            continue  # too little is seen to read its map off the picture
        top = np.full((size, size), -1)  # which pasted part is seen at each pixel
        scores = view.labels.suction[plain.image[..., 1], plain.image[..., 0]]
        assert np.array_equal(plain.image[..., 2] == 0, np.ones_like(top, dtype=bool))
        for k in range(count):
            part, mask, own_scores, steps = read_off(sample, old + k, donor)
            assert can_be_pasted(part, (SIDE, SIDE))
            np.testing.assert_array_equal(covers[k], mask)
            top[mask] = k
            scores = np.where(mask, own_scores, scores)
            x, y = sample.centers[old + k]
            back = np.array([x - 0.5, y - 0.5, 1]) @ steps + 0.5
            np.testing.assert_allclose(back, part.center_of_mass[:2], atol=1e-3)
            rows, columns = np.nonzero(mask)
            assert sample.boxes[old + k].tolist() == [
                columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            ]  # fmt: skip
            seen_turns.add(tuple(steps[:2].ravel()))
            compared += 1
        for k in range(count):  # pasted parts: only later ones hide them
            np.testing.assert_array_equal(sample.visible_masks[old + k], top == k)
            part, *_ = read_off(sample, old + k, donor)
            lost = covers[k].sum() - (top == k).sum()
            assert sample.occluded[old + k] == (lost / part.visible_mask.sum() >= 0.05)
        assert not sample.occluded[-1]
        np.testing.assert_allclose(sample.suction, pooled(scores), atol=1e-6)
        check_below(view, plain, sample, top >= 0)
        check_picture(plain, sample, top >= 0)
    assert compared > 40
    assert len(seen_turns) == 8


def check_below(view: View, plain: Sample, sample: Sample, covered: BoolArray) -> None:
    """Instances of the view keep all but visible pixels, and what follows from them."""
    old = len(plain.boxes)
    for name in ("boxes", "amodal_masks", "centers"):
        np.testing.assert_array_equal(getattr(sample, name)[:old], getattr(plain, name))
    for index in range(old):
        before = plain.visible_masks[index]
        np.testing.assert_array_equal(sample.visible_masks[index], before & ~covered)
        (part,) = (
            one
            for one in view.labels.instances
            if one.amodal_mask[plain.image[..., 1], plain.image[..., 0]].tolist() == plain.amodal_masks[index].tolist()
        )
        lost = int((before & covered).sum())
        rate = 1 - (int(part.visible_mask.sum()) - lost) / int(part.amodal_mask.sum())
        assert sample.occluded[index] == (part.occluded or (lost > 0 and rate >= 0.05))
        left, whole = sample.visible_masks[index].sum(), plain.amodal_masks[index].sum()
        assert sample.ignore[index] == (part.ignore or left < 12 or left < 0.05 * whole)


def check_picture(plain: Sample, sample: Sample, covered: BoolArray) -> None:
    """Nothing outside the pasted masks changes; their rim lies between what was there and what came."""
    np.testing.assert_array_equal(sample.image[~covered], plain.image[~covered])
    blue = sample.image[..., 2]
    assert (blue[covered] >= 0.4 * DONOR_BLUE).all()
    assert (blue[covered] < DONOR_BLUE).any()  # a soft rim


def pooled(values: np.ndarray) -> np.ndarray:
    size = len(values) // 4
    return np.asarray(values.reshape(size, 4, size, 4).mean(axis=(1, 3)), dtype=np.float32)


@pytest.mark.parametrize("scale", [0.4, 0.77, 1.6])
def test_at_other_scales_pasted_parts_have_the_crops_scale(view: View, donor: View, scale: float) -> None:
    config = replace(AT_ONE, scale_range=(scale, scale), size=128, paste_parts=1, min_visible_px=8)
    whole = 0
    for seed in range(25):
        plain, sample = both(view, donor, config, seed)
        old = len(plain.boxes)
        if len(sample.boxes) == old:
            continue
        mask = sample.amodal_masks[-1]
        np.testing.assert_array_equal(sample.image[~mask], plain.image[~mask])
        np.testing.assert_array_equal(sample.visible_masks[-1], mask)
        np.testing.assert_array_equal(sample.visible_masks[:old], plain.visible_masks & ~mask)
        on_view = seen_of_view(plain)
        assert not (mask & ~on_view).any()  # padding stays bare
        rows, columns = np.nonzero(mask)
        if (ndimage.binary_dilation(mask, AROUND) & ~on_view).any() or rows.min() < 1 or columns.min() < 1:
            continue
        if rows.max() > 126 or columns.max() > 126:
            continue
        sides = sorted(sample.boxes[-1][2:] - sample.boxes[-1][:2])
        fitting = [
            one
            for one in donor.labels.instances
            if can_be_pasted(one, (SIDE, SIDE))
            and abs(mask.sum() / (one.visible_mask.sum() * scale**2) - 1) < 0.12
            and np.abs(np.array(sides) - np.sort(one.amodal_box[2:] - one.amodal_box[:2]) * scale).max() <= 1.01
        ]
        assert fitting
        centroid = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
        assert np.hypot(*(centroid - sample.centers[-1])) < 1  # flat symmetric parts
        whole += 1
    assert whole >= 4


@pytest.mark.parametrize(("scale", "size"), [(0.6, 96), (1.4, 176)])
def test_occlusion_follows_from_the_share_of_the_whole_part_that_is_hidden(
    view: View, donor: View, scale: float, size: int
) -> None:
    config = replace(AT_ONE, scale_range=(scale, scale), size=size, min_visible_px=8)  # the crop shows the whole view
    decided = {False: 0, True: 0}
    for seed in range(40):
        plain, sample = both(view, donor, config, seed)
        old = len(plain.boxes)
        assert old == len(view.labels.instances)
        outside = np.pad(~seen_of_view(plain), 1, constant_values=True)
        for index, (amodal, visible) in enumerate(zip(sample.amodal_masks, sample.visible_masks, strict=True)):
            if index < old:
                part = view.labels.instances[index]
                lost = (plain.visible_masks[index] & ~visible).sum()
                if lost == 0 or part.occluded:
                    assert sample.occluded[index] == part.occluded
                    continue
                rate = part.occluded_rate + lost / (part.amodal_mask.sum() * scale**2)
            elif (ndimage.binary_dilation(np.pad(amodal, 1), AROUND) & outside).any():
                continue  # cut off by the view's border: how large the whole part is cannot be seen
            else:
                rate = (amodal & ~visible).sum() / amodal.sum()
            if abs(rate - 0.05) > 0.006:
                assert sample.occluded[index] == (rate > 0.05)
                decided[bool(sample.occluded[index])] += 0.01 < rate < 0.1
    assert min(decided.values()) >= 4, decided


def seen_of_view(sample: Sample) -> BoolArray:
    """The rectangle that is not padding, which is of one colour."""
    colours, counts = np.unique(sample.image.reshape(-1, 3), axis=0, return_counts=True)
    if counts.max() < 300:
        return np.ones(sample.image.shape[:2], dtype=bool)
    other = (sample.image != colours[counts.argmax()]).any(axis=-1)
    rows, columns = other.any(axis=1), other.any(axis=0)
    assert ndimage.label(rows)[1] == ndimage.label(columns)[1] == 1
    return np.outer(rows, columns)


def test_only_whole_parts_of_sane_size_are_pasted(view: View, donor: View) -> None:
    free = [one for one in donor.labels.instances if can_be_pasted(one, (SIDE, SIDE))]

    def pasted(*instances: Instance, config: AugmentationConfig = AT_ONE) -> int:
        only = replace(donor, labels=replace(donor.labels, instances=instances))
        plain, sample = both(view, only, config, 3)
        if len(sample.boxes) == len(plain.boxes):
            for name, value in vars(plain).items():
                np.testing.assert_array_equal(value, getattr(sample, name))
        return len(sample.boxes) - len(plain.boxes)

    one = free[0]
    small = replace(AT_ONE, min_visible_px=int(one.visible_mask.sum()) + 1)
    wide = one.amodal_box + np.array([0, 0, 1 + MAX_SIDE * AT_ONE.size - (one.amodal_box[2] - one.amodal_box[0]), 0])
    at_border = one.amodal_box.copy()
    at_border[0] = 0
    shrunk = replace(AT_ONE, scale_range=(0.5, 0.5))
    assert pasted(one) == 1
    assert pasted() == 0
    assert pasted(one, config=replace(shrunk, min_visible_px=int(one.visible_mask.sum() * 0.25) - 5)) == 1
    assert pasted(one, config=replace(shrunk, min_visible_px=int(one.visible_mask.sum() * 0.25) + 5)) == 0
    assert pasted(one, config=small) == 0
    assert pasted(replace(one, ignore=True)) == 0
    assert pasted(replace(one, occluded_rate=MAX_HIDDEN + 1e-3)) == 0
    assert pasted(replace(one, amodal_box=at_border)) == 0
    assert pasted(replace(one, amodal_box=wide.astype(np.float32))) == 0
    assert pasted(*free) >= 1


def test_each_number_of_parts_occurs(view: View, donor: View) -> None:
    config = replace(AT_ONE, paste_parts=3, min_visible_px=1)
    counts = []
    for seed in range(60):
        plain, sample = both(view, donor, config, seed)
        counts.append(len(sample.boxes) - len(plain.boxes))
    assert set(counts) == {1, 2, 3}
    assert min(counts.count(n) for n in (1, 2, 3)) > 10


def test_the_rate_of_pasting_is_the_one_asked_for(view: View, donor: View) -> None:
    config = replace(AT_ONE, paste_probability=0.3)
    pasted = 0
    for seed in range(200):
        plain, sample = both(view, donor, config, seed)
        pasted += len(sample.boxes) > len(plain.boxes)
    assert 40 <= pasted <= 80  # 60 expected, deviation 6.5


def test_unknown_suction_stays_unknown_and_known_stays_known(view: View, donor: View) -> None:
    blind = replace(donor, labels=replace(donor.labels, missing=frozenset({"suction"})))
    for seed in range(5):
        plain, sample = both(view, blind, AT_ONE, seed)
        covered = sample.visible_masks[len(plain.boxes) :].any(axis=0)
        cells = covered.reshape(24, 4, 24, 4).any(axis=(1, 3))
        np.testing.assert_array_equal(np.isnan(sample.suction), cells)
        np.testing.assert_array_equal(sample.suction[~cells], plain.suction[~cells])


def test_all_else_is_as_without_pasted_parts(view: View, donor: View) -> None:
    config = AugmentationConfig(size=96, blur_probability=0.0, noise_probability=1.0, paste_probability=1.0)
    for seed in range(8):
        plain, sample = both(view, donor, config, seed)
        covered = sample.visible_masks[len(plain.boxes) :].any(axis=0)
        np.testing.assert_array_equal(sample.image[~covered], plain.image[~covered])


def test_without_it_nothing_is_drawn_or_read(view: View) -> None:
    def never(_: np.random.Generator) -> View:
        raise AssertionError("no donor is needed")

    config = replace(AT_ONE, paste_probability=0.0)
    for seed in range(5):
        plain = augment(view, config, rng=np.random.default_rng(seed))
        sample = augment(view, config, rng=np.random.default_rng(seed), donor=never)
        for name, value in vars(plain).items():
            np.testing.assert_array_equal(value, getattr(sample, name))


def test_samples_without_pasted_parts_are_the_ones_they_always_were(tiny_dataset: Path) -> None:
    """Labels of 25 samples as they were before parts could be pasted: what was trained then can be trained again."""
    stream = SampleStream(Dataset(tiny_dataset), "train", AugmentationConfig(size=64, scale_range=(0.6, 1.5)), seed=3)
    digest = hashlib.sha256()
    for number in range(25):
        sample = stream.sample(number)
        for values in (sample.boxes, sample.visible_masks, sample.amodal_masks, sample.occluded, sample.ignore):
            digest.update(values.tobytes())
    assert digest.hexdigest() == "60e21728c8993adb003037034a158569f4c2361b07a4bd37a5c14bf2e84f74dd"


def test_a_sample_does_not_depend_on_what_was_made_before(tiny_dataset: Path) -> None:
    config = AugmentationConfig(size=64, paste_probability=1.0)
    stream = SampleStream(Dataset(tiny_dataset), "train", config, seed=0)
    samples = [stream.sample(number) for number in range(14)]  # groups reach over the epoch of 10 views
    for number in (13, 2, 9, 10, 0):
        again = SampleStream(Dataset(tiny_dataset), "train", config, seed=0).sample(number)
        for name, value in vars(samples[number]).items():
            np.testing.assert_array_equal(value, getattr(again, name))


def test_parts_come_from_the_group_and_each_view_is_opened_once(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset(tiny_dataset)
    opened: list[int] = []
    entries = dataset.split("train")
    read = dataset.open

    def counted(entry: ManifestEntry) -> OpenView:
        opened.append(entries.index(entry))
        return read(entry)

    monkeypatch.setattr(dataset, "open", counted)
    stream = SampleStream(dataset, "train", AugmentationConfig(size=64, paste_probability=1.0), seed=1)
    for number in range(8):
        stream.sample(number)
    assert len(opened) == 8
    groups = [set(opened[:GROUP]), set(opened[GROUP:])]
    assert all(len(group) == GROUP for group in groups)

    for number in range(20):  # one alone: its own view, and that of another of the group
        opened.clear()
        SampleStream(dataset, "train", AugmentationConfig(size=64, paste_probability=1.0), seed=1).sample(number)
        assert len(set(opened)) == 2
    plain = SampleStream(Dataset(tiny_dataset), "train", AugmentationConfig(size=64), seed=1)
    firsts = [plain._index(number) for number in range(8)]
    assert [set(firsts[:4]), set(firsts[4:])] == groups


def shown(place: Placement, instance: Instance) -> bool:
    return place.shows(instance.amodal_box)


def test_what_a_placement_does_not_show_is_not_needed(tiny_dataset: Path) -> None:
    dataset = Dataset(tiny_dataset)
    config = AugmentationConfig(size=32, scale_range=(0.5, 2.0))
    skipped = 0
    for seed, entry in enumerate(dataset.split("train") * 4):
        whole = dataset.read(entry, depth=False)
        rng = np.random.default_rng(seed)
        place = draw_placement(whole.image.shape[:2], config, rng=rng)
        part = dataset.open(entry).view(partial(shown, place))
        skipped += len(whole.labels.instances) - len(part.labels.instances)
        expected = augment(whole, config, rng=np.random.default_rng(seed))
        for name, value in vars(augment_at(place, part, config, rng=rng)).items():
            np.testing.assert_array_equal(value, getattr(expected, name))
    assert skipped > 40


@pytest.mark.parametrize(
    ("field", "value"), [("paste_probability", 1.2), ("paste_probability", -0.1), ("paste_parts", 0)]
)
def test_a_value_out_of_range_is_named(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        AugmentationConfig(**{field: value})  # type: ignore[arg-type]


def test_turns_follow_what_the_crop_may_do(view: View, donor: View) -> None:
    config = replace(AT_ONE, flip=False, rotate90=False, paste_parts=1)
    corners = set()
    for seed in range(20):
        plain, sample = both(view, donor, config, seed)
        if sample.visible_masks[-1].sum() > 60 and len(sample.boxes) > len(plain.boxes):
            *_, steps = read_off(sample, len(plain.boxes), donor)
            corners.add(tuple(steps[:2].ravel()))
    assert corners == {(1, 0, 0, 1)}


def test_places_are_spread_over_the_whole_view(view: View, donor: View) -> None:
    config = replace(AT_ONE, paste_parts=1)
    middles = []
    for seed in range(80):
        plain, sample = both(view, donor, config, seed)
        if len(sample.boxes) > len(plain.boxes):
            box = sample.boxes[-1]
            middles.append([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    spread = np.array(middles) / config.size  # (M, 2)
    for axis in range(2):
        counts = np.histogram(spread[:, axis], bins=4, range=(0, 1))[0]
        assert counts.min() > 5, counts
    assert all(a != b for a, b in pairwise(middles))
