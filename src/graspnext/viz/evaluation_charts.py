"""Charts of a measurement: precision over recall, a value by bin and task, and what a score is worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from graspnext.viz.report_charts import line, number, rect, safe, svg, text, ticks

Value = float | None
"""None where nothing could be measured."""
CURVE_COLOURS = ("#1d5fa8", "#6fa8dc", "#d4562a")
"""Of the curves of one chart, in their order."""
_Place = Callable[[float], float]
_WIDTH, _HEIGHT = 290, 226
_LEFT, _RIGHT, _TOP, _BOTTOM = 28, 8, 20, 32


def curves(lines: Mapping[str, Sequence[Value]], colours: Sequence[str]) -> str:
    """Precision over recall, both from 0 to 1.

    Args:
        lines: Name -> precision at evenly spaced recalls from 0 to 1; None and values below 0 are left out.
        colours: One a line.
    """
    parts, x, y = _unit_square("recall", "precision")
    for (name, values), colour in zip(lines.items(), colours, strict=True):
        last = max(len(values) - 1, 1)
        for piece in _runs(values):
            points = " ".join(f"{x(index / last):.1f},{y(value):.1f}" for index, value in piece)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8">')
            parts.append(f"<title>{safe(name)}</title></polyline>")
    return svg(_WIDTH, _HEIGHT, parts, "precision over recall")


def _runs(values: Sequence[Value]) -> list[list[tuple[int, float]]]:
    """Pieces of a line without gaps, as (index, value)."""
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None or not value >= 0:
            runs.append([])
        else:
            runs[-1].append((index, value))
    return [run for run in runs if run]


def grouped(rows: Mapping[str, Sequence[Value]], colours: Sequence[str], names: Sequence[str]) -> str:
    """Horizontal bars from 0 to 1, one a series, in a group for each row, the value behind each.

    Args:
        rows: Name of the group -> a value for each series; None is said to be unknown.
        colours: One a series.
        names: One a series, shown when a bar is pointed at.
    """
    label_px, room, bar, gap = 128, 300, 12, 9
    parts, top = [], 0.0
    for name, values in rows.items():
        first, _, second = name.partition("\n")
        middle = top + bar * len(values) / 2
        parts.append(text(label_px - 8, middle - (3 if second else -4), first, "name end"))
        if second:
            parts.append(text(label_px - 8, middle + 11, second, "tick end"))
        for index, (value, colour) in enumerate(zip(values, colours, strict=True)):
            place = top + index * bar
            length = room * min(max(value or 0.0, 0.0), 1.0)
            if value is not None:
                title = f"{first}, {names[index]}: {value:.4f}"
                parts.append(rect(label_px, place + 1, max(length, 0.5), bar - 2, f'fill="{colour}"', title))
            shown = "not measured" if value is None else f"{value:.3f}"
            parts.append(text(label_px + length + 5, place + bar - 2, shown, "tick start"))
        top += bar * len(values) + gap
    return svg(label_px + room + 62, max(top - gap, bar), parts, "bars by group")


def reliability(bins: Sequence[Mapping[str, Value]]) -> str:
    """The share of right detections in each bin of the score, beside the score itself (the diagonal).

    Args:
        bins: Each with low and high (ends of the score), number, mean_score and right_share. Bins without detections
            are left out; the fuller a bin, the darker its bar.
    """
    parts, x, y = _unit_square("score", "share that is right")
    most = max([1.0, *(one["number"] or 0.0 for one in bins)])
    for one in bins:
        low, high, count, share = one["low"], one["high"], one["number"], one["right_share"]
        if low is None or high is None or not count or share is None:
            continue
        look = f'class="bar" fill-opacity="{0.3 + 0.7 * math.sqrt(count / most):.2f}"'
        title = f"{low:.1f} to {high:.1f}: {share:.4f} of {number(count)}"
        parts.append(rect(x(low) + 1, y(share), x(high) - x(low) - 2, y(0) - y(share), look, title))
    parts.append(line(x(0), y(0), x(1), y(1), "median"))
    return svg(_WIDTH, _HEIGHT, parts, "share of right detections over the score")


def _unit_square(x_name: str, y_name: str) -> tuple[list[str], _Place, _Place]:
    """Axes from 0 to 1, and what places a value on each, in px."""
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(value: float) -> float:
        return _LEFT + value * width

    def y(value: float) -> float:
        return _TOP + (1 - value) * height

    parts = []
    for tick in ticks(0, 1):
        parts += [line(x(0), y(tick), x(1), y(tick), "axis" if tick == 0 else "grid")]
        parts += [text(x(0) - 5, y(tick) + 4, f"{tick:g}", "tick end")]
        parts += [text(x(tick), y(0) + 14, f"{tick:g}", "tick middle")]
    parts += [text(x(1), y(0) + 27, x_name, "tick end"), text(2, 9, y_name, "tick start")]
    return parts, x, y
