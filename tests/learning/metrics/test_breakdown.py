"""Breakdowns, curves and scores of each view against pycocotools and plain loops over random views."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from tests.learning.metrics.random_views import KINDS, Case, H, W, precision_of, random_case, recall_of, reference

from graspnext.geometry.predictions import suction_peaks
from graspnext.types import Instance, Labels, Prediction, View

CASES = [random_case(seed, max_views=6) for seed in range(30)]
Pair = tuple[Instance, float, float]
"""Instance, predicted probability that it is occluded, distance of the centres of mass in px."""

SIZES = {"under 5%": (0, 0.05), "5-10%": (0.05, 0.1), "10-20%": (0.1, 0.2), "from 20%": (0.2, 1e4)}
RATES = {
    "0-5%": (0, 0.05),
    "5-25%": (0.05, 0.25),
    "25-50%": (0.25, 0.5),
    "50-75%": (0.5, 0.75),
    "75-95%": (0.75, 0.95),
    "95-100%": (0.95, 2),
}
LAYERS = {"0": (0, 1), "1": (1, 2), "2+": (2, 99)}


def same(got: float, expected: float, where: str) -> None:
    assert got == pytest.approx(expected, abs=1e-9, nan_ok=True), where


def same_ap(values: dict[str, float], case: Case, where: str, **choice: Any) -> None:
    """AP and recall of all four tasks by pycocotools."""
    for task in KINDS:
        expected = reference(case, task, **choice)
        same(values[f"{task}_ap"], float(precision_of(expected).mean()), f"{where}: AP of {task}")
        same(values[f"{task}_recall"], recall_of(expected), f"{where}: recall of {task}")


def matched(view: View, prediction: Prediction) -> list[Pair]:
    """Pairs by the definition: best score first, the free instance of the largest IoU, from 0.5 on."""
    free = [one for one in view.labels.instances if not one.ignore]
    pairs = []
    for row in sorted(range(len(prediction.scores)), key=lambda row: -prediction.scores[row])[:100]:
        best = max(free, key=lambda one: box_iou(one.amodal_box, prediction.amodal_boxes[row]), default=None)
        if best is None or box_iou(best.amodal_box, prediction.amodal_boxes[row]) < 0.5:
            continue
        free = [one for one in free if one is not best]
        distance = math.dist(best.center_of_mass[:2].tolist(), prediction.center_of_mass[row].tolist())
        pairs.append((best, float(prediction.occluded_probability[row]), distance))
    return pairs


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = float(max(width, 0)) * float(max(height, 0))
    return inter / float((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def same_answers(values: dict[str, float], case: Case, chosen: Callable[[Instance], bool], where: str) -> None:
    """What is said about matched instances, by counting."""
    asked = [one for one in case.instances if not one.ignore and chosen(one)]
    views = zip(case.views, case.predictions, strict=True)
    pairs = [pair for view, prediction in views for pair in matched(view, prediction) if chosen(pair[0])]
    same(values["num_instances"], len(asked), where)
    same(values["matched_share"], len(pairs) / len(asked) if asked else math.nan, where)
    accuracy, f1 = answers(pairs)
    same(values["occlusion_accuracy"], accuracy, where)
    same(values["occlusion_f1"], f1, where)
    same(values["center_of_mass_median_px"], median(pairs), where)


def answers(pairs: list[Pair]) -> tuple[float, float]:
    said = [(probability >= 0.5, one.occluded) for one, probability, _ in pairs]
    accuracy = statistics.mean(a == b for a, b in said) if said else math.nan
    hits, either = sum(a and b for a, b in said), sum(a + b for a, b in said)
    return accuracy, 2 * hits / either if either else math.nan


def median(pairs: list[Pair]) -> float:
    known = [distance for _, _, distance in pairs if not math.isnan(distance)]
    return statistics.median(known) if known else math.nan


def same_heatmap(values: dict[str, float], case: Case, chosen: Iterable[int], where: str) -> None:
    """Error by cells of 4 x 4 px, and the labels under the highest peaks of the heatmap."""
    errors, precisions = [], {1: [], 5: []}
    for index in chosen:
        labels, prediction = case.views[index].labels, case.predictions[index]
        if "suction" in labels.missing:
            continue
        cells = [(row, column) for row in range(H // 4) for column in range(W // 4)]
        for row, column in cells:
            label = labels.suction[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].astype(float).mean()
            errors.append((float(prediction.suction[row, column]) - label) ** 2)
        for k in precisions if (labels.suction >= 0.5).any() else ():
            precisions[k].append(sum(good(labels, cell) for cell in peaks(prediction.suction)[:k]) / k)
    assert values["heatmap_mse"] == pytest.approx(np.mean(errors) if errors else math.nan, rel=1e-5, nan_ok=True), where
    for k, shares in precisions.items():
        same(values[f"suction_precision_at_{k}"], statistics.mean(shares) if shares else math.nan, where)


def good(labels: Labels, cell: tuple[int, int]) -> bool:
    return bool(labels.suction[4 * cell[0] + 2, 4 * cell[1] + 2] >= 0.5)


def peaks(heat: np.ndarray) -> list[tuple[int, int]]:
    """Cells that no neighbour beats, each more than 3 cells from every better one; best first."""
    rows, columns = heat.shape
    kept: list[tuple[int, int]] = []
    for row, column in sorted(np.ndindex(rows, columns), key=lambda cell: -heat[cell]):
        around = heat[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        if heat[row, column] == around.max() and all(max(abs(row - r), abs(column - c)) > 3 for r, c in kept):
            kept.append((row, column))
    return kept


def test_by_size() -> None:
    """COCO's area ranges, as shares of the image."""
    seen = dict.fromkeys(SIZES, 0.0)
    for number, case in enumerate(CASES):
        bins = case.accumulated().breakdown()["size"]
        assert list(bins) == list(SIZES)
        for name, (low, high) in SIZES.items():
            where = f"case {number}, size {name}"
            area = low**2 * H * W, high**2 * H * W
            same_ap(bins[name], case, where, area=area)
            same_answers(bins[name], case, lambda one, area=area: area[0] <= one.amodal_mask.sum() < area[1], where)
            seen[name] += bins[name]["num_instances"]
    assert min(seen.values()) > 8


def test_by_occlusion() -> None:
    seen = dict.fromkeys(RATES, 0.0)
    for number, case in enumerate(CASES):
        bins = case.accumulated().breakdown()["occlusion"]
        assert list(bins) == list(RATES)
        for name, (low, high) in RATES.items():
            where = f"case {number}, occlusion {name}"

            def inside(one: Instance, low: float = low, high: float = high) -> bool:
                return low <= one.occluded_rate < high

            same_ap(bins[name], case, where, chosen=inside)
            same_answers(bins[name], case, inside, where)
            seen[name] += bins[name]["num_instances"]
    assert min(seen.values()) > 3


def test_by_difficulty() -> None:
    """Each level as if its views were all there is."""
    unknown = 0
    for number, case in enumerate(CASES):
        bins = case.accumulated().breakdown()["difficulty"]
        if all(level is None for level in case.difficulties):
            assert bins == {}
            unknown += 1
            continue
        assert list(bins) == ["1", "2", "3", "4", "5"]
        for name, values in bins.items():
            where = f"case {number}, difficulty {name}"
            chosen = [index for index, level in enumerate(case.difficulties) if level == int(name)]
            part = Case(*([every[index] for index in chosen] for every in (case.views, case.predictions)), [])
            same_ap(values, case, where, images=[index + 1 for index in chosen])
            same_answers(values, part, lambda one: True, where)
            same_heatmap(values, case, chosen, where)
            assert values["num_views"] == len(chosen)
    assert unknown > 0


def test_by_layer() -> None:
    """Over the views whose layers are known."""
    unknown = 0
    for number, case in enumerate(CASES):
        bins = case.accumulated().breakdown()["layer"]
        known = [k for k, view in enumerate(case.views, start=1) if all(i.layer >= 0 for i in view.labels.instances)]
        if not known:
            assert bins == {}
            unknown += 1
            continue
        assert list(bins) == list(LAYERS)
        for name, (low, high) in LAYERS.items():
            where = f"case {number}, layer {name}"

            def inside(one: Instance, low: int = low, high: int = high) -> bool:
                return low <= one.layer < high

            same_ap(bins[name], case, where, chosen=inside, images=known)
            same_answers(bins[name], case, inside, where)
    assert unknown > 0


def test_the_whole() -> None:
    for number, case in enumerate(CASES):
        result, where = case.accumulated().result(), f"case {number}"
        same_answers(result, case, lambda one: True, where)
        same_heatmap(result, case, range(len(case.views)), where)
        assert result["num_views"] == len(case.views)


def test_curves() -> None:
    for number, case in enumerate(CASES):
        accumulator = case.accumulated()
        curves = accumulator.curves()
        assert list(curves) == list(KINDS)
        for task, rows in curves.items():
            precision, where = precision_of(reference(case, task)), f"case {number}, {task}"
            assert list(rows) == ["0.50", "0.75", "mean"]
            for name, expected in zip(rows, (precision[0], precision[5], precision.mean(axis=0)), strict=True):
                np.testing.assert_allclose(rows[name], expected, rtol=0, atol=1e-9, err_msg=where)
            same(accumulator.result()[f"{task}_ap"], float(np.mean(rows["mean"])), where)


def test_scores_of_each_view() -> None:
    nothing = 0
    for number, case in enumerate(CASES):
        scores = case.accumulated().view_scores()
        assert len(scores) == len(case.views)
        images = {one["image_id"]: one for one in reference(case, "amodal_box").evalImgs if one is not None}
        for index, values in enumerate(scores):
            where, hits, alarms, asked = f"case {number}, view {index}", 0, 0, 0
            if (image := images.get(index + 1)) is not None:  # pycocotools has none of an empty view
                shown = (np.array(image["dtScores"]) >= 0.5) & ~image["dtIgnore"][0].astype(bool)
                hits = int((shown & (image["dtMatches"][0] > 0)).sum())
                alarms = int((shown & (image["dtMatches"][0] == 0)).sum())
                asked = int((~image["gtIgnore"].astype(bool)).sum())
            counts = values["num_instances"], values["misses"], values["false_alarms"]
            assert counts == (asked, asked - hits, alarms), where
            both = asked + hits + alarms
            same(values["amodal_box_f1"], 2 * hits / both if both else math.nan, where)
            nothing += not both
            pairs = matched(case.views[index], case.predictions[index])
            same(values["occlusion_accuracy"], answers(pairs)[0], where)
            same(values["center_of_mass_median_px"], median(pairs), where)
            same_heatmap(values, case, [index], where)
    assert nothing > 5


def test_peaks_are_those_of_predict() -> None:
    """The plain search above says what `graspnext predict` shows as well."""
    for case in CASES[:10]:
        for prediction in case.predictions:
            found = suction_peaks(prediction, count=5, min_score=0.0)
            cells = [(int(v) // 4, int(u) // 4) for u, v, _ in found]
            assert cells == peaks(prediction.suction)[:5]
