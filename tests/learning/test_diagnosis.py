"""Every kind of mistake, made on purpose; and the sums that must hold whatever is predicted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graspnext.learning.diagnosis import FALSE_ALARMS, MISSES, describe, describe_suction, diagnose
from graspnext.learning.metrics.reliability import Reliability
from graspnext.types import Camera, Instance, Labels, Prediction, View

SIDE = 200
Box = tuple[float, float, float, float]


def view_of(
    boxes: list[Box], *, ignored: tuple[int, ...] = (), hidden: tuple[int, ...] = (), suction: float = 0.0
) -> View:
    """A view whose parts are whole boxes; the hidden ones show a fifth of themselves."""
    instances = []
    for index, (x1, y1, x2, y2) in enumerate(boxes):
        mask = np.zeros((SIDE, SIDE), dtype=bool)
        mask[int(y1) : int(y2), int(x1) : int(x2)] = True
        rate = 0.8 if index in hidden else 0.0
        instances.append(
            Instance(
                id=index + 1,
                part="box",
                family="box",
                amodal_box=np.array([x1, y1, x2, y2], dtype=np.float32),
                visible_box=np.array([x1, y1, x2, y2], dtype=np.float32),
                amodal_mask=mask,
                visible_mask=mask,
                occluded_rate=rate,
                occluded=rate > 0,
                center_of_mass=np.array([(x1 + x2) / 2, (y1 + y2) / 2, 1], dtype=np.float32),
                layer=0,
                T_camera_part=np.eye(4),
                ignore=index in ignored,
            )
        )
    heat = np.zeros((SIDE, SIDE), dtype=np.float32)
    heat[10:20, 10:20] = suction
    labels = Labels(tuple(instances), np.zeros((SIDE, SIDE), np.int32), np.ones((SIDE, SIDE), np.float32), heat)
    camera = Camera(SIDE, SIDE, 100, 100, SIDE / 2, SIDE / 2)
    return View("0", 0, np.zeros((SIDE, SIDE, 3), np.uint8), camera, labels)


def prediction_of(found: list[tuple[float, Box]], *, occluded: float = 0.0, heat: float = 0.0) -> Prediction:
    """Boxes with scores, sorted; a heatmap with one peak at cell (3, 3)."""
    found = sorted(found, key=lambda one: -one[0])
    suction = np.zeros((SIDE // 4, SIDE // 4), dtype=np.float32)
    suction[3, 3] = heat
    boxes = np.array([box for _, box in found], dtype=np.float32).reshape(-1, 4)
    count = len(found)
    return Prediction(
        width=SIDE,
        height=SIDE,
        scores=np.array([score for score, _ in found], dtype=np.float32),
        amodal_boxes=boxes,
        visible_masks=np.ones((count, 4, 4), dtype=np.float32),
        amodal_masks=np.ones((count, 4, 4), dtype=np.float32),
        occluded_probability=np.full(count, occluded, dtype=np.float32),
        center_of_mass=(boxes[:, :2] + boxes[:, 2:]) / 2,
        suction=suction,
    )


PARTS: list[Box] = [(10, 10, 60, 60), (80, 10, 130, 60), (10, 80, 60, 130), (80, 80, 130, 130), (150, 150, 170, 170)]


def test_each_kind_of_mistake_is_told_from_the_others() -> None:
    view = view_of(PARTS, hidden=(3,))
    prediction = prediction_of(
        [
            (0.95, (10, 10, 60, 60)),  # right
            (0.90, (12, 12, 62, 62)),  # the same part again
            (0.40, (80, 10, 130, 60)),  # right, but scored low
            (0.80, (40, 80, 90, 130)),  # between two parts: IoU 0.25 with the left, 0.11 with the right
            (0.70, (140, 20, 190, 70)),  # nothing there
        ]
    )
    diagnosis = diagnose(view, prediction)
    assert diagnosis.pairs == {0: 0, 4: 1} and diagnosis.right == {0}
    assert diagnosis.missed == {1: "missed_low_score", 2: "missed_misplaced", 3: "missed_misplaced", 4: "missed_unseen"}
    assert diagnosis.false_alarms == {1: "false_double", 2: "false_misplaced", 3: "false_nothing"}
    assert diagnosis.counts() == dict(
        zip((*MISSES, *FALSE_ALARMS), (1, 2, 1, 1, 1, 1), strict=True)
    )  # of 4 missed and 3 false
    assert describe(view, prediction, diagnosis) == (
        "Missed 4 of 5: 1 scored below 0.5, 2 placed poorly, 1 not seen at all (1 mostly hidden, 1 small). "
        "3 false alarms: 1 on parts found already, 1 placed poorly, 1 where no part is."
    )


def test_what_lies_on_an_ignored_part_is_excused_and_the_part_is_not_missed() -> None:
    view = view_of(PARTS[:2], ignored=(1,))
    prediction = prediction_of([(0.9, PARTS[0]), (0.8, (90, 20, 120, 50)), (0.7, (120, 20, 160, 50))])
    diagnosis = diagnose(view, prediction)
    assert diagnosis.excused.tolist() == [False, True, False]  # the last lies a quarter on it
    assert diagnosis.missed == {} and diagnosis.false_alarms == {2: "false_nothing"}
    scores, right, _ = diagnosis.judged(prediction.scores)
    assert scores.tolist() == pytest.approx([0.9, 0.7]) and right.tolist() == [True, False]


def test_a_right_answer_and_an_empty_view_are_described() -> None:
    view, prediction = view_of(PARTS[:2]), prediction_of([(0.9, PARTS[0]), (0.8, PARTS[1])], occluded=0.9)
    said = describe(view, prediction, diagnose(view, prediction))
    assert said == "All 2 parts found. Occlusion wrong for 2 of 2 found."
    empty, silent = view_of([]), prediction_of([])
    assert describe(empty, silent, diagnose(empty, silent)) == "No part to find."
    assert diagnose(view, silent).missed == {0: "missed_unseen", 1: "missed_unseen"}
    assert list(diagnose(empty, prediction).false_alarms.values()) == ["false_nothing"] * 2


def test_suction_in_words() -> None:
    assert describe_suction(view_of([], suction=0.8), prediction_of([], heat=0.6)) == (
        "Best point: predicted 0.60, label 0.80; in this view best is 0.80."
    )
    assert "no place holds" in describe_suction(view_of([]), prediction_of([], heat=0.6))
    assert describe_suction(view_of([]), prediction_of([])) == "No suction point."


corner = st.integers(0, 150)
side = st.integers(5, 50)
box = st.tuples(corner, corner, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    parts=st.lists(box, max_size=6), found=st.lists(st.tuples(st.floats(0.05, 1), box), max_size=10), ignored=st.data()
)
def test_the_sums_hold(parts: list[Box], found: list[tuple[float, Box]], ignored: st.DataObject) -> None:
    skipped = tuple(index for index in range(len(parts)) if ignored.draw(st.booleans()))
    view, prediction = view_of(parts, ignored=skipped), prediction_of(found)
    diagnosis = diagnose(view, prediction)
    asked = set(range(len(parts))) - set(skipped)
    got = {diagnosis.pairs[row] for row in diagnosis.right}
    assert got | set(diagnosis.missed) == asked and not got & set(diagnosis.missed)
    rows = {row for row in range(len(found)) if prediction.scores[row] >= 0.5}
    excused = set(np.flatnonzero(diagnosis.excused))
    assert diagnosis.right | set(diagnosis.false_alarms) | (excused & rows) == rows
    for index, kind in diagnosis.missed.items():  # against a plain account of every pair
        overlaps = {row: iou(parts[index], prediction.amodal_boxes[row]) for row in diagnosis.false_alarms}
        if kind == "missed_low_score":
            (row,) = [row for row, owner in diagnosis.pairs.items() if owner == index]
            assert prediction.scores[row] < 0.5 and iou(parts[index], prediction.amodal_boxes[row]) >= 0.5 - 1e-6
        else:
            assert (max(overlaps.values(), default=0) >= 0.1 - 1e-6) == (kind == "missed_misplaced")
    for row, alarm in diagnosis.false_alarms.items():
        near = max((iou(parts[index], prediction.amodal_boxes[row]) for index in asked), default=0)
        low, high = {"false_double": (0.5, 1), "false_misplaced": (0.1, 0.5), "false_nothing": (0, 0.1)}[alarm]
        assert low - 1e-6 <= near <= high + 1e-6


def iou(a: Box, b: Box | np.ndarray) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inside = max(width, 0) * max(height, 0)
    return inside / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside)


def test_reliability_against_plain_sums() -> None:
    rng = np.random.default_rng(0)
    scores, overlap = rng.uniform(0, 1, 500).astype(np.float32), rng.uniform(0, 1, 500).astype(np.float32)
    scores[:2] = 0.0, 1.0
    right = rng.random(500) < scores
    known = Reliability()
    for part in np.array_split(np.arange(500), 7):
        known.add(scores[part], right[part], overlap[part])
    result = known.result()
    error = 0.0
    for index, one in enumerate(result["bins"]):
        last = index == 9
        inside = (scores >= index / 10) & ((scores < (index + 1) / 10) | last)
        assert one["number"] == inside.sum()
        assert one["mean_score"] == pytest.approx(scores[inside].mean())
        assert one["right_share"] == pytest.approx(right[inside].mean())
        assert one["mean_iou"] == pytest.approx(overlap[inside].mean())
        error += inside.sum() / 500 * abs(scores[inside].mean() - right[inside].mean())
    assert result["expected_calibration_error"] == pytest.approx(error)
    assert sum(one["number"] for one in result["bins"]) == 500


def test_reliability_of_nothing() -> None:
    known = Reliability()
    known.add(np.zeros(0, np.float32), np.zeros(0, bool), np.zeros(0, np.float32))
    result = known.result()
    assert np.isnan(result["expected_calibration_error"]) and all(one["number"] == 0 for one in result["bins"])
