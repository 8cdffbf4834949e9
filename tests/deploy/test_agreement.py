"""Differences that are planted must be found, and only those."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graspnext.deploy.comparison.agreement import TASKS, Tolerance, broken, differences, faults, is_worse, task_gaps
from graspnext.errors import ConfigError


def outputs(count: int = 12) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    low = np.arange(count)[:, None] * 30 + rng.uniform(0, 5, (count, 2))
    return {
        "scores": np.linspace(0.9, 0.3, count).astype(np.float32),
        "amodal_boxes": np.concatenate([low, low + 20], axis=1).astype(np.float32),
        "visible_masks": rng.uniform(size=(count, 4, 4)).astype(np.float32),
        "amodal_masks": rng.uniform(size=(count, 4, 4)).astype(np.float32),
        "occluded_probability": rng.uniform(size=count).astype(np.float32),
        "center_of_mass": (low + 10).astype(np.float32),
        "suction": rng.uniform(size=(8, 8)).astype(np.float32),
        "valid": np.ones(2, dtype=np.float32),
        "count": np.array(count),
    }


def test_equal_outputs_in_another_order_do_not_differ() -> None:
    reference, other = outputs(), outputs()
    order = np.random.default_rng(1).permutation(12)
    for name in other:
        if other[name].shape[:1] == (12,):
            other[name] = other[name][order]
    found = differences(reference, other)
    assert found["detections"] == 12
    assert found["visible_mask_iou"] == found["amodal_mask_iou"] == 1
    assert not any(value for name, value in found.items() if name != "detections" and not name.endswith("_iou"))
    assert not faults(found, Tolerance())
    assert not any(task_gaps(reference, other, min_score=0.05).values())


@pytest.mark.parametrize(
    ("name", "index", "change", "quantity", "task"),
    [
        ("scores", 3, 0.01, "score", None),
        ("amodal_boxes", (5, 2), 0.7, "box_px", "amodal_box"),
        ("center_of_mass", (5, 0), -3.0, "center_px", "center_of_mass"),
        ("occluded_probability", 1, 0.2, "occlusion", "occlusion"),
        ("suction", (2, 2), 0.01, "suction", "suction"),
        ("valid", 0, -0.1, "valid", None),
    ],
)
def test_one_changed_number_is_found(name: str, index: Any, change: float, quantity: str, task: str | None) -> None:
    other = outputs()
    other[name][index] += change
    found = differences(outputs(), other)
    assert found[quantity] == pytest.approx(abs(change), abs=1e-4)
    assert list(broken(found, Tolerance())) == [quantity]
    assert faults(found, Tolerance())[0].startswith(f"{quantity} differs")
    gaps = task_gaps(outputs(), other, min_score=0.05)
    assert [one for one in TASKS if gaps[one] > 0] == ([task] if task else [])


@pytest.mark.parametrize("task", ["visible_mask", "amodal_mask"])
def test_masks_are_compared_where_they_are_seen(task: str) -> None:
    reference, other = outputs(), outputs()
    for side in (reference, other):
        side[f"{task}s"][7] = 0.9
    other[f"{task}s"][7, :, 0] = 0.1  # a quarter of the box, and half of the way to its neighbour, falls out
    found = differences(reference, other)
    assert 0.5 < found[f"{task}_iou"] < 0.85
    assert list(broken(found, Tolerance())) == [f"{task}_iou"]
    assert faults(found, Tolerance())[0].startswith(f"{task}_iou is 0.")
    gaps = task_gaps(reference, other, min_score=0.05)
    assert gaps[task] == pytest.approx((1 - found[f"{task}_iou"]) / 12)


def test_pixels_at_the_threshold_may_fall_either_way() -> None:
    reference, other = outputs(), outputs()
    reference["visible_masks"][0], other["visible_masks"][0] = 0.5004, 0.4998
    assert differences(reference, other)["visible_mask_iou"] == 1
    reference["visible_masks"][0, 0], other["visible_masks"][0, 0] = 0.52, 0.48
    assert differences(reference, other)["visible_mask_iou"] < 0.5


def test_missing_detections_are_counted() -> None:
    other = outputs()
    other["scores"][4:6] = 0
    found = differences(outputs(), other)
    assert found["unmatched"] == 2
    assert faults(found, Tolerance()) == ["2 of 12 detections have no counterpart"]
    assert differences(outputs(), other, min_score=0.95)["unmatched"] == 0
    assert task_gaps(outputs(), other, min_score=0.05)["amodal_box"] == pytest.approx(2 / 12)


def test_a_score_just_below_the_least_one_is_no_loss() -> None:
    reference, other = outputs(), outputs()
    reference["scores"][11], other["scores"][11] = 0.0501, 0.0499
    found = differences(reference, other, min_score=0.05)
    assert found["unmatched"] == 0 and found["detections"] == 12
    assert found["score"] == pytest.approx(2e-4, rel=1e-3)


@pytest.mark.parametrize("name", ["scores", "amodal_boxes", "visible_masks", "suction", "center_of_mass"])
def test_nan_is_a_fault(name: str) -> None:
    other = outputs()
    other[name][0] = np.nan
    assert faults(differences(outputs(), other), Tolerance())


def test_nothing_on_either_side() -> None:
    empty = outputs(0)
    assert not faults(differences(empty, outputs(0)), Tolerance())
    assert faults(differences(empty, outputs(3)), Tolerance())


def test_worse_is_lower_for_an_overlap_and_nan_is_the_worst() -> None:
    assert is_worse("score", 2, 1) and not is_worse("score", 1, 2)
    assert is_worse("amodal_mask_iou", 0.9, 1) and not is_worse("amodal_mask_iou", 1, 0.9)
    assert is_worse("score", float("nan"), 9) and not is_worse("score", 9, float("nan"))


def test_a_negative_tolerance_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"tolerance\.score is -1"):
        Tolerance(score=-1)
