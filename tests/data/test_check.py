"""The check: silent on a sound dataset, exact about each planted fault, and never a traceback."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from tests.data.damage import bless, edit_json, edit_manifest, encoded, repaint

from graspnext.data.check import check_dataset
from graspnext.data.faults import Fault
from graspnext.data.reader import Dataset

FIRST = Path("scenes") / "000000"
LABELS = "scenes/000000/0_labels.json"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, tiny_writer: Callable[..., Path]) -> Path:
    return tiny_writer(tmp_path_factory.mktemp("check") / "small", size=40, scenes=4, parts=4)


@pytest.fixture
def copy(tmp_path: Path, small: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "copy"))


def faults_after(root: Path, change: Callable[[dict[str, Any]], object]) -> list[Fault]:
    """Faults once the first view's labels are changed and its hashes blessed."""
    edit_json(root / LABELS, change)
    bless(root)
    return check_dataset(root)


def test_a_sound_dataset_has_no_fault(tiny_dataset: Path, copy: Path) -> None:
    assert check_dataset(tiny_dataset) == []
    bless(copy)  # the tests' own way to write hashes adds none
    assert check_dataset(copy) == []


def visible_index(content: dict[str, Any]) -> int:
    """The instance of which most is seen, among those that the border does not cut."""
    whole = [
        index
        for index, (x, y, width, height) in enumerate(one["bbox"] for one in content["instances"])
        if min(x, y) > 0 and max(x + width, y + height) < 40
    ]
    return max(whole, key=lambda index: int(coco_mask.area(content["instances"][index]["visible_mask"])))


def move_visible(content: dict[str, Any]) -> None:
    one = content["instances"][visible_index(content)]
    mask = np.zeros((40, 40), dtype=bool)
    amodal = coco_mask.decode(one["segmentation"]) == 1
    row, column = np.argwhere(~amodal)[0]
    mask[row, column] = True
    one["visible_mask"] = encoded(mask | (coco_mask.decode(one["visible_mask"]) == 1))


@pytest.mark.parametrize(
    ("fields", "words", "change"),
    [
        ("bbox", "box", lambda c, i: c["instances"][i]["bbox"].__setitem__(0, c["instances"][i]["bbox"][0] + 1)),
        ("visible_bbox", "box", lambda c, i: c["instances"][i].update(visible_bbox=[0, 0, 40, 40])),
        ("occluded_rate", "by the masks", lambda c, i: c["instances"][i].update(occluded_rate=0.77)),
        ("occluded", "rate of", lambda c, i: c["instances"][i].update(occluded=not c["instances"][i]["occluded"])),
        ("visible_mask", "outside the amodal", lambda c, i: move_visible(c)),
        ("center_of_mass", "outside the amodal box", lambda c, i: c["instances"][i].update(center_of_mass=[-9, 50, 1])),
        ("center_of_mass", "in front", lambda c, i: c["instances"][i]["center_of_mass"].__setitem__(2, -0.5)),
        ("T_camera_part", "rigid", lambda c, i: c["instances"][i]["T_camera_part"][0].__setitem__(0, 2.0)),
        (
            "segmentation",
            "empty",
            lambda c, i: c["instances"][i].update(segmentation=encoded(np.zeros((40, 40), bool))),
        ),
        ("segmentation", "runs", lambda c, i: c["instances"][i]["segmentation"].update(counts="1")),
    ],
)
def test_a_wrong_label_is_found_where_it_is(
    copy: Path, fields: str, words: str, change: Callable[[dict[str, Any], int], object]
) -> None:
    where: list[str] = []

    def apply(content: dict[str, Any]) -> None:
        index = visible_index(content)
        where.append(f"instances[{index}].{fields}")
        change(content, index)

    faults = faults_after(copy, apply)
    assert any(fault.file == LABELS and fault.field == where[0] and words in fault.problem for fault in faults), faults
    assert all(fault.file.startswith("scenes/000000/0_") for fault in faults)  # no other view is blamed


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("camera.fx", lambda c: c["camera"].update(fx=1e308)),
        ("camera.fy", lambda c: c["camera"].update(fy=-5)),
        ("camera.cx", lambda c: c["camera"].update(cx=400)),
        ("camera.T_world_camera", lambda c: c["camera"]["T_world_camera"][3].__setitem__(3, 2)),
        ("camera.T_world_camera", lambda c: c["camera"]["T_world_camera"][0].__setitem__(0, -1)),  # a mirror
        ("camera.T_world_camera", lambda c: c["camera"]["T_world_camera"][0].__setitem__(0, 1e200)),
        ("camera.cy", lambda c: c["camera"].update(cy=float("nan"))),
    ],
)
def test_a_wrong_camera_is_found(copy: Path, field: str, change: Callable[[dict[str, Any]], object]) -> None:
    faults = faults_after(copy, change)
    assert any(fault.file == LABELS and fault.field.startswith(field) for fault in faults), faults


def test_the_centre_of_a_part_cut_by_the_border_may_lie_anywhere(copy: Path) -> None:
    def cut(content: dict[str, Any]) -> None:
        mask = np.zeros((40, 40), dtype=bool)
        mask[:5, 10:20] = True
        for one in content["instances"]:  # only one of them may be seen
            one.update(visible_mask=encoded(mask & False), visible_bbox=[0, 0, 0, 0], ignore=True)
            one.update(occluded_rate=1.0, occluded=True)
        content["instances"][0].update(
            segmentation=encoded(mask), bbox=[10, 0, 10, 5], visible_mask=encoded(mask), visible_bbox=[10, 0, 10, 5],
            occluded_rate=0.0, occluded=False, ignore=False, center_of_mass=[90, -30, 0.9],
        )  # fmt: skip

    faults = faults_after(copy, cut)
    assert not [fault for fault in faults if "center_of_mass" in fault.field]
    assert not [fault for fault in faults if fault.file == LABELS]


def test_overlapping_visible_masks_are_found(copy: Path) -> None:
    def overlap(content: dict[str, Any]) -> None:
        whole = np.ones((40, 40), dtype=bool)
        for one in content["instances"][:2]:
            one.update(
                segmentation=encoded(whole), visible_mask=encoded(whole), bbox=[0, 0, 40, 40],
                visible_bbox=[0, 0, 40, 40], occluded_rate=0.0, occluded=False, ignore=False,
            )  # fmt: skip

    faults = faults_after(copy, overlap)
    assert any(fault.field == "instances" and "overlap in 1600 pixels" in fault.problem for fault in faults)


def test_an_id_that_stands_twice_is_found(copy: Path) -> None:
    (fault,) = faults_after(copy, lambda c: c["instances"][3].update(id=c["instances"][0]["id"]))
    assert (fault.file, fault.field) == (LABELS, "instances[3].id")


def test_all_wrong_fields_are_listed_not_just_the_first(copy: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["instances"][0].update(layer=-1, occluded_rate=2)
        content["camera"]["fx"] = 0

    fields = {fault.field for fault in faults_after(copy, change)}
    assert fields == {"instances[0].layer", "instances[0].occluded_rate", "camera.fx"}


def test_suction_on_the_background_is_counted(copy: Path) -> None:
    dataset = Dataset(copy)
    row, column = np.argwhere(dataset.read(dataset.entries[0]).labels.instance_ids == 0)[0]
    repaint(copy / FIRST / "0_suction.png", lambda pixels: pixels.__setitem__((row, column), 9))
    bless(copy)
    (fault,) = check_dataset(copy)
    assert (fault.file, fault.problem) == ("scenes/000000/0_suction.png", "1 background pixels have a suction score")


@pytest.mark.parametrize(("factor", "words"), [(0.0, "no pixel has a depth"), (0.1, "is seen at")])
def test_depth_that_does_not_fit_the_parts_is_found(copy: Path, factor: float, words: str) -> None:
    repaint(copy / FIRST / "0_depth.png", lambda pixels: np.multiply(pixels, factor, out=pixels, casting="unsafe"))
    bless(copy)
    faults = check_dataset(copy)
    assert faults
    assert all(fault.file == "scenes/000000/0_depth.png" and words in fault.problem for fault in faults)


def test_swapped_files_are_found_by_their_hash(copy: Path) -> None:
    first, second = (copy / "scenes" / name / "1_rgb.png" for name in ("000000", "000001"))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    faults = {fault.file: fault.problem for fault in check_dataset(copy) if "the file is" in fault.problem}
    assert faults == {
        "scenes/000000/1_rgb.png": "the file is scenes/000001/1_rgb.png",
        "scenes/000001/1_rgb.png": "the file is scenes/000000/1_rgb.png",
    }


def test_a_scene_in_two_splits_is_found(copy: Path) -> None:
    edit_manifest(copy, lambda lines: lines[1].update(split="test"))
    (fault,) = check_dataset(copy)
    assert (fault.file, fault.field) == ("manifest.jsonl:2", "split")
    assert "train" in fault.problem
    assert "test" in fault.problem


def test_a_scene_that_stands_in_two_splits_under_two_names_is_found(copy: Path) -> None:
    shutil.rmtree(copy / "scenes" / "000002")
    shutil.copytree(copy / "scenes" / "000000", copy / "scenes" / "000002")
    bless(copy)
    faults = check_dataset(copy)
    twins = [fault for fault in faults if "the picture is that of scene 000000" in fault.problem]
    assert [fault.file for fault in twins] == ["scenes/000002/0_rgb.png", "scenes/000002/1_rgb.png"]
    assert all("train, novel" in fault.problem for fault in twins)


def test_scenes_and_views_beside_the_manifest_are_found(copy: Path) -> None:
    edit_manifest(copy, lambda lines: lines.__delitem__(slice(5, 8)))  # second view of scene 2, all of scene 3
    found = {(fault.file, fault.field) for fault in check_dataset(copy)}
    assert found == {
        ("scenes/000003", ""),
        ("scenes/000002/scene.json", "views[1]"),
        ("dataset.json", "num_scenes"),
        ("manifest.jsonl", "view"),
    }


def test_a_scene_being_written_is_no_fault(copy: Path) -> None:
    (copy / "scenes" / ".000009.part").mkdir()
    assert check_dataset(copy) == []


def test_views_are_still_checked_without_dataset_json(copy: Path) -> None:
    (copy / "dataset.json").unlink()
    (copy / FIRST / "1_depth.png").unlink()
    assert [fault.file for fault in check_dataset(copy)] == ["dataset.json", "scenes/000000/1_depth.png"]


def test_a_folder_that_is_no_dataset_is_said_so(tmp_path: Path) -> None:
    assert {fault.file for fault in check_dataset(tmp_path / "nowhere")} == {"dataset.json", "manifest.jsonl"}
