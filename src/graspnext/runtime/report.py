"""`predictions.json`: what was found, in a form that other programs read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graspnext.geometry import masks
from graspnext.geometry.predictions import suction_peaks
from graspnext.runtime.sources import Problem
from graspnext.types import Float32Array, Prediction

SCHEMA_VERSION = 1
MASK_THRESHOLD = 0.5
"""Probability from which a pixel belongs to a mask."""


def report(frames: Sequence[dict[str, Any]], problems: Sequence[Problem], **about: Any) -> dict[str, Any]:
    """The whole file: `frames` from `frame_record`, what failed, and what else is to be said (model, runtime, ...)."""
    errors = [{"source": problem.source, "problem": problem.problem} for problem in problems]
    return {"schema_version": SCHEMA_VERSION, **about, "frames": list(frames), "errors": errors}


def frame_record(prediction: Prediction) -> dict[str, Any]:
    """One entry of `frames`: boxes xyxy px, masks as COCO run lengths over the whole image, points in u, v px."""
    peaks = suction_peaks(prediction)
    return {
        "file": prediction.source,
        "width": prediction.width,
        "height": prediction.height,
        "instances": [_instance(prediction, index) for index in range(len(prediction.scores))],
        "suction_peaks": [
            {"u": _number(u, 2), "v": _number(v, 2), "score": _number(score, 4)} for u, v, score in peaks
        ],
    }


def _instance(prediction: Prediction, index: int) -> dict[str, Any]:
    box = prediction.amodal_boxes[index]

    def run_lengths(probability: Float32Array) -> dict[str, object]:
        return masks.encode(masks.paste(probability, box, prediction.height, prediction.width) >= MASK_THRESHOLD)

    return {
        "score": _number(prediction.scores[index], 4),
        "amodal_box": [_number(value, 2) for value in box],
        "visible_mask": run_lengths(prediction.visible_masks[index]),
        "amodal_mask": run_lengths(prediction.amodal_masks[index]),
        "occluded_probability": _number(prediction.occluded_probability[index], 4),
        "center_of_mass": [_number(value, 2) for value in prediction.center_of_mass[index]],
    }


def _number(value: np.floating[Any], digits: int) -> float:
    return round(float(value), digits)
