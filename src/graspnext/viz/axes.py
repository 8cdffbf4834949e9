"""Axes, ticks and words for charts that are pictures: a sheet of paper, and panels on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from graspnext.types import Float64Array, UInt8Array
from graspnext.viz.draw import INK, PAPER, Colour, Layer

GRID: Colour = (228, 230, 234)
AXIS: Colour = (150, 156, 166)
SOFT: Colour = (93, 102, 117)
FONT_PX, TITLE_PX, HEADING_PX = 13, 16, 20
MOST_POINTS = 800
"""Of one line; more cannot be told apart."""


class Sheet:
    """A picture that is being drawn: lines and dots at once, words on top of them at the end."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.layer = Layer(height, width)
        self._words: list[tuple[str, float, float, Colour, str, int]] = []

    def write(
        self, text: str, place: tuple[float, float], *, colour: Colour = INK, anchor: str = "lm", size: int = FONT_PX
    ) -> None:
        """Words at (x, y) px; `anchor` as in Pillow: l, m or r, then t, m, s (baseline) or b."""
        self._words.append((text, *place, colour, anchor, size))

    def line(self, points: Sequence[tuple[float, float]] | Float64Array, colour: Colour, *, width: float = 1.0) -> None:
        """A line through points (x, y) px."""
        self.layer.line(np.asarray(points, dtype=np.float64), colour, width=width)

    def picture(self) -> UInt8Array:
        """(height, width, 3) uint8, RGB."""
        blank = np.full((self.height, self.width, 3), PAPER, dtype=np.uint8)
        canvas = Image.fromarray(self.layer.over(blank))
        pen = ImageDraw.Draw(canvas)
        for text, x, y, colour, anchor, size in self._words:
            pen.text((x, y), text, fill=colour, font=ImageFont.load_default(size), anchor=anchor)
        return np.asarray(canvas, dtype=np.uint8)


@dataclass(frozen=True)
class Scale:
    """One axis: from `low` to `high`, which are powers of ten when it is logarithmic."""

    low: float
    high: float
    logarithmic: bool = False

    def share(self, values: Float64Array) -> Float64Array:
        """Where values lie between the ends, 0 to 1; NaN where a logarithmic axis has no place for them."""
        values = np.log10(np.where(values > 0, values, np.nan)) if self.logarithmic else values
        return np.asarray((values - self.low) / (self.high - self.low), dtype=np.float64)

    def ticks(self) -> list[tuple[float, str]]:
        """Shares, and the numbers that stand there."""
        span = self.high - self.low
        if self.logarithmic:
            factors = (1, 2, 5) if span < 2.2 else (1,)
            powers = range(math.floor(self.low) - 1, math.ceil(self.high) + 1)
            places = [(power + math.log10(factor), factor * 10.0**power) for power in powers for factor in factors]
        else:
            unit = 10.0 ** math.floor(math.log10(span / 4))
            step = next(factor * unit for factor in (1, 2, 5, 10) if span / (factor * unit) <= 5 + 1e-9)
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            places = [(index * step, index * step) for index in range(first, last + 1)]
        return [((at - self.low) / span, number(value)) for at, value in places if self.low <= at <= self.high + 1e-12]


@dataclass(frozen=True)
class Panel:
    """A pair of axes at a place on a sheet."""

    box: tuple[int, int, int, int]
    """Left, top, right, bottom, px."""
    x: Scale
    y: Scale

    def place(self, x: Float64Array, y: Float64Array) -> Float64Array:
        """Points (K, 2) px on the sheet; what lies beyond the ends is put on them."""
        left, top, right, bottom = self.box
        across, up = np.clip(self.x.share(x), 0, 1), np.clip(self.y.share(y), 0, 1)
        return np.stack([left + across * (right - left), bottom - up * (bottom - top)], axis=1)  # (K, 2)

    def draw(self, sheet: Sheet, *, title: str, below: str = "") -> None:
        """Title, grid, ticks, and words below the right end."""
        left, top, right, bottom = self.box
        sheet.write(title, (left, top - 12), anchor="ls", size=TITLE_PX)
        for share, text in self.y.ticks():
            y = bottom - share * (bottom - top)
            sheet.line([(left, y), (right, y)], GRID)
            sheet.write(text, (left - 7, y), colour=SOFT, anchor="rm")
        for share, text in self.x.ticks():
            x = left + share * (right - left)
            sheet.line([(x, bottom), (x, bottom + 4)], AXIS)
            sheet.write(text, (x, bottom + 8), colour=SOFT, anchor="mt")
        sheet.write(below, (right, bottom + 26), colour=SOFT, anchor="rt")
        sheet.line([(left, bottom), (right, bottom)], AXIS)


def scale_over(series: Sequence[Float64Array], *, logarithmic: bool) -> Scale:
    """An axis for lines: without the outermost half per cent of the values, but with all that lines end at."""
    kept = [values[np.isfinite(values) & (values > 0 if logarithmic else True)] for values in series]
    kept = [values for values in kept if values.size]
    if not kept:
        return Scale(0.0, 1.0, logarithmic)
    if not logarithmic:
        high = max(float(np.percentile(values, 99.5)) for values in kept)
        return Scale(0.0, max(high * 1.08, 1e-12))
    lows = [min(float(np.percentile(values, 0.5)), float(values[-1])) for values in kept]
    highs = [max(float(np.percentile(values, 99.5)), float(values[-1])) for values in kept]
    return Scale(math.log10(min(lows)) - 0.05, math.log10(max(highs)) + 0.05, logarithmic=True)


def smooth(values: Float64Array, *, logarithmic: bool, parts: int = 60) -> Float64Array:
    """A centred average with Gaussian weights, of the logarithms on a logarithmic axis.

    Args:
        values: (N,) finite.
        logarithmic: Of the axis.
        parts: The kernel is about one so many-th of the values wide.
    """
    deviation = len(values) / parts / 2
    if deviation < 0.5:
        return values
    reach = min(math.ceil(3 * deviation), len(values) - 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    axis = np.log(values) if logarithmic else values
    weights = np.convolve(np.pad(np.ones_like(axis), reach), kernel, mode="valid")
    averaged = np.convolve(np.pad(axis, reach), kernel, mode="valid") / weights
    return np.exp(averaged) if logarithmic else averaged


def thin(points: Float64Array) -> Float64Array:
    """At most `MOST_POINTS` of the points (K, 2), first and last included."""
    if len(points) <= MOST_POINTS:
        return points
    return points[np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(np.int64)]


def number(value: float) -> str:
    """A number short enough for an axis."""
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"
