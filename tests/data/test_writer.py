"""The writer: bytes that other libraries read, the same each time, and never half a scene."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from graspnext.data.format import ManifestEntry
from graspnext.data.writer import read_scene_files, write_manifest, write_scene
from graspnext.errors import DatasetError, OutputError
from graspnext.types import View


@pytest.fixture(scope="module")
def views(tiny_view: Callable[..., View]) -> list[View]:
    return [tiny_view("s", view, size=64, num_parts=5, rng=np.random.default_rng([1, view])) for view in range(2)]


def test_files_hold_the_labels_as_other_libraries_read_them(tmp_path: Path, views: list[View]) -> None:
    write_scene(tmp_path, "s", scene_info={}, views=views)
    for view in views:
        stem = tmp_path / "scenes" / "s" / str(view.view_id)
        np.testing.assert_array_equal(np.asarray(Image.open(f"{stem}_rgb.png")), view.image)
        depth = Image.open(f"{stem}_depth.png")
        assert depth.mode == "I;16"
        np.testing.assert_allclose(np.asarray(depth) * 1e-4, view.labels.depth_m, atol=0.51e-4)
        np.testing.assert_allclose(np.asarray(Image.open(f"{stem}_suction.png")) / 255, view.labels.suction, atol=0.002)
        record = json.loads(Path(f"{stem}_labels.json").read_text())
        for one, written in zip(view.labels.instances, record["instances"], strict=True):
            np.testing.assert_array_equal(coco_mask.decode(written["segmentation"]) == 1, one.amodal_mask)
            np.testing.assert_array_equal(coco_mask.decode(written["visible_mask"]) == 1, one.visible_mask)
            assert written["bbox"] == coco_mask.toBbox(written["segmentation"]).tolist()  # xywh
            assert written["occluded_rate"] == pytest.approx(one.occluded_rate, abs=1e-6)


def test_the_same_views_give_the_same_bytes(tmp_path: Path, views: list[View]) -> None:
    for name in ("a", "b"):
        write_scene(tmp_path / name, "s", scene_info={"z": 1, "a": [2]}, views=views)
    first, second = (sorted((tmp_path / name / "scenes" / "s").iterdir()) for name in ("a", "b"))
    assert [path.name for path in first] == [path.name for path in second]
    assert len(first) == 9
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(first, second, strict=True))


def test_hashes_are_those_of_the_files_and_can_be_read_back(tmp_path: Path, views: list[View]) -> None:
    files = write_scene(tmp_path, "s", scene_info={}, views=views)
    assert read_scene_files(tmp_path, "s") == files
    for one in files:
        path = tmp_path / "scenes" / "s" / f"{one.view}_suction.png"
        assert one.sha256.suction == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_scene_that_fails_leaves_nothing_behind_and_the_old_one_alone(tmp_path: Path, views: list[View]) -> None:
    depth = views[1].labels.depth_m.copy()
    depth[3, 4] = np.nan
    broken = [views[0], replace(views[1], labels=replace(views[1].labels, depth_m=depth))]
    with pytest.raises(DatasetError, match=r"view 1.*depth_m"):
        write_scene(tmp_path, "s", scene_info={}, views=broken)
    assert not list(tmp_path.iterdir())

    write_scene(tmp_path, "s", scene_info={"kept": True}, views=views)
    with pytest.raises(DatasetError):
        write_scene(tmp_path, "s", scene_info={}, views=broken)
    assert json.loads((tmp_path / "scenes" / "s" / "scene.json").read_text())["info"] == {"kept": True}


def test_leftovers_of_a_killed_run_are_replaced(tmp_path: Path, views: list[View]) -> None:
    leftover = tmp_path / "scenes" / ".s.part"
    leftover.mkdir(parents=True)
    (leftover / "junk").write_text("half")
    write_scene(tmp_path, "s", scene_info={}, views=views[:1])
    assert [path.name for path in (tmp_path / "scenes").iterdir()] == ["s"]
    assert not (tmp_path / "scenes" / "s" / "junk").exists()


def test_values_that_do_not_fit_are_refused(tmp_path: Path, views: list[View]) -> None:
    labels = views[0].labels
    for change, words in (
        ({"labels": replace(labels, suction=labels.suction * 2)}, "suction"),
        ({"labels": replace(labels, depth_m=labels.depth_m[:-1])}, "depth_m"),
        ({"camera": replace(views[0].camera, width=65)}, "size"),
        ({"camera": replace(views[0].camera, fx=float("nan"))}, "fx"),
        ({"image": views[0].image.astype(np.float32)}, "uint8"),
    ):
        with pytest.raises(DatasetError, match=words):
            write_scene(tmp_path, "s", scene_info={}, views=[replace(views[0], **change)])


def test_a_file_in_the_way_is_named(tmp_path: Path, views: list[View]) -> None:
    (tmp_path / "scenes").write_text("in the way")
    with pytest.raises(OutputError, match="scenes"):
        write_scene(tmp_path, "s", scene_info={}, views=views)


def test_the_manifest_is_sorted(tmp_path: Path, views: list[View]) -> None:
    files = write_scene(tmp_path, "s", scene_info={}, views=views)
    entries = [
        ManifestEntry(scene=scene, view=one.view, split="train", rgb=one.rgb, sha256=one.sha256)
        for scene in ("t", "s")
        for one in reversed(files)
    ]
    write_manifest(tmp_path, entries)
    lines = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    assert [(line["scene"], line["view"]) for line in lines] == [("s", 0), ("s", 1), ("t", 0), ("t", 1)]


def test_a_damaged_scene_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"scene\.json"):
        read_scene_files(tmp_path, "s")
    (tmp_path / "scenes" / "s").mkdir(parents=True)
    (tmp_path / "scenes" / "s" / "scene.json").write_text("{")
    with pytest.raises(DatasetError, match=r"scene\.json"):
        read_scene_files(tmp_path, "s")
