"""AP against pycocotools on random views with ties, ignored instances and empty views; and closed forms."""

from __future__ import annotations

import contextlib
import io
import math
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from graspnext.learning.metrics.average_precision import (
    OKS_CONSTANT,
    AveragePrecision,
    Kind,
    box_shape,
    mask_shape,
    point_shape,
)

H, W = 50, 60


def reference(kind: Kind, truths: list[dict[str, Any]], found: list[dict[str, Any]], views: int) -> tuple[float, float]:
    """AP and AP50 by pycocotools, from its own summary."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": view + 1, "height": H, "width": W} for view in range(views)],
            "categories": [{"id": 1}],
            "annotations": truths,
        }
        coco.createIndex()
        results = COCO()
        results.dataset = {**coco.dataset, "annotations": []}
        results.createIndex()
        if found:
            results = coco.loadRes(found)
        evaluation = COCOeval(coco, results, kind)
        evaluation.params.kpt_oks_sigmas = np.array([OKS_CONSTANT / 2])
        if kind == "keypoints":
            evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, 0, -1]
    if (precision == -1).all():
        return math.nan, math.nan
    return float(precision.mean()), float(precision[0].mean())


def random_mask(rng: np.random.Generator) -> np.ndarray:
    u, v, a, b = rng.uniform(0, W), rng.uniform(0, H), rng.uniform(3, 15), rng.uniform(3, 15)
    rows, columns = np.mgrid[0:H, 0:W]
    mask = ((columns - u) / a) ** 2 + ((rows - v) / b) ** 2 < 1
    mask[int(min(v, H - 1)), int(min(u, W - 1))] = True
    return mask


def moved(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.roll(mask, tuple(rng.integers(-2, 3, 2)), axis=(0, 1))


def tight(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], dtype=np.float32)


def xywh(box: np.ndarray) -> list[float]:
    return [float(box[0]), float(box[1]), float(box[2]) - float(box[0]), float(box[3]) - float(box[1])]


def compare(kind: Kind, seed: int) -> tuple[float, float]:
    """One random case through both; gives what the reference said."""
    rng = np.random.default_rng(seed)
    ours, truths, found = AveragePrecision(kind), [], []
    views = int(rng.integers(1, 6))
    for view in range(views):
        ours.add_view(H, W)
        masks = [random_mask(rng) for _ in range(int(rng.integers(0, 7)) if rng.random() > 0.2 else 0)]
        for mask in masks:
            ignore, box = bool(rng.random() < 0.25), tight(mask)
            center = (box[:2] + box[2:]) / 2 + rng.normal(0, 3, 2).astype(np.float32)
            area = float(mask.sum())
            record: dict[str, Any] = {"id": len(truths) + 1, "image_id": view + 1, "category_id": 1}
            record |= {"iscrowd": int(ignore), "area": area, "bbox": xywh(box), "num_keypoints": 1}
            record |= {"keypoints": [float(center[0]), float(center[1]), 2]}
            record |= {"segmentation": coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))}
            truths.append(record)
            shape = {"bbox": box_shape(box), "segm": mask_shape(mask), "keypoints": point_shape(center, box)}[kind]
            ours.add_truth(shape, area=area, ignore=ignore)
        num_found = 130 if rng.random() < 0.05 else int(rng.integers(0, 12))
        for _ in range(num_found if rng.random() > 0.15 else 0):
            near = len(masks) > 0 and rng.random() < 0.8
            mask = moved(masks[int(rng.integers(len(masks)))], rng) if near else random_mask(rng)
            score = float(rng.integers(0, 6)) / 5 if seed % 2 else float(rng.random())  # odd seeds: many ties
            box = tight(mask) + rng.normal(0, 0.7, 4).astype(np.float32)
            center = ((box[:2] + box[2:]) / 2 + rng.normal(0, 3, 2)).astype(np.float32)
            result: dict[str, Any] = {"image_id": view + 1, "category_id": 1, "score": score}
            if kind == "bbox":
                found.append(result | {"bbox": xywh(box)})
                ours.add_detection(box_shape(box), score)
            elif kind == "segm":
                found.append(result | {"segmentation": coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))})
                ours.add_detection(mask_shape(mask), score)
            else:
                found.append(result | {"keypoints": [float(center[0]), float(center[1]), 2]})
                ours.add_detection(point_shape(center), score)
    expected = reference(kind, truths, found, views)
    assert ours.result() == pytest.approx(expected, abs=1e-9, nan_ok=True), f"{kind}, seed {seed}"
    return expected


@pytest.mark.parametrize("kind", ["bbox", "segm", "keypoints"])
def test_equals_pycocotools(kind: Kind) -> None:
    values = [compare(kind, seed) for seed in range(80)]
    known = [ap for ap, _ in values if not math.isnan(ap)]
    assert len(known) > 50 and sum(0 < ap < 1 for ap in known) > 40  # the cases are worth something
    assert any(math.isnan(ap) for ap, _ in values)


def test_oks_closed_form() -> None:
    """One instance, one detection: AP is the share of thresholds that exp(-d^2 / (2 s^2 k^2)), k = 0.2, reaches."""
    for distance_px in (0.0, 3.0, 5.0, 8.0, 12.0, 20.0):
        ours = AveragePrecision("keypoints")
        ours.add_view(100, 100)
        box = np.array([10, 10, 50, 40], dtype=np.float32)
        ours.add_truth(point_shape(np.array([30, 25], np.float32), box), area=900.0, ignore=False)
        ours.add_detection(point_shape(np.array([30, 25 + distance_px], np.float32)), 0.5)
        similarity = math.exp(-(distance_px**2) / (2 * 900 * 0.2**2))
        thresholds = [0.5 + 0.05 * k for k in range(10)]
        assert ours.result()[0] == pytest.approx(sum(similarity >= t for t in thresholds) / 10)


def test_an_ignored_instance_is_neither_positive_nor_mistake() -> None:
    box, other = np.array([5, 5, 25, 25], np.float32), np.array([40, 5, 60, 25], np.float32)
    ours = AveragePrecision("bbox")
    ours.add_view(H, W)
    ours.add_truth(box_shape(box), area=400, ignore=False)
    ours.add_truth(box_shape(other), area=400, ignore=True)
    ours.add_detection(box_shape(other), 0.9)  # above the right one: would halve the precision if it counted
    ours.add_detection(box_shape(box), 0.8)
    assert ours.result() == (1.0, 1.0)


def test_the_same_result_twice() -> None:
    ours = AveragePrecision("bbox")
    ours.add_view(H, W)
    box = np.array([5, 5, 25, 25], np.float32)
    ours.add_truth(box_shape(box), area=400, ignore=False)
    ours.add_detection(box_shape(box + 1), 0.9)
    assert ours.result() == ours.result()
