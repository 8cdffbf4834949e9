"""From the arrays that a network puts out to a `Prediction`, and from a suction map to its peaks. numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from graspnext.geometry import boxes
from graspnext.types import Float32Array, Prediction

EVALUATION_MIN_SCORE = 0.05
"""Detections below this score change no metric that we report by a measurable amount; above it all are kept."""

OUTPUT_NAMES = (
    "scores",
    "amodal_boxes",
    "visible_masks",
    "amodal_masks",
    "occluded_probability",
    "center_of_mass",
    "suction",
    "valid",
    "count",
)
"""What the exported network puts out, in this order."""


def wrap(
    outputs: Mapping[str, npt.NDArray[Any]], *, width: int, height: int, source: str = "", min_score: float
) -> Prediction:
    """The outputs of one run of the pipeline as a `Prediction` in the image's own pixels, best first.

    Args:
        outputs: Arrays by `OUTPUT_NAMES`, with D rows padded by score 0: scores (D,), amodal_boxes (D, 4) xyxy px,
            visible_masks and amodal_masks (D, M, M), occluded_probability (D,), center_of_mass (D, 2) u, v px,
            suction (S / 4, S / 4) with the padding of the letterbox, valid (2,) the share of its rows and of its
            columns that is image.
        width: Of the image, px.
        height: Of the image, px.
        source: Where the image came from.
        min_score: Detections below it are left out; padding always is.
    """
    scores = np.asarray(outputs["scores"], dtype=np.float32)
    kept = np.flatnonzero((scores >= min_score) & (scores > 0))
    kept = kept[np.argsort(-scores[kept], kind="stable")]

    def rows(name: str) -> Float32Array:
        return np.asarray(outputs[name], dtype=np.float32)[kept]

    return Prediction(
        width=width,
        height=height,
        scores=scores[kept],
        amodal_boxes=boxes.clip(rows("amodal_boxes"), height, width),
        visible_masks=rows("visible_masks"),
        amodal_masks=rows("amodal_masks"),
        occluded_probability=rows("occluded_probability"),
        center_of_mass=rows("center_of_mass"),
        suction=_crop(np.asarray(outputs["suction"], dtype=np.float32), np.asarray(outputs["valid"])),
        source=source,
    )


def _crop(suction: Float32Array, valid: npt.NDArray[Any]) -> Float32Array:
    """The part of a padded suction map (S / 4, S / 4) that is image; the letterbox ends on whole cells."""
    rows, columns = (max(1, round(float(share) * size)) for share, size in zip(valid, suction.shape, strict=True))
    return np.ascontiguousarray(suction[:rows, :columns])


def suction_peaks(
    prediction: Prediction, *, count: int = 10, min_score: float = 0.05, radius_cells: int = 3
) -> Float32Array:
    """The best separate suction points (K, 3), K <= count: u px, v px, score; scores fall.

    A peak is a cell that none of its eight neighbours beats, more than `radius_cells` away from every better peak; of
    equal cells on a plateau the first one stays.
    """
    heat = prediction.suction
    rows, columns = heat.shape
    padded = np.pad(heat, 1, constant_values=-np.inf)
    shifts = [padded[dy : dy + rows, dx : dx + columns] for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]
    candidates = np.argwhere((heat >= np.maximum.reduce(shifts)) & (heat >= min_score) & (heat > 0))  # (C, 2)
    order = np.argsort(-heat[candidates[:, 0], candidates[:, 1]], kind="stable")
    candidates = candidates[order]
    peaks: list[tuple[float, float, float]] = []
    while candidates.size and len(peaks) < count:
        row, column = candidates[0]
        u, v = (column + 0.5) * prediction.width / columns, (row + 0.5) * prediction.height / rows
        peaks.append((u, v, float(heat[row, column])))
        far = np.abs(candidates - candidates[0]).max(axis=1) > radius_cells
        candidates = candidates[far]
    return np.array(peaks, dtype=np.float32).reshape(-1, 3)
