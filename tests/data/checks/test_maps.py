"""Maps against masks: moved labels, maps of another view, missing and saturated depth, the sensor's depth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter
from pycocotools import mask as coco_mask
from tests.data.damage import bless, edit_json, encoded, repaint

from graspnext.data.check import check_dataset
from graspnext.data.faults import Fault
from graspnext.types import BoolArray

VIEW = Path("scenes/000000/0_labels.json")
DEPTH, RGB, SENSOR = "scenes/000000/0_depth.png", "scenes/000000/0_rgb.png", "scenes/000000/0_sensor_depth.png"


def moved(mask: BoolArray, x: int, y: int) -> BoolArray:
    """Shifted, what leaves the image is lost."""
    height, width = mask.shape
    out = np.zeros_like(mask)
    rows, columns = np.nonzero(mask)
    inside = (rows + y >= 0) & (rows + y < height) & (columns + x >= 0) & (columns + x < width)
    out[rows[inside] + y, columns[inside] + x] = True
    return out


def box(mask: BoolArray) -> list[float]:
    if not mask.any():
        return [0, 0, 0, 0]
    rows, columns = np.nonzero(mask)
    x, y = int(columns.min()), int(rows.min())
    return [x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y]


def move(one: dict[str, Any], x: int, y: int) -> None:
    """Move all of an instance, so that nothing in the labels contradicts itself."""
    masks = {}
    for key in ("segmentation", "visible_mask"):
        masks[key] = moved(coco_mask.decode(one[key]) == 1, x, y)
        one[key] = encoded(masks[key])
    amodal, visible = masks["segmentation"], masks["visible_mask"]
    rate = 1 - visible.sum() / max(amodal.sum(), 1)
    one.update(bbox=box(amodal), visible_bbox=box(visible), occluded_rate=float(rate), occluded=bool(rate >= 0.05))
    one["center_of_mass"] = [one["center_of_mass"][0] + x, one["center_of_mass"][1] + y, one["center_of_mass"][2]]
    one["ignore"] = not visible.any() or one["ignore"]


def faults_after(root: Path, change: Callable[[dict[str, Any]], object]) -> list[Fault]:
    edit_json(root / VIEW, change)
    bless(root)
    return check_dataset(root)


@pytest.mark.parametrize("shift", [(5, 0), (-4, 0), (0, 6), (4, -4)])
def test_a_view_whose_masks_all_moved_is_found(copy: Path, shift: tuple[int, int]) -> None:
    faults = faults_after(copy, lambda content: [move(one, *shift) for one in content["instances"]])
    (fault,) = [fault for fault in faults if "better" in fault.problem and "depth" in fault.problem]
    assert (fault.file, fault.field) == (str(VIEW), "instances")
    x, y = (int(word) for word in fault.problem.split() if word[0] in "+-")
    assert abs(x + shift[0]) <= 1
    assert abs(y + shift[1]) <= 1


def test_one_moved_mask_is_found_and_only_that_one(copy: Path) -> None:
    index = []

    def change(content: dict[str, Any]) -> None:
        sizes = [coco_mask.area(one["visible_mask"]) for one in content["instances"]]
        free = [one["occluded_rate"] == 0 and min(one["bbox"][:2]) > 6 for one in content["instances"]]
        index.append(int(np.argmax(np.array(sizes) * free)))
        move(content["instances"][index[0]], -5, 0)

    faults = faults_after(copy, change)
    moved_ones = [fault for fault in faults if "its border fits the depth better" in fault.problem]
    assert [fault.field for fault in moved_ones] == [f"instances[{index[0]}].visible_mask"]


def test_the_depth_of_another_view_is_found_though_its_hash_is_right(copy: Path) -> None:
    shutil.copy(copy / "scenes/000000/1_depth.png", copy / DEPTH)
    bless(copy)
    assert any(fault.file == DEPTH and "of another view" in fault.problem for fault in check_dataset(copy))


def test_the_picture_of_another_view_is_found_though_its_hash_is_right(copy: Path) -> None:
    other = Image.open(copy / "scenes/000002/1_rgb.png").filter(ImageFilter.MedianFilter(5))  # less noise
    other.save(copy / RGB)
    bless(copy)
    told = [fault.problem for fault in check_dataset(copy) if fault.file == RGB]
    assert any("of another view" in problem or "shifted labels" in problem for problem in told)


def test_a_picture_too_wild_to_show_borders_raises_no_alarm(copy: Path) -> None:
    rng = np.random.default_rng(4)
    repaint(copy / RGB, lambda pixels: np.copyto(pixels, rng.integers(0, 256, pixels.shape, dtype=np.uint8)))
    bless(copy)
    assert check_dataset(copy) == []


def test_a_shifted_picture_is_found(copy: Path) -> None:
    repaint(copy / RGB, lambda pixels: np.copyto(pixels, np.roll(pixels, 6, axis=1)))
    bless(copy)
    (fault,) = check_dataset(copy)
    assert fault.file == RGB
    assert "+6 px in x" in fault.problem


def test_saturated_depth_is_found(copy: Path) -> None:
    repaint(copy / DEPTH, lambda pixels: pixels.__setitem__((slice(0, 3), slice(None)), 65535))
    bless(copy)
    assert any(fault.file == DEPTH and "largest count" in fault.problem for fault in check_dataset(copy))


def test_parts_without_depth_are_found_and_told_by_number(copy: Path) -> None:
    ids = {one["id"] for one in json.loads((copy / VIEW).read_text())["instances"]}
    repaint(copy / DEPTH, lambda pixels: pixels.__setitem__((slice(None), slice(0, 48)), 0))
    bless(copy)
    told = [fault for fault in check_dataset(copy) if "have no depth" in fault.problem]
    assert told
    assert all(int(fault.problem.split(" id ")[1].split()[0]) in ids for fault in told)


@pytest.mark.parametrize("field", ["missing", "approximate"])
def test_depth_that_is_said_to_be_missing_or_rough_may_have_holes(copy: Path, field: str) -> None:
    columns = slice(None) if field == "missing" else slice(0, 48)
    repaint(copy / DEPTH, lambda pixels: pixels.__setitem__((slice(None), columns), 0))
    assert faults_after(copy, lambda content: content.update({field: ["depth"]})) == []


def add_sensor(root: Path, change: Callable[[Any], Any]) -> None:
    counts = np.array(Image.open(root / DEPTH))
    Image.fromarray(np.asarray(change(counts), dtype=np.uint16)).save(root / SENSOR)
    lines = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    lines[0]["sha256"]["sensor_depth"] = ""
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    bless(root)


def test_a_sensor_with_noise_and_holes_is_no_fault(copy: Path) -> None:
    rng = np.random.default_rng(0)
    add_sensor(copy, lambda counts: (counts + rng.normal(0, 40, counts.shape)) * (rng.random(counts.shape) > 0.2))
    assert check_dataset(copy) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [(lambda counts: counts * 1.1, "differs from the clean depth by 10%"), (lambda counts: counts * 0, "no pixel")],
)
def test_a_sensor_that_measures_something_else_is_found(copy: Path, change: Callable[[Any], Any], words: str) -> None:
    add_sensor(copy, change)
    (fault,) = check_dataset(copy)
    assert fault.file == SENSOR
    assert words in fault.problem
