"""Perfect predictions score perfectly, known faults cost what they must, ignored instances cost nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graspnext.data.reader import Dataset
from graspnext.learning.metrics.accumulator import MetricAccumulator
from graspnext.types import Prediction, View

KEYS = {
    "amodal_box_ap", "amodal_box_ap50", "visible_mask_ap", "visible_mask_ap50", "amodal_mask_ap", "amodal_mask_ap50",
    "occlusion_accuracy", "occlusion_f1", "center_of_mass_ap", "center_of_mass_ap50", "center_of_mass_median_px",
    "heatmap_mse", "suction_precision_at_1", "suction_precision_at_5", "matched_share", "num_views", "num_instances",
}  # fmt: skip
LAYOUT_KEYS = {
    f"metagraspnet_{task}_{end}"
    for task in ("amodal_box", "visible_mask", "amodal_mask")
    for end in ("ap", "ap_top", "ap_secondary", "ap_corrected", "score", "score_top", "score_secondary")
}
SIDE = 192
"""Cells of a RoI mask: finer than the views' pixels, so that pasting gives the label back almost exactly."""


def roi(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The mask sampled at the centres of SIDE x SIDE cells of its box."""
    u = box[0] + (np.arange(SIDE) + 0.5) / SIDE * (box[2] - box[0])
    v = box[1] + (np.arange(SIDE) + 0.5) / SIDE * (box[3] - box[1])
    return mask[np.floor(v).astype(int)[:, None], np.floor(u).astype(int)[None, :]].astype(np.float32)


def perfect(view: View, *, ignored_too: bool = False) -> Prediction:
    found = [i for i in view.labels.instances if not i.ignore or (ignored_too and i.visible_mask.any())]
    boxes = np.array([i.amodal_box for i in found], np.float32).reshape(-1, 4)
    height, width = view.labels.suction.shape
    return Prediction(
        width=width,
        height=height,
        scores=np.linspace(0.9, 0.5, len(found), dtype=np.float32),
        amodal_boxes=boxes,
        visible_masks=np.array([roi(i.visible_mask, i.amodal_box) for i in found]).reshape(-1, SIDE, SIDE),
        amodal_masks=np.array([roi(i.amodal_mask, i.amodal_box) for i in found]).reshape(-1, SIDE, SIDE),
        occluded_probability=np.array([float(i.occluded) for i in found], np.float32),
        center_of_mass=np.array([i.center_of_mass[:2] for i in found], np.float32).reshape(-1, 2),
        suction=view.labels.suction.reshape(height // 4, 4, width // 4, 4).mean(axis=(1, 3)),
    )


@pytest.fixture(scope="module")
def views(tiny_dataset: Path) -> list[View]:
    dataset = Dataset(tiny_dataset)
    return [dataset.read(entry) for entry in dataset.entries]


def measure(views: list[View], predictions: list[Prediction]) -> dict[str, float]:
    accumulator = MetricAccumulator()
    for view, prediction in zip(views, predictions, strict=True):
        accumulator.add(view, prediction)
    return accumulator.result()


def test_perfect_predictions(views: list[View]) -> None:
    result = measure(views, [perfect(view) for view in views])
    assert result.keys() == KEYS | LAYOUT_KEYS
    for name in ("amodal_box_ap", "visible_mask_ap", "amodal_mask_ap", "center_of_mass_ap"):
        assert result[name] == result[f"{name}50"] == 1.0, name
    assert result["occlusion_accuracy"] == result["occlusion_f1"] == result["matched_share"] == 1.0
    assert result["center_of_mass_median_px"] == 0
    assert result["heatmap_mse"] == pytest.approx(0, abs=1e-12)
    assert result["suction_precision_at_1"] == 1.0
    assert result["num_views"] == len(views)
    assert result["num_instances"] == sum(not i.ignore for view in views for i in view.labels.instances)


def ignore_one(view: View) -> View:
    """The view with its best visible instance ignored."""
    best = max(view.labels.instances, key=lambda i: int(i.visible_mask.sum())).id
    instances = tuple(replace(i, ignore=i.ignore or i.id == best) for i in view.labels.instances)
    return replace(view, labels=replace(view.labels, instances=instances))


def test_finding_ignored_instances_costs_nothing(views: list[View]) -> None:
    views = [ignore_one(view) for view in views]
    without = measure(views, [perfect(view) for view in views])
    found = measure(views, [perfect(view, ignored_too=True) for view in views])
    assert found["amodal_box_ap"] == found["visible_mask_ap"] == found["center_of_mass_ap"] == 1.0
    assert found["num_instances"] == without["num_instances"]
    assert found["occlusion_accuracy"] == 1.0


def test_each_fault_touches_its_own_metric(views: list[View]) -> None:
    right = measure(views, [perfect(view) for view in views])

    def changed(**change: object) -> set[str]:
        predictions = []
        for view in views:
            prediction = perfect(view)
            values = {name: function(getattr(prediction, name)) for name, function in change.items()}  # type: ignore[operator]
            predictions.append(replace(prediction, **values))
        wrong = measure(views, predictions)
        return {name for name in KEYS if wrong[name] != pytest.approx(right[name], nan_ok=True)}

    assert changed(visible_masks=np.zeros_like) == {"visible_mask_ap", "visible_mask_ap50"}
    assert changed(amodal_masks=np.zeros_like) == {"amodal_mask_ap", "amodal_mask_ap50"}
    assert changed(occluded_probability=lambda p: 1 - p) == {"occlusion_accuracy", "occlusion_f1"}
    assert changed(center_of_mass=lambda c: c + 500) == {
        "center_of_mass_ap", "center_of_mass_ap50", "center_of_mass_median_px"
    }  # fmt: skip
    assert changed(suction=lambda s: 1 - s) == {"heatmap_mse", "suction_precision_at_1", "suction_precision_at_5"}


def test_no_predictions_at_all(views: list[View]) -> None:
    empty = [replace(perfect(view), **{n: getattr(perfect(view), n)[:0] for n in (
        "scores", "amodal_boxes", "visible_masks", "amodal_masks", "occluded_probability", "center_of_mass"
    )}) for view in views]  # fmt: skip
    result = measure(views, empty)
    assert result["amodal_box_ap"] == result["visible_mask_ap"] == result["matched_share"] == 0.0
    assert math.isnan(result["occlusion_accuracy"]) and math.isnan(result["center_of_mass_median_px"])


def test_only_the_best_hundred_count(views: list[View]) -> None:
    view = views[0]
    prediction = perfect(view)
    count = len(prediction.scores)
    far = np.tile(np.array([[0, 0, 2, 2]], np.float32), (100, 1))
    padded = replace(
        prediction,
        scores=np.concatenate([np.full(100, 0.95, np.float32), prediction.scores]),
        amodal_boxes=np.concatenate([far, prediction.amodal_boxes]),
        visible_masks=np.concatenate([np.ones((100, SIDE, SIDE), np.float32), prediction.visible_masks]),
        amodal_masks=np.concatenate([np.ones((100, SIDE, SIDE), np.float32), prediction.amodal_masks]),
        occluded_probability=np.concatenate([np.zeros(100, np.float32), prediction.occluded_probability]),
        center_of_mass=np.concatenate([np.full((100, 2), -900, np.float32), prediction.center_of_mass]),
    )
    assert count > 0
    result = measure([view], [padded])
    assert result["amodal_box_ap"] == result["amodal_mask_ap"] == result["matched_share"] == 0.0
