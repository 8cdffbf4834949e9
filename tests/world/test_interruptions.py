"""Runs that are killed, stopped or terminated at any instant: what is left is whole, and resuming completes it."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.world import runs

from graspnext.data.format import LogEntry
from graspnext.data.reader import read_info, read_manifest
from graspnext.data.writer import encode_scene
from graspnext.types import View
from graspnext.world.dataset_folder import DatasetFolder
from graspnext.world.generate import GenerateConfig, generate
from graspnext.world.render.renderer import renderer_problems
from graspnext.world.scene_task import SceneResult, scene_id

needs_renderer = pytest.mark.skipif(
    all(problem is not None for problem in renderer_problems().values()), reason=f"no renderer: {renderer_problems()}"
)
needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
SEED = 11
SCENES = 8


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run that nobody disturbed writes. Do not change it."""
    out = tmp_path_factory.mktemp("untouched") / "out"
    generate(out, recipe=runs.QUICK, config=GenerateConfig(SCENES, seed=SEED, workers=1))
    return out


def words(scenes: int = SCENES) -> tuple[str, ...]:
    return ("--scenes", str(scenes), "--seed", str(SEED), "--workers", "2", "--resume")


@needs_renderer
@needs_proc
def test_a_killed_worker_is_replaced_and_a_killed_parent_resumed(untouched: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = runs.start(out, *words())
    runs.wait_for_scenes(out, 1, run)
    runs.kill(runs.workers_of(run.pid)[0])
    runs.wait_for_scenes(out, 4, run)
    family = runs.descendants(run.pid)
    runs.kill(run.pid)
    runs.finish(run)
    assert len(family) >= 2
    assert not runs.wait_until_gone(family)
    assert len(runs.scenes_listed(out)) < SCENES
    code, said, complaint = runs.finish(runs.start(out, *words()))
    assert code == 0, complaint
    assert " 0 kept" not in said
    assert runs.reproducible(out) == runs.reproducible(untouched)


@needs_renderer
@needs_proc
@pytest.mark.slow
def test_kills_at_twenty_random_instants_change_nothing(tmp_path: Path) -> None:
    """Parent or worker, by turns; every run goes on with what the one before left."""
    scenes, rng = 60, random.Random(4)
    generate(tmp_path / "untouched", recipe=runs.QUICK, config=GenerateConfig(scenes, seed=SEED, workers=2))
    out, kills = tmp_path / "out", 0
    run = runs.start(out, *words(scenes))
    while kills < 20:
        time.sleep(rng.uniform(0.1, 5.0))
        assert run.poll() is None, "it ended before all kills; make more scenes"
        workers = runs.workers_of(run.pid)
        kills += 1
        if kills % 2 and workers:
            runs.kill(rng.choice(workers))
            continue
        family = runs.descendants(run.pid)
        runs.kill(run.pid)
        runs.finish(run)
        assert not runs.wait_until_gone(family)
        if (out / "manifest.jsonl").exists():
            runs.scenes_listed(out)
        run = runs.start(out, *words(scenes))
    code, _, complaint = runs.finish(run)
    assert code == 0, complaint
    assert runs.reproducible(out) == runs.reproducible(tmp_path / "untouched")


_STORE = """
import pickle, sys
from pathlib import Path
from graspnext.world.dataset_folder import DatasetFolder
recipe, results = pickle.loads(Path(sys.argv[2]).read_bytes())
with DatasetFolder(Path(sys.argv[1]), recipe=recipe, seed=1, renderer="none", resume=True) as folder:
    print("begun", flush=True)
    for index in folder.missing:
        folder.add(results[index])
"""


def test_kills_while_scenes_are_being_stored(tmp_path: Path, tiny_view: Callable[..., View]) -> None:
    """Nothing but writing, so that most kills hit a scene, the log, the manifest or the description half written."""
    import pickle

    recipe = dataclasses.replace(runs.QUICK, scenes=300, views=2, image_size=(96, 96))
    results = [_result(index, tiny_view) for index in range(recipe.scenes)]
    (tmp_path / "results").write_bytes(pickle.dumps((recipe, results)))
    rng = random.Random(8)
    out, kept = tmp_path / "out", []
    for _ in range(6):
        command = [sys.executable, "-c", _STORE, str(out), str(tmp_path / "results")]
        run = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert run.stdout is not None
        run.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.1))
        run.kill()
        run.communicate()
        kept.append(len(runs.scenes_listed(out)))
    assert kept == sorted(kept) and kept[-1] > 0
    for name in ("interrupted", "untouched"):
        with DatasetFolder(
            out if name == "interrupted" else tmp_path / name, recipe=recipe, seed=1, renderer="none", resume=True
        ) as folder:
            assert name == "untouched" or folder.kept >= kept[-1]
            for index in folder.missing:
                folder.add(results[index])
    assert runs.reproducible(out) == runs.reproducible(tmp_path / "untouched")
    lines = (out / "log.jsonl").read_bytes().splitlines()
    assert all(LogEntry.model_validate_json(line) for line in lines)
    assert {info.scene for info in read_info(out).failed_scenes} == {scene_id(i) for i in range(6, 300, 7)}


def _result(index: int, tiny_view: Callable[..., View]) -> SceneResult:
    """Every seventh scene fails; the others hold two small views."""
    name = scene_id(index)
    failed = index % 7 == 6
    log = LogEntry(scene=name, attempts=5 if failed else 1, problems=["parts overlap"] * 5 * failed, seconds={})
    if failed:
        return SceneResult(index, None, log)
    views = [tiny_view(name, view, size=96, num_parts=3, rng=np.random.default_rng([index, view])) for view in range(2)]
    return SceneResult(index, encode_scene(name, scene_info={}, views=views), log)


@needs_renderer
@needs_proc
@pytest.mark.parametrize(
    ("how", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_run_that_is_stopped_lists_what_it_made(how: signal.Signals, code: int, word: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = runs.start(out, *words(500))
    runs.wait_for_scenes(out, 3, run)
    family = runs.descendants(run.pid)
    os.kill(run.pid, how)
    found, _, complaint = runs.finish(run)
    assert (found, complaint.splitlines()[-1]) == (code, word)
    assert not runs.wait_until_gone(family)
    assert len(runs.scenes_listed(out)) >= 3
    assert not list(out.rglob("*.part"))
    assert len(read_manifest(out)) == len(list(out.glob("scenes/0*")))


@needs_renderer
def test_two_runs_into_one_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = runs.start(out, *words(500))
    runs.wait_for_scenes(out, 1, first)
    code, _, complaint = runs.finish(runs.start(out, *words(500)))
    os.kill(first.pid, signal.SIGTERM)
    runs.finish(first)
    assert code == 2
    assert complaint == f"error: {out}: another run is writing into it; wait for its end, or choose another folder\n"
