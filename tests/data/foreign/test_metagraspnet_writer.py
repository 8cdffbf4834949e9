"""Our datasets in MetaGraspNet's layout: others can read them, and so can we, with the same labels."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.data.foreign.layout_check import check_layout

from graspnext.data.check import check_dataset
from graspnext.data.foreign.convert import convert
from graspnext.data.foreign.metagraspnet_reader import MetaGraspNet, MetaGraspNetOptions
from graspnext.data.foreign.metagraspnet_writer import (
    MetaGraspNetExport,
    export_metagraspnet,
    scene_numbers,
    write_view,
)
from graspnext.data.reader import Dataset
from graspnext.errors import ConfigError, DatasetError, OutputError
from graspnext.types import View


@pytest.fixture(scope="module", params=["seg_masks_single", "occlusion_objects"])
def exported(request: pytest.FixtureRequest, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / request.param
    count = export_metagraspnet(Dataset(tiny_dataset), out, MetaGraspNetExport(mask_key=request.param))
    assert count == 20
    return out


def test_an_independent_check_of_the_layout_accepts_it(exported: Path) -> None:
    assert check_layout(exported, exported.name) == 20


def test_it_reads_back_with_the_same_labels(exported: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    ours = Dataset(tiny_dataset)
    options = MetaGraspNetOptions(splits=exported / "splits.json", min_visible_px=12, suction_splat="point")
    report = convert(MetaGraspNet(exported, options), tmp_path / "back")
    assert (report.scenes, report.views, report.refused, report.notes) == (10, 20, [], [])
    assert check_dataset(tmp_path / "back") == []
    back = Dataset(tmp_path / "back")
    names = json.loads((exported / "categories.json").read_text())
    by_key = {(f"scene{int(entry.scene)}", entry.view): entry for entry in ours.entries}
    for entry in back.entries:
        original = by_key[entry.scene, entry.view]
        assert entry.split == original.split
        a, b = ours.read(original), back.read(entry)
        np.testing.assert_array_equal(a.image, b.image)
        assert np.abs(a.labels.depth_m - b.labels.depth_m).max() <= 1.01e-4
        assert (a.camera.fx, a.camera.cx) == (b.camera.fx, b.camera.cx)
        np.testing.assert_allclose(a.camera.T_world_camera, b.camera.T_world_camera, atol=1e-6)
        assert b.labels.missing == frozenset() and b.labels.approximate == {"suction"}
        for x, y in zip(sorted(a.labels.instances, key=lambda i: i.id), b.labels.instances, strict=True):
            np.testing.assert_array_equal(x.amodal_mask, y.amodal_mask)
            np.testing.assert_array_equal(x.visible_mask, y.visible_mask)
            np.testing.assert_array_equal(x.amodal_box, y.amodal_box)
            assert x.occluded_rate == pytest.approx(y.occluded_rate, abs=1e-6)
            assert (x.occluded, x.layer, x.ignore) == (y.occluded, y.layer, y.ignore)
            assert y.part == "unknown" or names[str(int(y.part.removeprefix("ifl_")))] == x.part
            np.testing.assert_allclose(x.center_of_mass, y.center_of_mass, atol=2e-3)
            np.testing.assert_allclose(x.T_camera_part, y.T_camera_part, atol=1e-5)
        points = b.labels.suction > 0  # one pixel of each cell: there the score is the original one
        np.testing.assert_allclose(b.labels.suction[points], a.labels.suction[points], atol=1e-3)
        rows, columns = np.nonzero(a.labels.suction)
        cells = {
            (r // 4, c // 4, i) for r, c, i in zip(rows, columns, a.labels.instance_ids[rows, columns], strict=True)
        }
        assert points.sum() == len(cells)


def test_a_disc_covers_what_the_points_were_taken_from(exported: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    radius = 0.0285  # about 5 px of this camera at that distance: more than the diagonal of a cell
    options = MetaGraspNetOptions(suction_radius_m=radius)
    convert(MetaGraspNet(exported, options), tmp_path / "back")
    back, ours = Dataset(tmp_path / "back"), Dataset(tiny_dataset)
    for entry, original in zip(back.entries[:6], ours.entries[:6], strict=True):
        a, b = ours.read(original).labels, back.read(entry).labels
        assert (b.suction[a.suction > 0] > 0).all()
        assert (b.suction >= a.suction - 0.35).all()  # the slope of these labels over a cell
        assert (b.suction[a.instance_ids == 0] == 0).all()


def test_a_point_a_pixel_brings_the_map_back(tiny_dataset: Path, tmp_path: Path) -> None:
    ours = Dataset(tiny_dataset)
    export_metagraspnet(ours, tmp_path / "mgn", MetaGraspNetExport(suction_spacing_px=1))
    convert(MetaGraspNet(tmp_path / "mgn", MetaGraspNetOptions(suction_splat="point")), tmp_path / "back")
    back = Dataset(tmp_path / "back")
    for entry, original in zip(back.entries, ours.entries, strict=True):
        np.testing.assert_array_equal(back.read(entry).labels.suction, ours.read(original).labels.suction)


def test_the_same_dataset_gives_the_same_bytes(exported: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    export_metagraspnet(Dataset(tiny_dataset), again, MetaGraspNetExport(mask_key=exported.name))  # type: ignore[arg-type]
    files = sorted(path.relative_to(exported) for path in exported.rglob("*") if path.is_file())
    assert len(files) == 20 * 7 + 2
    assert all((exported / name).read_bytes() == (again / name).read_bytes() for name in files)


def test_unknown_labels_are_not_invented(tmp_path: Path, tiny_view: Callable[..., View]) -> None:
    view = tiny_view("a", 0, size=96, num_parts=4, rng=np.random.default_rng(1))
    unknown = np.full(3, np.nan, dtype=np.float32)
    instances = tuple(
        dataclasses.replace(
            one, center_of_mass=unknown if one.id == 1 else one.center_of_mass, T_camera_part=np.full((4, 4), np.nan)
        )
        for one in view.labels.instances
    )
    missing = frozenset({"suction", "camera_pose"})
    partial = dataclasses.replace(view, labels=dataclasses.replace(view.labels, instances=instances, missing=missing))
    write_view(tmp_path, partial, MetaGraspNetExport(), {})
    with h5py.File(tmp_path / "0_scene.hdf5") as file:
        assert "camera" not in file and "suctioncup" not in file["non_colliding_grasps"]
        assert "poses_relative_to_camera" not in file["objects"]
        assert "center_of_mass_relative_to_camera" not in file["keypts/com"]
        assert 1 not in file["keypts/com/object_id"][()] and len(file["keypts/com/object_id"])
    blind = dataclasses.replace(view, labels=dataclasses.replace(view.labels, missing=frozenset({"camera"})))
    with pytest.raises(DatasetError, match="camera is unknown"):
        write_view(tmp_path, blind, MetaGraspNetExport(), {})


def test_centres_that_are_known_roughly_are_not_written_as_true_ones(
    tmp_path: Path, tiny_view: Callable[..., View]
) -> None:
    view = tiny_view("a", 0, size=96, num_parts=4, rng=np.random.default_rng(1))
    rough = dataclasses.replace(view.labels, approximate=frozenset({"center_of_mass"}))
    for labels, written in ((view.labels, True), (rough, False)):
        write_view(tmp_path, dataclasses.replace(view, labels=labels), MetaGraspNetExport(), {})
        with h5py.File(tmp_path / "0_scene.hdf5") as file:
            assert ("center_of_mass_relative_to_camera" in file["keypts/com"]) == written


def test_kinds_of_parts_have_lasting_numbers(tmp_path: Path, tiny_view: Callable[..., View]) -> None:
    """Parts of our families are numbered anew in each scene, so the family is the kind; MetaGraspNet's numbers stay."""
    view = tiny_view("a", 0, size=96, num_parts=4, rng=np.random.default_rng(1))
    names = [("carton-00", "carton"), ("carton-01", "carton"), ("ifl_064", "ifl_064"), ("bolt-m8", "bolt-m8")]
    instances = tuple(
        dataclasses.replace(one, part=part, family=family)
        for one, (part, family) in zip(view.labels.instances, names, strict=True)
    )
    categories: dict[str, int] = {}
    named = dataclasses.replace(view, labels=dataclasses.replace(view.labels, instances=instances))
    write_view(tmp_path, named, MetaGraspNetExport(), categories)
    assert categories == {"carton": 1, "ifl_064": 64, "bolt-m8": 3}
    with h5py.File(tmp_path / "0_scene.hdf5") as file:
        assert file["objects/categories"][()].tolist() == [1, 1, 64, 3]


def test_numbers_of_scenes() -> None:
    assert scene_numbers(["000012", "000003"]) == {"000012": 12, "000003": 3}
    assert scene_numbers(["scene7", "scene07"]) == {"scene7": 0, "scene07": 1}
    assert scene_numbers(["b", "000003"]) == {"b": 0, "000003": 1}


def test_a_folder_in_use_and_bad_options_are_named(tiny_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(OutputError, match="not empty"):
        export_metagraspnet(Dataset(tiny_dataset), tmp_path, MetaGraspNetExport())
    with pytest.raises(ConfigError, match="suction_spacing_px"):
        MetaGraspNetExport(suction_spacing_px=0)
