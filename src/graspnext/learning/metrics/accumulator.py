"""All metrics of the table over the views of a split, one view at a time (docs/metrics.md defines each)."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial

import numpy as np

from graspnext.learning.metrics.average_precision import MAX_DETECTIONS, THRESHOLDS, AveragePrecision, Matches
from graspnext.learning.metrics.bins import DIFFICULTY_BINS, LAYER_BINS, OCCLUSION_BINS, SIZE_BINS
from graspnext.learning.metrics.center_of_mass import center_distances, median_distance
from graspnext.learning.metrics.facts import Facts, gather
from graspnext.learning.metrics.layout_weighted import layout_codes, layout_scores, layout_weighted_ap
from graspnext.learning.metrics.matching import match
from graspnext.learning.metrics.occlusion import occlusion_score
from graspnext.learning.metrics.similarity import Cutout, box_similarity, mask_similarity, point_similarity
from graspnext.learning.metrics.suction import SuctionScore
from graspnext.types import BoolArray, Prediction, View

AP_TASKS = ("amodal_box", "visible_mask", "amodal_mask", "center_of_mass")
LAYOUT_TASKS = ("amodal_box", "visible_mask", "amodal_mask")
SHOWN_SCORE = 0.5
"""Of single views what counts as found: detections from this score on, as `graspnext predict` shows them."""


def best_first(prediction: Prediction) -> Prediction:
    """The instances that count, in falling order of score."""
    order = np.argsort(-prediction.scores, kind="stable")[:MAX_DETECTIONS]
    names = ("scores", "amodal_boxes", "visible_masks", "amodal_masks", "occluded_probability", "center_of_mass")
    return replace(prediction, **{name: getattr(prediction, name)[order] for name in names})


class MetricAccumulator:
    """Feed it views and predictions, then ask for the result.

    Ignored instances are neither positives nor mistakes. A centre of mass outside the image counts like any other.
    What a view has no label of is not measured there: an unknown centre of mass excuses the points in its part's box.
    """

    def __init__(self) -> None:
        self._fits = {task: AveragePrecision() for task in AP_TASKS}
        self._suction = SuctionScore()
        self._views: list[Facts] = []

    def add(self, view: View, prediction: Prediction, *, difficulty: int | None = None) -> None:
        """Count one view.

        Args:
            view: With its labels.
            prediction: In the view's own pixels; the 100 instances of the highest scores count, of equals the first.
            difficulty: Level of the view, 1 to 5 (`ManifestEntry.difficulty`); None = unknown.
        """
        self.__dict__.pop("_overall", None)
        self.__dict__.pop("_facts", None)
        prediction = best_first(prediction)
        height, width = view.image.shape[:2]
        instances, scores, found = view.labels.instances, prediction.scores, prediction.amodal_boxes
        boxes = np.array([one.amodal_box for one in instances], dtype=np.float32).reshape(-1, 4)
        ignore = np.array([one.ignore for one in instances], dtype=np.bool_)

        cut = partial(Cutout.of_roi, height=height, width=width)
        visible = [cut(mask, box) for mask, box in zip(prediction.visible_masks, found, strict=True)]
        amodal = [cut(mask, box) for mask, box in zip(prediction.amodal_masks, found, strict=True)]
        true_visible = [Cutout.of_mask(one.visible_mask) for one in instances]
        true_amodal = [Cutout.of_mask(one.amodal_mask) for one in instances]
        area = np.array([one.area for one in true_amodal], dtype=np.float64)
        found_area = np.array([one.area for one in amodal], dtype=np.float64)

        points = np.array([one.center_of_mass for one in instances], dtype=np.float32).reshape(-1, 3)
        unknown = np.asarray(np.isnan(points).any(axis=1))  # (T,)
        centers = np.where(unknown[:, None], np.float32(np.nan), points[:, :2])
        oks = point_similarity(prediction.center_of_mass, centers, boxes, area)

        self._fits["amodal_box"].add_view(scores, box_similarity(found, boxes, ignore), ignore)
        self._fits["visible_mask"].add_view(scores, mask_similarity(visible, true_visible, ignore), ignore)
        self._fits["amodal_mask"].add_view(scores, mask_similarity(amodal, true_amodal, ignore), ignore)
        self._fits["center_of_mass"].add_view(scores, oks, ignore | unknown)
        self._suction.add(prediction, None if "suction" in view.labels.missing else view.labels.suction)

        asked = np.flatnonzero(~ignore)
        pairs = np.array(match(found, boxes[asked]), dtype=np.int64).reshape(-1, 2)
        matched = asked[pairs[:, 1]]
        layer = np.array([one.layer for one in instances], dtype=np.int64)
        facts = Facts(
            asked=~ignore,
            occluded=np.array([one.occluded for one in instances], dtype=np.bool_),
            occluded_rate=np.array([one.occluded_rate for one in instances], dtype=np.float64),
            layer=layer,
            code=layout_codes(instances),
            size=np.sqrt(area / (height * width)),
            view=np.zeros(len(instances), dtype=np.int64),
            found_size=np.sqrt(found_area / (height * width)),
            found_view=np.zeros(len(scores), dtype=np.int64),
            matched=matched,
            probability=prediction.occluded_probability[pairs[:, 0]],
            distance_px=center_distances(prediction.center_of_mass[pairs[:, 0]], centers[matched]),
            difficulty=np.array([np.nan if difficulty is None else difficulty]),
            layered=np.array([(layer >= 0).all()]),
        )
        self._views.append(facts)

    @cached_property
    def _facts(self) -> Facts:
        return gather(self._views)

    @cached_property
    def _overall(self) -> dict[str, Matches]:
        return {task: fits.matches() for task, fits in self._fits.items()}

    def result(self) -> dict[str, float]:
        """Every metric by name. AP, accuracy, F1 and precision are fractions; NaN where nothing could be measured."""
        result: dict[str, float] = {}
        for task, matches in self._overall.items():
            result[f"{task}_ap"] = matches.average_precision()
            result[f"{task}_ap50"] = matches.average_precision(0.5)
        result |= self._answers(None) | self._suction.result() | self._layout_weighted()
        return result | {"num_views": len(self._views)}

    def breakdown(self) -> dict[str, dict[str, dict[str, float]]]:
        """AP, recall and the answers about matched instances, by size, occlusion, difficulty and layer.

        Returns:
            Group -> bin (`metrics.bins`) -> metric -> value, with `num_instances`. A group of which nothing is known
            (`difficulty`, `layer`) has no bins. docs/metrics.md says what counts as a mistake in a bin.
        """
        facts = self._facts
        level, unlayered = facts.difficulty, ~facts.layered
        by_difficulty: dict[str, dict[str, float]] = {}
        by_layer: dict[str, dict[str, float]] = {}
        if np.isfinite(level).any():
            for one in DIFFICULTY_BINS:
                views = one.holds(level)
                values = self._choice(views[facts.view], ~views[facts.found_view])
                by_difficulty[one.name] = values | self._suction.result(views) | {"num_views": int(views.sum())}
        if facts.layered.any():
            excused = unlayered[facts.found_view]
            for one in LAYER_BINS:
                by_layer[one.name] = self._choice(one.holds(facts.layer) & facts.layered[facts.view], excused)
        return {
            "size": {one.name: self._choice(one.holds(facts.size), ~one.holds(facts.found_size)) for one in SIZE_BINS},
            "occlusion": {one.name: self._choice(one.holds(facts.occluded_rate), None) for one in OCCLUSION_BINS},
            "difficulty": by_difficulty,
            "layer": by_layer,
        }

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """Precision at the recalls 0, 0.01, ..., 1 by task: at the thresholds 0.50 and 0.75, and the mean of all ten.

        IoU is the threshold's measure, OKS for `center_of_mass`. The mean of a curve is the AP; NaN without instances.
        """
        curves = {}
        for task, matches in self._overall.items():
            precision = matches.precision()  # (10, 101)
            rows = {f"{THRESHOLDS[index]:.2f}": precision[index].tolist() for index in (0, 5)}
            curves[task] = rows | {"mean": precision.mean(axis=0).tolist()}
        return curves

    def view_scores(self) -> list[dict[str, float]]:
        """How well each view went, in the order added.

        `amodal_box_f1`, `misses` and `false_alarms` are at IoU 0.5 over detections of a score of at least 0.5. F1 is
        NaN where there is nothing to find and nothing was found. The rest is as in `result`, over the one view.
        """
        facts, matches, num_views = self._facts, self._overall["amodal_box"], len(self._views)
        shown = matches.counts[0] & (matches.scores >= SHOWN_SCORE)
        right = shown & (matches.truth[0] >= 0)
        hits = np.bincount(facts.found_view[right], minlength=num_views)
        alarms = np.bincount(facts.found_view[shown & ~right], minlength=num_views)
        asked = np.bincount(facts.view[facts.asked], minlength=num_views)
        both = asked + hits + alarms
        f1 = np.divide(2 * hits, both, out=np.full(num_views, np.nan), where=both > 0)
        suction = self._suction.of_each_view()
        scores = []
        for v, one in enumerate(self._views):
            accuracy, _ = occlusion_score(one.probability, one.occluded[one.matched])
            scores.append(
                {
                    "amodal_box_f1": float(f1[v]),
                    "num_instances": int(asked[v]),
                    "misses": int(asked[v] - hits[v]),
                    "false_alarms": int(alarms[v]),
                    "occlusion_accuracy": accuracy,
                    "center_of_mass_median_px": median_distance(one.distance_px),
                    **{name: float(values[v]) for name, values in suction.items()},
                }
            )
        return scores

    def _choice(self, chosen: BoolArray, excused: BoolArray | None) -> dict[str, float]:
        """Metrics over some of the instances (T,); some detections (D,) are no mistakes where they match nothing."""
        result: dict[str, float] = {}
        for task, fits in self._fits.items():
            matches = fits.matches(asked=chosen, excused=excused)
            result[f"{task}_ap"] = matches.average_precision()
            result[f"{task}_recall"] = matches.average_recall()
        return result | self._answers(chosen)

    def _answers(self, chosen: BoolArray | None) -> dict[str, float]:
        """What is said about matched instances, over some of the instances (T,) or all."""
        facts = self._facts
        chosen = facts.asked if chosen is None else facts.asked & chosen
        kept = chosen[facts.matched]
        accuracy, f1 = occlusion_score(facts.probability[kept], facts.occluded[facts.matched[kept]])
        count = int(chosen.sum())
        return {
            "occlusion_accuracy": accuracy,
            "occlusion_f1": f1,
            "center_of_mass_median_px": median_distance(facts.distance_px[kept]),
            "matched_share": int(kept.sum()) / count if count else float("nan"),
            "num_instances": count,
        }

    def _layout_weighted(self) -> dict[str, float]:
        facts = self._facts
        result: dict[str, float] = {}
        for task in LAYOUT_TASKS:
            ap = layout_weighted_ap(self._fits[task], facts)
            scores = layout_scores(self._overall[task], facts)
            result |= {f"metagraspnet_{task}_ap{end}": value for end, value in ap.items()}
            result |= {f"metagraspnet_{task}_score{end}": value for end, value in scores.items()}
        return result
