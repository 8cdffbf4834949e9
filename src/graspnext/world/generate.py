"""Makes datasets: scenes from (recipe, seed, index), their pictures and labels, written one whole scene at a time."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graspnext import __version__
from graspnext.data.format import SCENES_DIR, DatasetInfo, ManifestEntry, ViewFiles, file_names
from graspnext.data.reader import read_info
from graspnext.data.splits import split_of
from graspnext.data.writer import read_scene_files, write_dataset_info, write_manifest, write_scene
from graspnext.errors import ConfigError, DatasetError, OutputError, SceneError
from graspnext.files import make_folder, output_errors
from graspnext.types import View
from graspnext.world.labels.view import SceneLabeller
from graspnext.world.lighting import sample_look
from graspnext.world.physics import settle
from graspnext.world.recipes import Recipe
from graspnext.world.render.renderer import RENDERERS, Renderer, open_renderer
from graspnext.world.sampling import sample_contents
from graspnext.world.scene import Part, Scene
from graspnext.world.viewpoints import sample_cameras
from graspnext.world.workers import run_tasks

MAX_ATTEMPTS = 5
"""Tries at one scene before giving up; a few in a hundred need a second one."""
_MANIFEST_EVERY = 20
"""Scenes between two writings of the manifest."""
STAGES = ("sampling", "physics", "render", "labels", "write")


@dataclass(frozen=True)
class GenerateConfig:
    """How much to make, and how."""

    scenes: int
    seed: int = 0
    workers: int = 1
    """Processes; the same files come out whatever their number."""
    resume: bool = False
    """Keep the whole scenes of an earlier run with the same recipe and seed."""
    renderer: str | None = None
    """"filament" or "classic"; None = the best that works here."""
    renew_after: int = 60
    """Scenes after which a process is replaced, since native libraries keep some memory each time."""

    def __post_init__(self) -> None:
        for name, least in (("scenes", 1), ("seed", 0), ("workers", 1), ("renew_after", 1)):
            if getattr(self, name) < least:
                raise ConfigError(name, getattr(self, name), f"at least {least}")
        if self.scenes > 10**6:
            raise ConfigError("scenes", self.scenes, "at most 1000000")
        if self.renderer is not None and self.renderer not in RENDERERS:
            raise ConfigError("renderer", self.renderer, f"one of: {', '.join(RENDERERS)}")


@dataclass(frozen=True)
class SceneReport:
    """One finished scene."""

    index: int
    views: list[ViewFiles]
    attempts: int
    seconds: dict[str, float]
    """Stage -> wall time."""


@dataclass
class GenerateReport:
    """What a run did."""

    scenes: int = 0
    """Made in this run."""
    views: int = 0
    kept: int = 0
    """Scenes found whole."""
    retries: int = 0
    """Attempts at scenes that were refused."""
    wall_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    """Stage -> wall time, summed over workers."""

    def add(self, scene: SceneReport) -> None:
        """Count one scene."""
        self.scenes += 1
        self.views += len(scene.views)
        self.retries += scene.attempts - 1
        for stage, value in scene.seconds.items():
            self.seconds[stage] += value

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, unit in each name."""
        per_view = {
            f"{stage}_s_per_view": round(value / max(self.views, 1), 4) for stage, value in self.seconds.items()
        }
        return {
            "scenes": self.scenes,
            "views": self.views,
            "kept_scenes": self.kept,
            "retries": self.retries,
            "wall_s": round(self.wall_s, 2),
            "wall_s_per_view": round(self.wall_s / max(self.views, 1), 4),
            **per_view,
        }


def scene_id(index: int) -> str:
    """The folder name of scene number `index`."""
    return f"{index:06d}"


def make_scene(recipe: Recipe, *, seed: int, index: int) -> Scene:
    """Scene number `index` of a dataset: the same call gives the same scene.

    Raises:
        SceneError: None of `MAX_ATTEMPTS` tries could be settled.
    """
    return _try_scene(recipe, seed, index, dict.fromkeys(STAGES, 0.0))[0]


def _try_scene(recipe: Recipe, seed: int, index: int, seconds: dict[str, float]) -> tuple[Scene, int]:
    """The scene, and how many attempts it took."""
    problems: list[str] = []
    for attempt in range(MAX_ATTEMPTS):
        rng = np.random.default_rng(np.random.SeedSequence([seed, index, attempt]))
        try:
            with _timed(seconds, "sampling"):
                contents = sample_contents(recipe, novel=recipe.is_novel(index), rng=rng)
            with _timed(seconds, "physics"):
                placements = settle(contents, rng=rng)
            with _timed(seconds, "sampling"):
                look = sample_look(recipe.look, contents.container, rng=rng)
                cameras = sample_cameras(
                    recipe.camera, contents.container, views=recipe.views, image_size=recipe.image_size, rng=rng
                )
        except SceneError as error:
            problems.append(str(error))
            continue
        return (
            Scene(scene_id(index), contents.parts, placements, contents.container, contents.floor, look, cameras),
            attempt + 1,
        )
    raise SceneError(f"scene {scene_id(index)} failed {MAX_ATTEMPTS} times: {'; '.join(sorted(set(problems)))}")


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] += time.perf_counter() - start


@dataclass(frozen=True)
class _Task:
    out: Path
    recipe: Recipe
    config: GenerateConfig
    index: int


_renderers: dict[str | None, Renderer] = {}
"""Opened once a process, by the name asked for."""


def _make(task: _Task) -> SceneReport:
    """Make, render, label and write one scene."""
    name = task.config.renderer
    if name not in _renderers:
        _renderers[name] = open_renderer(name)
    renderer = _renderers[name]
    seconds = dict.fromkeys(STAGES, 0.0)
    recipe = task.recipe
    scene, attempts = _try_scene(recipe, task.config.seed, task.index, seconds)
    with _timed(seconds, "render"):
        images = [renderer.render(scene, view) for view in range(len(scene.cameras))]
    with _timed(seconds, "labels"):
        labeller = SceneLabeller(scene, recipe.cup, recipe.min_visible_px)
        labels = [labeller.label(view) for view in range(len(scene.cameras))]
    views = [
        View(scene.id, number, image, camera, label)
        for number, (image, camera, label) in enumerate(zip(images, scene.cameras, labels, strict=True))
    ]
    with _timed(seconds, "write"):
        info = scene_info(scene, seed=task.config.seed, index=task.index, attempt=attempts - 1)
        files = write_scene(task.out, scene.id, scene_info=info, views=views)
    return SceneReport(task.index, files, attempts, seconds)


def scene_info(scene: Scene, *, seed: int, index: int, attempt: int) -> dict[str, Any]:
    """The account of a scene that is stored with it: how to make it again, and what lies where."""
    return {
        "seed": seed,
        "index": index,
        "attempt": attempt,
        "container": {"kind": scene.container.kind, "inner_size_m": list(scene.container.inner_size)},
        "parts": [_part_info(part) for part in scene.parts],
        "placements": [
            {
                "id": number,
                "part": scene.parts[placement.part].name,
                "T_world_part": [[round(float(value), 9) for value in row] for row in placement.T_world_part],
            }
            for number, placement in enumerate(scene.placements, start=1)
        ],
        "look": dataclasses.asdict(scene.look),
    }


def _part_info(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "family": part.family,
        "mass_kg": round(part.mass_kg, 9),
        "center_of_mass_m": [round(float(value), 9) for value in part.center_of_mass],
        "friction": part.friction,
        "porosity": part.porosity,
        "num_faces": len(part.mesh.faces),
        "metallic": part.material.metallic,
        "roughness": part.material.roughness,
    }


def generate(
    out: Path,
    *,
    recipe: Recipe,
    config: GenerateConfig,
    watch: Callable[[Iterable[SceneReport], int], Iterable[SceneReport]] = lambda scenes, _total: scenes,
) -> GenerateReport:
    """Make a dataset.

    Args:
        out: Its folder; must not exist, be empty, or be resumed.
        recipe: What scenes look like.
        config: How many, from which seed, with how many processes.
        watch: Passes finished scenes on, given them and their number: the place for a progress bar.

    Raises:
        OutputError: The folder is not empty, was made with another recipe or seed, or cannot be written.
        SceneError: A scene cannot be made, or a worker reported a named error.
        MissingDependencyError: No renderer works here.
    """
    start = time.perf_counter()
    open_renderer(config.renderer).close()  # say what is missing before anything is written
    done = _prepare(out, recipe, config)
    entries = [entry for index, files in done.items() for entry in _entries(recipe, index, files)]
    report = GenerateReport(kept=len(done))
    tasks = [_Task(out, recipe, config, index) for index in range(config.scenes) if index not in done]
    try:
        for scene in watch(_run(tasks, config), len(tasks)):
            report.add(scene)
            entries += _entries(recipe, scene.index, scene.views)
            if report.scenes % _MANIFEST_EVERY == 0:
                write_manifest(out, entries)
    finally:
        write_manifest(out, entries)
    report.wall_s = time.perf_counter() - start
    return report


def _run(tasks: list[_Task], config: GenerateConfig) -> Iterator[SceneReport]:
    if config.workers == 1 and len(tasks) <= config.renew_after:
        return map(_make, tasks)
    return run_tasks(_make, tasks, workers=config.workers, renew_after=config.renew_after)


def _entries(recipe: Recipe, index: int, files: list[ViewFiles]) -> list[ManifestEntry]:
    split = split_of(recipe.rank(index), novel=recipe.is_novel(index))
    return [ManifestEntry(scene=scene_id(index), split=split, **dict(one)) for one in files]


def _prepare(out: Path, recipe: Recipe, config: GenerateConfig) -> dict[int, list[ViewFiles]]:
    """Check and make the folder; returns the scenes that are there already."""
    with output_errors(out):
        in_use = out.exists() and any(out.iterdir())
    info = DatasetInfo(
        generator=f"graspnext {__version__}",
        recipe_name=_recipe_name(recipe),
        recipe=recipe.to_dict(),
        seed=config.seed,
        cup=dataclasses.asdict(recipe.cup),
        num_scenes=config.scenes,
        views_per_scene=recipe.views,
        image_size=recipe.image_size,
    )
    done: dict[int, list[ViewFiles]] = {}
    if in_use:
        if not config.resume:
            raise OutputError(out, "the folder is not empty", "choose another one, or add --resume to go on with it")
        _check_same(out, info)
        _sweep(out)
        done = _finished(out, recipe, config.scenes)
    write_dataset_info(make_folder(out), info)
    return done


def _recipe_name(recipe: Recipe) -> str:
    from graspnext.world.recipes import RECIPES

    sized = {
        name: dataclasses.replace(known, views=recipe.views, image_size=recipe.image_size)
        for name, known in RECIPES.items()
    }
    return next((name for name, known in sized.items() if known == recipe), "custom")


def _check_same(out: Path, info: DatasetInfo) -> None:
    """Refuse to mix scenes of two recipes or seeds.

    Raises:
        OutputError: The folder holds something else.
    """
    advice = "resume with the command it was made with, or choose another folder"
    try:
        found = read_info(out)
    except DatasetError as error:
        raise OutputError(out, f"no dataset that could be resumed ({error})", advice) from error
    for name in ("generator", "seed", "recipe", "views_per_scene", "image_size"):
        old, new = getattr(found, name), getattr(info, name)
        if old != new:
            if name == "recipe":
                name = f"recipe.{next(key for key in new if old.get(key) != new[key])}"  # noqa: PLW2901
                old, new = old.get(name.split(".")[1]), new[name.split(".")[1]]
            raise OutputError(out, f"it was made with {name} = {old}, not {new}", advice)


def _sweep(out: Path) -> None:
    """Remove what an interrupted run left half written."""
    with output_errors(out):
        for folder in (out / SCENES_DIR).glob(".*.part"):
            shutil.rmtree(folder, ignore_errors=True)
        for file in out.glob(".*.part"):
            file.unlink(missing_ok=True)


def _finished(out: Path, recipe: Recipe, scenes: int) -> dict[int, list[ViewFiles]]:
    """Scenes whose files are all there, by number."""
    done: dict[int, list[ViewFiles]] = {}
    for index in range(scenes):
        folder = out / SCENES_DIR / scene_id(index)
        try:
            files = read_scene_files(out, scene_id(index))
        except DatasetError:
            continue
        names = [name for one in files for name in file_names(one.view, one.rgb, one.sha256).values()]
        if [one.view for one in files] == list(range(recipe.views)) and all((folder / n).is_file() for n in names):
            done[index] = files
    return done
