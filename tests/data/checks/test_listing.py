"""Failed scenes, further cups, and the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.data.damage import edit_json, edit_manifest

from graspnext.data.check import check_dataset


def line(**changes: Any) -> str:
    entry = {"scene": "000000", "attempts": 2, "problems": ["x"], "seconds": {"physics": 1.0}, "memory_mb": 5.0}
    return json.dumps(entry | changes)


def fail(root: Path, *scenes: str, announced: int) -> None:
    failed = [{"scene": scene, "problems": ["x"]} for scene in scenes]
    edit_json(root / "dataset.json", lambda info: info.update(failed_scenes=failed, num_scenes=announced))


def test_announced_scenes_are_those_listed_and_those_failed(copy: Path) -> None:
    fail(copy, "000007", announced=4)
    assert check_dataset(copy) == []
    fail(copy, "000007", announced=3)
    (fault,) = check_dataset(copy)
    assert fault.field == "num_scenes"
    assert "lists 3 and 1 failed" in fault.problem


def test_a_scene_that_failed_and_is_there_or_failed_twice_is_found(copy: Path) -> None:
    fail(copy, "000001", "000008", "000008", announced=4)
    assert [fault.field for fault in check_dataset(copy)] == ["failed_scenes[0]", "failed_scenes[2]"]


def test_maps_of_cups_that_the_dataset_does_not_name_are_found(copy: Path) -> None:
    edit_json(copy / "dataset.json", lambda info: info.update(more_cups={"wide": info["cup"]}))
    faults = check_dataset(copy)
    assert len(faults) == 6
    assert all(fault.field == "sha256.more_suction" and "wide" in fault.problem for fault in faults)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (line(), None),
        (line(attempts=3), "problems"),
        (line(attempts=0), "attempts"),
        (line(seconds={"physics": -1.0}), "seconds.physics"),
        (line(seconds={"physics": float("nan")}), "seconds.physics"),
        (line(scene="000099"), "scene"),
        (line()[:40], ""),
        ("[" * 100_000, ""),
    ],
)
def test_each_line_of_the_log_is_checked(copy: Path, content: str, field: str | None) -> None:
    (copy / "log.jsonl").write_text(line() + "\n" + content + "\n")
    found = [(fault.file, fault.field) for fault in check_dataset(copy)]
    assert found == ([] if field is None else [("log.jsonl:2", field)])


def test_nan_in_the_recipe_is_found_where_it_is(copy: Path) -> None:
    edit_json(copy / "dataset.json", lambda info: info["recipe"].update(a=[{"b": float("inf")}]))
    (fault,) = check_dataset(copy)
    assert (fault.file, fault.field) == ("dataset.json", "recipe.a[0].b")


def test_a_split_changed_in_one_line_is_found(copy: Path) -> None:
    edit_manifest(copy, lambda lines: lines[0].update(split="novel"))
    assert [fault.field for fault in check_dataset(copy)] == ["split"]
