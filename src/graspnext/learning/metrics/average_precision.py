"""COCO average precision without classes, for boxes, masks and one keypoint (Lin et al., 2014), by faster-coco-eval.

IoU or OKS 0.50:0.05:0.95, 101 recall points, at most 100 detections a view. Ignored instances are COCO crowds: a
detection that fits one, measured by the share of the detection inside it, is neither right nor wrong.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from graspnext.geometry import boxes, masks
from graspnext.types import BoolArray, Float32Array

MAX_DETECTIONS = 100
OKS_CONSTANT = 0.2
"""COCO's k of the centre of mass: OKS = exp(-d^2 / (2 s^2 k^2)), s^2 = amodal area, d in px. (Its code has k / 2.)"""

Kind = Literal["bbox", "segm", "keypoints"]


class AveragePrecision:
    """Collects ground truth and detections of many views, then measures them together."""

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        self._images: list[dict[str, Any]] = []
        self._truths: list[dict[str, Any]] = []
        self._detections: list[dict[str, Any]] = []

    def add_view(self, height: int, width: int) -> None:
        """Begin the next view; truths and detections that follow belong to it."""
        self._images.append({"id": len(self._images) + 1, "height": height, "width": width})

    def add_truth(self, shape: dict[str, Any], *, area: float, ignore: bool) -> None:
        """Add one instance.

        Args:
            shape: Of `box_shape`, `mask_shape` or `point_shape`.
            area: Its area, px^2; the scale of OKS.
            ignore: Neither a positive nor a mistake.
        """
        points = int(shape.get("keypoints", (0, 0, 2))[2] > 0)
        record = {"id": len(self._truths) + 1, "iscrowd": int(ignore), "area": area, "num_keypoints": points}
        self._truths.append({**self._owner(), **record, **shape})

    def add_detection(self, shape: dict[str, Any], score: float) -> None:
        """Add one detection; of equal scores the one added first counts first."""
        self._detections.append({**self._owner(), "score": score, **shape})

    def _owner(self) -> dict[str, int]:
        return {"image_id": len(self._images), "category_id": 1}

    def result(self) -> tuple[float, float]:
        """AP over all thresholds and AP at 0.50, fractions; NaN where there is no instance to find."""
        from faster_coco_eval import COCO, COCOeval_faster

        if not any(not truth["iscrowd"] for truth in self._truths):
            return float("nan"), float("nan")
        truth = COCO(
            {
                "images": [dict(image) for image in self._images],
                "annotations": [dict(annotation) for annotation in self._truths],
                "categories": [{"id": 1, "name": "part"}],
            }
        )
        found = truth.loadRes([dict(detection) for detection in self._detections])
        evaluation = COCOeval_faster(truth, found, iouType=self.kind, kpt_oks_sigmas=[OKS_CONSTANT / 2])
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
        precision = np.asarray(evaluation.eval["precision"])[:, :, 0, 0, 0]  # (10 thresholds, 101 recalls)
        return float(precision.mean()), float(precision[0].mean())


def box_shape(box: Float32Array) -> dict[str, Any]:
    """A box (4,) xyxy px as COCO has it."""
    return {"bbox": [float(value) for value in boxes.to_xywh(box.astype(np.float64))]}


def mask_shape(mask: BoolArray) -> dict[str, Any]:
    """A mask (H, W) as COCO has it."""
    return {"segmentation": masks.encode(mask)}


def point_shape(point: Float32Array, box: Float32Array | None = None) -> dict[str, Any]:
    """A point (2,) px as COCO has it, with the instance's box (4,) xyxy px where it is a truth; NaN = not labelled.

    By COCO's rule a detection within twice the box of an instance without a labelled point fits it fully.
    """
    known = bool(np.isfinite(point).all())
    shape: dict[str, Any] = {"keypoints": [float(point[0]), float(point[1]), 2] if known else [0.0, 0.0, 0]}
    return shape if box is None else shape | box_shape(box)
