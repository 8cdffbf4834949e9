"""Is the part occluded? Accuracy and F1 over the instances that were found."""

from __future__ import annotations

import numpy as np

from graspnext.types import BoolArray, Float32Array

ANSWER_FROM = 0.5
"""From this probability on the answer is "occluded"."""


def occlusion_score(probability: Float32Array, occluded: BoolArray) -> tuple[float, float]:
    """Accuracy and F1 of the class "occluded", fractions.

    Instances that were not found are not asked: read it beside the amodal box AP and the share matched.

    Args:
        probability: (N,) predicted for each matched instance.
        occluded: (N,) what is true of it.

    Returns:
        Accuracy is NaN where nothing was matched, F1 where no matched instance was or was said to be occluded.
    """
    answer = probability >= ANSWER_FROM
    right, wrong = int(np.sum(answer == occluded)), int(np.sum(answer != occluded))
    accuracy = right / (right + wrong) if right + wrong else float("nan")
    hits = int(np.sum(answer & occluded))
    return accuracy, 2 * hits / (2 * hits + wrong) if hits + wrong else float("nan")
