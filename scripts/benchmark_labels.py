"""Time and accuracy of the labels: `python scripts/benchmark_labels.py --out results/labels/labels.json`.

Scenes of 14, 25 and 60 parts are made from fixed seeds and labelled on one core at 512 px with 5 views and at
1200 px with one view; nothing is kept between scenes. Times are CPU seconds a view, with what all views of a scene
share divided among them, the best of `--repeat` runs. Accuracy is the suction map's difference from seal, wrench and
collision worked out at each of 10,000 pixels of parts by themselves.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy loads: one core is what is measured

import argparse
import json
import pickle
import platform
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from graspnext.geometry import cameras, rotations
from graspnext.types import Float64Array, Int64Array, Labels
from graspnext.world.cup import CupConfig
from graspnext.world.labels.collision import SceneSolid, tool_is_free
from graspnext.world.labels.seal import seal_scores
from graspnext.world.labels.surface import part_surface
from graspnext.world.labels.view import SceneLabeller
from graspnext.world.labels.wrench import wrench_scores
from graspnext.world.recipes import Recipe
from graspnext.world.scene import Scene
from graspnext.world.scene_task import make_scene

PIXELS = 10_000
SEEDS = (1, 2, 3)
CUP = CupConfig()


def scene_of(parts: int, seed: int, size: int, views: int) -> Scene:
    """A tote of six kinds of parts."""
    recipe = replace(
        Recipe(),
        parts_per_scene=(parts, parts),
        distinct_parts=(6, 6),
        single_part_probability=0.0,
        containers={"tote": 1.0},
        views=views,
        image_size=(size, size),
    )
    return make_scene(recipe, seed=seed, index=0)


def seconds_a_view(scene: Scene, repeat: int) -> tuple[float, float, Labels]:
    """CPU seconds a view, those of them that only what views share takes, and the labels of view 0."""
    frozen = pickle.dumps(scene)  # made by this process, just now
    best = (np.inf, np.inf)
    for _ in range(repeat):
        fresh = pickle.loads(frozen)  # new parts, for which nothing is kept
        start = time.process_time()
        labeller = SceneLabeller(fresh, CUP, 64)
        shared = time.process_time() - start
        labels = [labeller.label(view) for view in range(len(scene.cameras))]
        best = min(best, ((time.process_time() - start) / len(labels), shared / len(labels)))
    return (*best, labels[0])


def differences(scene: Scene, labels: Labels) -> Float64Array:
    """Suction map less the physics, at pixels of parts."""
    rng = np.random.default_rng(0)
    rows, columns = np.nonzero(labels.instance_ids)
    chosen = np.sort(rng.choice(len(rows), min(PIXELS, len(rows)), replace=False))
    rows, columns = rows[chosen], columns[chosen]
    ids = labels.instance_ids[rows, columns]
    expected, solid = np.zeros(len(rows)), SceneSolid(scene)
    for number in np.unique(ids):
        index = np.flatnonzero(ids == number)
        expected[index] = physics(scene, solid, int(number) - 1, rows[index], columns[index])
    return np.abs(labels.suction[rows, columns] - expected)


def physics(scene: Scene, solid: SceneSolid, placement: int, rows: Int64Array, columns: Int64Array) -> Float64Array:
    """The score (N,) at pixels that see a placement, each worked out by itself."""
    camera, T = scene.cameras[0], scene.placements[placement].T_world_part
    part = scene.parts[scene.placements[placement].part]
    surface = part_surface(part)
    T_part_camera = rotations.inverse(T) @ camera.T_world_camera
    directions = cameras.rays(camera)[rows, columns] @ T_part_camera[:3, :3].T
    hits = surface.tracer.hits(T_part_camera[:3, 3], directions)
    points = T_part_camera[:3, 3] + directions * hits.distance[:, None].astype(np.float64)
    normals = surface.normals_at(points, hits.face)
    world, up = rotations.transform(T, points), normals @ T[:3, :3].T
    scores = wrench_scores(part, T, world, up, CUP) * (up[:, 2] >= np.cos(CUP.approach_cone_rad))
    if part.suckable is not None:
        scores *= part.suckable[hits.face]
    index = np.flatnonzero(scores)
    owner = np.full(len(index), placement)
    index = index[tool_is_free(solid, owner, world[index], up[index], CUP)]
    result = np.zeros(len(rows))
    result[index] = scores[index] * seal_scores(surface, points[index], normals[index], CUP)
    return result


def main() -> None:
    """Measure, say, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for size, views in ((512, 5), (1200, 1)):
        for parts in (14, 25, 60):
            cases = [scene_of(parts, seed, size, views) for seed in SEEDS]
            measured = [seconds_a_view(scene, options.repeat) for scene in cases]
            error = np.concatenate([differences(s, m[2]) for s, m in zip(cases, measured, strict=True)])
            rows.append(
                {
                    "size_px": size,
                    "views_per_scene": views,
                    "parts_asked_for": parts,
                    "parts": [len(scene.placements) for scene in cases],
                    "cpu_s_per_view": [round(m[0], 4) for m in measured],
                    "of_that_shared_cpu_s_per_view": [round(m[1], 4) for m in measured],
                    "suction_mean_absolute_error": round(float(error.mean()), 5),
                    "suction_error_p95": round(float(np.quantile(error, 0.95)), 5),
                    "suction_error_over_quarter_share": round(float((error > 0.25).mean()), 5),
                }
            )
            sys.stdout.write(json.dumps(rows[-1]) + "\n")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    report = {
        "command": f"python scripts/benchmark_labels.py --out {options.out} --repeat {options.repeat}",
        "commit": commit,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "load_average": list(os.getloadavg())},
        "python": platform.python_version(),
        "seeds": list(SEEDS),
        "results": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
