"""Pairs of detection and instance: greedy in score order, by IoU of the amodal boxes."""

from __future__ import annotations

import numpy as np

from graspnext.geometry import boxes
from graspnext.types import Float32Array

MATCH_IOU = 0.5


def match(detections: Float32Array, instances: Float32Array) -> list[tuple[int, int]]:
    """Give each detection, best score first, the free instance that it overlaps most, from IoU 0.5 on.

    Args:
        detections: (N, 4) xyxy px, in falling order of score.
        instances: (M, 4) xyxy px.

    Returns:
        Pairs (detection, instance), in the order of the detections.
    """
    overlap = boxes.iou(detections, instances)  # (N, M)
    pairs = []
    for detection in range(len(detections)):
        if len(instances) == 0:
            break
        best = int(np.argmax(overlap[detection]))
        if overlap[detection, best] >= MATCH_IOU:
            pairs.append((detection, best))
            overlap[:, best] = -1  # taken
    return pairs
