"""All metrics of DESIGN's table over the views of a split, one view at a time."""

from __future__ import annotations

import numpy as np

from graspnext.geometry import masks
from graspnext.learning.metrics.average_precision import (
    MAX_DETECTIONS,
    AveragePrecision,
    box_shape,
    mask_shape,
    point_shape,
)
from graspnext.learning.metrics.center_of_mass import CenterError
from graspnext.learning.metrics.matching import match
from graspnext.learning.metrics.occlusion import OcclusionScore
from graspnext.learning.metrics.suction import SuctionScore
from graspnext.types import Prediction, View

MASK_THRESHOLD = 0.5


class MetricAccumulator:
    """Feed it views and predictions, then ask for the result.

    Ignored instances are neither positives nor mistakes. A centre of mass outside the image counts like any other.
    What a view has no label of is not measured there: an unknown centre of mass excuses the points in its part's box.
    """

    def __init__(self) -> None:
        self._amodal_box = AveragePrecision("bbox")
        self._visible_mask = AveragePrecision("segm")
        self._amodal_mask = AveragePrecision("segm")
        self._center_ap = AveragePrecision("keypoints")
        self._occlusion = OcclusionScore()
        self._center_error = CenterError()
        self._suction = SuctionScore()
        self._num_views = self._num_instances = self._num_matched = 0

    def add(self, view: View, prediction: Prediction) -> None:
        """Count one view. The prediction is in the view's own pixels, its instances in falling order of score."""
        for precision in (self._amodal_box, self._visible_mask, self._amodal_mask, self._center_ap):
            precision.add_view(*view.image.shape[:2])
        self._add_truths(view)
        self._add_detections(prediction)
        self._add_matches(view, prediction)
        if "suction" not in view.labels.missing:
            self._suction.add(prediction, view.labels.suction)
        self._num_views += 1

    def _add_truths(self, view: View) -> None:
        for instance in view.labels.instances:
            area, ignore = float(np.count_nonzero(instance.amodal_mask)), instance.ignore
            visible_area = float(np.count_nonzero(instance.visible_mask))
            self._amodal_box.add_truth(box_shape(instance.amodal_box), area=area, ignore=ignore)
            self._visible_mask.add_truth(mask_shape(instance.visible_mask), area=visible_area, ignore=ignore)
            self._amodal_mask.add_truth(mask_shape(instance.amodal_mask), area=area, ignore=ignore)
            point = point_shape(instance.center_of_mass[:2], instance.amodal_box)
            unknown = bool(np.isnan(instance.center_of_mass).any())
            self._center_ap.add_truth(point, area=area, ignore=ignore or unknown)

    def _add_detections(self, prediction: Prediction) -> None:
        for index in range(min(len(prediction.scores), MAX_DETECTIONS)):
            score, box = float(prediction.scores[index]), prediction.amodal_boxes[index]
            self._amodal_box.add_detection(box_shape(box), score)
            self._center_ap.add_detection(point_shape(prediction.center_of_mass[index]), score)
            for precision, probability in (
                (self._visible_mask, prediction.visible_masks[index]),
                (self._amodal_mask, prediction.amodal_masks[index]),
            ):
                mask = masks.paste(probability, box, prediction.height, prediction.width) >= MASK_THRESHOLD
                precision.add_detection(mask_shape(mask), score)

    def _add_matches(self, view: View, prediction: Prediction) -> None:
        instances = [instance for instance in view.labels.instances if not instance.ignore]
        truths = np.array([instance.amodal_box for instance in instances], dtype=np.float32).reshape(-1, 4)
        pairs = match(prediction.amodal_boxes[:MAX_DETECTIONS], truths)
        for detection, index in pairs:
            instance = instances[index]
            self._occlusion.add(float(prediction.occluded_probability[detection]), instance.occluded)
            if np.isfinite(instance.center_of_mass).all():
                self._center_error.add(prediction.center_of_mass[detection], instance.center_of_mass[:2])
        self._num_instances += len(instances)
        self._num_matched += len(pairs)

    def result(self) -> dict[str, float]:
        """Every metric by name. AP, accuracy, F1 and precision are fractions; NaN where nothing could be measured."""
        result: dict[str, float] = {}
        for name, precision in (
            ("amodal_box", self._amodal_box),
            ("visible_mask", self._visible_mask),
            ("amodal_mask", self._amodal_mask),
        ):
            result[f"{name}_ap"], result[f"{name}_ap50"] = precision.result()
        result["occlusion_accuracy"], result["occlusion_f1"] = self._occlusion.result()
        result["center_of_mass_ap"], result["center_of_mass_ap50"] = self._center_ap.result()
        result["center_of_mass_median_px"] = self._center_error.result()
        result["heatmap_mse"] = self._suction.mean_squared_error()
        result["suction_precision_at_1"] = self._suction.precision_at(1)
        result["suction_precision_at_5"] = self._suction.precision_at(5)
        result["matched_share"] = self._num_matched / self._num_instances if self._num_instances else float("nan")
        result["num_views"] = self._num_views
        result["num_instances"] = self._num_instances
        return result
