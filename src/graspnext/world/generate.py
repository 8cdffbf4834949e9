"""Makes datasets: many scenes by workers here or on a cluster, written by one process, one whole scene at a time."""

from __future__ import annotations

import dataclasses
import re
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graspnext.data.format import LogEntry
from graspnext.errors import ConfigError, SceneError
from graspnext.world.cluster import check_cluster, run_on_ray
from graspnext.world.dataset_folder import DatasetFolder
from graspnext.world.recipes import Recipe
from graspnext.world.render.renderer import RENDERERS, open_renderer
from graspnext.world.scene_task import STAGES, SceneResult, SceneTask, make_files
from graspnext.world.workers import run_tasks, usable_cores

MAX_FAILED_SHARE = 0.2
"""Share of failed scenes above which a run stops: the recipe asks for what cannot be."""
FAILED_SHARE_FROM = 20
"""Scenes from which on that share counts."""


@dataclass(frozen=True)
class GenerateConfig:
    """How much to make, and how."""

    scenes: int | None = None
    """None = the recipe's number."""
    seed: int = 0
    workers: int | None = None
    """Processes; None = one for each core that may be used. The same files come out whatever their number (of
    pictures see `render.filament`)."""
    ray: str | None = None
    """Address of a Ray cluster that makes the scenes instead; "" = one started here, for this run, of `workers`
    processes; None = none."""
    resume: bool = False
    """Keep the whole scenes of an earlier run with the same recipe and seed."""
    renderer: str | None = None
    """A key of `RENDERERS`; None = the best that works here."""
    renew_after: int = 40
    """Scenes after which a process is replaced, since the software renderer keeps about 5 MB of each."""

    def __post_init__(self) -> None:
        for name, least in (("scenes", 1), ("seed", 0), ("workers", 1), ("renew_after", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(name, value, f"at least {least}")
        if self.scenes is not None and self.scenes > 10**6:
            raise ConfigError("scenes", self.scenes, "at most 1000000")
        if self.renderer is not None and self.renderer not in RENDERERS:
            raise ConfigError("renderer", self.renderer, f"one of: {', '.join(RENDERERS)}")


@dataclass
class GenerateReport:
    """What a run did."""

    scenes: int = 0
    """Made in this run."""
    views: int = 0
    kept: int = 0
    """Scenes found whole."""
    failed: int = 0
    """Scenes that all attempts were refused for, those of earlier runs too."""
    attempts: int = 0
    """Attempts at scenes in this run."""
    refused: Counter[str] = field(default_factory=Counter)
    """Reason -> attempts of this run that it refused; numbers in a reason are left out."""
    wall_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    """Stage -> wall time, summed over workers."""

    def add(self, result: SceneResult, log: LogEntry) -> None:
        """Count one scene."""
        if result.encoded is None:
            self.failed += 1
        else:
            self.scenes += 1
            self.views += len(result.encoded.views)
        self.attempts += log.attempts
        self.refused.update(_NUMBER.sub("#", problem) for problem in log.problems)
        for stage, value in log.seconds.items():
            self.seconds[stage] += value

    @property
    def failed_share(self) -> float:
        """Failed scenes among all scenes of the dataset so far."""
        return self.failed / max(self.scenes + self.kept + self.failed, 1)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, unit in each name."""
        per_view = {
            f"{stage}_s_per_view": round(value / max(self.views, 1), 4) for stage, value in self.seconds.items()
        }
        return {
            "scenes": self.scenes,
            "views": self.views,
            "kept_scenes": self.kept,
            "failed_scenes": self.failed,
            "failed_share": round(self.failed_share, 4),
            "attempts": self.attempts,
            "refused_share": round(self.refused.total() / max(self.attempts, 1), 4),
            "refused_by_reason": dict(self.refused.most_common()),
            "wall_s": round(self.wall_s, 2),
            "wall_s_per_view": round(self.wall_s / max(self.views, 1), 4),
            **per_view,
        }


_NUMBER = re.compile(r"\d+(\.\d+)?")


def generate(
    out: Path,
    *,
    recipe: Recipe,
    config: GenerateConfig,
    watch: Callable[[Iterable[SceneResult], int], Iterable[SceneResult]] = lambda scenes, _total: scenes,
) -> GenerateReport:
    """Make a dataset. A scene that fails is noted, and the others are made.

    Scenes are made in processes of their own, which import the calling script anew: it needs the usual
    `if __name__ == "__main__":` around what it runs.

    Args:
        out: Its folder; must not exist, be empty, or be resumed.
        recipe: What scenes look like.
        config: How many, from which seed, by whom.
        watch: Passes finished scenes on, given them and their number: the place for a progress bar.

    Raises:
        OutputError: The folder is not empty, was made with another recipe or seed, or cannot be written.
        SceneError: More than `MAX_FAILED_SHARE` of the scenes fail.
        WorkerError: A worker reported a named error, or died again and again.
        MissingDependencyError: No renderer works here, or there is no Ray.
    """
    start = time.perf_counter()
    recipe = dataclasses.replace(recipe, scenes=config.scenes or recipe.scenes)
    with open_renderer(config.renderer) as opened:  # say what is missing before anything is written
        renderer = opened.name
    if config.ray is not None:
        check_cluster(config.ray)
    folder = DatasetFolder(out, recipe=recipe, seed=config.seed, renderer=renderer, resume=config.resume)
    with folder:
        report = GenerateReport(kept=folder.kept, failed=len(folder.failed))
        tasks = [SceneTask(recipe, config.seed, index, renderer) for index in folder.missing]
        with closing(_results(tasks, config)) as results:
            for result in watch(results, len(tasks)):
                report.add(result, folder.add(result))
                _check_share(report, folder.failed)
    report.wall_s = time.perf_counter() - start
    return report


def _results(tasks: list[SceneTask], config: GenerateConfig) -> Generator[SceneResult]:
    """The scenes, as they get ready."""
    workers = config.workers or usable_cores()
    if not tasks:
        return
    if config.ray is not None:
        yield from run_on_ray(make_files, tasks, address=config.ray, workers=workers, renew_after=config.renew_after)
    else:
        yield from run_tasks(make_files, tasks, workers=workers, renew_after=config.renew_after)


def _check_share(report: GenerateReport, failed: Mapping[int, list[str]]) -> None:
    """Stop a run that mostly fails.

    Args:
        report: Of this run.
        failed: What each failed scene was refused for, those of earlier runs included.

    Raises:
        SceneError: It does.
    """
    total = report.scenes + report.kept + report.failed
    if total < FAILED_SHARE_FROM or report.failed_share <= MAX_FAILED_SHARE:
        return
    reasons = Counter(_NUMBER.sub("#", problem) for problems in failed.values() for problem in problems)
    often = [f", most often ({times} attempts) because: {reason}" for reason, times in reasons.most_common(1)]
    raise SceneError(
        f"{report.failed} of {total} scenes failed{''.join(often)}; "
        "change the recipe (fewer or smaller parts, or larger containers), and choose another folder"
    )
