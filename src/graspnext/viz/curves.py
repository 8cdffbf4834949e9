"""The curves of a training run as one picture: losses by name on a logarithmic axis, learning rate, gradient, speed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graspnext.types import Float64Array, UInt8Array
from graspnext.viz.axes import HEADING_PX, SOFT, Panel, Scale, Sheet, scale_over, smooth, thin
from graspnext.viz.draw import INK, Colour

WIDTH, HEIGHT = 1280, 900
COLOURS: tuple[Colour, ...] = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
    (23, 150, 170),
    (160, 160, 30),
    (90, 110, 200),
)
"""Of the losses, in the order of the log; the total is black."""


@dataclass(frozen=True, eq=False)
class _Chart:
    """One pair of axes and its lines."""

    title: str
    series: Mapping[str, Float64Array]
    """Name -> (N,) values, one a line of the log; NaN = none."""
    logarithmic: bool
    box: tuple[int, int, int, int]
    """Left, top, right, bottom of the axes, px."""
    legend: bool = False


def curves(lines: Sequence[Mapping[str, Any]], *, title: str) -> UInt8Array:
    """Draw a run's log.

    Faint lines are the values, strong ones their average over about a sixtieth of the run.

    Args:
        lines: Of `log.jsonl`, in rising order: `step`, `losses` (name -> value), `lr`, `grad_norm`, `images_per_s`.
        title: What the run is.

    Returns:
        (HEIGHT, WIDTH, 3) uint8, RGB.

    Raises:
        ValueError: There is no line.
    """
    if not lines:
        raise ValueError("curves need at least one line of the log")
    steps = np.array([line["step"] for line in lines], dtype=np.float64)
    names = list(dict.fromkeys(name for line in lines for name in line["losses"]))
    losses = {name: _values([line["losses"].get(name) for line in lines]) for name in names}
    single = {name: {"": _values([line.get(name) for line in lines])} for name in ("lr", "grad_norm", "images_per_s")}
    top, bottom = 610, HEIGHT - 50
    charts = [
        _Chart("losses, weighted", losses, True, (70, 80, 1010, 540), legend=True),
        _Chart("learning rate", single["lr"], False, (70, top, 440, bottom)),
        _Chart("gradient norm", single["grad_norm"], True, (505, top, 850, bottom)),
        _Chart("images per second", single["images_per_s"], False, (915, top, 1260, bottom)),
    ]
    sheet = Sheet(HEIGHT, WIDTH)
    sheet.write(title, (20, 18), anchor="lt", size=HEADING_PX)
    for chart in charts:
        _draw(chart, steps, sheet)
    return sheet.picture()


def _draw(chart: _Chart, steps: Float64Array, sheet: Sheet) -> None:
    y = scale_over(list(chart.series.values()), logarithmic=chart.logarithmic)
    panel = Panel(chart.box, Scale(0.0, max(float(steps[-1]), 1.0)), y)
    panel.draw(sheet, title=chart.title, below="step")
    colours = _colours(list(chart.series))
    strong: dict[str, Float64Array] = {}
    for name, values in chart.series.items():
        known = np.isfinite(y.share(values))
        if known.any():
            averaged = smooth(values[known], logarithmic=chart.logarithmic)
            strong[name] = thin(panel.place(steps[known], averaged))
            sheet.layer.line(thin(panel.place(steps[known], values[known])), colours[name], width=1, alpha=0.22)
    for name, points in strong.items():  # above all faint ones
        sheet.layer.line(points, colours[name], width=2.4 if name == "total" else 1.8)
        if len(points) == 1:
            sheet.layer.dot(float(points[0, 0]), float(points[0, 1]), colours[name], radius=2.5, ring=None)
    if chart.legend:
        _legend(chart, y, colours, sheet)


def _legend(chart: _Chart, scale: Scale, colours: Mapping[str, Colour], sheet: Sheet) -> None:
    """Names with the value that each line ends at, the total first."""
    x, y = chart.box[2] + 24, chart.box[1] + 6
    for name in sorted(chart.series, key=lambda one: one != "total"):
        values = chart.series[name]
        known = values[np.isfinite(scale.share(values))]
        last = f"{smooth(known, logarithmic=True)[-1]:.3g}" if known.size else "none"
        sheet.line([(x, y), (x + 20, y)], colours[name], width=3)
        sheet.write(name.replace("_", " "), (x + 28, y))
        sheet.write(last, (WIDTH - 20, y), colour=SOFT, anchor="rm")
        y += 24


def _colours(names: Sequence[str]) -> dict[str, Colour]:
    parts = [name for name in names if name not in {"total", ""}]
    return dict.fromkeys(names, INK) | {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(parts)}


def _values(column: Sequence[Any]) -> Float64Array:
    return np.array([math.nan if value is None else float(value) for value in column], dtype=np.float64)
