"""Measure anything that predicts on a split of a dataset."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from graspnext.data.format import ManifestEntry
from graspnext.data.reader import Dataset
from graspnext.errors import ConfigError, DatasetError
from graspnext.learning.metrics.accumulator import MetricAccumulator
from graspnext.types import Labels, Prediction, UInt8Array

DEFINITIONS = {
    "amodal_box_ap, visible_mask_ap, amodal_mask_ap": "COCO AP, IoU 0.50:0.05:0.95, 100 detections, class-agnostic",
    "occlusion_accuracy, occlusion_f1": "over instances matched at amodal-box IoU 0.5 in score order",
    "center_of_mass_ap": "COCO keypoint AP, one keypoint, OKS constant k = 0.2, scale = square root of the amodal area",
    "heatmap_mse": "all pixels at stride 4, prediction and label in [0, 1]",
    "suction_precision_at_k": "share of the k highest peaks that lie on a label of at least 0.5",
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
    """Run a predictor over a split and measure it.

    Args:
        predict: An image (H, W, 3) uint8, RGB, to what is seen in it.
        dataset: Where the views are.
        split: Which of them: train, val, test or novel.
        limit: At most so many views, spread evenly over the split; all when None.
        track: For a progress bar.

    Returns:
        `metrics` (name -> value, None where nothing could be measured), `split`, `num_views`, `label_gaps` (views whose
        labels are missing or approximate, by label), `predict_ms_p50` and `definitions`.

    Raises:
        ConfigError: The limit is below 1.
        DatasetError: The split is empty or a view cannot be read.
    """
    entries = choose(dataset.split(split), limit)
    if not entries:
        raise DatasetError(dataset.root, f"no views in the split '{split}'", "choose another split")
    accumulator = MetricAccumulator()
    gaps: Counter[str] = Counter()
    times_ms: list[float] = []
    for entry in track(entries, len(entries)) if track else entries:
        view = dataset.read(entry, depth=False)
        begin = time.perf_counter()
        prediction = predict(view.image)
        times_ms.append((time.perf_counter() - begin) * 1e3)
        accumulator.add(view, prediction)
        gaps.update(label_gaps(view.labels))
    metrics = {name: None if math.isnan(value) else value for name, value in accumulator.result().items()}
    return {
        "metrics": metrics,
        "split": split,
        "num_views": len(entries),
        "label_gaps": dict(sorted(gaps.items())),
        "predict_ms_p50": round(float(np.median(times_ms)), 2),
        "definitions": DEFINITIONS,
    }


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
