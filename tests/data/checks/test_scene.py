"""A scene's folder and its account against the labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.damage import bless, edit_json, edit_manifest

from graspnext.data.check import check_dataset

SCENE = Path("scenes/000000/scene.json")
LABELS = "scenes/000000/0_labels.json"


def give_account(root: Path) -> None:
    """What `world make` writes beside the labels, for the first view (the second is of other parts: it is removed)."""
    labels = json.loads((root / LABELS).read_text())
    T_world_camera = np.array(labels["camera"]["T_world_camera"])
    placements = [
        {"id": one["id"], "part": one["part"], "T_world_part": (T_world_camera @ one["T_camera_part"]).tolist()}
        for one in labels["instances"]
    ]
    parts = [{"name": one["part"], "family": "sheet", "center_of_mass_m": [0, 0, 0]} for one in labels["instances"]]

    def change(scene: dict[str, Any]) -> None:
        scene["info"] |= {"parts": parts, "placements": placements}
        del scene["views"][1]

    edit_json(root / SCENE, change)
    for path in (root / "scenes/000000").glob("1_*"):
        path.unlink()
    edit_manifest(root, lambda lines: lines.pop(1))
    edit_json(root / "dataset.json", lambda info: info.update(views_per_scene=None))
    bless(root)


def test_an_account_that_agrees_is_no_fault(copy: Path) -> None:
    give_account(copy)
    assert check_dataset(copy) == []


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        (
            lambda i: i["placements"][1]["T_world_part"][0].__setitem__(3, 9.0),
            "instances[1].T_camera_part",
            "elsewhere",
        ),
        (lambda i: i["placements"][2].update(part="x"), "instances[2].part", "'x'"),
        (lambda i: i["placements"].pop(0), "instances[0].id", "no placement 1"),
        (lambda i: i["parts"][3].update(center_of_mass_m=[0.01, 0, 0]), "instances[3].center_of_mass", "from where"),
        (lambda i: i["placements"][0].update(id="x"), "info.placements[0].id", "integer"),
        (lambda i: i.update(look={"lux": [1, float("nan")]}), "info.look.lux[1]", "nan is not a finite number"),
    ],
)
def test_an_account_that_disagrees_is_found(
    copy: Path, change: Callable[[dict[str, Any]], object], field: str, words: str
) -> None:
    give_account(copy)
    edit_json(copy / SCENE, lambda scene: change(scene["info"]))
    (fault,) = check_dataset(copy)
    assert fault.field == field
    assert words in fault.problem


def test_a_file_that_belongs_to_no_view_is_found(copy: Path) -> None:
    (copy / "scenes/000001/notes.txt").write_text("x")
    (copy / "scenes/000001/.aside.part").write_text("still being written")
    (fault,) = check_dataset(copy)
    assert fault.file == "scenes/000001/notes.txt"


def test_a_difficulty_that_the_labels_do_not_have_is_found(copy: Path) -> None:
    found = json.loads((copy / SCENE).read_text())["views"][0]["difficulty"]
    edit_manifest(copy, lambda lines: lines[0].update(difficulty=found % 5 + 1))
    told = {(fault.file, fault.field) for fault in check_dataset(copy)}
    assert told == {("manifest.jsonl", "difficulty"), (str(SCENE), "views[0].difficulty")}


def test_layers_that_stand_on_their_head_or_leave_a_gap_are_found(copy: Path) -> None:
    def invert(content: dict[str, Any]) -> None:
        most = max(one["layer"] for one in content["instances"])
        assert most > 0
        for one in content["instances"]:
            one["layer"] = most - one["layer"]

    edit_json(copy / LABELS, invert)
    bless(copy)
    faults = check_dataset(copy)
    assert faults
    assert all(fault.field.endswith(".layer") and "is seen in front of" in fault.problem for fault in faults)

    def gap(content: dict[str, Any]) -> None:
        invert(content)
        for one in content["instances"]:
            one["layer"] *= 2

    edit_json(copy / LABELS, gap)
    bless(copy)
    assert any("no part of the view lies in layer" in fault.problem for fault in check_dataset(copy))


@pytest.mark.parametrize("change", [lambda c: c["camera"].update(fx=500.0), lambda c: c["instances"][0].update(id=0)])
def test_pixels_far_from_square_and_an_id_of_0_are_found(copy: Path, change: Callable[[Any], Any]) -> None:
    edit_json(copy / LABELS, change)
    bless(copy)
    fields = {fault.field for fault in check_dataset(copy)}
    assert fields & {"camera.fy", "instances[0].id"}
