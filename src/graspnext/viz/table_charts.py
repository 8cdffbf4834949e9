"""Charts of a table of networks: each task's score against latency, and the losses of all trainings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graspnext.types import Float64Array, UInt8Array
from graspnext.viz.axes import FONT_PX, HEADING_PX, SOFT, Panel, Scale, Sheet, scale_over, smooth, thin
from graspnext.viz.draw import Colour, text_width

COLOURS: tuple[Colour, ...] = ((31, 119, 180), (148, 103, 189), (44, 160, 44), (214, 39, 40), (255, 127, 14))
"""Of the rows, in their order; the baselines are cool, `fast`, which comes fourth, is red."""
TASKS = {
    "amodal_box_ap": "Amodal box AP",
    "visible_mask_ap": "Visible mask AP",
    "amodal_mask_ap": "Amodal mask AP",
    "occlusion_accuracy": "Occlusion accuracy",
    "center_of_mass_ap": "Centre-of-mass AP",
    "heatmap_mse": "Suction heatmap MSE",
}
"""Main metric of each task -> title of its panel."""
LESS_IS_BETTER = frozenset({"heatmap_mse"})
_SIDE_PX, _GAP_X, _GAP_Y, _LEFT, _TOP = 330, 100, 92, 66, 118
_HEIGHT_PX = 240
_SMOOTHING = 20
"""Stronger than for a single run: lines of several rows must be told apart."""


@dataclass(frozen=True)
class Point:
    """A network in the chart of accuracy against latency."""

    name: str
    p50_ms: float
    p25_ms: float
    p75_ms: float
    scores: Mapping[str, float | None]
    """Metric -> value; None where it could not be measured."""


def accuracy_over_latency(points: Sequence[Point], *, title: str, unit: str) -> UInt8Array:
    """Six panels, one a task: score over latency. Each network is a dot; its faint line spans half of its times.

    Args:
        points: The networks, at least one.
        title: What the scores are of.
        unit: Words below the latency axes.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    sheet = Sheet(_TOP + 2 * _HEIGHT_PX + _GAP_Y + 50, _LEFT + 3 * _SIDE_PX + 2 * _GAP_X + 24)
    sheet.write(title, (20, 18), anchor="lt", size=HEADING_PX)
    _legend(sheet, [point.name for point in points], y=62)
    times = np.array([[point.p25_ms, point.p75_ms, point.p50_ms] for point in points])
    x = Scale(math.log10(times.min()) - 0.12, math.log10(times.max()) + 0.12, logarithmic=True)
    for index, (task, name) in enumerate(TASKS.items()):
        left, top = _LEFT + index % 3 * (_SIDE_PX + _GAP_X), _TOP + index // 3 * (_HEIGHT_PX + _GAP_Y)
        values = np.array([math.nan if point.scores.get(task) is None else point.scores[task] for point in points])
        less = task in LESS_IS_BETTER
        panel = Panel((left, top, left + _SIDE_PX, top + _HEIGHT_PX), x, _score_scale(values))
        panel.draw(sheet, title=name, below=unit)
        better = ("better: down and left" if less else "better: up and left", 225.0 if less else 135.0)
        _arrow(sheet, (left + _SIDE_PX, top - 17), *better)
        for row, (point, value) in enumerate(zip(points, values, strict=True)):
            if math.isfinite(value):
                span = panel.place(np.array([point.p25_ms, point.p75_ms, point.p50_ms]), np.full(3, value))
                sheet.layer.line(span[:2], COLOURS[row % len(COLOURS)], width=5, alpha=0.35)
                sheet.layer.dot(float(span[2, 0]), float(span[2, 1]), COLOURS[row % len(COLOURS)], radius=6)
    return sheet.picture()


def _score_scale(values: Float64Array) -> Scale:
    """From 0, so that a small difference looks small."""
    known = values[np.isfinite(values)]
    most = float(known.max()) if known.size else 0.0
    return Scale(0.0, most * 1.12 if most > 0 else 1.0)


def _legend(sheet: Sheet, names: Sequence[str], *, y: float) -> None:
    x = float(_LEFT)
    for row, name in enumerate(names):
        sheet.layer.dot(x, y, COLOURS[row % len(COLOURS)], radius=6)
        sheet.write(name, (x + 13, y))
        x += 13 + text_width(name, FONT_PX) + 34


def _arrow(sheet: Sheet, corner: tuple[float, float], words: str, degrees: float) -> None:
    """Words that end at a corner, and behind them a small arrow, counter-clockwise from the right."""
    x, y = corner
    sheet.write(words, (x - 22, y), colour=SOFT, anchor="rm")
    along = np.array([math.cos(math.radians(degrees)), -math.sin(math.radians(degrees))])
    across = np.array([-along[1], along[0]])
    middle = np.array([x - 8.0, y])
    tip, tail = middle + 7 * along, middle - 7 * along
    sheet.line(np.stack([tail, tip]), SOFT, width=1.4)
    sheet.line(np.stack([tip - 5 * along + 3.5 * across, tip, tip - 5 * along - 3.5 * across]), SOFT, width=1.4)


def learning_curves(logs: Mapping[str, Sequence[Mapping[str, Any]]], *, images_per_step: int, title: str) -> UInt8Array:
    """A panel for the total loss and one for each part of it: smoothed, over images seen, a line for each row.

    Args:
        logs: Row -> the lines of its `log.jsonl`, with `step` and `losses` (name -> value).
        images_per_step: Of each step.
        title: What was trained.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    names = list(dict.fromkeys(name for lines in logs.values() for line in lines for name in line["losses"]))
    names.sort(key=lambda name: name != "total")
    columns, height, gap_y, width, gap_x = 5, 160, 84, 206, 66
    rows = max(1, -(-len(names) // columns))
    sheet = Sheet(_TOP + rows * (height + gap_y) - 30, _LEFT + columns * width + (columns - 1) * gap_x + 28)
    sheet.write(title, (20, 18), anchor="lt", size=HEADING_PX)
    _legend(sheet, list(logs), y=62)
    last = max((line["step"] for lines in logs.values() for line in lines), default=1) * images_per_step
    for index, name in enumerate(names):
        left, top = _LEFT + index % columns * (width + gap_x), _TOP + index // columns * (height + gap_y)
        series = {row: _series(lines, name) for row, lines in logs.items()}
        y = scale_over([values for _, values in series.values()], logarithmic=True)
        panel = Panel((left, top, left + width, top + height), Scale(0.0, float(last)), y)
        panel.draw(sheet, title=name.replace("_", " "), below="images seen")
        for row, (steps, values) in enumerate(series.values()):
            if values.size:
                points = thin(panel.place(steps * images_per_step, smooth(values, logarithmic=True, parts=_SMOOTHING)))
                colour = COLOURS[row % len(COLOURS)]
                sheet.layer.line(points, colour, width=1.8)
                sheet.layer.dot(float(points[-1, 0]), float(points[-1, 1]), colour, radius=2.5, ring=None)
    return sheet.picture()


def _series(lines: Sequence[Mapping[str, Any]], name: str) -> tuple[Float64Array, Float64Array]:
    """Steps (N,) and values (N,) of a loss where it is above 0: the axis is logarithmic."""
    found = [(line["step"], line["losses"][name]) for line in lines if line["losses"].get(name, 0) > 0]
    pairs = np.array(found, dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
