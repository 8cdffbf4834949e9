"""`predictions.json`: what was found, in a form that other programs read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from graspnext.geometry import masks
from graspnext.types import Float32Array, Float64Array

if TYPE_CHECKING:
    from graspnext.runtime.prediction import Prediction

SCHEMA_VERSION = 1
MASK_THRESHOLD = 0.5
"""Probability from which a pixel belongs to a mask."""


def frame_record(prediction: Prediction) -> dict[str, Any]:
    """One entry of `frames`.

    Returns:
        file, width, height; `instances`, best first: score, amodal_box (xyxy px), visible_mask and amodal_mask (COCO
        run lengths over the whole image), occluded_probability, center_of_mass (u, v px); `suction_peaks`, best first:
        u, v (px), score.

        Where the frame carried depth, each instance has center_of_mass_depth_m and each peak depth_m, both z in metres
        of the surface seen there; where the camera is known too, center_of_mass_point_m and point_m, [x, y, z] metres
        in the camera frame. All four are None where nothing is measured.
    """
    peaks = [
        {"u": _number(u, 2), "v": _number(v, 2), "score": _number(score, 4)} for u, v, score in prediction.suction_peaks
    ]
    _add(peaks, "depth_m", prediction.suction_depth_m)
    _add(peaks, "point_m", prediction.suction_points_m)
    instances = [_instance(prediction, index) for index in range(len(prediction.scores))]
    _add(instances, "center_of_mass_depth_m", prediction.center_of_mass_depth_m)
    _add(instances, "center_of_mass_point_m", prediction.center_of_mass_points_m)
    return {
        "file": prediction.source,
        "width": prediction.width,
        "height": prediction.height,
        "instances": instances,
        "suction_peaks": peaks,
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


def _add(records: Iterable[dict[str, Any]], key: str, metres: Float32Array | Float64Array | None) -> None:
    """Give each record its depth (N,) or point (N, 3), to tenths of a millimetre; None where it is NaN."""
    if metres is None:
        return
    for record, value in zip(records, metres, strict=True):
        if not np.isfinite(value).all():
            record[key] = None
        else:
            record[key] = [_number(one, 4) for one in value] if value.ndim else _number(value, 4)


def _number(value: np.floating[Any], digits: int) -> float:
    return round(float(value), digits)
