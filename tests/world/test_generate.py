from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.world import runs

from graspnext.data.format import LogEntry
from graspnext.data.reader import Dataset, read_info, read_manifest
from graspnext.data.statistics import gather
from graspnext.errors import ConfigError, SceneError
from graspnext.geometry.cameras import project
from graspnext.geometry.rotations import inverse, transform
from graspnext.world import generate as generating
from graspnext.world import scene_task
from graspnext.world.generate import FAILED_SHARE_FROM, GenerateConfig, generate
from graspnext.world.physics import settle
from graspnext.world.recipes import Recipe, find_recipe
from graspnext.world.render.renderer import renderer_problems
from graspnext.world.sampling import Contents
from graspnext.world.scene import Placement
from graspnext.world.scene_task import MAX_ATTEMPTS, make_scene, scene_id

needs_renderer = pytest.mark.skipif(
    all(problem is not None for problem in renderer_problems().values()), reason=f"no renderer: {renderer_problems()}"
)
SMALL: Recipe = dataclasses.replace(find_recipe("smoke"), image_size=(96, 128))
SCENES = 3


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once by one process. Do not change it."""
    out = tmp_path_factory.mktemp("made") / "one"
    report = generate(out, recipe=SMALL, config=GenerateConfig(SCENES, seed=5, workers=1))
    assert (report.scenes, report.views, report.kept) == (SCENES, 2 * SCENES, 0)
    assert all(report.seconds[stage] > 0 for stage in scene_task.STAGES)
    return out


@needs_renderer
def test_two_workers_and_resumption_write_the_same_files(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "two"
    first = generate(out, recipe=SMALL, config=GenerateConfig(2, seed=5, workers=2))
    assert first.scenes == 2
    kept = out / "scenes" / "000000"
    stamps = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    (out / "scenes" / "000001" / "1_depth.png").unlink()  # no longer whole
    (out / "scenes" / ".000002.part").mkdir()  # as a killed run leaves it
    (out / "scenes" / ".000002.part" / "0_rgb.png").write_bytes(b"half")
    (out / "manifest.jsonl").unlink()
    second = generate(out, recipe=SMALL, config=GenerateConfig(SCENES, seed=5, resume=True))
    assert (second.kept, second.scenes) == (1, SCENES - 1)
    assert {path.name: path.stat().st_mtime_ns for path in kept.iterdir()} == stamps
    assert runs.reproducible(out) == runs.reproducible(dataset)


@needs_renderer
def test_the_reader_takes_it_and_labels_fit_the_scene(dataset: Path) -> None:
    entries = read_manifest(dataset)
    assert [(entry.scene, entry.view) for entry in entries] == [(scene_id(s), v) for s in range(SCENES) for v in (0, 1)]
    assert {entry.split for entry in entries} == {"train", "val"}
    reader = Dataset(dataset)
    for entry in entries:
        view = reader.read(entry)
        assert view.image.shape == (96, 128, 3)
        assert 15 < view.image.mean() < 240
        assert view.image.std() > 5
        scene = make_scene(SMALL, seed=5, index=int(entry.scene))
        camera = scene.cameras[entry.view]
        assert np.allclose(view.camera.T_world_camera, camera.T_world_camera, atol=1e-8)
        for instance in view.labels.instances:
            placement = scene.placements[instance.id - 1]
            part = scene.parts[placement.part]
            world = transform(placement.T_world_part, part.center_of_mass[None])
            seen = project(camera, transform(inverse(camera.T_world_camera), world))[0]
            assert instance.center_of_mass == pytest.approx(seen, abs=1e-3)


@needs_renderer
def test_the_report_counts_what_the_scenes_say(dataset: Path) -> None:
    numbers = gather(Dataset(dataset), sample=1)
    scenes = [make_scene(SMALL, seed=5, index=index) for index in range(SCENES)]
    assert numbers["scenes_by_container"] == Counter(scene.container.kind for scene in scenes)
    assert numbers["scenes_by_fill"] == Counter(scene.fill for scene in scenes)
    assert numbers["scenes_by_light"] == Counter(scene.look.mood for scene in scenes)
    assert numbers["views_by_sensor"] == Counter(scene.sensor.name for scene in scenes for _ in scene.cameras)
    parts = numbers["distributions"]["parts_per_scene"]
    assert parts["number"] == SCENES
    assert parts["mean"] == pytest.approx(np.mean([len(scene.placements) for scene in scenes]))
    for scene in scenes:
        assert json.loads((dataset / "scenes" / scene.id / "scene.json").read_bytes())["info"]["num_props"] == len(
            scene.props
        )


@needs_renderer
def test_pictures_show_what_the_labels_say(dataset: Path) -> None:
    """Colours change where ids do: the renderer and the rays of the labels see the same scene."""
    reader = Dataset(dataset)
    ratios = []
    for entry in read_manifest(dataset):
        view = reader.read(entry)
        step = np.abs(np.diff(view.image.astype(float), axis=1)).sum(axis=2)
        border = np.diff(view.labels.instance_ids, axis=1) != 0
        near = border | np.roll(border, 1, axis=1) | np.roll(border, -1, axis=1)
        away = np.roll(near, 7, axis=1) & ~near
        ratios.append(step[near].mean() / max(step[away].mean(), 1e-9))
    assert np.median(ratios) > 1.3  # mostly: before the rollers of a conveyor it tells little


def test_scenes_are_functions_of_seed_and_index() -> None:
    first, again = make_scene(SMALL, seed=1, index=3), make_scene(SMALL, seed=1, index=3)
    assert [p.T_world_part.tolist() for p in first.placements] == [p.T_world_part.tolist() for p in again.placements]
    assert dataclasses.asdict(first.look) == dataclasses.asdict(again.look)
    assert first.fill in SMALL.fills and first.look.mood in SMALL.look.moods
    others = make_scene(SMALL, seed=1, index=4), make_scene(SMALL, seed=2, index=3)
    assert all(other.cameras[0].fx != first.cameras[0].fx for other in others)
    assert first.id == "000003"


def test_every_tenth_scene_is_novel() -> None:
    novel = make_scene(SMALL, seed=1, index=9)
    assert {part.family for part in novel.parts} <= set(SMALL.novel_families)
    assert {part.family for part in make_scene(SMALL, seed=1, index=8).parts} <= set(SMALL.families)


def test_refused_scenes_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = scene_task.settle, []

    def refuse_twice(contents: object, *, rng: np.random.Generator) -> object:
        calls.append(contents)
        if len(calls) < 3:
            raise SceneError("parts overlap")
        return real(contents, rng=rng)  # type: ignore[arg-type]

    def refuse(_contents: object, *, rng: np.random.Generator) -> object:
        raise SceneError("parts overlap")

    monkeypatch.setattr(scene_task, "settle", refuse_twice)
    make_scene(SMALL, seed=1, index=0)
    assert len(calls) == 3
    monkeypatch.setattr(scene_task, "settle", refuse)
    with pytest.raises(SceneError, match=r"scene 000000 failed 5 times: parts overlap$"):
        make_scene(SMALL, seed=1, index=0)


@pytest.mark.parametrize("values", [{"scenes": 0}, {"seed": -1}, {"workers": 0}, {"renew_after": 0}])
def test_impossible_numbers(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least"):
        GenerateConfig(**values)  # type: ignore[arg-type]


IMPOSSIBLE: Recipe = dataclasses.replace(SMALL, novel_every=2)


def settle_by(physics: object, patch: pytest.MonkeyPatch) -> None:
    """With another physics, which only this process knows: so it makes the scenes itself."""
    patch.setattr(scene_task, "settle", physics)
    patch.setattr(generating, "run_tasks", lambda make, tasks, **_: (make(task) for task in tasks))


def refuse_ordinary(contents: Contents, *, rng: np.random.Generator) -> tuple[Placement, ...]:
    """As physics does, but for novel scenes only."""
    if contents.parts[0].family in IMPOSSIBLE.families:
        raise SceneError(f"parts overlap by {rng.uniform(1, 9):.1f} mm; the scene is dropped")
    return settle(contents, rng=rng)


@needs_renderer
def test_a_scene_that_fails_is_noted_and_the_others_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_by(refuse_ordinary, monkeypatch)
    report = generate(tmp_path, recipe=IMPOSSIBLE, config=GenerateConfig(4, seed=5, workers=1))
    assert (report.scenes, report.failed, report.failed_share) == (2, 2, 0.5)
    assert report.refused == {"parts overlap by # mm; the scene is dropped": 2 * MAX_ATTEMPTS}
    assert report.attempts == 2 * MAX_ATTEMPTS + 2
    numbers = report.to_dict()
    assert (numbers["failed_scenes"], numbers["failed_share"]) == (2, 0.5)
    assert numbers["refused_share"] == pytest.approx(10 / 12, abs=1e-4)
    assert sum(numbers["refused_by_reason"].values()) == 10
    failed = read_info(tmp_path).failed_scenes
    assert [one.scene for one in failed] == ["000000", "000002"]
    assert all(len(one.problems) == MAX_ATTEMPTS for one in failed)
    assert {entry.scene for entry in read_manifest(tmp_path)} == {"000001", "000003"}
    lines = [LogEntry.model_validate_json(line) for line in (tmp_path / "log.jsonl").read_bytes().splitlines()]
    assert [(line.scene, line.attempts) for line in lines] == [
        ("000000", 5),
        ("000001", 1),
        ("000002", 5),
        ("000003", 1),
    ]
    assert all(line.memory_mb > 50 for line in lines)
    monkeypatch.undo()  # now they could be made, but what failed is not tried again
    again = generate(tmp_path, recipe=IMPOSSIBLE, config=GenerateConfig(4, seed=5, workers=1, resume=True))
    assert (again.scenes, again.kept, again.failed, again.attempts) == (0, 2, 2, 0)
    assert read_info(tmp_path).failed_scenes == failed


@needs_renderer
def test_a_run_that_mostly_fails_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_contents: Contents, *, rng: np.random.Generator) -> tuple[Placement, ...]:
        raise SceneError(f"parts overlap by {rng.uniform(1, 9):.1f} mm")

    settle_by(refuse, monkeypatch)
    with pytest.raises(
        SceneError, match=r"20 of 20 scenes failed, .*\(100 attempts\).*overlap by # mm; change the recipe"
    ):
        generate(tmp_path, recipe=SMALL, config=GenerateConfig(500, workers=1, renew_after=500))
    assert len(read_info(tmp_path).failed_scenes) == FAILED_SHARE_FROM
    assert read_manifest(tmp_path) == []
    monkeypatch.undo()  # the next scene is made, and the share says the same as before
    with pytest.raises(SceneError, match=r"20 of 21 scenes failed, .*\(100 attempts\).*overlap by # mm"):
        generate(tmp_path, recipe=SMALL, config=GenerateConfig(500, workers=1, renew_after=500, resume=True))
