"""Charts as inline SVG: histograms, bars, one line; text is escaped, colours come from the page's style."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 320, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 16, 24
LEVEL_COLOURS = ("#9ecae9", "#5fa8d3", "#f2c14e", "#ee8434", "#c8402f")
"""Of the five difficulty levels, and of whatever else has an order."""


def histogram(edges: Sequence[float], counts: Sequence[int], *, median: float, unit: str) -> str:
    """Bars over K bins with K + 1 edges, ticks below, and a line at the median."""
    low, high = edges[0], edges[-1]
    span = (high - low) or 1.0
    plot_width, plot_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    most = max([1, *counts])

    def x(value: float) -> float:
        return _LEFT + (min(max(value, low), high) - low) / span * plot_width

    base = _HEIGHT - _BOTTOM
    parts = [line(_LEFT, base, _WIDTH - _RIGHT, base, "axis")]
    for index, count in enumerate(counts):
        left, right = x(edges[index]), x(edges[index + 1])
        height = count / most * plot_height
        title = f"{number(edges[index])} to {number(edges[index + 1])}{_unit(unit)}: {count}"
        parts.append(rect(left + 0.5, base - height, max(right - left - 1, 0.5), height, 'class="bar"', title))
    whole = all(float(edge + 0.5).is_integer() for edge in edges)  # a bar for each whole number: no ticks between them
    for tick in [one for one in ticks(low, high) if not whole or one.is_integer()]:
        parts.append(text(x(tick), _HEIGHT - 8, number(tick), "tick middle"))
    middle = x(median)
    anchor = "end" if middle > _WIDTH * 0.5 else "start"
    parts.append(line(middle, _TOP - 6, middle, base, "median"))
    label = f"median {number(median)}{_unit(unit)}"
    parts.append(text(middle + (-4 if anchor == "end" else 4), _TOP - 5, label, f"note {anchor}"))
    side = ("start", _LEFT) if anchor == "end" else ("end", _WIDTH - _RIGHT)
    parts.append(text(side[1], _TOP - 5, f"tallest bar {number(max(counts))}", f"tick {side[0]}"))
    return svg(_WIDTH, _HEIGHT, parts, f"histogram, {label}")


def bars(counts: Mapping[str, float], *, label_px: int = 110, width: int = 500, unit: str = "") -> str:
    """A horizontal bar for each name, its number behind it."""
    most = max([1e-9, *counts.values()])
    row, room = 18, width - label_px - 74
    parts = []
    for index, (name, count) in enumerate(counts.items()):
        top = index * row
        length = count / most * room
        parts.append(text(label_px - 6, top + 13, _short(name, label_px), "name end"))
        parts.append(
            rect(label_px, top + 3, max(length, 0.5), row - 6, 'class="bar"', f"{name}: {number(count)}{_unit(unit)}")
        )
        parts.append(text(label_px + length + 5, top + 13, f"{number(count)}{_unit(unit)}", "tick start"))
    return svg(width, max(row * len(counts), row), parts, "bars")


def stack(counts: Mapping[str, float], *, width: int = 520, height: int = 22) -> str:
    """One bar, cut in proportion; what is 0 is left out."""
    total = sum(counts.values())
    parts, left = [], 0.0
    for index, (name, count) in enumerate(counts.items()):
        length = count / total * width if total else 0.0
        if length:
            colour = LEVEL_COLOURS[index % len(LEVEL_COLOURS)]
            title = f"{name}: {number(count)} ({count / total:.0%})"
            parts.append(rect(left, 0, length, height, f'fill="{colour}"', title))
            if length > 34:
                parts.append(text(left + length / 2, height / 2 + 4, f"{count / total:.0%}", "inside middle"))
        left += length
    return svg(width, height, parts, "shares")


def scatter(points: Sequence[Sequence[float]], *, x_name: str, y_name: str) -> str:
    """Dots (x, y) over axes that start at 0."""
    width, height, left = 680, 200, 56
    x_most = max([1.0, *(point[0] for point in points)])
    y_most = max([1.0, *(point[1] for point in points)]) * 1.08
    base, room_x, room_y = height - 34, width - left - 12, height - 34 - 10

    parts = [line(left, base, width - 12, base, "axis")]
    for tick in ticks(0, y_most):
        y = base - tick / y_most * room_y
        parts += [line(left, y, width - 12, y, "grid"), text(left - 6, y + 4, number(tick), "tick end")]
    for tick in ticks(0, x_most):
        parts.append(text(left + tick / x_most * room_x, base + 15, number(tick), "tick middle"))
    for point in points:
        x, y = left + point[0] / x_most * room_x, base - point[1] / y_most * room_y
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" class="dot"/>')
    parts += [text(width - 12, height - 4, x_name, "tick end"), text(left - 6, 8, y_name, "tick end")]
    return svg(width, height, parts, f"{y_name} over {x_name}")


def ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers within [low, high]."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    unit = 10.0 ** math.floor(math.log10(span / 5))
    step = next(factor * unit for factor in (1, 2, 5, 10) if span / (factor * unit) <= 5 + 1e-9)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def number(value: float) -> str:
    """A number short enough for a chart: whole ones whole with separators, others with three digits."""
    if float(value).is_integer():
        return f"{int(value):,}".replace(",", "\u2009")  # a thin space
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}".replace(",", "\u2009")


def _unit(unit: str) -> str:
    return f"\u2009{unit}" if unit else ""


def _short(name: str, width_px: int) -> str:
    most = max(4, width_px // 7)
    return name if len(name) <= most else name[: most - 1] + "…"


def svg(width: float, height: float, parts: Sequence[str], label: str) -> str:
    """A drawing of that size, px, that shrinks with its place; the label is for who cannot see it."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img"'
    return f'{head} aria-label="{safe(label)}" style="max-width:{width:g}px">{"".join(parts)}</svg>'


def rect(x: float, y: float, width: float, height: float, look: str, title: str) -> str:
    """A rectangle; `look` are attributes, the title shows when it is pointed at."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" {look}>'
        f"<title>{safe(title)}</title></rect>"
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line of a class of the page's style."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def text(x: float, y: float, words: str, kind: str) -> str:
    """Words at a place; `kind` are classes of the page's style, such as "tick middle"."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{safe(words)}</text>'


def safe(text: str) -> str:
    """Text as HTML and XML take it: markup escaped, and no control characters, for which they have no place."""
    return escape("".join("\ufffd" if unicodedata.category(one) in {"Cc", "Cs", "Cn"} else one for one in text))
