"""The numbers of a dataset: what it holds, how its labels are distributed, what it cost. Plain values, for JSON."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graspnext.data import reader
from graspnext.data.difficulty import LEVELS, difficulty_of_rates
from graspnext.data.format import (
    LOG_FILE,
    SCENES_DIR,
    SPLITS,
    DatasetInfo,
    LogEntry,
    ManifestEntry,
    SceneFile,
    ViewLabels,
)
from graspnext.data.reader import Dataset
from graspnext.data.record_files import parse_record, read_bytes
from graspnext.geometry import masks
from graspnext.types import Int64Array

SUCKABLE_FROM = 0.5
"""Suction score from which a pixel counts as a good place for the cup, as in the metrics."""
MAX_MEMORY_POINTS = 600
_ADVICE = "run `graspnext data check`"
_SAID = {"container": ("container", "kind"), "fill": ("fill",), "light": ("look", "mood")}
"""What scenes are counted by, and where `scene.json` says it."""


@dataclass(frozen=True)
class Distribution:
    """How a number is spread."""

    number: int
    """How many values."""
    mean: float
    p05: float
    median: float
    p95: float
    edges: list[float]
    """K + 1 bounds of K bins; values beyond the outer ones are in the outer bins."""
    counts: list[int]
    """K."""


def distribution(values: Sequence[float], edges: Sequence[float]) -> Distribution | None:
    """Sum up values over given bins; None if there are none."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return None
    counts, _ = np.histogram(np.clip(array, edges[0], edges[-1]), bins=np.asarray(edges))
    p05, median, p95 = np.percentile(array, (5, 50, 95))
    shape = [float(round(edge, 6)) for edge in edges]
    mean, low, middle, high = (round(float(value), 6) for value in (array.mean(), p05, median, p95))
    return Distribution(array.size, mean, low, middle, high, shape, [int(count) for count in counts])


@dataclass
class _Labels:
    """What is gathered from all label files."""

    splits: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Split -> "views", "instances", "level_1" ...; scenes are counted apart."""
    families: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Family -> "instances", "occluded", "ignored"."""
    sensors: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    rates: list[float] = field(default_factory=list)
    sizes_px: list[float] = field(default_factory=list)
    parts_per_view: list[int] = field(default_factory=list)
    view_rates: list[float] = field(default_factory=list)
    layers: list[int] = field(default_factory=list)
    distances_m: list[float] = field(default_factory=list)
    tilts_deg: list[float] = field(default_factory=list)

    def add(self, root: Path, entry: ManifestEntry, labels: ViewLabels) -> None:
        """Count one view."""
        file = reader.files_of(entry)["labels"]
        size = (labels.camera.height, labels.camera.width)
        rates = [record.occluded_rate for record in labels.instances]
        rate = sum(rates) / len(rates) if rates else 0.0
        split = self.splits[entry.split]
        split.update(views=1, instances=len(rates))
        split[f"level_{difficulty_of_rates(rates)}"] += 1
        self.sensors[labels.sensor or "none"] += 1
        self.missing.update(labels.missing)
        self.rates += rates
        self.view_rates.append(rate)
        self.parts_per_view.append(len(rates))
        for index, record in enumerate(labels.instances):
            family = self.families[record.family]
            family.update(instances=1, occluded=record.occluded, ignored=record.ignore)
            self.layers.append(record.layer)
            try:
                pixels = masks.area(size, record.segmentation.counts)
            except ValueError:  # said as the reader says it
                reader.decode_mask(root, file, f"instances[{index}].segmentation", record.segmentation, size)
                raise
            self.sizes_px.append(float(np.sqrt(pixels)))
        depths = [record.center_of_mass[2] for record in labels.instances if record.center_of_mass is not None]
        if depths:
            self.distances_m.append(float(np.median(depths)))
        if "camera_pose" not in labels.missing:
            down = -labels.camera.T_world_camera[2][2]  # the optical axis against straight down
            self.tilts_deg.append(float(np.degrees(np.arccos(np.clip(down, -1, 1)))))


def gather(
    dataset: Dataset,
    *,
    sample: int = 200,
    progress: Callable[[Iterable[ManifestEntry], int], Iterable[ManifestEntry]] = lambda views, _total: views,
) -> dict[str, Any]:
    """All numbers of a dataset.

    Args:
        dataset: All label files of it are read, and the maps of some views.
        sample: Views whose maps are read, spread evenly over the manifest.
        progress: Passes views on, given them and their number: the place for a progress bar.

    Returns:
        Plain values; units stand in the keys. See `viz.report`, which shows them.

    Raises:
        DatasetError: A file of the dataset is missing or damaged.
    """
    labels = _Labels()
    for entry in progress(dataset.entries, len(dataset.entries)):
        labels.add(dataset.root, entry, reader.read_labels(dataset.root, entry, dataset.info.image_size))
    scenes = {entry.scene: entry.split for entry in dataset.entries}
    said, placed = _scenes(dataset, sorted(scenes))
    log = read_log(dataset.root)
    return {
        "dataset": _about(dataset.info),
        "counts": {
            "scenes": len(scenes),
            "failed_scenes": len(dataset.info.failed_scenes),
            "views": len(dataset.entries),
            "instances": len(labels.rates),
            "families": len(labels.families),
        },
        "by_split": {
            split: {
                "scenes": sum(one == split for one in scenes.values()),
                "views": labels.splits[split]["views"],
                "instances": labels.splits[split]["instances"],
                "views_by_difficulty": [labels.splits[split][f"level_{level}"] for level in LEVELS],
            }
            for split in SPLITS
        },
        "by_family": {name: dict(counts) for name, counts in sorted(labels.families.items())},
        **{f"scenes_by_{name}": dict(sorted(counts.items())) for name, counts in said.items()},
        "views_by_sensor": dict(sorted(labels.sensors.items())),
        "views_without": dict(sorted(labels.missing.items())),
        "distributions": _distributions(labels, placed) | _maps(dataset, sample),
        "sampled_views": min(sample, len(dataset.entries)),
        "failures": _failures(dataset.info, log),
        "time": _time(log, dataset.entries),
        "memory_mb": _memory(log),
    }


def read_log(root: Path) -> list[LogEntry]:
    """The readable lines of `log.jsonl`, in the order in which scenes were finished; none if there is no such file.

    Raises:
        DatasetError: The file cannot be read.
    """
    if not os.path.lexists(root / LOG_FILE):
        return []
    lines = read_bytes(root, LOG_FILE, "delete it; nothing needs it").splitlines()
    entries = []
    for line in lines:
        try:
            entries.append(LogEntry.model_validate_json(line))
        except ValueError:  # a run that was killed may leave half a line; `data check` tells
            continue
    return entries


def _about(info: DatasetInfo) -> dict[str, Any]:
    about = info.model_dump(mode="json", exclude={"failed_scenes", "schema_version"})
    about["image_size_px"] = about.pop("image_size")
    return about


def _scenes(dataset: Dataset, scenes: Sequence[str]) -> tuple[dict[str, Counter[str]], list[int]]:
    """Containers, fills, kinds of light, and the number of parts of each scene, as far as `scene.json` says."""
    said: dict[str, Counter[str]] = {name: Counter() for name in _SAID}
    placed = []
    for scene in scenes:
        file = f"{SCENES_DIR}/{scene}/scene.json"
        record = parse_record(SceneFile, read_bytes(dataset.root, file, _ADVICE), dataset.root, file, _ADVICE)
        for name, path in _SAID.items():
            value: object = record.info
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, str):
                said[name][value] += 1
        if isinstance(record.info.get("placements"), list):
            placed.append(len(record.info["placements"]))
    return said, placed


def _distributions(labels: _Labels, placed: list[int]) -> dict[str, Any]:
    share = np.linspace(0, 1, 21).tolist()
    most = max([1, *labels.parts_per_view, *placed])
    step = max(1, -(-most // 24))
    whole = [edge - 0.5 for edge in range(0, most + step + 1, step)]
    far = max([1e-3, *labels.distances_m])
    found = {
        "occluded_rate": distribution(labels.rates, share),
        "view_mean_occluded_rate": distribution(labels.view_rates, share),
        "amodal_size_px": distribution(labels.sizes_px, _even(0, max([1.0, *labels.sizes_px]))),
        "parts_per_view": distribution(labels.parts_per_view, whole),
        "parts_per_scene": distribution(placed, whole),
        "layer": distribution(labels.layers, [edge - 0.5 for edge in range(max([0, *labels.layers]) + 2)]),
        "distance_m": distribution(labels.distances_m, _even(0, far)),
        "tilt_deg": distribution(labels.tilts_deg, _even(0, max([10.0, *labels.tilts_deg]))),
    }
    return _plain(found)


def _maps(dataset: Dataset, sample: int) -> dict[str, Any]:
    """What only pixels tell, over some views."""
    missing, sensor_missing, sensor_error_mm, suckable, best = [], [], [], [], []
    scores = []
    count = min(sample, len(dataset.entries))
    for index in np.linspace(0, len(dataset.entries) - 1, count).round().astype(int) if count else ():
        view = dataset.read(dataset.entries[index])
        clean = view.labels.depth_m
        if "depth" not in view.labels.missing:
            missing.append(float((clean == 0).mean()))
        if (sensor := view.sensor_depth_m) is not None:
            sensor_missing.append(float((sensor == 0).mean()))
            both = (sensor > 0) & (clean > 0)
            sensor_error_mm += [float(np.median(np.abs(sensor[both] - clean[both]))) * 1e3] if both.any() else []
        part = view.labels.instance_ids > 0
        if "suction" in view.labels.missing or not part.any():
            continue
        scores.append(np.histogram(view.labels.suction[part], bins=20, range=(0, 1))[0])
        suckable.append(float((view.labels.suction[part] >= SUCKABLE_FROM).mean()))
        best += [
            float(view.labels.suction[one.visible_mask].max())
            for one in view.labels.instances
            if not one.ignore and one.visible_mask.any()
        ]
    share = np.linspace(0, 1, 21).tolist()
    found = {
        "depth_missing_share": distribution(missing, share),
        "sensor_depth_missing_share": distribution(sensor_missing, share),
        "sensor_depth_error_mm": distribution(sensor_error_mm, _even(0, max([1.0, *sensor_error_mm]))),
        "suckable_share": distribution(suckable, share),
        "best_suction_score": distribution(best, share),
        "suction_score": _of_counts(np.sum(scores, axis=0), share) if scores else None,
    }
    return _plain(found)


def _of_counts(counts: Int64Array, edges: list[float]) -> Distribution:
    """The distribution of values of which only the bins are kept: each counts as its bin's middle."""
    middles = (np.array(edges[1:]) + np.array(edges[:-1])) / 2
    order = np.cumsum(counts) / counts.sum()
    p05, median, p95 = (float(middles[np.searchsorted(order, share)]) for share in (0.05, 0.5, 0.95))
    mean = round(float((middles * counts).sum() / counts.sum()), 6)
    return Distribution(int(counts.sum()), mean, p05, median, p95, edges, [int(count) for count in counts])


def _failures(info: DatasetInfo, log: Sequence[LogEntry]) -> dict[str, Any]:
    """Scenes that failed, and attempts that were refused, by reason with its numbers left out."""
    reasons = Counter(re.sub(r"\d+(\.\d+)?", "…", problem) for entry in log for problem in entry.problems)
    attempts = sum(entry.attempts for entry in log)
    refused = sum(len(entry.problems) for entry in log)
    return {
        "failed_scenes": [scene.model_dump() for scene in info.failed_scenes],
        "logged_scenes": len(log),
        "attempts": attempts,
        "refused_attempts": refused,
        "refused_share": round(refused / attempts, 6) if attempts else None,
        "reasons": dict(reasons.most_common()),
    }


def _time(log: Sequence[LogEntry], entries: Sequence[ManifestEntry]) -> dict[str, Any]:
    """Seconds of work, summed over processes, for the scenes in the log."""
    views = Counter(entry.scene for entry in entries)
    logged = sum(views[scene] for scene in {entry.scene for entry in log})
    stages: dict[str, float] = defaultdict(float)
    for entry in log:
        for stage, seconds in entry.seconds.items():
            stages[stage] += seconds
    total = sum(stages.values())
    per_scene = [sum(entry.seconds.values()) for entry in log]
    return {
        "logged_views": logged,
        "total_s": round(total, 3),
        "s_per_view": round(total / logged, 4) if logged else None,
        "stages": {
            stage: {"total_s": round(seconds, 3), "s_per_view": round(seconds / logged, 4) if logged else None}
            for stage, seconds in stages.items()
        },
        "per_scene_s": _plain({"": distribution(per_scene, _even(0, max([1e-3, *per_scene])))}).get(""),
    }


def _memory(log: Sequence[LogEntry]) -> list[list[float]]:
    """(number of the scene in the order of finishing, resident MB of the process that made it), thinned."""
    step = 1 + len(log) // MAX_MEMORY_POINTS
    return [[index, log[index].memory_mb] for index in range(0, len(log), step) if log[index].memory_mb > 0]


def _even(low: float, high: float) -> list[float]:
    """Edges of about 20 bins of a round width from `low` to at least `high`."""
    raw = (high - low) / 20
    unit = 10.0 ** np.floor(np.log10(raw))
    width = float(next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= raw * (1 - 1e-9)))
    return [low + width * index for index in range(int(np.ceil((high - low) / width - 1e-9)) + 1)]


def _plain(found: dict[str, Distribution | None]) -> dict[str, Any]:
    return {name: dataclasses.asdict(one) for name, one in found.items() if one is not None}
