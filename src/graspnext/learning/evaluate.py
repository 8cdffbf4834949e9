"""Measure anything that predicts on a split of a dataset."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graspnext.data.difficulty import difficulty_of
from graspnext.data.format import ManifestEntry
from graspnext.data.reader import Dataset, files_of, read_labels
from graspnext.errors import ConfigError, DatasetError
from graspnext.learning.diagnosis import FALSE_ALARMS, MISSES, diagnose
from graspnext.learning.metrics.accumulator import MetricAccumulator, best_first
from graspnext.learning.metrics.layout_weighted import LAYOUT_DEFINITION
from graspnext.learning.metrics.reliability import Reliability
from graspnext.types import Labels, Prediction, UInt8Array

DEFINITIONS = {
    "amodal_box_ap, visible_mask_ap, amodal_mask_ap": "COCO AP, IoU 0.50:0.05:0.95, 100 detections, class-agnostic",
    "occlusion_accuracy, occlusion_f1": "over instances matched at amodal-box IoU 0.5 in score order",
    "center_of_mass_ap": "COCO keypoint AP, one keypoint, OKS constant k = 0.2, scale = square root of the amodal area",
    "heatmap_mse": "all pixels at stride 4, prediction and label in [0, 1]",
    "suction_precision_at_k": "share of the k highest peaks that lie on a label of at least 0.5",
    **LAYOUT_DEFINITION,
    "reliability": "all detections; right: matched at amodal-box IoU 0.5 in score order; mean_iou: with the "
    "part matched, or else with the nearest one; those on ignored parts are left out",
    "mistakes, views": "at amodal-box IoU 0.5, detections of a score of at least 0.5; misplaced: IoU 0.1 to 0.5",
}
"""The form of each metric, which the paper leaves open in part; goes into every report."""

Track = Callable[[Iterable[ManifestEntry], int], Iterator[ManifestEntry]]
"""Passes the entries on and shows progress; the number is how many there are."""


def evaluate(
    predict: Callable[[UInt8Array], Prediction],
    dataset: Dataset,
    split: str,
    *,
    limit: int | None,
    track: Track | None = None,
) -> dict[str, Any]:
    """Run a predictor over a split and measure it, one view at a time: no prediction is kept.

    Args:
        predict: An image (H, W, 3) uint8, RGB, to what is seen in it.
        dataset: Where the views are.
        split: Which of them: train, val, test or novel.
        limit: At most so many views, spread evenly over the split; all when None.
        track: For a progress bar.

    Returns:
        Values that JSON can hold, None where nothing could be measured: `metrics` (name -> value), `split`,
        `num_views`, `label_gaps` (views whose labels are missing or approximate, by label), `predict_ms_p50`,
        `predict_ms_p95`, `definitions`, `breakdown` (metrics by size, occlusion, difficulty and layer), `curves`
        (precision at 101 recalls), `reliability` (right detections by score), `mistakes` (their number by kind) and
        `views` (scores and mistakes of each view, in the order of `choose`).

    Raises:
        ConfigError: The limit is below 1.
        DatasetError: The split is empty or without labels, or a view cannot be read.
    """
    entries = choose(dataset.split(split), limit)
    _require_labels(dataset, split, entries)
    accumulator, reliability = MetricAccumulator(), Reliability()
    gaps: Counter[str] = Counter()
    mistakes: list[dict[str, int]] = []
    times_ms: list[float] = []
    for entry in track(entries, len(entries)) if track else entries:
        view = dataset.read(entry, depth=False)
        begin = time.perf_counter()
        prediction = predict(view.image)
        times_ms.append((time.perf_counter() - begin) * 1e3)
        prediction = best_first(prediction)
        accumulator.add(view, prediction, difficulty=entry.difficulty or difficulty_of(view.labels.instances))
        diagnosis = diagnose(view, prediction)
        reliability.add(*diagnosis.judged(prediction.scores))
        mistakes.append(diagnosis.counts())
        gaps.update(label_gaps(view.labels))
    scores = zip(entries, accumulator.view_scores(), mistakes, strict=True)
    return {
        "metrics": plain(accumulator.result()),
        "split": split,
        "num_views": len(entries),
        "label_gaps": dict(sorted(gaps.items())),
        "predict_ms_p50": round(float(np.median(times_ms)), 2),
        "predict_ms_p95": round(float(np.percentile(times_ms, 95)), 2),
        "definitions": DEFINITIONS,
        "breakdown": plain(accumulator.breakdown()),
        "curves": plain(accumulator.curves()),
        "reliability": plain(reliability.result()),
        "mistakes": {kind: sum(one[kind] for one in mistakes) for kind in (*MISSES, *FALSE_ALARMS)},
        "views": [{"file": files_of(entry)["rgb"], **plain(score), **count} for entry, score, count in scores],
    }


def _require_labels(dataset: Dataset, split: str, entries: list[ManifestEntry]) -> None:
    """Refuse, before anything is predicted, a split that there is nothing to measure on."""
    if not entries:
        counts = Counter(entry.split for entry in dataset.entries)
        others = ", ".join(f"{name} ({count} views)" for name, count in counts.items())
        raise DatasetError(dataset.root, f"no views in the split '{split}'", f"it has {others or 'no views at all'}")
    for entry in entries:  # as a rule the first one ends this
        labels = read_labels(dataset.root, entry, dataset.info.image_size)
        if "suction" not in labels.missing or any(not one.ignore for one in labels.instances):
            return
    raise DatasetError(dataset.root, f"no view of the split '{split}' has labels", "choose another split")


def plain(value: Any) -> Any:
    """Nested dicts and lists with None in place of NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def worst_views(views: Sequence[Mapping[str, Any]], count: int) -> list[int]:
    """Places of the views with the lowest F1 of the amodal boxes, worst first.

    Of equal ones that with more mistakes comes first, then that with the larger error of the heatmap. Views without a
    score, in which there was nothing to find and nothing was found, are left out.
    """

    def rank(place: int) -> tuple[float, float, float, int]:
        one = views[place]
        return one["amodal_box_f1"], -one["misses"] - one["false_alarms"], -(one["heatmap_mse"] or 0.0), place

    known = [place for place, one in enumerate(views) if one["amodal_box_f1"] is not None]
    return sorted(known, key=rank)[:count]


def heatmap_views(views: Sequence[Mapping[str, Any]]) -> list[int]:
    """Places of eight views by the error of their heatmap: the four worst, three around the median, the best one.

    The median and the best are of the views with a good place, for which there is a precision: an empty heatmap is no
    feat where nothing holds.
    """
    known = [place for place, one in enumerate(views) if one["heatmap_mse"] is not None]
    ranked = sorted(known, key=lambda place: (-views[place]["heatmap_mse"], place))
    worst = ranked[:4]
    good = [place for place in ranked if views[place]["suction_precision_at_1"] is not None and place not in worst]
    middle = len(good) // 2
    chosen = [*range(middle - 1, middle + 2), len(good) - 1]
    return worst + [good[place] for place in dict.fromkeys(chosen) if 0 <= place < len(good)]


def label_gaps(labels: Labels) -> list[str]:
    """What a view's labels lack, such as "missing suction", or know roughly, such as "approximate depth"."""
    gaps = [f"missing {name}" for name in labels.missing] + [f"approximate {name}" for name in labels.approximate]
    unknown = any(np.isnan(one.center_of_mass).any() for one in labels.instances)
    return [*gaps, "missing center_of_mass"] if unknown else gaps


def choose(entries: list[ManifestEntry], limit: int | None) -> list[ManifestEntry]:
    """At most `limit` entries, spread evenly, so that a small sample still sees many scenes.

    Raises:
        ConfigError: The limit is below 1.
    """
    if limit is not None and limit < 1:
        raise ConfigError("limit", limit, "an integer >= 1")
    if limit is None or limit >= len(entries):
        return list(entries)
    return [entries[index * len(entries) // limit] for index in range(limit)]
