from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graspnext.data.reader import Dataset, read_manifest
from graspnext.errors import ConfigError, OutputError, SceneError
from graspnext.geometry.cameras import project
from graspnext.geometry.rotations import inverse, transform
from graspnext.world import generate as generating
from graspnext.world.generate import GenerateConfig, generate, make_scene, scene_id
from graspnext.world.recipes import Recipe, find_recipe
from graspnext.world.render.renderer import renderer_problems
from graspnext.world.workers import run_tasks

needs_renderer = pytest.mark.skipif(
    all(problem is not None for problem in renderer_problems().values()), reason=f"no renderer: {renderer_problems()}"
)
SMALL: Recipe = dataclasses.replace(find_recipe("smoke"), image_size=(96, 128))
SCENES = 3
HEAR_SIGINT = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""A process started from a script's background inherits that it ignores SIGINT."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once by one process. Do not change it."""
    out = tmp_path_factory.mktemp("made") / "one"
    report = generate(out, recipe=SMALL, config=GenerateConfig(SCENES, seed=5))
    assert (report.scenes, report.views, report.kept) == (SCENES, 2 * SCENES, 0)
    assert all(report.seconds[stage] > 0 for stage in generating.STAGES)
    return out


def tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


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
    one, two = tree(dataset), tree(out)
    assert one.keys() == two.keys()
    pictures = {name for name in one if name.endswith("_rgb.png")}
    hashed = {"manifest.jsonl", *(name for name in one if name.endswith("scene.json"))}  # hold the pictures' hashes
    assert len(pictures) == 2 * SCENES and len(hashed) == SCENES + 1
    exact = one.keys() - pictures - hashed
    assert {name: one[name] for name in exact} == {name: two[name] for name in exact}
    for name in pictures:
        a, b = (np.asarray(Image.open(root / name)).astype(int) for root in (dataset, out))
        assert np.abs(a - b).max() <= 2
    for name in hashed - {"manifest.jsonl"}:
        first_info, second_info = (json.loads((root / name).read_text())["info"] for root in (dataset, out))
        assert first_info == second_info


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
    assert np.mean(ratios) > 2


def test_scenes_are_functions_of_seed_and_index() -> None:
    first, again = make_scene(SMALL, seed=1, index=3), make_scene(SMALL, seed=1, index=3)
    assert [p.T_world_part.tolist() for p in first.placements] == [p.T_world_part.tolist() for p in again.placements]
    assert dataclasses.asdict(first.look) == dataclasses.asdict(again.look)
    others = make_scene(SMALL, seed=1, index=4), make_scene(SMALL, seed=2, index=3)
    assert all(other.cameras[0].fx != first.cameras[0].fx for other in others)
    assert first.id == "000003"


def test_every_tenth_scene_is_novel() -> None:
    novel = make_scene(SMALL, seed=1, index=9)
    assert {part.family for part in novel.parts} <= set(SMALL.novel_families)
    assert {part.family for part in make_scene(SMALL, seed=1, index=8).parts} <= set(SMALL.families)


def test_refused_scenes_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = generating.settle, []

    def refuse_twice(contents: object, *, rng: np.random.Generator) -> object:
        calls.append(contents)
        if len(calls) < 3:
            raise SceneError("parts overlap")
        return real(contents, rng=rng)  # type: ignore[arg-type]

    def refuse(_contents: object, *, rng: np.random.Generator) -> object:
        raise SceneError("parts overlap")

    monkeypatch.setattr(generating, "settle", refuse_twice)
    make_scene(SMALL, seed=1, index=0)
    assert len(calls) == 3
    monkeypatch.setattr(generating, "settle", refuse)
    with pytest.raises(SceneError, match=r"scene 000000 failed 5 times: parts overlap$"):
        make_scene(SMALL, seed=1, index=0)


@needs_renderer
def test_a_folder_in_use_is_left_alone(dataset: Path, tmp_path: Path) -> None:
    before = tree(dataset)
    with pytest.raises(OutputError, match="not empty; choose another one, or add --resume"):
        generate(dataset, recipe=SMALL, config=GenerateConfig(SCENES, seed=5))
    with pytest.raises(OutputError, match="made with seed = 5, not 6"):
        generate(dataset, recipe=SMALL, config=GenerateConfig(SCENES, seed=6, resume=True))
    other = dataclasses.replace(SMALL, min_visible_px=30)
    with pytest.raises(OutputError, match=r"made with recipe\.min_visible_px = 16, not 30"):
        generate(dataset, recipe=other, config=GenerateConfig(SCENES, seed=5, resume=True))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="no dataset that could be resumed"):
        generate(tmp_path, recipe=SMALL, config=GenerateConfig(SCENES, seed=5, resume=True))
    assert tree(dataset) == before


@pytest.mark.parametrize("values", [{"scenes": 0}, {"scenes": 1, "seed": -1}, {"scenes": 1, "workers": 0}])
def test_impossible_numbers(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least"):
        GenerateConfig(**values)


def square(number: int) -> tuple[int, int, str | None]:
    return number * number, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def fail(number: int) -> int:
    if number == 1:
        raise SceneError("the third wheel")
    raise ValueError(f"number {number}")


def die(_number: int) -> int:
    os._exit(9)


def test_workers_are_renewed_and_share_the_cores() -> None:
    results = list(run_tasks(square, range(5), workers=2, renew_after=2))
    assert sorted(value for value, _, _ in results) == [n * n for n in range(5)]
    assert len({pid for _, pid, _ in results}) >= 3  # at most two tasks each
    assert {threads for _, _, threads in results} == {str(max(1, len(os.sched_getaffinity(0)) // 2))}
    assert os.getpid() not in {pid for _, pid, _ in results}


@pytest.mark.parametrize(
    ("function", "number", "error", "message"),
    [
        (fail, 1, SceneError, "the third wheel"),
        (fail, 2, RuntimeError, "ValueError: number 2"),
        (die, 1, SceneError, "ended with code 9"),
    ],
)
def test_failures_of_workers_reach_the_caller(
    function: object, number: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        list(run_tasks(function, [number], workers=1, renew_after=5))  # type: ignore[arg-type]


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def has_children(pid: int, number: int) -> list[int]:
    deadline = time.monotonic() + 60
    while len(children := children_of(pid)) < number and time.monotonic() < deadline:
        time.sleep(0.02)
    return children


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_parent(how: signal.Signals) -> None:
    code = (
        f"{HEAR_SIGINT}; import time; from graspnext.world.workers import run_tasks\n"
        "if __name__ == '__main__': list(run_tasks(time.sleep, [60, 60], workers=2, renew_after=9))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, start_new_session=True)
    children = has_children(parent.pid, 3)  # two workers and the resource tracker of multiprocessing
    time.sleep(1.0)  # let them begin
    os.kill(parent.pid, how)
    parent.wait(timeout=30)
    deadline = time.monotonic() + 20
    while any(map(is_running, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(children) == 3
    assert not any(map(is_running, children))


@needs_renderer
@pytest.mark.slow
def test_an_interrupted_run_leaves_a_readable_dataset(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["world", "make", "--out", str(out), "--scenes", "500", "--recipe", "smoke", "--workers", "2"]
    code = (
        f"{HEAR_SIGINT}; import sys; from graspnext.cli.main import main\nif __name__ == '__main__': sys.exit(main())"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while len(list(out.glob("scenes/0*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(parent.pid, signal.SIGINT)
    _, complaint = parent.communicate(timeout=60)
    assert parent.returncode == 130
    assert complaint.decode().strip().endswith("interrupted")
    entries = read_manifest(out)
    assert len({entry.scene for entry in entries}) >= 2
    reader = Dataset(out)
    for entry in entries:
        assert reader.read(entry).image.shape == (128, 128, 3)
