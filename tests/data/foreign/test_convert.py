"""Conversion: whole scenes, the same with any number of workers, resumable, refusals told at the end."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.data.foreign.metagraspnet_files import Pile, small_pile, write_real_scene, write_sim_view

from graspnext.cli.main import main
from graspnext.data.check import check_dataset
from graspnext.data.foreign import convert as convert_module
from graspnext.data.foreign.convert import SceneOutcome, convert
from graspnext.data.foreign.metagraspnet_reader import MetaGraspNet, MetaGraspNetOptions
from graspnext.data.reader import Dataset
from graspnext.data.writer import store_scene
from graspnext.errors import ConfigError, DatasetError, OutputError
from graspnext.world.workers import run_tasks


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five scenes of two views, one of which has shifted masks."""
    root = tmp_path_factory.mktemp("mgn")
    for scene in range(5):
        for view in (0, 36):
            shift = 9 if (scene, view) == (2, 36) else 0
            pile = small_pile(scene)
            pile.categories = [scene + 1, view + 2, 50 + scene, 70]
            write_sim_view(root / f"data_ifl_0/scene{10 + scene}", view, pile, shift_px=shift)
    return root


def mgn(root: Path, **options: object) -> MetaGraspNet:
    return MetaGraspNet(root, MetaGraspNetOptions(**options))  # type: ignore[arg-type]


def digest(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def converted(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "bins"
    report = convert(mgn(source), out)
    assert (report.scenes, report.views, report.refused_views, len(report.refused)) == (5, 9, 1, 1)
    return out


def test_what_is_written_is_clean(converted: Path) -> None:
    assert check_dataset(converted) == []
    dataset = Dataset(converted)
    assert dataset.info.recipe_name == "metagraspnet" and dataset.info.views_per_scene is None
    assert {entry.scene: entry.split for entry in dataset.entries} == {
        "scene10": "train",
        "scene11": "train",
        "scene12": "val",
        "scene13": "train",
        "scene14": "test",
    }
    assert [entry.view for entry in dataset.entries if entry.scene == "scene12"] == [0]


def test_another_set_of_the_same_names_is_not_gone_on_with(converted: Path, source: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "bins", tmp_path / "other"
    shutil.copytree(converted, out)
    shutil.copytree(source, other)
    before = digest(out)
    with pytest.raises(OutputError, match="made from metagraspnet"):
        convert(mgn(other), out, resume=True)
    assert digest(out) == before


@pytest.mark.parametrize("inside", [".", "ours", "data_ifl_0/scene10"])
def test_nothing_is_written_into_the_set(source: Path, inside: str) -> None:
    before = digest(source)
    for resume in (False, True):
        with pytest.raises(OutputError, match="only read"):
            convert(mgn(source), source / inside, resume=resume)
    assert digest(source) == before


def test_workers_change_nothing(converted: Path, source: Path, tmp_path: Path) -> None:
    convert(mgn(source), tmp_path / "two", run=partial(run_tasks, workers=2, renew_after=2))
    assert digest(tmp_path / "two") == digest(converted)


def test_an_interrupted_run_goes_on(converted: Path, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "bins"

    def stop(outcomes: Iterable[SceneOutcome], total: int) -> Iterator[SceneOutcome]:
        for done, outcome in enumerate(outcomes):
            if done == 3:
                raise KeyboardInterrupt
            yield outcome

    with pytest.raises(KeyboardInterrupt):
        convert(mgn(source), out, watch=stop)
    assert check_dataset(out) == [] and len({entry.scene for entry in Dataset(out).entries}) == 3
    (out / "scenes/.scene14.part").mkdir()  # a scene that was being written
    with pytest.raises(OutputError, match="--resume"):
        convert(mgn(source), out)
    with pytest.raises(OutputError, match="made from metagraspnet"):
        convert(mgn(source, suction_splat="point"), out, resume=True)
    report = convert(mgn(source), out, resume=True)
    assert (report.kept, report.scenes, report.refused_views) == (3, 5, 1)  # the refusal of a kept scene is told again
    assert digest(out) == digest(converted)


def test_a_stop_between_storing_and_listing_loses_no_scene(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*stored: Any) -> None:
        store_scene(*stored)
        raise KeyboardInterrupt

    monkeypatch.setattr(convert_module, "store_scene", stop)
    with pytest.raises(KeyboardInterrupt):
        convert(mgn(source), tmp_path / "bins")
    assert {entry.scene for entry in Dataset(tmp_path / "bins").entries} == {"scene10"}
    assert check_dataset(tmp_path / "bins") == []


def test_one_conversion_at_a_time(converted: Path, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "bins"

    def meddle(outcomes: Iterable[SceneOutcome], total: int) -> Iterator[SceneOutcome]:
        with pytest.raises(OutputError, match="another run is writing into it"):
            convert(mgn(source), out, resume=True)
        yield from outcomes

    convert(mgn(source), out, watch=meddle)
    assert digest(out) == digest(converted)


def test_a_kill_before_anything_was_written_leaves_the_folder_free(
    converted: Path, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bins"
    out.mkdir()
    (out / "log.jsonl").touch()
    (out / ".dataset.json.1.part").write_text("{")
    convert(mgn(source), out)
    assert digest(out) == digest(converted)


def test_a_failed_scene_beyond_a_smaller_limit_stays_listed(tmp_path: Path) -> None:
    write_sim_view(tmp_path / "mgn/scene1", 0, small_pile())
    write_sim_view(tmp_path / "mgn/scene2", 0, small_pile(), shift_px=9)
    out = tmp_path / "out"
    convert(mgn(tmp_path / "mgn"), out)
    before = digest(out)
    convert(mgn(tmp_path / "mgn"), out, limit=1, resume=True)
    assert [failed.scene for failed in Dataset(out).info.failed_scenes] == ["scene2"]
    assert digest(out) == before


def test_a_scene_without_one_good_view_has_failed(source: Path, tmp_path: Path) -> None:
    write_sim_view(tmp_path / "mgn/scene1", 0, small_pile(), shift_px=9)
    write_sim_view(tmp_path / "mgn/scene2", 0, small_pile())
    report = convert(mgn(tmp_path / "mgn"), tmp_path / "out")
    assert (report.scenes, report.views, report.refused_views) == (1, 1, 1)
    (failed,) = Dataset(tmp_path / "out").info.failed_scenes
    assert failed.scene == "scene1" and "seg_masks_single" in failed.problems[0]
    assert check_dataset(tmp_path / "out") == []


def test_nothing_to_convert_is_an_error(tmp_path: Path) -> None:
    write_sim_view(tmp_path / "mgn/scene1", 0, small_pile(), shift_px=9)
    with pytest.raises(DatasetError, match=r"not one view could be taken over.*more than 3 px"):
        convert(mgn(tmp_path / "mgn"), tmp_path / "out")


def test_views_of_another_size_are_refused(tmp_path: Path) -> None:
    write_sim_view(tmp_path / "mgn/scene1", 0, small_pile())
    write_sim_view(tmp_path / "mgn/scene2", 0, Pile([(30.0, 30.0, 20.0), (60.0, 40.0, 12.0)], 80, 100))
    report = convert(mgn(tmp_path / "mgn"), tmp_path / "out")
    assert report.views == 1 and "100 x 80 px, the first one 120 x 120 px" in str(report.refused[0])


def test_limit(source: Path, tmp_path: Path) -> None:
    assert convert(mgn(source), tmp_path / "out", limit=2).scenes == 2
    assert convert(mgn(source), tmp_path / "out", limit=4, resume=True).kept == 2
    assert convert(mgn(source), tmp_path / "out", limit=1, resume=True).scenes == 4  # nothing is thrown away
    assert check_dataset(tmp_path / "out") == []
    with pytest.raises(ConfigError, match="limit"):
        convert(mgn(source), tmp_path / "other", limit=0)


def test_the_command(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, report = tmp_path / "bins", tmp_path / "report.json"
    words = ["data", "convert", str(source), "--from", "metagraspnet", "--out", str(out)]
    assert main([*words, "--workers", "2", "--json", str(report)]) == 2  # one view was refused
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("refused: data_ifl_0/scene12/36.npz [seg_masks_single[")
    assert lines[-1].endswith("5 scenes (0 kept), 9 views; 0 without labels left out, 1 refused")
    content = json.loads(report.read_text())
    assert (content["views"], content["refused_views"], len(content["refused"])) == (9, 1, 1)
    assert main([*words, "--shift-px", "20"]) == 2
    assert "the folder is not empty" in capsys.readouterr().err
    words[-1] = str(tmp_path / "all")
    assert main([*words, "--shift-px", "20"]) == 0
    assert main(["data", "check", words[-1]]) == 0


def test_a_real_set_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_real_scene(tmp_path / "real/mnt/scene418", small_pile())
    words = ["data", "convert", str(tmp_path / "real"), "--from", "metagraspnet", "--out", str(tmp_path / "out")]
    assert main([*words, "--real-crop"]) == 0
    assert "1 views; 1 without labels left out, 0 refused" in capsys.readouterr().out
    assert main(["data", "check", str(tmp_path / "out")]) == 0
    (view,) = [Dataset(tmp_path / "out").read(entry) for entry in Dataset(tmp_path / "out").entries]
    assert all(np.isnan(one.center_of_mass).all() for one in view.labels.instances)
    assert main(["data", "show", str(tmp_path / "out"), "--out", str(tmp_path / "sheet.png"), "--panel-px", "64"]) == 0


def test_export_by_command(tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "export", str(tiny_dataset), "--out"]
    assert main([*words, str(tmp_path / "a"), "--to", "metagraspnet", "--mask-key", "occlusion_objects"]) == 0
    assert main([*words, str(tmp_path / "b"), "--to", "coco-amodal"]) == 0
    assert "20 views in the layout of coco-amodal" in capsys.readouterr().out
    with np.load(tmp_path / "a/scene3/1.npz") as data:
        assert "occlusion_objects" in data
    assert (tmp_path / "b/annotations/novel.json").is_file()


def test_without_h5py_the_extra_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    words = ["data", "convert", str(source), "--from", "metagraspnet", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "pip install 'graspnext[data]'" in capsys.readouterr().err
    assert h5py is not None
