"""The curves of a training run as one picture: losses by name on a logarithmic axis, learning rate, gradient, speed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from graspnext.types import Float64Array, UInt8Array
from graspnext.viz.draw import INK, PAPER, Colour, Layer

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
_GRID: Colour = (228, 230, 234)
_AXIS: Colour = (150, 156, 166)
_SOFT: Colour = (93, 102, 117)
_FONT_PX, _TITLE_PX = 13, 16
_MOST_POINTS = 800
"""Of one line; more cannot be told apart."""
_SMOOTHING = 60
"""Width of the smoothing kernel: one so many-th of the run's lines."""


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
    layer = Layer(HEIGHT, WIDTH)
    words: list[_Words] = [_Words(title, 20, 18, INK, "lt", 20)]
    for chart in charts:
        _draw(chart, steps, layer, words)
    canvas = Image.fromarray(layer.over(np.full((HEIGHT, WIDTH, 3), PAPER, dtype=np.uint8)))
    pen = ImageDraw.Draw(canvas)
    for one in words:
        pen.text((one.x, one.y), one.text, fill=one.colour, font=ImageFont.load_default(one.size), anchor=one.anchor)
    return np.asarray(canvas, dtype=np.uint8)


@dataclass(frozen=True)
class _Words:
    text: str
    x: float
    y: float
    colour: Colour
    anchor: str
    size: int = _FONT_PX


def _draw(chart: _Chart, steps: Float64Array, layer: Layer, words: list[_Words]) -> None:
    left, top, right, bottom = chart.box
    low, high = _range(list(chart.series.values()), logarithmic=chart.logarithmic)
    last = max(float(steps[-1]), 1.0)

    def place(x: Float64Array, y: Float64Array) -> Float64Array:
        share = (_scaled(y, chart) - low) / (high - low)
        return np.stack([left + x / last * (right - left), bottom - np.clip(share, 0, 1) * (bottom - top)], axis=1)

    words.append(_Words(chart.title, left, top - 12, INK, "ls", _TITLE_PX))
    for value, text in _ticks(low, high, logarithmic=chart.logarithmic):
        y = bottom - (value - low) / (high - low) * (bottom - top)
        layer.line(np.array([(left, y), (right, y)], dtype=np.float64), _GRID, width=1)
        words.append(_Words(text, left - 7, y, _SOFT, "rm"))
    for value, text in _ticks(0.0, last, logarithmic=False):
        words.append(_Words(text, left + value / last * (right - left), bottom + 8, _SOFT, "mt"))
    words.append(_Words("step", right, bottom + 26, _SOFT, "rt"))
    layer.line(np.array([(left, bottom), (right, bottom)], dtype=np.float64), _AXIS, width=1)

    colours = _colours(list(chart.series))
    strong: dict[str, Float64Array] = {}
    for name, values in chart.series.items():
        known = np.isfinite(_scaled(values, chart))
        if known.any():
            smooth = _smooth(values[known], logarithmic=chart.logarithmic)
            strong[name] = _thin(place(steps[known], smooth))
            layer.line(_thin(place(steps[known], values[known])), colours[name], width=1, alpha=0.22)
    for name, points in strong.items():  # above all faint ones
        layer.line(points, colours[name], width=2.4 if name == "total" else 1.8)
        if len(points) == 1:
            layer.dot(float(points[0, 0]), float(points[0, 1]), colours[name], radius=2.5, ring=None)
    if chart.legend:
        _legend(chart, colours, layer, words)


def _legend(chart: _Chart, colours: Mapping[str, Colour], layer: Layer, words: list[_Words]) -> None:
    """Names with the value that each line ends at, the total first."""
    x, y = chart.box[2] + 24, chart.box[1] + 6
    for name in sorted(chart.series, key=lambda one: one != "total"):
        values = chart.series[name]
        known = values[np.isfinite(_scaled(values, chart))]
        last = f"{_smooth(known, logarithmic=True)[-1]:.3g}" if known.size else "none"
        layer.line(np.array([(x, y), (x + 20, y)], dtype=np.float64), colours[name], width=3)
        words.append(_Words(name.replace("_", " "), x + 28, y, INK, "lm"))
        words.append(_Words(last, WIDTH - 20, y, _SOFT, "rm"))
        y += 24


def _colours(names: Sequence[str]) -> dict[str, Colour]:
    parts = [name for name in names if name not in {"total", ""}]
    return dict.fromkeys(names, INK) | {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(parts)}


def _values(column: Sequence[Any]) -> Float64Array:
    return np.array([math.nan if value is None else float(value) for value in column], dtype=np.float64)


def _scaled(values: Float64Array, chart: _Chart) -> Float64Array:
    """Values along their axis; NaN where a logarithmic one has no place for them."""
    if not chart.logarithmic:
        return values
    return np.log10(np.where(values > 0, values, np.nan))


def _smooth(values: Float64Array, *, logarithmic: bool) -> Float64Array:
    """A centred average with Gaussian weights, of the logarithms on a logarithmic axis; (N,) finite values."""
    deviation = len(values) / _SMOOTHING / 2
    if deviation < 0.5:
        return values
    reach = min(math.ceil(3 * deviation), len(values) - 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    axis = np.log(values) if logarithmic else values
    padded = np.pad(axis, reach)
    weights = np.convolve(np.pad(np.ones_like(axis), reach), kernel, mode="valid")
    smooth = np.convolve(padded, kernel, mode="valid") / weights
    return np.exp(smooth) if logarithmic else smooth


def _thin(points: Float64Array) -> Float64Array:
    """At most `_MOST_POINTS` of the points (K, 2), first and last included."""
    if len(points) <= _MOST_POINTS:
        return points
    return points[np.linspace(0, len(points) - 1, _MOST_POINTS).round().astype(np.int64)]


def _range(series: Sequence[Float64Array], *, logarithmic: bool) -> tuple[float, float]:
    """Ends of an axis: without the outermost half per cent of the values, but with all that lines end at."""
    kept = [values[np.isfinite(values) & (values > 0 if logarithmic else True)] for values in series]
    kept = [values for values in kept if values.size]
    if not kept:
        return 0.0, 1.0
    if not logarithmic:
        high = max(float(np.percentile(values, 99.5)) for values in kept)
        return 0.0, max(high * 1.08, 1e-12)
    lows = [min(float(np.percentile(values, 0.5)), float(values[-1])) for values in kept]
    highs = [max(float(np.percentile(values, 99.5)), float(values[-1])) for values in kept]
    return math.log10(min(lows)) - 0.05, math.log10(max(highs)) + 0.05


def _ticks(low: float, high: float, *, logarithmic: bool) -> list[tuple[float, str]]:
    """Places along an axis and their words."""
    if logarithmic:
        factors = (1, 2, 5) if high - low < 2.2 else (1,)
        powers = range(math.floor(low) - 1, math.ceil(high) + 1)
        places = [(power + math.log10(factor), factor, power) for power in powers for factor in factors]
        return [(at, _number(factor * 10.0**power)) for at, factor, power in places if low <= at <= high]
    unit = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(factor * unit for factor in (1, 2, 5, 10) if (high - low) / (factor * unit) <= 5 + 1e-9)
    return [
        (index * step, _number(index * step)) for index in range(math.ceil(low / step), math.floor(high / step) + 1)
    ]


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"
