"""The check: silent on a sound dataset, exact about each planted fault, and never a traceback."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from graspnext.data.check import check_dataset
from graspnext.data.faults import Fault
from graspnext.data.reader import Dataset
from graspnext.errors import GraspNextError
from graspnext.types import BoolArray

FIRST = Path("scenes") / "000000"
LABELS = "scenes/000000/0_labels.json"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, tiny_writer: Callable[..., Path]) -> Path:
    return tiny_writer(tmp_path_factory.mktemp("check") / "small", size=40, scenes=4, parts=4)


@pytest.fixture
def copy(tmp_path: Path, small: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "copy"))


def bless(root: Path) -> None:
    """Hash the files anew into manifest and scene.json, so that only their content can be at fault."""
    entries = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    for entry in entries:
        folder = root / "scenes" / entry["scene"]
        names = {"rgb": entry["rgb"]} | {
            key: f"{entry['view']}_{key}.{'json' if key == 'labels' else 'png'}"
            for key in ("depth", "suction", "labels")
        }
        entry["sha256"] = {key: hashlib.sha256((folder / name).read_bytes()).hexdigest() for key, name in names.items()}
        scene = json.loads((folder / "scene.json").read_text())
        for view in scene["views"]:
            if view["view"] == entry["view"]:
                view["sha256"] = entry["sha256"]
        (folder / "scene.json").write_text(json.dumps(scene))
    (root / "manifest.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def faults_after(root: Path, change: Callable[[dict[str, Any]], object]) -> list[Fault]:
    """Faults once the first view's labels are changed and its hashes blessed."""
    path = root / LABELS
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    bless(root)
    return check_dataset(root)


def encoded(mask: BoolArray) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


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


def repaint(path: Path, change: Callable[[Any], None]) -> None:
    pixels = np.array(Image.open(path))
    change(pixels)
    Image.fromarray(pixels).save(path)


def test_suction_on_the_background_is_counted(copy: Path) -> None:
    dataset = Dataset(copy)
    row, column = np.argwhere(dataset.read(dataset.entries[0]).labels.instance_ids == 0)[0]
    repaint(copy / FIRST / "0_suction.png", lambda pixels: pixels.__setitem__((row, column), 9))
    bless(copy)
    (fault,) = check_dataset(copy)
    assert (fault.file, fault.problem) == ("scenes/000000/0_suction.png", "1 background pixels have a suction score")


@pytest.mark.parametrize(("factor", "words"), [(0.0, "no depth"), (0.1, "is seen at")])
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
    assert {fault.file for fault in check_dataset(copy)} == {"scenes/000000/1_rgb.png", "scenes/000001/1_rgb.png"}


def edit_manifest(root: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    lines = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    change(lines)
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


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
    twins = [fault for fault in faults if fault.field == "sha256.rgb"]
    assert len(twins) == 2  # both views
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


def mutate(root: Path, rng: np.random.Generator) -> Path:
    """Damage one file of a dataset at random; the file."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    path = paths[int(rng.integers(len(paths)))]
    content = bytearray(path.read_bytes())
    kind = int(rng.integers(6))
    at = int(rng.integers(len(content)))
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.write_bytes(content[:at])
    elif kind == 2:
        content[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
    elif kind == 3:
        path.write_bytes(content[:at] + rng.bytes(int(rng.integers(1, 40))) + content[at:])
    elif kind == 4:
        path.write_bytes(paths[int(rng.integers(len(paths)))].read_bytes())
    else:
        content[at : at + 8] = rng.bytes(8)
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("chunk", range(6))
def test_random_damage_is_found_and_never_a_traceback(small: Path, tmp_path: Path, chunk: int) -> None:
    for number in range(25):
        rng = np.random.default_rng([chunk, number])
        root = Path(shutil.copytree(small, tmp_path / str(number)))
        before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
        changed = mutate(root, rng)
        if changed.exists() and changed.read_bytes() == before[changed]:
            continue
        faults = check_dataset(root)
        # What is not hashed may change without a contradiction: recipe, seed, the scene's own account, blanks.
        if changed.name not in {"dataset.json", "scene.json", "manifest.jsonl"}:
            relative = str(changed.relative_to(root))
            assert any(fault.file == relative for fault in faults), (relative, faults)
        assert all(fault.problem and fault.advice for fault in faults)
        try:
            dataset = Dataset(root)
            for entry in dataset.entries:
                dataset.read(entry)
        except GraspNextError:
            assert faults  # whatever stops the reader, the check has told


def random_value(rng: np.random.Generator) -> Any:
    values: list[Any] = [None, -1, 0, 1e308, -1e-300, float("nan"), float("inf"), "", "x", [], {}, True, 10**30, [[1]]]
    return values[int(rng.integers(len(values)))]


def replace_somewhere(content: Any, rng: np.random.Generator) -> None:
    """Walk down at random and put a random value in the place of what stands there."""
    while True:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        key = keys[int(rng.integers(len(keys)))]
        if isinstance(content[key], dict | list) and content[key] and rng.random() < 0.9:
            content = content[key]
            continue
        content[key] = random_value(rng)
        return


@pytest.mark.parametrize("chunk", range(3))
def test_random_values_in_the_labels_never_give_a_traceback(small: Path, tmp_path: Path, chunk: int) -> None:
    root = Path(shutil.copytree(small, tmp_path / "copy"))
    original = json.loads((root / LABELS).read_text())
    for number in range(20):
        rng = np.random.default_rng([9, chunk, number])
        content = json.loads(json.dumps(original))
        replace_somewhere(content, rng)
        (root / LABELS).write_text(json.dumps(content))
        bless(root)
        faults = check_dataset(root)
        dataset = Dataset(root)
        try:
            dataset.read(dataset.entries[0])
        except GraspNextError:
            assert any(fault.file == LABELS for fault in faults)
