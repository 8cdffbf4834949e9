"""Memory over many scenes: flat from one generation of worker processes to the next, and in the process that writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.world import runs

from graspnext.data.format import LogEntry
from graspnext.world.generate import GenerateConfig, generate
from graspnext.world.render.renderer import renderer_problems
from graspnext.world.scene_task import memory_mb

RENEW_AFTER = 20
GENERATIONS = 6
MOST_KEPT_MB = 10.0
"""What the software renderer may keep of a scene until its process is replaced."""


@pytest.mark.slow
@pytest.mark.skipif(all(problem is not None for problem in renderer_problems().values()), reason="no renderer")
def test_memory_stays_flat(tmp_path: Path) -> None:
    scenes = RENEW_AFTER * GENERATIONS
    here: list[float] = []

    def watch(results: object, _total: int) -> object:
        for result in results:  # type: ignore[attr-defined]
            yield result
            here.append(memory_mb())

    config = GenerateConfig(scenes, seed=6, workers=1, renew_after=RENEW_AFTER)
    generate(tmp_path, recipe=runs.QUICK, config=config, watch=watch)  # type: ignore[arg-type]
    lines = (tmp_path / "log.jsonl").read_bytes().splitlines()
    used = np.array([LogEntry.model_validate_json(line).memory_mb for line in lines]).reshape(GENERATIONS, RENEW_AFTER)
    print(f"MB by process (rows) and scene:\n{used.round().astype(int)}\nwriter: {here[::10]}")  # noqa: T201
    assert np.median(np.diff(used, axis=1)) < MOST_KEPT_MB
    middle = np.median(used, axis=1)
    assert middle[-3:].mean() < 1.05 * middle[:3].mean()  # what differs is what the scenes hold
    assert here[-1] < 1.01 * here[scenes // 3] + 1.0
