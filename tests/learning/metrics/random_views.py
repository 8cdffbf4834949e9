"""Random views and predictions, and their metrics by pycocotools: the oracle of the tests beside this file."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from graspnext.geometry import masks
from graspnext.learning.metrics.accumulator import AP_TASKS, MetricAccumulator
from graspnext.types import Camera, Instance, Labels, Prediction, View

H, W = 40, 48
ROI = 12
KINDS = dict(zip(AP_TASKS, ("bbox", "segm", "segm", "keypoints"), strict=True))
Truth = Callable[[Instance], bool]


@dataclass(frozen=True)
class Case:
    """Some views, what was predicted for them, and how difficult they are."""

    views: list[View]
    predictions: list[Prediction]
    difficulties: list[int | None]

    def accumulated(self) -> MetricAccumulator:
        accumulator = MetricAccumulator()
        for view, prediction, difficulty in zip(self.views, self.predictions, self.difficulties, strict=True):
            accumulator.add(view, prediction, difficulty=difficulty)
        return accumulator

    @property
    def instances(self) -> list[Instance]:
        return [one for view in self.views for one in view.labels.instances]


def random_case(seed: int, *, max_views: int = 4) -> Case:
    """Ties in the scores at odd seeds, scores in no order at every third; ignored instances, unknown centres and
    layers, empty views; rarely more detections than count.
    """
    rng = np.random.default_rng([4, seed])
    views, predictions, difficulties = [], [], []
    for _ in range(int(rng.integers(1, max_views + 1))):
        view = random_view(rng, num_parts=int(rng.integers(0, 7)) if rng.random() > 0.2 else 0)
        num_found = 130 if rng.random() < 0.01 else int(rng.integers(0, 11))
        prediction = random_prediction(view, rng, num_found if rng.random() > 0.15 else 0, ties=bool(seed % 2))
        if seed % 3 == 0:
            prediction = replace(prediction, scores=rng.permutation(prediction.scores))
        predictions.append(prediction)
        views.append(view)
        difficulties.append(int(rng.integers(1, 6)) if rng.random() < 0.8 else None)
    return Case(views, predictions, difficulties)


def random_view(rng: np.random.Generator, *, num_parts: int) -> View:
    """Ellipses painted one over the other."""
    rows, columns = np.mgrid[0:H, 0:W] + 0.5
    amodal: list[np.ndarray] = []
    u = v = 0.0
    for _ in range(num_parts):
        near = amodal and rng.random() < 0.4  # over the last one
        u, v = np.clip(rng.normal((u, v), 3), 2, (W - 3, H - 3)) if near else rng.uniform(2, (W - 2, H - 2))
        scale = rng.choice([1.0, 1.0, 1.0, 0.2])
        a, b = rng.uniform(1.5, 12) * scale, rng.uniform(1.5, 12) * scale
        amodal.append(((columns - u) / a) ** 2 + ((rows - v) / b) ** 2 < 1)
        amodal[-1][int(v), int(u)] = True  # never empty
    ids = np.zeros((H, W), dtype=np.int32)
    for number, mask in enumerate(amodal, start=1):
        ids[mask] = number
    if num_parts > 1 and rng.random() < 0.5:  # the first and the last one lie over each other: a ring
        shared = np.flatnonzero(amodal[0] & amodal[-1] & (ids == num_parts))
        ids.flat[shared[: len(shared) // 2]] = 1
    known_layers = rng.random() < 0.8
    instances = []
    for number, mask in enumerate(amodal, start=1):
        visible, box = ids == number, tight(mask)
        center = np.append((box[:2] + box[2:]) / 2 + rng.normal(0, 2, 2), 1.0).astype(np.float32)
        rate = 1 - float(visible.sum() / mask.sum())
        instances.append(
            Instance(
                id=number,
                part="ellipse",
                family="ellipse",
                amodal_box=box,
                visible_box=tight(visible),
                amodal_mask=mask,
                visible_mask=visible,
                occluded_rate=rate,
                occluded=rate >= 0.05,
                center_of_mass=center if rng.random() > 0.1 else np.full(3, np.nan, dtype=np.float32),
                layer=int(rng.integers(0, 5)) if known_layers else -1,
                T_camera_part=np.eye(4),
                ignore=bool(rng.random() < 0.2),
            )
        )
    suction = rng.random((H, W)).astype(np.float32) * np.float32(rng.random() < 0.8)
    missing = frozenset({"suction"}) if rng.random() < 0.1 else frozenset()
    labels = Labels(tuple(instances), ids, np.ones((H, W), dtype=np.float32), suction, missing=missing)
    return View("0", 0, np.zeros((H, W, 3), dtype=np.uint8), Camera(W, H, W, W, W / 2, H / 2), labels)


def tight(mask: np.ndarray) -> np.ndarray:
    if not mask.any():
        return np.zeros(4, dtype=np.float32)
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], dtype=np.float32)


def roi(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The mask sampled at the centres of ROI x ROI cells of a box."""
    u = np.clip(box[0] + (np.arange(ROI) + 0.5) / ROI * (box[2] - box[0]), 0, W - 1).astype(int)
    v = np.clip(box[1] + (np.arange(ROI) + 0.5) / ROI * (box[3] - box[1]), 0, H - 1).astype(int)
    return mask[v[:, None], u[None, :]].astype(np.float32)


def random_prediction(view: View, rng: np.random.Generator, count: int, *, ties: bool) -> Prediction:
    """Most detections lie near a part, the others anywhere."""
    instances = view.labels.instances
    boxes, visible, amodal, centers = [], [], [], []
    for _ in range(count):
        if instances and rng.random() < 0.85:
            one = instances[int(rng.integers(len(instances)))]
            box = one.amodal_box + (rng.integers(-1, 2, 4) if rng.random() < 0.5 else rng.normal(0, 0.7, 4))
            box = np.concatenate([box[:2], np.maximum(box[2:], box[:2] + 1)]).astype(np.float32)
            masks_of = roi(one.visible_mask, one.amodal_box), roi(one.amodal_mask, one.amodal_box)
            center = (one.amodal_box[:2] + one.amodal_box[2:]) / 2 + rng.normal(0, 2, 2)
        else:
            corner = rng.uniform(-4, [W - 4, H - 4])
            box = np.concatenate([corner, corner + rng.uniform(2, 25, 2)]).astype(np.float32)
            masks_of = np.float32(rng.random((2, ROI, ROI)) < rng.random())
            center = corner
        boxes.append(box)
        visible.append(masks_of[0])
        amodal.append(masks_of[1])
        centers.append(center)
    scores = rng.integers(0, 6, count) / 5 if ties else rng.random(count)
    return Prediction(
        width=W,
        height=H,
        scores=np.sort(scores)[::-1].astype(np.float32),
        amodal_boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        visible_masks=np.array(visible, dtype=np.float32).reshape(-1, ROI, ROI),
        amodal_masks=np.array(amodal, dtype=np.float32).reshape(-1, ROI, ROI),
        occluded_probability=rng.random(count).astype(np.float32),
        center_of_mass=np.array(centers, dtype=np.float32).reshape(-1, 2),
        suction=rng.random((H // 4, W // 4)).astype(np.float32),
    )


def xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = (float(value) for value in box)
    return [x1, y1, x2 - x1, y2 - y1]


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    encoded: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return encoded


def as_coco(case: Case, task: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Annotations and results in COCO's form; `area` is the amodal one, for the scale of OKS and for area ranges."""
    truths: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for image, (view, prediction) in enumerate(zip(case.views, case.predictions, strict=True), start=1):
        for one in view.labels.instances:
            known = bool(np.isfinite(one.center_of_mass).all())
            u, v = one.center_of_mass[:2] if known else (0, 0)
            truth = {"id": len(truths) + 1, "image_id": image, "category_id": 1, "area": float(one.amodal_mask.sum())}
            truth |= {"iscrowd": int(one.ignore), "bbox": xywh(one.amodal_box), "instance": one}
            if task == "center_of_mass":
                truth |= {"keypoints": [float(u), float(v), 2 * int(known)], "num_keypoints": int(known)}
                truth["iscrowd"] = int(one.ignore or not known)
            elif task != "amodal_box":
                truth["segmentation"] = run_lengths(getattr(one, task))
            truths.append(truth)
        for row, box in enumerate(prediction.amodal_boxes):
            result: dict[str, Any] = {"image_id": image, "category_id": 1, "score": float(prediction.scores[row])}
            result |= {"id": len(found) + 1, "bbox": xywh(box), "iscrowd": 0}
            result["area"] = float((masks.paste(prediction.amodal_masks[row], box, H, W) >= 0.5).sum())
            if task == "center_of_mass":
                result["keypoints"] = [float(value) for value in prediction.center_of_mass[row]] + [2]
            elif task != "amodal_box":
                result["segmentation"] = run_lengths(
                    masks.paste(getattr(prediction, f"{task}s")[row], box, H, W) >= 0.5
                )
            found.append(result)
    return truths, found


class ChoosingEval(COCOeval):  # type: ignore[misc]
    """pycocotools' own evaluation, with the instances that do not meet a condition ignored as COCO ignores by area."""

    chosen: Truth | None = None

    def _prepare(self) -> None:
        super()._prepare()
        for truths in self._gts.values():
            for truth in truths:
                if self.chosen is not None and not self.chosen(truth["instance"]):
                    truth["ignore"] = 1


def prepared(kind: str, truths: list[dict[str, Any]], found: list[dict[str, Any]], num_views: int) -> ChoosingEval:
    """An evaluation of annotations in COCO's form, over all areas, ready to run; it prints."""
    head = {"images": [{"id": k + 1, "height": H, "width": W} for k in range(num_views)], "categories": [{"id": 1}]}
    pair = COCO(), COCO()
    for coco, records in zip(pair, (truths, found), strict=True):
        coco.dataset = {**head, "annotations": records}
        coco.createIndex()
    evaluation = ChoosingEval(*pair, kind)
    evaluation.params.kpt_oks_sigmas = np.array([0.1])
    evaluation.params.maxDets = [100]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    return evaluation


def reference(
    case: Case,
    task: str,
    *,
    chosen: Truth | None = None,
    images: list[int] | None = None,
    area: tuple[float, float] = (0, 1e10),
) -> COCOeval:
    """The evaluation by pycocotools, over some instances, images (1, 2, ...) or amodal areas."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = prepared(KINDS[task], *as_coco(case, task), len(case.views))
        evaluation.chosen = chosen
        evaluation.params.areaRng = [list(area)]
        if images is not None:
            evaluation.params.imgIds = images
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def precision_of(evaluation: COCOeval) -> np.ndarray:
    """(10, 101); NaN where pycocotools says that there is nothing to find."""
    precision = evaluation.eval["precision"][:, :, 0, 0, 0]
    return np.where(precision == -1, np.nan, precision)


def recall_of(evaluation: COCOeval) -> float:
    recall = evaluation.eval["recall"][:, 0, 0, 0]
    return math.nan if (recall == -1).all() else float(recall.mean())
