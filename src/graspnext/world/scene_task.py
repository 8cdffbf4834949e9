"""One scene from (recipe, seed, index) to the bytes of its files: what a worker does, on this machine or another."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graspnext.data.format import LogEntry
from graspnext.data.writer import EncodedScene, encode_scene
from graspnext.errors import SceneError
from graspnext.world.clutter import sample_props, surroundings
from graspnext.world.labels.view import SceneLabeller
from graspnext.world.lighting import sample_look
from graspnext.world.physics import settle
from graspnext.world.recipes import Recipe
from graspnext.world.render.renderer import Renderer, open_renderer
from graspnext.world.sampling import sample_contents
from graspnext.world.scene import Scene
from graspnext.world.scene_info import scene_info
from graspnext.world.sensors.models import sample_sensor
from graspnext.world.sensors.sense import sense
from graspnext.world.viewpoints import sample_cameras

MAX_ATTEMPTS = 5
"""Tries at one scene before it counts as failed; a few in a hundred need a second one."""
STAGES = ("sampling", "physics", "render", "labels", "sensor", "encode", "write")
"""What the time of a scene goes into; all but the last, which puts its files on the disk, happen here."""

_SENSOR = 0x5E
"""Sets the random numbers of sensors apart from all others of (seed, index, attempt)."""


@dataclass(frozen=True)
class SceneTask:
    """What it takes to make one scene anywhere."""

    recipe: Recipe
    seed: int
    index: int
    renderer: str

    def __str__(self) -> str:
        return f"scene {scene_id(self.index)}"


@dataclass(frozen=True)
class SceneResult:
    """One scene, made or failed."""

    index: int
    encoded: EncodedScene | None
    """None if it failed; `log.problems` says why."""
    log: LogEntry


def scene_id(index: int) -> str:
    """The folder name of scene number `index`."""
    return f"{index:06d}"


def make_scene(recipe: Recipe, *, seed: int, index: int) -> Scene:
    """Scene number `index` of a dataset: the same call gives the same scene.

    Raises:
        SceneError: None of `MAX_ATTEMPTS` tries could be settled.
    """
    problems: list[str] = []
    scene = _try_scene(recipe, seed, index, problems, dict.fromkeys(STAGES, 0.0))
    if scene is None:
        raise SceneError(f"scene {scene_id(index)} failed {len(problems)} times: {'; '.join(sorted(set(problems)))}")
    return scene


def make_files(task: SceneTask) -> SceneResult:
    """Make, render, label and encode one scene. A scene that fails is a result, not an error.

    Raises:
        MissingDependencyError: The renderer does not work here.
    """
    seconds = dict.fromkeys(STAGES, 0.0)
    problems: list[str] = []
    scene = _try_scene(task.recipe, task.seed, task.index, problems, seconds)
    encoded = None
    if scene is not None:
        try:
            encoded = _encode(task, scene, len(problems), seconds)
        except SceneError as error:
            problems.append(str(error))
    _give_back_memory()
    log = LogEntry(
        scene=scene_id(task.index),
        attempts=len(problems) + (encoded is not None),
        problems=problems,
        seconds={stage: round(value, 4) for stage, value in seconds.items()},
        memory_mb=memory_mb(),
    )
    return SceneResult(task.index, encoded, log)


def _give_back_memory() -> None:
    """Let the C library return what the renderer freed: in pieces between what it keeps, it would pile up."""
    with suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def memory_mb() -> float:
    """Resident memory of this process now, MB; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _try_scene(recipe: Recipe, seed: int, index: int, problems: list[str], seconds: dict[str, float]) -> Scene | None:
    """The first attempt that settles, if any does; why the others were refused is added to `problems`."""
    for attempt in range(MAX_ATTEMPTS):
        rng = np.random.default_rng(np.random.SeedSequence([seed, index, attempt]))
        try:
            with _timed(seconds, "sampling"):
                contents = sample_contents(recipe, novel=recipe.is_novel(index), ease=attempt, rng=rng)
            with _timed(seconds, "physics"):
                placements = settle(contents, rng=rng)
            with _timed(seconds, "sampling"):
                look = sample_look(recipe.look, contents.container, rng=rng)
                sensor = sample_sensor(recipe.sensors, recipe.own_sensor, rng=rng)
                cameras = sample_cameras(
                    recipe.camera, contents.container, sensor, views=recipe.views, image_size=recipe.image_size, rng=rng
                )
                around = surroundings(contents, cameras, placements)
                props = sample_props(recipe.clutter, around, rng=rng)
        except SceneError as error:
            problems.append(str(error))
            continue
        return Scene(
            *(scene_id(index), contents.parts, placements, contents.container, contents.floor, look, cameras),
            props=props,
            sensor=sensor,
            fill=contents.fill,
        )
    return None


_renderers: dict[str, Renderer] = {}
"""Opened once a process, by name."""


def _encode(task: SceneTask, scene: Scene, attempt: int, seconds: dict[str, float]) -> EncodedScene:
    """Pictures, labels and files of a settled scene."""
    recipe = task.recipe
    if task.renderer not in _renderers:
        _renderers[task.renderer] = open_renderer(task.renderer)
    renderer = _renderers[task.renderer]
    with _timed(seconds, "render"):
        images = [renderer.render(scene, view) for view in range(len(scene.cameras))]
    with _timed(seconds, "labels"):
        labeller = SceneLabeller(scene, recipe.cup, recipe.min_visible_px, recipe.more_cups)
        labels = [labeller.label(view) for view in range(len(scene.cameras))]
    with _timed(seconds, "sensor"):
        seeds = [np.random.SeedSequence([task.seed, task.index, attempt, view, _SENSOR]) for view in range(len(images))]
        views = [
            sense(scene, view, images[view], labels[view], recipe.capture, rng=np.random.default_rng(seed))
            for view, seed in enumerate(seeds)
        ]
    with _timed(seconds, "encode"):
        info = scene_info(scene, seed=task.seed, index=task.index, attempt=attempt)
        return encode_scene(scene.id, scene_info=info, views=views)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] += time.perf_counter() - start
