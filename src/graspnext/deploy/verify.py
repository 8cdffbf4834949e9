"""Does every runtime say what the trained network says? Measured on the same frames, detection by detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graspnext.errors import ConfigError
from graspnext.geometry import boxes
from graspnext.types import UInt8Array

Outputs = Mapping[str, npt.NDArray[Any]]
MATCH_IOU = 0.9
"""Detections of two runtimes that overlap less are not taken for the same."""


@dataclass(frozen=True)
class Tolerance:
    """How far a runtime may be from the trained network."""

    score: float = 1e-3
    box_px: float = 0.5
    center_px: float = 0.5
    probability: float = 1e-2
    """Of masks and occlusion, which follow the boxes."""
    suction: float = 1e-3
    unmatched_share: float = 0.02
    """Detections without a counterpart: near-ties in suppression may fall either way."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0:
                raise ConfigError(f"tolerance.{name}", value, "at least 0")


def check_frames(*, rng: np.random.Generator) -> list[UInt8Array]:
    """Images (H, W, 3) uint8 of several shapes: noise, and coloured boxes and discs over gradients."""
    frames = [rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)]
    for height, width in ((480, 640), (640, 360), (32, 48), (700, 1100)):
        rows, columns = np.mgrid[:height, :width]
        picture = np.stack([rows * 90 / height + 60, columns * 90 / width + 60, (rows + columns) % 61 + 60], axis=-1)
        for _ in range(14):
            u, v, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.04, 0.2) * max(height, width)
            aspect = rng.uniform(0.4, 2.5)
            if rng.random() < 0.5:
                inside = np.hypot(columns - u, (rows - v) * aspect) < radius
            else:
                inside = (np.abs(columns - u) < radius) & (np.abs(rows - v) * aspect < radius)
            picture[inside] = rng.uniform(0, 255, 3)
        noisy = picture + rng.normal(0, 4, picture.shape)
        frames.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return frames


def differences(reference: Outputs, other: Outputs, *, min_score: float = 0.0) -> dict[str, float]:
    """Largest differences between two runs of the pipeline on one image.

    Detections are matched greedily, best first, each with the free one of most overlap (IoU >= 0.9); `unmatched` counts
    those of either side that are left over, `detections` those of the reference.
    """
    ours = np.flatnonzero(reference["scores"] > min_score)
    theirs = np.flatnonzero(other["scores"] > min_score)
    overlap = boxes.iou(reference["amodal_boxes"][ours], other["amodal_boxes"][theirs])  # (N, M)
    score_gap = np.abs(reference["scores"][ours][:, None] - other["scores"][theirs][None])
    preference = np.where(overlap >= MATCH_IOU, overlap - score_gap, -np.inf)  # of equal boxes the one of equal score
    pairs: list[tuple[int, int]] = []
    for row in range(len(ours)):
        column = int(preference[row].argmax()) if len(theirs) else -1
        if column >= 0 and preference[row, column] > -np.inf:
            pairs.append((int(ours[row]), int(theirs[column])))
            preference[:, column] = -np.inf
    a, b = (np.array(side, dtype=np.int64) for side in (list(zip(*pairs, strict=True)) or [(), ()]))

    def largest(name: str) -> float:
        gap = np.abs(reference[name][a].astype(np.float64) - other[name][b])
        return float(gap.max()) if gap.size else 0.0

    return {
        "score": largest("scores"),
        "box_px": largest("amodal_boxes"),
        "center_px": largest("center_of_mass"),
        "probability": max(map(largest, ("visible_masks", "amodal_masks", "occluded_probability"))),
        "suction": float(np.abs(reference["suction"].astype(np.float64) - other["suction"]).max()),
        "valid": float(np.abs(reference["valid"].astype(np.float64) - other["valid"]).max()),
        "detections": float(len(ours)),
        "unmatched": float(len(ours) + len(theirs) - 2 * len(pairs)),
    }


def faults(found: Mapping[str, float], tolerance: Tolerance) -> list[str]:
    """What in `differences` is beyond the tolerance, in words; empty when nothing is."""
    limits = {name: getattr(tolerance, name) for name in ("score", "box_px", "center_px", "probability", "suction")}
    limits["valid"] = 1e-6
    said = [
        f"{name} differs by {found[name]:.4g} (at most {limit:g})"
        for name, limit in limits.items()
        if not found[name] <= limit
    ]
    allowed = tolerance.unmatched_share * max(found["detections"], 1.0)
    if found["unmatched"] > allowed:
        said.append(f"{found['unmatched']:.0f} of {found['detections']:.0f} detections have no counterpart")
    return said


def worst(references: Sequence[Outputs], others: Sequence[Outputs]) -> dict[str, float]:
    """`differences` over several frames: the largest of each, and the sums of the counts."""
    every = [differences(reference, other) for reference, other in zip(references, others, strict=True)]
    counts = ("detections", "unmatched")
    return {name: (sum if name in counts else max)(one[name] for one in every) for name in every[0]}
