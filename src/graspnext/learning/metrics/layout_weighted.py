"""MetaGraspNet's layout-weighted scores: what is easier to pick counts more (docs/metrics.md).

An instance weighs 1 - its occluded rate. `combined` asks for what lies on top, directly below, or interlocked; `top`
and `secondary` ask for a part of that. Source: Gilles et al., MetaGraspNet, 2022, and its published evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graspnext.data.foreign.instances import MaskPair, coverage
from graspnext.geometry.layering import interlocked
from graspnext.learning.metrics.average_precision import AveragePrecision, Matches, interpolated_precision
from graspnext.learning.metrics.facts import Facts
from graspnext.types import BoolArray, Instance, Int64Array

TOP, SECONDARY, INTERLOCKED, OTHER = 0, 1, 2, 3
"""MetaGraspNet's codes of layers; ours count on from 0, so layer 2 and below are `OTHER`, rings aside."""
UNKNOWN_LAYER = -1
CHOICES = {"": (TOP, SECONDARY, INTERLOCKED), "_top": (TOP,), "_secondary": (SECONDARY, INTERLOCKED)}
"""End of a metric's name -> the layers that are asked for; the combined form has none."""
ROUNDING = 1e-9
"""Slack of a recall that is a sum of weights."""

LAYOUT_DEFINITION = {
    "metagraspnet_*_ap": "MetaGraspNet's layout-weighted AP as published, without classes: a right detection counts "
    "1 - occluded rate, a wrong one 1; recall is a share of the number of instances on top, directly below, or "
    "interlocked, so that even perfect predictions stay below 1",
    "metagraspnet_*_ap_top, _secondary": "COCO AP over the instances on top; over those directly below or interlocked",
    "metagraspnet_*_ap_corrected": "as metagraspnet_*_ap, but recall is a share of the sum of weights: perfect is 1",
    "metagraspnet_*_score, _top, _secondary": "mean over the instances, weighing 1 - occluded rate, of the share of "
    "the thresholds 0.50:0.05:0.95 at which an instance is found",
}
"""For reports: the keys of `layout_weighted_ap` and `layout_scores` and what they are."""


def layout_codes(instances: Sequence[Instance]) -> Int64Array:
    """MetaGraspNet's code (T,) of each instance's layer; all `UNKNOWN_LAYER` where a layer is not known (negative)."""
    layers = np.array([one.layer for one in instances], dtype=np.int64)
    if (layers < 0).any():
        return np.full(len(layers), UNKNOWN_LAYER)
    codes = np.minimum(layers, SECONDARY)
    deep = layers > SECONDARY
    if deep.any():  # the only ones for which it matters whether they are interlocked
        ring = interlocked(_over(instances))
        codes[deep] = np.where(ring[deep], INTERLOCKED, OTHER)
    return codes


def _over(instances: Sequence[Instance]) -> BoolArray:
    """(T, T) whether the part of the column covers that of the row."""
    pairs = [
        MaskPair(index, one.part, one.family, one.amodal_mask, one.visible_mask)
        for index, one in enumerate(instances, start=1)
    ]
    return np.asarray(coverage(pairs) > 0)


def layout_weighted_ap(fits: AveragePrecision, facts: Facts) -> dict[str, float]:
    """The four forms of AP by the end of their name: "", "_top", "_secondary", "_corrected"; NaN if none is asked for.

    Args:
        fits: How well detections fit, of all views.
        facts: Of the same views. Views whose layers are unknown are not measured.
    """
    result = {}
    excused = ~facts.layered[facts.found_view]
    for end, layers in CHOICES.items():
        matches = fits.matches(asked=np.isin(facts.code, layers), excused=excused)
        if end:
            result[end] = matches.average_precision()
            continue
        weight = 1 - facts.occluded_rate
        taken = np.append(weight, 0.0)[matches.truth]  # (10, D), 0 where nothing was taken
        published = interpolated_precision(matches, taken, float(matches.num_asked))
        total = float(weight[matches.asked].sum())
        corrected = interpolated_precision(matches, taken, total, tolerance=ROUNDING)
        result |= {end: float(published.mean()), "_corrected": float(corrected.mean())}
    return result


def layout_scores(matches: Matches, facts: Facts) -> dict[str, float]:
    """Weighted mean score by the end of its name: "", "_top", "_secondary"; NaN where nothing is asked for.

    An instance's own score is the share of AP's ten thresholds at which it is found.

    Args:
        matches: Of all views, all instances asked for.
        facts: Of the same views.
    """
    taken = matches.truth[matches.counts & (matches.truth >= 0)]
    found = np.bincount(taken, minlength=len(facts.code)) / len(matches.truth)  # (T,)
    result = {}
    for end, layers in CHOICES.items():
        weight = np.where(np.isin(facts.code, layers) & matches.asked, 1 - facts.occluded_rate, 0.0)
        result[end] = float((weight * found).sum() / weight.sum()) if weight.sum() > 0 else float("nan")
    return result
