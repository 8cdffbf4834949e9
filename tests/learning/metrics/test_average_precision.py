"""AP and its curves against pycocotools on random views with ties, ignored instances and empty views; closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.learning.metrics.random_views import (
    KINDS,
    precision_of,
    prepared,
    random_case,
    recall_of,
    reference,
    xywh,
)

from graspnext.learning.metrics.average_precision import AveragePrecision
from graspnext.learning.metrics.similarity import box_similarity, point_similarity

NUM_CASES = 500


def test_equals_pycocotools() -> None:
    """Curves at every threshold, and with them every AP, of all four tasks."""
    seen: dict[str, list[float]] = {task: [] for task in KINDS}
    for seed in range(NUM_CASES):
        case = random_case(seed)
        for task, matches in case.accumulated()._overall.items():
            expected = reference(case, task)
            precision, where = precision_of(expected), f"{task}, seed {seed}"
            np.testing.assert_allclose(matches.precision(), precision, rtol=0, atol=1e-9, err_msg=where)
            assert matches.average_precision() == pytest.approx(precision.mean(), abs=1e-9, nan_ok=True), where
            assert matches.average_precision(0.5) == pytest.approx(precision[0].mean(), abs=1e-9, nan_ok=True), where
            assert matches.average_recall() == pytest.approx(recall_of(expected), abs=1e-9, nan_ok=True), where
            seen[task].append(precision.mean())
    for task, values in seen.items():  # the cases are worth something
        known = np.array(values)
        assert np.isnan(known).sum() > 20, task
        assert ((known > 0) & (known < 1)).sum() > 250, task


def test_cases_hold_what_they_promise() -> None:
    cases = [random_case(seed) for seed in range(NUM_CASES)]
    predictions = [prediction for case in cases for prediction in case.predictions]
    assert any(len(prediction.scores) > 100 for prediction in predictions)
    assert sum(len(prediction.scores) == 0 for prediction in predictions) > 50
    assert sum(len(set(prediction.scores)) < len(prediction.scores) for prediction in predictions) > 200
    assert sum(not view.labels.instances for case in cases for view in case.views) > 50
    assert sum(one.ignore for case in cases for one in case.instances) > 300
    assert sum(bool((np.diff(prediction.scores) > 0).any()) for prediction in predictions) > 200  # in no order


def test_oks_closed_form() -> None:
    """One instance, one detection: AP is the share of thresholds that exp(-d^2 / (2 s^2 k^2)), k = 0.2, reaches."""
    box, truth = np.array([[10, 10, 50, 40]], np.float32), np.array([[30, 25]], np.float32)
    for distance_px in (0.0, 3.0, 5.0, 8.0, 12.0, 20.0):
        found = truth + np.array([[0, distance_px]], np.float32)
        ours = AveragePrecision()
        ours.add_view(np.ones(1, np.float32), point_similarity(found, truth, box, np.array([900.0])), np.zeros(1, bool))
        similarity = math.exp(-(distance_px**2) / (2 * 900 * 0.2**2))
        thresholds = [0.5 + 0.05 * k for k in range(10)]
        assert ours.matches().average_precision() == pytest.approx(sum(similarity >= t for t in thresholds) / 10)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_of_instances_that_fit_equally_the_last_is_taken(order: list[int]) -> None:
    """As in pycocotools: the second detection fits one of them alone, and is right only if that one is free."""
    truths = np.array([[0, 0, 10, 10], [4, 0, 14, 10]], np.float32)[order]
    found = np.array([[2, 0, 12, 10], [0, 0, 10, 10]], np.float32)
    crowd = np.zeros(2, dtype=np.bool_)
    ours = AveragePrecision()
    ours.add_view(np.array([0.9, 0.8], np.float32), box_similarity(found, truths, crowd), crowd)
    same = {"image_id": 1, "category_id": 1, "area": 100, "iscrowd": 0}
    as_coco = [
        [same | {"id": k, "bbox": xywh(box), "score": 1 / k} for k, box in enumerate(every, start=1)]
        for every in (truths, found)
    ]
    evaluation = prepared("bbox", *as_coco, num_views=1)
    evaluation.evaluate()
    expected = evaluation.evalImgs[0]["dtMatches"].astype(int) - 1  # (10, 2), -1 = nothing
    np.testing.assert_array_equal(ours.matches().truth, expected)
    assert expected[0].tolist() == ([1, 0] if order == [0, 1] else [1, -1])


def test_an_ignored_instance_is_neither_positive_nor_mistake() -> None:
    truths = np.array([[5, 5, 25, 25], [40, 5, 60, 25]], np.float32)
    crowd = np.array([False, True])
    ours = AveragePrecision()
    # The detection of the ignored one stands above the right one: it would halve the precision if it counted.
    ours.add_view(np.array([0.9, 0.8], np.float32), box_similarity(truths[::-1], truths, crowd), crowd)
    assert ours.matches().average_precision() == ours.matches().average_precision(0.5) == 1.0


def test_without_views() -> None:
    matches = AveragePrecision().matches()
    assert math.isnan(matches.average_precision()) and math.isnan(matches.average_recall())
    assert matches.precision().shape == (10, 101)
