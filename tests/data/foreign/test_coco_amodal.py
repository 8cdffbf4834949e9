"""Reading amodal COCO sets against the piles they were written from, and our own export of one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import write_tiny_dataset
from tests.data.foreign.coco_files import write_set
from tests.data.foreign.metagraspnet_files import small_pile

from graspnext.data.check import check_dataset
from graspnext.data.foreign.coco_amodal import CocoAmodal, CocoAmodalOptions
from graspnext.data.foreign.coco_writer import export_coco_amodal
from graspnext.data.foreign.convert import convert
from graspnext.data.foreign.source import Account
from graspnext.data.reader import Dataset
from graspnext.errors import ConfigError, DatasetError, OutputError


@pytest.mark.parametrize("form", ["compressed", "plain", "polygon"])
def test_a_set(tmp_path: Path, form: str) -> None:
    pile = small_pile()
    write_set(tmp_path, {"17": pile}, form=form)
    source = CocoAmodal(tmp_path, CocoAmodalOptions(depth_unit_m=1e-4))
    (scene,) = source.scenes()
    assert scene.split == "train" and scene.id == "color_17"
    account = Account()
    (view,) = source.views(scene, account)
    assert account.notes == account.refused == []
    assert view.labels.missing == {"camera", "camera_pose", "suction"} and view.labels.approximate == {"depth"}
    np.testing.assert_allclose(view.labels.depth_m, pile.depth_cm / 100, atol=1e-4)
    for index, one in enumerate(view.labels.instances):
        np.testing.assert_array_equal(one.visible_mask, pile.visible[index])
        wrong = (one.amodal_mask ^ pile.amodal[index]).sum()
        assert wrong == 0 if form != "polygon" else wrong < 0.03 * pile.amodal[index].sum()
        assert one.part == "object" and one.id == index + 1
        assert one.occluded_rate == pytest.approx(pile.rates[index], abs=0.03 if form == "polygon" else 1e-4)
        assert np.isnan(one.center_of_mass).all() and np.isnan(one.T_camera_part).all()
    assert [one.layer for one in view.labels.instances] == [2, 1, 0, 0]


def test_depth_of_unknown_unit_is_left_out(tmp_path: Path) -> None:
    write_set(tmp_path, {"17": small_pile()})
    source = CocoAmodal(tmp_path, CocoAmodalOptions())
    (view,) = source.views(source.scenes()[0], Account())
    assert "depth" in view.labels.missing and not view.labels.depth_m.any()


def test_images_that_stand_once_an_annotation_are_one_view(tmp_path: Path) -> None:
    piles = {"1": small_pile(1), "2": small_pile(2)}
    path = write_set(tmp_path, piles, repeat=True)
    assert len(json.loads(path.read_text())["images"]) == 8
    source = CocoAmodal(path, CocoAmodalOptions())
    assert source.root == path.parent  # the pictures are found above it
    views = [view for scene in source.scenes() for view in source.views(scene, Account())]
    assert [len(view.labels.instances) for view in views] == [4, 4]
    np.testing.assert_array_equal(views[1].labels.instance_ids, piles["2"].ids)


def test_a_repeated_annotation_counts_once(tmp_path: Path) -> None:
    path = write_set(tmp_path, {"1": small_pile()})
    content = json.loads(path.read_text())
    content["annotations"] += content["annotations"][:2]
    path.write_text(json.dumps(content))
    source = CocoAmodal(path, CocoAmodalOptions())
    (view,) = source.views(source.scenes()[0], Account())
    assert len(view.labels.instances) == 4


def test_only_the_hidden_mask_is_given(tmp_path: Path) -> None:
    path = write_set(tmp_path, {"1": small_pile()})
    content = json.loads(path.read_text())
    for one in content["annotations"]:
        del one["visible_mask"]
    path.write_text(json.dumps(content))
    source = CocoAmodal(path, CocoAmodalOptions())
    (view,) = source.views(source.scenes()[0], Account())
    np.testing.assert_array_equal(view.labels.instance_ids, small_pile().ids)


def test_one_bad_annotation_costs_its_picture_alone(tmp_path: Path) -> None:
    path = write_set(tmp_path, {"1": small_pile(), "2": small_pile(1), "3": small_pile(2)})
    content = json.loads(path.read_text())
    content["annotations"][0]["occluded_rate"] = float("nan")
    del content["annotations"][5]["segmentation"]
    path.write_text(json.dumps(content))
    report = convert(CocoAmodal(path, CocoAmodalOptions()), tmp_path / "out")
    assert (report.views, report.refused_views) == (1, 2)
    assert [fault.field for fault in report.refused] == ["annotations[0].occluded_rate", "annotations[5].segmentation"]


def test_crowds_and_ignored_instances_stay_so(tmp_path: Path) -> None:
    path = write_set(tmp_path, {"1": small_pile()})
    content = json.loads(path.read_text())
    content["annotations"][0]["iscrowd"] = 1
    content["annotations"][1]["ignore"] = True
    content["annotations"][2]["ignore"] = False
    path.write_text(json.dumps(content))
    source = CocoAmodal(path, CocoAmodalOptions(min_visible_px=10**6))
    (view,) = source.views(source.scenes()[0], Account())
    assert [one.ignore for one in view.labels.instances] == [True, True, False, True]


def test_labels_that_disagree_are_noted_or_refused(tmp_path: Path) -> None:
    path = write_set(tmp_path, {"1": small_pile(), "2": small_pile(1), "3": small_pile(2)})
    content = json.loads(path.read_text())
    content["annotations"][0]["occluded_rate"] = 0.9
    content["annotations"][1]["bbox"][2] += 9
    content["annotations"][4]["visible_mask"]["counts"] = "oops"
    del content["annotations"][9]["visible_mask"], content["annotations"][9]["occluded_mask"]
    path.write_text(json.dumps(content))
    report = convert(CocoAmodal(path, CocoAmodalOptions()), tmp_path / "out")
    assert (report.views, report.refused_views) == (1, 2)
    assert [note.problem.split(" is ")[0] for note in report.notes] == ["occluded_rate", "bbox"]
    assert "annotation 5.visible_mask" in str(report.refused[1]) or "annotation 5.visible_mask" in str(
        report.refused[0]
    )
    assert any("neither visible_mask nor occluded_mask" in str(fault) for fault in report.refused)
    assert check_dataset(tmp_path / "out") == []


def test_scenes_share_a_split(tmp_path: Path) -> None:
    piles = {f"scene{s}_{v}": small_pile(s + v) for s in range(10) for v in range(2)}
    path = write_set(tmp_path, piles)
    path = path.rename(path.with_name("all.json"))
    scenes = CocoAmodal(path, CocoAmodalOptions()).scenes()
    assert [scene.id for scene in scenes] == [f"scene{s}" for s in range(10)]  # 2 before 10, were there one
    assert all(len(scene.content) == 2 for scene in scenes)
    assert [scene.split for scene in scenes].count("train") == 6
    options = CocoAmodalOptions(scene_pattern=r"_(\d)\.png")
    assert [scene.id for scene in CocoAmodal(path, options).scenes()] == ["0", "1"]


def test_names_of_any_length_make_scenes(tmp_path: Path) -> None:
    write_set(tmp_path / "set", {"a" * 40 + "-" + "b" * 119: small_pile(), "-" * 130: small_pile(1)})
    convert(CocoAmodal(tmp_path / "set", CocoAmodalOptions()), tmp_path / "out")
    assert {entry.scene for entry in Dataset(tmp_path / "out").entries} == {"b" * 119, "scene"}
    assert check_dataset(tmp_path / "out") == []


def test_files_that_put_a_scene_into_two_splits_are_refused(tmp_path: Path) -> None:
    path = write_set(tmp_path, {"scene1_0": small_pile(), "scene1_1": small_pile(1)})
    path.with_name("val.json").write_bytes(path.read_bytes())
    with pytest.raises(DatasetError, match="two splits"):
        CocoAmodal(tmp_path, CocoAmodalOptions()).scenes()


def test_paths_that_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    path = write_set(tmp_path / "set", {"1": small_pile()})
    (tmp_path / "secret.png").write_bytes((tmp_path / "set/color/1.png").read_bytes())
    for name in ("../secret.png", "/etc/passwd", "color\\..\\..\\secret.png"):
        content = json.loads(path.read_text())
        content["images"][0]["file_name"] = name
        path.with_name("bad.json").write_text(json.dumps(content))
        source = CocoAmodal(path.with_name("bad.json"), CocoAmodalOptions())
        account = Account()
        assert list(source.views(source.scenes()[0], account)) == []
        assert "leads out" in str(account.refused[0])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", "no lists"),
        ("{", "cannot be read"),
        ('{"images": [], "annotations": []}', "no picture"),
        ('{"images": [{"id": 1}], "annotations": []}', "file_name"),
        ('{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": 2, "segmentation": []}]}', "id 2"),
        ('{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}], "annotations": []}', "id 1 is"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DatasetError, match=problem):
        CocoAmodal(tmp_path, CocoAmodalOptions()).scenes()


def test_bad_options_are_named(tmp_path: Path) -> None:
    for name, value in (
        ("depth_unit_m", 0),
        ("scene_pattern", "("),
        ("scene_pattern", "x"),
        ("images", tmp_path / "n"),
    ):
        with pytest.raises(ConfigError, match=name):
            CocoAmodalOptions(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="no such file"):
        CocoAmodal(tmp_path / "nowhere", CocoAmodalOptions())
    with pytest.raises(DatasetError, match=r"no \*\.json"):
        CocoAmodal(tmp_path, CocoAmodalOptions())


def test_our_export_reads_back(tiny_dataset: Path, tmp_path: Path) -> None:
    ours = Dataset(tiny_dataset)
    assert export_coco_amodal(ours, tmp_path / "coco") == 20
    with pytest.raises(OutputError, match="not empty"):
        export_coco_amodal(ours, tmp_path / "coco")
    report = convert(CocoAmodal(tmp_path / "coco", CocoAmodalOptions(depth_unit_m=1e-4)), tmp_path / "back")
    assert (report.scenes, report.views, report.refused, report.notes) == (10, 20, [], [])
    assert check_dataset(tmp_path / "back") == []
    back = Dataset(tmp_path / "back")
    originals = {(f"scene{entry.scene}", entry.view): entry for entry in ours.entries}
    for entry in back.entries:
        original = originals[entry.scene, entry.view]
        assert entry.split == original.split and entry.sha256.rgb == original.sha256.rgb
        a, b = ours.read(original), back.read(entry)
        assert (a.camera.fx, a.camera.cy) == (b.camera.fx, b.camera.cy)
        np.testing.assert_array_equal(a.labels.depth_m, b.labels.depth_m)
        np.testing.assert_array_equal(a.labels.instance_ids, b.labels.instance_ids)
        for x, y in zip(a.labels.instances, b.labels.instances, strict=True):
            np.testing.assert_array_equal(x.amodal_mask, y.amodal_mask)
            np.testing.assert_allclose(x.center_of_mass, y.center_of_mass, atol=1e-3)
            assert (x.part, x.layer, x.ignore, x.occluded) == (y.part, y.layer, y.ignore, y.occluded)


def test_centres_that_are_known_roughly_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "bins"
    write_tiny_dataset(folder, scenes=3)
    for path in folder.glob("scenes/*/*_labels.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"approximate": ["center_of_mass"]}))
    dataset = Dataset(folder)
    assert all("center_of_mass" in dataset.read(entry).labels.approximate for entry in dataset.entries)
    export_coco_amodal(dataset, tmp_path / "coco")
    content = json.loads((tmp_path / "coco/annotations/train.json").read_text())
    assert content["annotations"] and all(one["center_of_mass"] is None for one in content["annotations"])


def test_the_exported_annotations_suit_pycocotools(tiny_dataset: Path, tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    export_coco_amodal(Dataset(tiny_dataset), tmp_path / "coco")
    coco = COCO(str(tmp_path / "coco/annotations/val.json"))
    for one in coco.loadAnns(coco.getAnnIds()):
        rows, columns = np.nonzero(coco.annToMask(one))
        x, y, w, h = one["bbox"]
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x, y, x + w, y + h)
