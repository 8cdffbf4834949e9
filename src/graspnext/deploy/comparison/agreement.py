"""How far two runs of the pipeline on one image are apart: detection by detection, task by task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graspnext.errors import ConfigError
from graspnext.geometry import boxes, masks
from graspnext.types import Float32Array

Outputs = Mapping[str, npt.NDArray[Any]]
"""Arrays by `geometry.predictions.OUTPUT_NAMES`."""
MATCH_IOU = 0.9
"""Detections of two runtimes that overlap less are not taken for the same."""
MASK_THRESHOLD = 0.5
MASK_TIE = 1e-3
"""A pixel whose probability is so near the threshold may fall either way and is not asked."""
TASK_OF = {
    "score": "amodal_box",
    "box_px": "amodal_box",
    "unmatched": "amodal_box",
    "visible_mask_iou": "visible_mask",
    "amodal_mask_iou": "amodal_mask",
    "occlusion": "occlusion",
    "center_px": "center_of_mass",
    "suction": "suction",
    "valid": "suction",
}
"""Quantity -> the task whose result it is of."""
TASKS = ("amodal_box", "visible_mask", "amodal_mask", "occlusion", "center_of_mass", "suction")


@dataclass(frozen=True)
class Tolerance:
    """How far a runtime in float32 may be from the trained network."""

    score: float = 1e-3
    box_px: float = 0.5
    mask_iou: float = 0.999
    """At least; of the visible and of the amodal mask of matched detections, both laid over the reference's box."""
    center_px: float = 0.5
    occlusion: float = 1e-3
    suction: float = 1e-3

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ConfigError(f"tolerance.{name}", value, "at least 0")

    def limits(self) -> dict[str, float]:
        """Quantity of `differences` -> the most it may be (of an IoU: the least)."""
        limits = {"score": self.score, "box_px": self.box_px, "center_px": self.center_px, "unmatched": 0.0}
        limits |= {"visible_mask_iou": self.mask_iou, "amodal_mask_iou": self.mask_iou}
        return limits | {"occlusion": self.occlusion, "suction": self.suction, "valid": 1e-6}


def differences(reference: Outputs, other: Outputs, *, min_score: float = 0.0) -> dict[str, float]:
    """Largest differences between two runs of the pipeline on one image.

    Detections are matched greedily, best first, each with the free one of most overlap (IoU >= 0.9). Those count that
    score at least `min_score` on either side: one that the other side scores a little lower is not lost.

    Returns:
        `score`, `box_px`, `center_px`, `occlusion` of matched detections; `visible_mask_iou` and `amodal_mask_iou`,
        the lowest; `suction`, `valid` over the whole map; `unmatched`, detections of either side without a counterpart;
        `detections` of the reference. NaN stays NaN.
    """
    a, b, alone = pair(reference, other, min_score=min_score)

    def largest(name: str) -> float:
        gap = np.abs(reference[name][a].astype(np.float64) - other[name][b])
        return float(gap.max()) if gap.size else 0.0

    return {
        "score": largest("scores"),
        "box_px": largest("amodal_boxes"),
        "center_px": largest("center_of_mass"),
        "occlusion": largest("occluded_probability"),
        "visible_mask_iou": float(mask_overlaps("visible_masks", reference, other, a, b).min(initial=1.0)),
        "amodal_mask_iou": float(mask_overlaps("amodal_masks", reference, other, a, b).min(initial=1.0)),
        "suction": float(np.abs(reference["suction"].astype(np.float64) - other["suction"]).max()),
        "valid": float(np.abs(reference["valid"].astype(np.float64) - other["valid"]).max()),
        "detections": float(np.count_nonzero((reference["scores"] > 0) & (reference["scores"] >= min_score))),
        "unmatched": float(alone),
    }


def task_gaps(reference: Outputs, other: Outputs, *, min_score: float) -> dict[str, float]:
    """By task how much the two disagree, 0 (not at all) to about 1: to find the frame that suffers most.

    Boxes and masks: 1 - IoU, mean over detections, 1 for one without a counterpart. Occlusion: mean difference.
    Centre of mass: mean distance in sides of the box, at most 1. Suction: root mean square difference.
    """
    a, b, alone = pair(reference, other, min_score=min_score)
    total = max(len(a) + alone, 1)
    ours, theirs = reference["amodal_boxes"][a], other["amodal_boxes"][b]
    side = np.sqrt(np.maximum(boxes.area(ours), 1.0))
    apart = np.linalg.norm(reference["center_of_mass"][a] - other["center_of_mass"][b], axis=1) / side
    occlusion = np.abs(reference["occluded_probability"][a] - other["occluded_probability"][b])
    lost = {
        "amodal_box": 1 - np.array([boxes.iou(ours[i : i + 1], theirs[i : i + 1])[0, 0] for i in range(len(a))]),
        "visible_mask": 1 - mask_overlaps("visible_masks", reference, other, a, b),
        "amodal_mask": 1 - mask_overlaps("amodal_masks", reference, other, a, b),
        "occlusion": occlusion,
        "center_of_mass": np.minimum(apart, 1.0),
    }
    gaps = {task: (float(values.sum()) + alone) / total for task, values in lost.items()}
    return gaps | {"suction": float(np.sqrt(np.square(reference["suction"] - other["suction"]).mean()))}


def faults(found: Mapping[str, float], tolerance: Tolerance) -> list[str]:
    """What in `differences` is beyond the tolerance, in words; empty when nothing is."""
    said = []
    for name, limit in broken(found, tolerance).items():
        if name == "unmatched":
            said.append(f"{found[name]:.0f} of {found['detections']:.0f} detections have no counterpart")
        elif name.endswith("_iou"):
            said.append(f"{name} is {found[name]:.4g} (at least {limit:g})")
        else:
            said.append(f"{name} differs by {found[name]:.4g} (at most {limit:g})")
    return said


def broken(found: Mapping[str, float], tolerance: Tolerance) -> dict[str, float]:
    """Quantities of `differences` beyond the tolerance, with their limits; NaN is."""
    return {
        name: limit
        for name, limit in tolerance.limits().items()
        if name in found and not (found[name] >= limit if name.endswith("_iou") else found[name] <= limit)
    }


def is_worse(name: str, value: float, than: float) -> bool:
    """Whether a quantity is further from agreement than another value of it; NaN is the worst."""
    if np.isnan(value) or np.isnan(than):
        return bool(np.isnan(value) and not np.isnan(than))
    return value < than if name.endswith("_iou") else value > than


def pair(
    reference: Outputs, other: Outputs, *, min_score: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Rows (P,) of the reference, the rows (P,) of the other that match them, and how many of both are left over."""
    ours, theirs = np.flatnonzero(reference["scores"] > 0), np.flatnonzero(other["scores"] > 0)
    overlap = boxes.iou(reference["amodal_boxes"][ours], other["amodal_boxes"][theirs])  # (N, M)
    score_gap = np.abs(reference["scores"][ours][:, None] - other["scores"][theirs][None])
    preference = np.where(overlap >= MATCH_IOU, overlap - score_gap, -np.inf)  # of equal boxes the one of equal score
    found: list[tuple[int, int]] = []
    for row in range(len(ours)):
        column = int(preference[row].argmax()) if len(theirs) else -1
        if column >= 0 and preference[row, column] > -np.inf:
            found.append((int(ours[row]), int(theirs[column])))
            preference[:, column] = -np.inf
    pairs = np.array(found, dtype=np.int64).reshape(-1, 2)
    alone = sum(
        int(np.count_nonzero(np.delete(scores, taken) >= max(min_score, np.finfo(np.float32).tiny)))
        for scores, taken in ((reference["scores"], pairs[:, 0]), (other["scores"], pairs[:, 1]))
    )
    counts = np.maximum(reference["scores"][pairs[:, 0]], other["scores"][pairs[:, 1]]) >= min_score
    return pairs[counts, 0], pairs[counts, 1], alone


def mask_overlaps(
    name: str, reference: Outputs, other: Outputs, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]
) -> Float32Array:
    """IoU (P,) of the masks of matched detections, laid over the reference's box in the image's pixels.

    Pixels within `MASK_TIE` of the threshold are left out. Where no cell differs by more than that, neither does any
    pixel between cells, and the IoU is 1 without a look.
    """
    result = np.ones(len(a), dtype=np.float32)
    for index, (row, column) in enumerate(zip(a, b, strict=True)):
        ours, theirs = reference[name][row], other[name][column]
        if np.abs(ours - theirs).max() <= MASK_TIE:
            continue
        box = reference["amodal_boxes"][row]
        height, width = int(np.ceil(box[3])) + 1, int(np.ceil(box[2])) + 1
        first, second = (masks.paste_crop(one, box, height, width)[0] for one in (ours, theirs))
        asked = np.abs(first - MASK_THRESHOLD) > MASK_TIE
        one, two = (first >= MASK_THRESHOLD) & asked, (second >= MASK_THRESHOLD) & asked
        union = np.count_nonzero(one | two)
        if not np.isfinite(theirs).all():
            result[index] = np.nan
        elif union:
            result[index] = np.count_nonzero(one & two) / union
    return result
