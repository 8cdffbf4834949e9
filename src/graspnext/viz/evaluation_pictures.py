"""What a network got right and wrong in one view, as pictures: labels beside prediction, true beside predicted heat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspnext.geometry.masks import paste
from graspnext.geometry.predictions import suction_peaks
from graspnext.types import BoolArray, Float32Array, Prediction, UInt8Array, View
from graspnext.viz import draw, labels
from graspnext.viz.draw import INK, WHITE, Colour, Layer

FOUND: Colour = (52, 120, 246)
MISSED: Colour = (255, 149, 0)
FALSE_ALARM: Colour = (214, 36, 159)
IGNORED: Colour = labels.IGNORED
PANEL_PX = 380
HEAT_PANEL_PX = 300
_GAP_PX = 8
_HEAT_ALPHA = 0.6


@dataclass(frozen=True, eq=False)
class Case:
    """One view to show, and how its prediction was judged."""

    view: View
    prediction: Prediction
    missed: frozenset[int]
    """Places in `view.labels.instances`."""
    right: frozenset[int]
    """Rows of the prediction."""
    false_alarms: frozenset[int]
    """Rows of the prediction."""
    caption: str


def mistakes(case: Case) -> UInt8Array:
    """The labels, missed parts in orange, beside the prediction, false alarms in magenta; what fits is blue.

    Ignored parts are grey; solid outlines are the visible parts, boxes are amodal.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    height, width = _panel(case.view, PANEL_PX)
    base = draw.resize(draw.blend(case.view.image, draw.grey(case.view.image), 0.75), height, width)
    return _beside([_truth(case, base), _answer(case, base)])


def _truth(case: Case, base: UInt8Array) -> UInt8Array:
    view = case.view
    scale = np.array([base.shape[1] / view.image.shape[1], base.shape[0] / view.image.shape[0]])
    layer = Layer(*base.shape[:2])
    order = sorted(range(len(view.labels.instances)), key=lambda index: (index in case.missed, index))  # misses on top
    for index in order:
        one = view.labels.instances[index]
        colour = IGNORED if one.ignore else MISSED if index in case.missed else FOUND
        box = (one.amodal_box.reshape(2, 2) * scale).ravel().astype(np.float32)
        _outline(layer, one.visible_mask, scale, box, colour, bold=index in case.missed)
    return layer.over(base)


def _answer(case: Case, base: UInt8Array) -> UInt8Array:
    prediction = case.prediction
    height, width = base.shape[:2]
    scale = np.array([width / prediction.width, height / prediction.height])
    layer = Layer(height, width)
    for row in [*sorted(case.right), *sorted(case.false_alarms)]:
        wrong = row in case.false_alarms
        box = (prediction.amodal_boxes[row] * np.tile(scale, 2)).astype(np.float32)
        mask = paste(prediction.visible_masks[row], box, height, width) >= 0.5
        _outline(layer, mask, np.ones(2), box, FALSE_ALARM if wrong else FOUND, bold=wrong)
    return layer.over(base)


def _outline(
    layer: Layer, mask: BoolArray, scale: np.ndarray, box: Float32Array, colour: Colour, *, bold: bool
) -> None:
    layer.rectangle(box, colour, width=1.4 if bold else 1.0, alpha=0.9 if bold else 0.5)
    for border in draw.contours(mask):
        if bold:
            layer.fill(border * scale, colour, alpha=0.16)
        layer.line(border * scale, colour, width=2.0 if bold else 1.3)


def heatmaps(case: Case) -> UInt8Array:
    """The picture, the true suction score and the predicted one; crosses are the three best points of the prediction.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    view, prediction = case.view, case.prediction
    height, width = _panel(view, HEAT_PANEL_PX)
    if "suction" in view.labels.missing:
        truth = labels.no_label(view, height, width)
    else:
        truth = _heat(view, view.labels.suction, height, width)
    said = _heat(view, prediction.suction, height, width)
    layer = Layer(height, width)
    for u, v, _ in suction_peaks(prediction, count=3, min_score=0.0):
        x, y = float(u) * width / prediction.width, float(v) * height / prediction.height
        for ink, wide in ((INK, 4.0), (WHITE, 1.8)):
            layer.line(np.array([(x - 7, y), (x + 7, y)]), ink, width=wide)
            layer.line(np.array([(x, y - 7), (x, y + 7)]), ink, width=wide)
    return _beside([draw.resize(view.image, height, width), truth, layer.over(said)])


def _heat(view: View, values: Float32Array, height: int, width: int) -> UInt8Array:
    """A map of any resolution over the grey picture."""
    grey = draw.resize(draw.grey(view.image), height, width)
    heat = np.clip(draw.resize_map(np.ascontiguousarray(values, dtype=np.float32), height, width), 0, 1)
    return draw.blend(grey, draw.heat_colours(heat), _HEAT_ALPHA)


def _panel(view: View, width: int) -> tuple[int, int]:
    """(height, width) px of a panel; very high pictures are cut down to twice their width."""
    return int(np.clip(round(width * view.image.shape[0] / view.image.shape[1]), 1, 2 * width)), width


def _beside(panels: list[UInt8Array]) -> UInt8Array:
    gap = np.full((panels[0].shape[0], _GAP_PX, 3), 255, dtype=np.uint8)
    row = [part for panel in panels for part in (gap, panel)][1:]
    return np.concatenate(row, axis=1)
