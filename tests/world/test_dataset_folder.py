"""What resuming keeps, makes again, refuses and sweeps away."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from tests.world import runs

from graspnext.data.format import LogEntry
from graspnext.data.reader import read_info, read_manifest
from graspnext.data.splits import split_of
from graspnext.data.writer import EncodedScene, encode_scene, store_scene
from graspnext.errors import OutputError
from graspnext.types import View
from graspnext.world import dataset_folder
from graspnext.world.dataset_folder import DatasetFolder, _description
from graspnext.world.recipes import RECIPES, Recipe, find_recipe
from graspnext.world.scene_task import SceneResult, scene_id

RECIPE: Recipe = dataclasses.replace(find_recipe("smoke"), scenes=12, views=2, image_size=(96, 96))
FAILING = {3, 13}

Make = Callable[[int], SceneResult]


@pytest.fixture
def make(tiny_view: Callable[..., View]) -> Make:
    """Scene number -> its result: two small views, or a failure."""

    def made(index: int) -> SceneResult:
        name = scene_id(index)
        log = LogEntry(scene=name, attempts=2, problems=["a part still moves"], seconds={"physics": 0.5})
        if index in FAILING:
            return SceneResult(index, None, log.model_copy(update={"problems": ["parts overlap by 2.0 mm"] * 2}))
        views = [
            tiny_view(name, view, size=96, num_parts=3, rng=np.random.default_rng([index, view])) for view in range(2)
        ]
        return SceneResult(index, encode_scene(name, scene_info={"index": index}, views=views), log)

    return made


def open_folder(root: Path, *, recipe: Recipe = RECIPE, seed: int = 1, renderer: str = "classic") -> DatasetFolder:
    return DatasetFolder(root, recipe=recipe, seed=seed, renderer=renderer, resume=True)


def fill(root: Path, make: Make, *, only: Iterable[int] | None = None, scenes: int = RECIPE.scenes) -> list[int]:
    """Make what is missing, or some of it; returns what was made."""
    with open_folder(root, recipe=dataclasses.replace(RECIPE, scenes=scenes)) as folder:
        chosen = [index for index in folder.missing if only is None or index in only]
        for index in chosen:
            folder.add(make(index))
    return chosen


def test_a_dataset_made_in_parts_in_any_order_is_the_same(make: Make, tmp_path: Path) -> None:
    fill(tmp_path / "whole", make)
    assert fill(tmp_path / "parts", make, only=[9, 2, 7]) == [2, 7, 9]
    assert fill(tmp_path / "parts", make) == [0, 1, 3, 4, 5, 6, 8, 10, 11]
    assert fill(tmp_path / "parts", make) == []
    assert runs.reproducible(tmp_path / "whole") == runs.reproducible(tmp_path / "parts")
    info = read_info(tmp_path / "whole")
    assert [(one.scene, one.problems) for one in info.failed_scenes] == [("000003", ["parts overlap by 2.0 mm"] * 2)]
    entries = read_manifest(tmp_path / "whole")
    assert {entry.scene for entry in entries} == {scene_id(i) for i in range(12) if i != 3}
    assert all(entry.split == "novel" for entry in entries if entry.scene == "000009")
    assert {entry.split for entry in entries if entry.scene == "000004"} == {split_of(4, novel=False)}


def test_a_dataset_grows(make: Make, tmp_path: Path) -> None:
    fill(tmp_path / "long", make, scenes=20)
    fill(tmp_path / "grown", make, scenes=12)
    assert fill(tmp_path / "grown", make, scenes=20) == list(range(12, 20))
    assert runs.reproducible(tmp_path / "long") == runs.reproducible(tmp_path / "grown")
    assert {one.scene for one in read_info(tmp_path / "grown").failed_scenes} == {"000003", "000013"}


def test_a_dataset_does_not_shrink_below_what_it_holds(make: Make, tmp_path: Path) -> None:
    fill(tmp_path, make)
    before = runs.reproducible(tmp_path)
    with pytest.raises(OutputError, match="holds scenes up to 000011, more than the 5 asked for; ask for at least"):
        fill(tmp_path, make, scenes=5)
    assert runs.reproducible(tmp_path) == before
    part = tmp_path / "part"
    fill(part, make, only=range(4))
    fill(part, make, scenes=5)  # what was only planned may be given up
    assert read_info(part).num_scenes == 5


@pytest.mark.parametrize("damage", ["missing", "truncated", "swapped", "bit", "scene.json", "view", "folder"])
def test_a_damaged_scene_is_made_again(damage: str, make: Make, tmp_path: Path) -> None:
    fill(tmp_path, make)
    before = runs.reproducible(tmp_path)
    scene = tmp_path / "scenes" / "000005"
    picture = scene / "0_depth.png"
    if damage == "missing":
        picture.unlink()
    elif damage == "truncated":
        picture.write_bytes(picture.read_bytes()[:-1])
    elif damage == "swapped":
        shutil.copy(scene / "1_depth.png", picture)
    elif damage == "bit":
        content = bytearray(picture.read_bytes())
        content[len(content) // 2] ^= 1
        picture.write_bytes(content)
    elif damage == "scene.json":
        (scene / "scene.json").write_text("{}")
    elif damage == "view":
        record = json.loads((scene / "scene.json").read_text())
        record["views"].pop()
        (scene / "scene.json").write_text(json.dumps(record))
    else:
        shutil.rmtree(scene)
        scene.write_text("a file")
    if damage == "folder":
        scene.unlink()
    assert fill(tmp_path, make) == [5]
    assert runs.reproducible(tmp_path) == before


def test_leftovers_are_swept_and_a_torn_log_is_mended(make: Make, tmp_path: Path) -> None:
    fill(tmp_path, make, only=range(6))
    before = runs.reproducible(tmp_path)
    log = (tmp_path / "log.jsonl").read_bytes()
    assert len(log.splitlines()) == 6
    for torn in (b'{"scene":"0000', b'{"scene":"000006"}\n', bytes(40)):
        (tmp_path / "log.jsonl").write_bytes(log + torn)
        for name in (".000008.part", ".000001.old.part"):
            (tmp_path / "scenes" / name).mkdir()
            (tmp_path / "scenes" / name / "0_rgb.png").write_bytes(b"half")
        (tmp_path / ".manifest.jsonl.123.part").write_bytes(b"half")
        fill(tmp_path, make, only=())
        assert (tmp_path / "log.jsonl").read_bytes() == log
        assert not list(tmp_path.rglob("*.part"))
        assert runs.reproducible(tmp_path) == before
    fill(tmp_path, make)
    lines = [LogEntry.model_validate_json(line) for line in (tmp_path / "log.jsonl").read_bytes().splitlines()]
    assert [line.scene for line in lines] == [scene_id(index) for index in range(12)]
    assert all({"physics", "write"} <= line.seconds.keys() and line.attempts == 2 for line in lines)


def test_a_run_that_wrote_nothing_yet_can_begin_again(make: Make, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").touch()
    (tmp_path / ".dataset.json.77.part").write_bytes(b"{")
    DatasetFolder(tmp_path, recipe=RECIPE, seed=1, renderer="classic", resume=False).__exit__(None, None, None)
    assert read_manifest(tmp_path) == []


def test_what_does_not_fit_is_refused_by_name(make: Make, tmp_path: Path) -> None:
    root = tmp_path / "made"
    fill(root, make, only=range(3))
    before = runs.reproducible(root)
    other = dataclasses.replace(RECIPE, min_visible_px=30)
    for change, message in (
        ({"seed": 2}, "made with seed = 1, not 2"),
        ({"renderer": "filament"}, "made with renderer = classic, not filament"),
        ({"recipe": other}, r"made with recipe\.min_visible_px = 16, not 30"),
        ({"recipe": dataclasses.replace(RECIPE, views=3)}, r"made with recipe\.views = 2, not 3"),
        (
            {"recipe": dataclasses.replace(RECIPE, cup=dataclasses.replace(RECIPE.cup, radius_m=0.02))},
            r"made with recipe\.cup\.radius_m = 0\.01, not 0\.02",
        ),
    ):
        with pytest.raises(OutputError, match=message):
            open_folder(root, **change)
    with pytest.raises(OutputError, match="not empty; choose another one, or add --resume"):
        DatasetFolder(root, recipe=RECIPE, seed=1, renderer="classic", resume=False)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="no dataset that could be resumed"):
        open_folder(foreign)
    assert [path.name for path in foreign.iterdir()] == ["notes.txt"]
    assert runs.reproducible(root) == before


def test_a_stop_between_storing_and_listing_loses_no_line(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(root: Path, name: str, encoded: EncodedScene) -> None:
        store_scene(root, name, encoded)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_folder(tmp_path) as folder:
        folder.add(make(0))
        monkeypatch.setattr(dataset_folder, "store_scene", interrupted)
        folder.add(make(1))
    assert {entry.scene for entry in read_manifest(tmp_path)} == {"000000", "000001"}


def test_one_writer_at_a_time(make: Make, tmp_path: Path) -> None:
    with open_folder(tmp_path) as folder:
        folder.add(make(0))
        with pytest.raises(OutputError, match="another run is writing into it"):
            open_folder(tmp_path)
    with open_folder(tmp_path) as folder:
        assert folder.kept == 1


def test_a_recipe_is_named_as_it_was_asked_for() -> None:
    """`bench` holds the values of `default` but for its size: the very recipe comes before one of another size."""

    def name(recipe: Recipe) -> str:
        return _description(recipe, 1, "filament").recipe_name

    for known, recipe in RECIPES.items():
        assert name(recipe) == known
    assert name(dataclasses.replace(RECIPES["smoke"], scenes=3, views=1, image_size=(96, 128))) == "smoke"
    assert name(dataclasses.replace(RECIPES["smoke"], single_part_probability=0.5)) == "custom"
