"""MetaGraspNet's layout-weighted scores against a COCOeval that weighs as the published one does, and plain loops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval
from tests.learning.metrics.random_views import Case, precision_of, random_case, reference

from graspnext.data.foreign.instances import MaskPair, coverage
from graspnext.learning.metrics.accumulator import LAYOUT_TASKS
from graspnext.types import Prediction, View

CASES = [random_case(seed, max_views=6) for seed in range(100, 145)]
COMBINED, TOP, SECONDARY = {0, 1, 2}, {0}, {1, 2}


def codes_of(view: View) -> list[int]:
    """MetaGraspNet's codes: 0 top, 1 secondary, 2 interlocked (lies over itself through others), 3 other."""
    parts = view.labels.instances
    pairs = [MaskPair(k, str(k), "", one.amodal_mask, one.visible_mask) for k, one in enumerate(parts, start=1)]
    above = [set(np.flatnonzero(row)) for row in coverage(pairs)]
    codes = []
    for start, one in enumerate(parts):
        reached: set[int] = set()
        waiting = list(above[start])
        while waiting:
            here = waiting.pop()
            if here not in reached:
                reached.add(here)
                waiting.extend(above[here])
        codes.append(one.layer if one.layer <= 1 else 2 if start in reached else 3)
    return codes


def layered(case: Case) -> list[int]:
    """Images (1, 2, ...) whose layers are known."""
    return [k for k, view in enumerate(case.views, start=1) if all(i.layer >= 0 for i in view.labels.instances)]


def codes(case: Case) -> dict[int, int]:
    """Code by the identity of the instance, of the views whose layers are known."""
    views = [case.views[image - 1] for image in layered(case)]
    return {id(one): code for view in views for one, code in zip(view.labels.instances, codes_of(view), strict=True)}


def weighted_precision(evaluation: COCOeval, *, corrected: bool) -> np.ndarray:
    """(10, 101) by the published `accumulate`: a right detection weighs 1 - occlusion, a wrong one 1.

    Recall is the weighted sum over the number of instances asked for; `corrected` divides by the sum of their weights.
    """
    truths = {truth["id"]: truth for of_image in evaluation._gts.values() for truth in of_image}
    images = [image for image in evaluation.evalImgs if image is not None]
    asked = [truths[k] for image in images for k, out in zip(image["gtIds"], image["gtIgnore"], strict=True) if not out]
    weights = [1 - truth["instance"].occluded_rate for truth in asked]
    result = np.full((10, 101), np.nan)
    total = sum(weights) if corrected else len(asked)
    if not asked or total == 0:
        return result
    for row in range(10):
        detections = []
        for image in images:
            marks = zip(image["dtScores"], image["dtMatches"][row], image["dtIgnore"][row], strict=True)
            detections += [(score, match) for score, match, out in marks if not out]
        detections.sort(key=lambda one: -one[0])  # stable
        found = wrong = 0.0
        steps = []
        for _, match in detections:
            if match > 0:
                found += 1 - truths[int(match)]["instance"].occluded_rate
            else:
                wrong += 1
            steps.append((found / total, found / (found + wrong) if found + wrong else 0.0))
        for column, recall in enumerate(evaluation.params.recThrs):
            slack = 1e-9 if corrected else 0  # the sum of the weights rounds
            result[row, column] = max((p for r, p in steps if r >= recall - slack), default=0.0)
    return result


@pytest.mark.parametrize("task", LAYOUT_TASKS)
def test_average_precision(task: str) -> None:
    seen = dict.fromkeys(("", "_corrected", "_top", "_secondary"), 0)
    for number, case in enumerate(CASES):
        result, code = case.accumulated().result(), codes(case)

        def precision(layers: set[int], case: Case = case, code: dict[int, int] = code) -> COCOeval:
            return reference(case, task, chosen=lambda one: code.get(id(one), 3) in layers, images=layered(case))

        combined = precision(COMBINED)
        expected = {
            "": weighted_precision(combined, corrected=False),
            "_corrected": weighted_precision(combined, corrected=True),
            "_top": precision_of(precision(TOP)),
            "_secondary": precision_of(precision(SECONDARY)),
        }
        for end, values in expected.items():
            got, wanted = result[f"metagraspnet_{task}_ap{end}"], float(values.mean())
            assert got == pytest.approx(wanted, abs=1e-9, nan_ok=True), f"case {number}, {end}"
            seen[end] += 0 < wanted < 1
    assert min(seen.values()) > 8


@pytest.mark.parametrize("task", LAYOUT_TASKS)
def test_score(task: str) -> None:
    """sum of w s / sum of w, w = 1 - occlusion, over the layers asked for; s by pycocotools' matching."""
    seen = 0
    for number, case in enumerate(CASES):
        result, code = case.accumulated().result(), codes(case)
        evaluation = reference(case, task)
        share: dict[int, float] = {}
        for image in evaluation.evalImgs:
            if image is None:
                continue
            for column, (key, out) in enumerate(zip(image["gtIds"], image["gtIgnore"], strict=True)):
                if not out:
                    truth = next(one for one in evaluation.cocoGt.dataset["annotations"] if one["id"] == key)
                    share[id(truth["instance"])] = float((image["gtMatches"][:, column] > 0).mean())
        weight = {id(one): 1 - one.occluded_rate for one in case.instances}
        for end, layers in {"": COMBINED, "_top": TOP, "_secondary": SECONDARY}.items():
            asked = [one for one in share if code.get(one, 3) in layers]
            total = sum(weight[one] for one in asked)
            wanted = sum(weight[one] * share[one] for one in asked) / total if total else math.nan
            got = result[f"metagraspnet_{task}_score{end}"]
            assert got == pytest.approx(wanted, abs=1e-9, nan_ok=True), f"case {number}, {end}"
            seen += 0 < wanted < 1
    assert seen > 40


def test_cases_hold_every_code() -> None:
    found = [code for case in CASES for code in codes(case).values()]
    assert all(found.count(code) > 5 for code in range(4))


def test_perfect_is_one_only_where_corrected() -> None:
    """Two parts of the rates 0 and 0.5: weighted recall ends at 0.75 of their number, which 76 of 101 recalls reach."""
    case = next(case for case in CASES if any(len(view.labels.instances) > 1 for view in case.views))
    view = next(view for view in case.views if len(view.labels.instances) > 1)
    first, second = view.labels.instances[:2]
    mask = np.zeros_like(first.amodal_mask)
    parts = []
    for one, rate, left in ((first, 0.0, 4), (second, 0.5, 24)):
        of_one = mask.copy()
        of_one[10:22, left : left + 12] = True
        box = np.array([left, 10, left + 12, 22], dtype=np.float32)
        changed = {"amodal_mask": of_one, "visible_mask": of_one, "amodal_box": box, "visible_box": box}
        parts.append(replace(one, **changed, occluded_rate=rate, layer=int(rate > 0), ignore=False))  # type: ignore[arg-type]
    view = replace(view, labels=replace(view.labels, instances=tuple(parts)))
    ones = np.ones((2, 12, 12), dtype=np.float32)
    prediction = Prediction(
        width=48,
        height=40,
        scores=np.array([0.9, 0.8], dtype=np.float32),
        amodal_boxes=np.array([one.amodal_box for one in parts]),
        visible_masks=ones,
        amodal_masks=ones,
        occluded_probability=np.array([0, 1], dtype=np.float32),
        center_of_mass=np.zeros((2, 2), dtype=np.float32),
        suction=np.zeros((10, 12), dtype=np.float32),
    )
    result = Case([view], [prediction], [None]).accumulated().result()
    for task in LAYOUT_TASKS:
        assert result[f"metagraspnet_{task}_ap"] == pytest.approx(76 / 101)
        assert result[f"metagraspnet_{task}_ap_corrected"] == 1
        assert result[f"metagraspnet_{task}_ap_top"] == result[f"metagraspnet_{task}_ap_secondary"] == 1
        assert result[f"metagraspnet_{task}_score"] == 1
