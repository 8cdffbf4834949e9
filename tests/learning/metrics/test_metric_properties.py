"""What must hold whatever the views: orders that do not matter, scores by rank alone, perfection, duplicates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.learning.metrics.random_views import Case, H, W, random_case

from graspnext.learning.metrics.accumulator import AP_TASKS
from graspnext.types import Camera, Instance, Labels, Prediction, View

seeds = st.integers(0, 10**6)
few = settings(derandomize=True, deadline=None, max_examples=25)
FIELDS = ("scores", "amodal_boxes", "visible_masks", "amodal_masks", "occluded_probability", "center_of_mass")
SIDE = 6
"""Pixels of a square part; SQUARES of them lie apart in a view."""
SQUARES = 20


def rows(prediction: Prediction, order: np.ndarray) -> Prediction:
    return replace(prediction, **{name: getattr(prediction, name)[order] for name in FIELDS})


def distinct(case: Case, seed: int) -> Case:
    """The case with scores of which no two are equal, in no order."""
    rng = np.random.default_rng(seed)
    counts = [len(prediction.scores) for prediction in case.predictions]
    scores = rng.permutation(np.arange(1, sum(counts) + 1) / (sum(counts) + 1)).astype(np.float32)
    parts = np.split(scores, np.cumsum(counts)[:-1])
    predictions = [replace(one, scores=part) for one, part in zip(case.predictions, parts, strict=True)]
    return replace(case, predictions=predictions)


def same(one: Any, other: Any) -> None:
    """Nested values, equal up to rounding."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            same(a, b)
    else:
        assert one == pytest.approx(other, abs=1e-9, nan_ok=True)


def squares(count: int, rate: float = 0.0) -> tuple[View, Prediction]:
    """A view of parts far apart, and a perfect prediction."""
    instances, boxes = [], []
    ids = np.zeros((H, W), dtype=np.int32)
    for number in range(count):
        top, left = 8 * (number // 5), 9 * (number % 5)
        mask = np.zeros((H, W), dtype=np.bool_)
        mask[top : top + SIDE, left : left + SIDE] = True
        ids[mask] = number + 1
        box = np.array([left, top, left + SIDE, top + SIDE], dtype=np.float32)
        boxes.append(box)
        instances.append(
            Instance(
                id=number + 1,
                part="square",
                family="square",
                amodal_box=box,
                visible_box=box,
                amodal_mask=mask,
                visible_mask=mask,
                occluded_rate=rate * (number % 2),
                occluded=bool(rate * (number % 2) >= 0.05),
                center_of_mass=np.array([left + 3, top + 3, 1], dtype=np.float32),
                layer=number % 2,
                T_camera_part=np.eye(4),
                ignore=False,
            )
        )
    suction = np.kron(np.eye(H // 4, W // 4), np.ones((4, 4))).astype(np.float32)
    labels = Labels(tuple(instances), ids, np.ones((H, W), dtype=np.float32), suction)
    view = View("0", 0, np.zeros((H, W, 3), dtype=np.uint8), Camera(W, H, W, W, W / 2, H / 2), labels)
    ones = np.ones((count, SIDE, SIDE), dtype=np.float32)
    prediction = Prediction(
        width=W,
        height=H,
        scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
        amodal_boxes=np.array(boxes, dtype=np.float32),
        visible_masks=ones,
        amodal_masks=ones,
        occluded_probability=np.array([float(one.occluded) for one in instances], dtype=np.float32),
        center_of_mass=np.array([one.center_of_mass[:2] for one in instances]),
        suction=np.eye(H // 4, W // 4, dtype=np.float32),
    )
    return view, prediction


@few
@given(seeds)
def test_the_order_of_views_does_not_matter(seed: int) -> None:
    case = distinct(random_case(seed), seed)
    order = np.random.default_rng(seed).permutation(len(case.views))
    moved = Case(*([every[k] for k in order] for every in (case.views, case.predictions, case.difficulties)))
    before, after = case.accumulated(), moved.accumulated()
    same(before.result(), after.result())
    same(before.breakdown(), after.breakdown())
    same(before.curves(), after.curves())
    same([before.view_scores()[k] for k in order], after.view_scores())


@few
@given(seeds)
def test_the_order_of_detections_does_not_matter(seed: int) -> None:
    case, rng = distinct(random_case(seed), seed), np.random.default_rng(seed)
    shuffled = [rows(one, rng.permutation(len(one.scores))) for one in case.predictions]
    before, after = case.accumulated(), replace(case, predictions=shuffled).accumulated()
    assert repr(before.result()) == repr(after.result())  # to the last bit; NaN is NaN
    assert repr(before.breakdown()) == repr(after.breakdown())
    assert repr(before.view_scores()) == repr(after.view_scores())


@few
@given(seeds)
def test_only_the_ranks_of_scores_count(seed: int) -> None:
    """Any growing function of the scores gives the same result, ties included."""
    case = random_case(seed)
    scores = np.concatenate([one.scores for one in case.predictions])
    levels = np.unique(scores)
    new = np.sort(np.random.default_rng(seed).choice(2**20, len(levels), replace=False)).astype(np.float32)
    predictions = [replace(one, scores=new[np.searchsorted(levels, one.scores)]) for one in case.predictions]
    before, after = case.accumulated(), replace(case, predictions=predictions).accumulated()
    assert repr(before.result()) == repr(after.result())
    assert repr(before.breakdown()) == repr(after.breakdown())
    assert repr(before.curves()) == repr(after.curves())


@few
@given(seeds)
def test_fractions_are_fractions(seed: int) -> None:
    accumulator = random_case(seed).accumulated()
    bins = [values for group in accumulator.breakdown().values() for values in group.values()]
    for values in [accumulator.result(), *bins]:
        for name, value in values.items():
            if not name.startswith("num_") and not name.endswith("_px"):
                assert np.isnan(value) or 0 <= value <= 1, name


@few
@given(st.integers(1, SQUARES), st.floats(0.1, 0.9))
def test_perfect_predictions_are_one(count: int, rate: float) -> None:
    view, prediction = squares(count, rate)
    accumulator = Case([view], [prediction], [3]).accumulated()
    result = accumulator.result()
    for name, value in result.items():
        if name.startswith("metagraspnet_") and name.endswith("_ap"):
            assert value == 1 if count == 1 else value < 1, name  # as published
        elif name.endswith(("_ap", "_ap50", "_corrected", "_score", "_top", "accuracy", "matched_share", "_1")):
            assert value == 1, name
    assert result["heatmap_mse"] == result["center_of_mass_median_px"] == 0
    for group in accumulator.breakdown().values():
        for values in group.values():
            for name, value in values.items():
                assert not name.endswith(("_ap", "_recall", "matched_share")) or value == 1 or np.isnan(value), name
            assert (values["num_instances"] == 0) == np.isnan(values["amodal_box_ap"])
    assert all(row == [1.0] * 101 for rows_of in accumulator.curves().values() for row in rows_of.values())


@few
@given(st.integers(2, SQUARES))
def test_duplicates_lower_ap(count: int) -> None:
    """Each detection said twice: the k-th right one of n stands at a precision of k / (2 k - 1)."""
    view, prediction = squares(count)
    twice = Case([view], [rows(prediction, np.repeat(np.arange(count), 2))], [None]).accumulated().result()
    k = 1 + np.searchsorted(np.arange(1, count + 1) / count, np.linspace(0, 1, 101))  # the first to reach each recall
    expected = np.mean(k / (2 * k - 1))
    for task in AP_TASKS:
        assert twice[f"{task}_ap"] == pytest.approx(expected, abs=1e-9) and twice[f"{task}_ap"] < 1


@few
@given(seeds, st.floats(0, 1))
def test_a_false_alarm_never_raises_ap(seed: int, score: float) -> None:
    case = random_case(seed)
    first = case.predictions[0]
    if len(first.scores) >= 100:
        return  # the new one would push out another
    far = np.array([[-900, -900, -890, -890]], dtype=np.float32)
    extra = {
        "scores": np.array([score], dtype=np.float32),
        "amodal_boxes": far,
        "visible_masks": first.visible_masks[:1] if len(first.scores) else np.ones((1, 12, 12), dtype=np.float32),
        "amodal_masks": first.amodal_masks[:1] if len(first.scores) else np.ones((1, 12, 12), dtype=np.float32),
        "occluded_probability": np.array([0.5], dtype=np.float32),
        "center_of_mass": far[:, :2],
    }
    more = replace(first, **{name: np.concatenate([getattr(first, name), extra[name]]) for name in FIELDS})
    before = case.accumulated().result()
    after = replace(case, predictions=[more, *case.predictions[1:]]).accumulated().result()
    for task in AP_TASKS:
        assert not after[f"{task}_ap"] > before[f"{task}_ap"] + 1e-12, task
