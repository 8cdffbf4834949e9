"""The reader: what was written comes back, and any damage is one `DatasetError` that names file and field."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graspnext.data.check import check_dataset
from graspnext.data.reader import Dataset
from graspnext.errors import DatasetError, UnknownNameError
from graspnext.types import View


def test_a_view_comes_back_as_it_was_made(tiny_dataset: Path, tiny_view: Callable[..., View]) -> None:
    dataset = Dataset(tiny_dataset)
    entry = dataset.entries[7]
    made = tiny_view(entry.scene, entry.view, size=96, num_parts=6, rng=np.random.default_rng([7, 3, 1]))
    read = dataset.read(entry)
    assert (read.scene_id, read.view_id) == ("000003", 1)
    np.testing.assert_array_equal(read.image, made.image)
    np.testing.assert_array_equal(read.labels.instance_ids, made.labels.instance_ids)
    np.testing.assert_allclose(read.labels.depth_m, made.labels.depth_m, atol=0.51e-4)
    np.testing.assert_allclose(read.labels.suction, made.labels.suction, atol=0.51 / 255)
    np.testing.assert_allclose(read.camera.T_world_camera, made.camera.T_world_camera)
    assert (read.camera.fx, read.camera.cy, read.camera.width) == (made.camera.fx, made.camera.cy, 96)
    assert len(read.labels.instances) == 6
    for one, other in zip(read.labels.instances, made.labels.instances, strict=True):
        for name in ("id", "part", "family", "occluded", "layer", "ignore"):
            assert getattr(one, name) == getattr(other, name), name
        for name in ("amodal_box", "visible_box", "amodal_mask", "visible_mask"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        np.testing.assert_allclose(one.center_of_mass, other.center_of_mass, atol=1e-3)
        np.testing.assert_allclose(one.T_camera_part, other.T_camera_part, atol=1e-8)
        assert one.occluded_rate == pytest.approx(other.occluded_rate, abs=1e-6)


def test_instances_that_are_not_wanted_are_not_decoded(broken: Path) -> None:
    dataset = Dataset(broken)
    entry = dataset.entries[0]
    whole = dataset.read(entry)
    labels = broken / "scenes" / entry.scene / f"{entry.view}_labels.json"
    record = json.loads(labels.read_text())
    damaged = record["instances"][2]["id"]
    record["instances"][2]["segmentation"]["counts"] = "0"
    labels.write_text(json.dumps(record))
    with pytest.raises(DatasetError, match=r"instances\[2\].segmentation"):
        dataset.open(entry).view()
    view = dataset.open(entry).view(lambda one: one.id != damaged)
    assert [one.id for one in view.labels.instances] == [one.id for one in whole.labels.instances if one.id != damaged]
    np.testing.assert_array_equal(
        view.labels.instance_ids, np.where(whole.labels.instance_ids == damaged, 0, whole.labels.instance_ids)
    )
    np.testing.assert_array_equal(view.image, whole.image)
    assert not view.labels.depth_m.any()


def test_splits_share_no_scene_and_hold_all_views(tiny_dataset: Path) -> None:
    dataset = Dataset(tiny_dataset)
    scenes = {name: {entry.scene for entry in dataset.split(name)} for name in ("train", "val", "test", "novel")}
    assert {name: len(found) for name, found in scenes.items()} == {"train": 5, "val": 2, "test": 1, "novel": 2}
    assert len(set().union(*scenes.values())) == 10
    assert sum(len(dataset.split(name)) for name in scenes) == len(dataset.entries) == 20


def test_an_unknown_split_names_the_known_ones(tiny_dataset: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"'training'.*novel, test, train, val"):
        Dataset(tiny_dataset).split("training")


def test_version_1_is_still_read(tiny_dataset: Path, tmp_path: Path) -> None:
    """Its files know nothing of what version 2 added."""
    old = tmp_path / "old"
    shutil.copytree(tiny_dataset, old)
    for file in old.rglob("*.json*"):
        lines = [json.loads(line) for line in ([file.read_text()] if file.suffix == ".json" else file.open())]
        file.write_text("".join(json.dumps(_as_version_1(line)) + "\n" for line in lines))
    assert b"difficulty" not in (old / "manifest.jsonl").read_bytes()
    new = Dataset(tiny_dataset)
    for entry, known in zip(Dataset(old).entries, new.entries, strict=True):
        assert entry.difficulty is None and entry.sha256.more_suction == {}
        read, wanted = Dataset(old).read(entry), new.read(known)
        assert read.sensor == "" and read.sensor_depth_m is None and read.labels.missing == frozenset()
        np.testing.assert_array_equal(read.labels.instance_ids, wanted.labels.instance_ids)
    faults = check_dataset(old)
    assert {fault.file.rpartition("_")[2] for fault in faults} == {"labels.json"}  # rewritten here: another hash
    assert all("hash" in fault.problem for fault in faults) and len(faults) == len(new.entries)


def _as_version_1(record: Any) -> Any:
    """A record of version 2 without what version 1 did not have."""
    added = {"sensor", "missing", "approximate", "difficulty", "sensor_depth", "more_suction"}
    added |= {"renderer", "more_cups", "failed_scenes"}
    if isinstance(record, list):
        return [_as_version_1(one) for one in record]
    if not isinstance(record, dict):
        return record
    kept = {key: _as_version_1(value) for key, value in record.items() if key not in added}
    return kept | ({"schema_version": 1} if "schema_version" in record else {})


def test_depth_can_be_left_out(tiny_dataset: Path) -> None:
    dataset = Dataset(tiny_dataset)
    assert not dataset.read(dataset.entries[0], depth=False).labels.depth_m.any()
    assert dataset.read(dataset.entries[0]).labels.depth_m.all()


@pytest.fixture
def broken(tmp_path: Path, tiny_dataset: Path) -> Path:
    return Path(shutil.copytree(tiny_dataset, tmp_path / "broken"))


def edit_labels(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = root / "scenes" / "000000" / "0_labels.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


FIRST = Path("scenes") / "000000"


@pytest.mark.parametrize("name", ["0_rgb.png", "0_depth.png", "0_suction.png", "0_labels.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "noise", "folder"])
def test_a_damaged_file_is_named(broken: Path, name: str, damage: str) -> None:
    path = broken / FIRST / name
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        noise = np.random.default_rng(0).bytes(500)
        path.write_bytes({"truncated": content[: len(content) * 2 // 3], "empty": b"", "noise": noise}[damage])
    dataset = Dataset(broken)
    with pytest.raises(DatasetError, match=name) as caught:
        dataset.read(dataset.entries[0])
    assert "; " in str(caught.value)  # says what to do
    dataset.read(dataset.entries[1])  # the others still read


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("0_rgb.png", "L", "mode is L"),
        ("0_rgb.png", "RGBA", "mode is RGBA"),
        ("0_depth.png", "L", "mode is L"),
        ("0_suction.png", "RGB", "mode is RGB"),
    ],
)
def test_a_picture_of_another_kind_is_refused(broken: Path, name: str, mode: str, words: str) -> None:
    Image.new(mode, (96, 96)).save(broken / FIRST / name)
    dataset = Dataset(broken)
    with pytest.raises(DatasetError, match=f"{name}.*{words}"):
        dataset.read(dataset.entries[0])


def test_other_picture_formats_are_refused(broken: Path) -> None:
    Image.new("RGB", (96, 96)).save(broken / FIRST / "0_rgb.png", format="BMP")
    dataset = Dataset(broken)
    with pytest.raises(DatasetError, match="not a PNG or WebP"):
        dataset.read(dataset.entries[0])


def test_a_picture_of_another_size_is_refused_before_it_is_decoded(broken: Path) -> None:
    path = broken / FIRST / "0_suction.png"
    content = bytearray(path.read_bytes())
    Image.new("L", (97, 96)).save(path)
    dataset = Dataset(broken)
    with pytest.raises(DatasetError, match=r"97 x 96 px.*96 x 96 px"):
        dataset.read(dataset.entries[0])
    content[16:24] = (60000).to_bytes(4, "big") * 2  # a header that claims 3.6 gigapixels
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="0_suction"):
        dataset.read(dataset.entries[0])


@pytest.mark.parametrize(
    ("field", "change"),
    [
        (r"instances\[1\]\.segmentation", lambda c: c["instances"][1]["segmentation"].update(counts="0")),
        (r"instances\[1\]\.segmentation", lambda c: c["instances"][1]["segmentation"].update(size=[95, 96])),
        (r"instances\[0\]\.visible_mask", lambda c: c["instances"][0]["visible_mask"].update(counts="\x7f\u20ac")),
        (r"instances\[2\]\.id", lambda c: c["instances"][2].update(id=1)),
        (r"instances\[2\]\.id", lambda c: c["instances"][2].update(id=2**40)),
        (r"instances\[0\]\.bbox", lambda c: c["instances"][0].update(bbox=[0, 0, 1, 1])),
        (r"instances\[0\]\.bbox", lambda c: c["instances"][0].update(bbox=[0, 0, 1e300, 1])),
        (r"instances\[0\]\.bbox\[2\]", lambda c: c["instances"][0].update(bbox=[0, 0, float("nan"), 1])),
        (r"instances\[3\]\.layer", lambda c: c["instances"][3].update(layer=-1)),
        (r"instances\[3\]\.colour", lambda c: c["instances"][3].update(colour="red")),
        (r"camera\.fx", lambda c: c["camera"].pop("fx")),
        ("camera", lambda c: c["camera"].update(width=100)),
        ("schema_version", lambda c: c.update(schema_version=3)),
    ],
)
def test_a_wrong_field_is_named(broken: Path, field: str, change: Callable[[dict[str, Any]], object]) -> None:
    edit_labels(broken, change)
    dataset = Dataset(broken)
    with pytest.raises(DatasetError, match=rf"0_labels\.json \[{field}"):
        dataset.read(dataset.entries[0])


@pytest.mark.parametrize("name", ["dataset.json", "manifest.jsonl"])
@pytest.mark.parametrize("content", [None, b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_broken_index_is_named(broken: Path, name: str, content: bytes | None) -> None:
    path = broken / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=name):
        Dataset(broken)


@pytest.mark.parametrize(
    "change", [{"scene": "../../etc"}, {"rgb": "/etc/passwd"}, {"split": "all"}, {"view": 10**400}]
)
def test_the_manifest_leads_nowhere_else(broken: Path, change: dict[str, Any]) -> None:
    path = broken / "manifest.jsonl"
    lines = path.read_text().splitlines()
    lines[4] = json.dumps(json.loads(lines[4]) | change)
    path.write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=rf"manifest\.jsonl:5 \[{next(iter(change))}\]"):
        Dataset(broken)
