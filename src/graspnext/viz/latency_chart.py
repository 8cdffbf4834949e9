"""A chart of a benchmark: one bar a network, as long as a picture takes, divided into its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graspnext.types import UInt8Array
from graspnext.viz.axes import AXIS, FONT_PX, GRID, HEADING_PX, SOFT, TITLE_PX, Scale, Sheet
from graspnext.viz.draw import INK, Colour, text_width

COLOURS: dict[str, Colour] = {
    "decode": (176, 182, 192),
    "pre": (148, 103, 189),
    "network": (31, 119, 180),
    "post": (44, 160, 44),
    "wrap": (255, 127, 14),
    "model": (23, 150, 170),
}
"""Of the parts, in the order of time; `model` stands for its three parts where they are not known."""
WIDTH = 1180
_LEFT, _RIGHT, _TOP = 190, 330, 96
_BAR_PX, _STEP_PX, _PANEL_GAP_PX = 22, 40, 84


@dataclass(frozen=True)
class Bar:
    """One network in one form."""

    name: str
    parts_ms: Mapping[str, float]
    """Part -> median."""
    p50_ms: float
    """End to end."""
    p99_ms: float
    speedup: float | None = None
    """Times faster than the reference, end to end."""


def latency_chart(panels: Mapping[str, Sequence[Bar]], *, title: str, below: str) -> UInt8Array:
    """Panels of bars; each has an axis of its own that begins at 0.

    Args:
        panels: Form, such as "openvino bf16" -> its bars, from the top down.
        title: What was timed.
        below: On which machine.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    height = _TOP + sum(_PANEL_GAP_PX + _STEP_PX * len(bars) for bars in panels.values()) + 16
    sheet = Sheet(height, WIDTH)
    sheet.write(title, (20, 16), anchor="lt", size=HEADING_PX)
    sheet.write(below, (20, 46), anchor="lt", colour=SOFT)
    used = {part for bars in panels.values() for bar in bars for part in bar.parts_ms}
    _legend(sheet, [part for part in COLOURS if part in used], y=_TOP - 16)
    top = float(_TOP + 34)
    for form, bars in panels.items():
        _panel(sheet, form, bars, top)
        top += _PANEL_GAP_PX + _STEP_PX * len(bars)
    return sheet.picture()


def _panel(sheet: Sheet, form: str, bars: Sequence[Bar], top: float) -> None:
    bottom = top + _STEP_PX * len(bars)
    scale = Scale(0.0, 1.05 * max(max(bar.p99_ms, sum(bar.parts_ms.values())) for bar in bars))
    across = WIDTH - _LEFT - _RIGHT
    sheet.write(form, (20, top - 12), anchor="ls", size=TITLE_PX)
    for share, text in scale.ticks():
        x = _LEFT + share * across
        sheet.line([(x, top), (x, bottom)], GRID)
        sheet.write(text, (x, bottom + 6), colour=SOFT, anchor="mt")
    sheet.write("ms", (_LEFT + across + 14, bottom + 6), colour=SOFT, anchor="lt")
    sheet.line([(_LEFT, top), (_LEFT, bottom)], AXIS)

    def place(milliseconds: float) -> float:
        return float(_LEFT + scale.share(np.array([milliseconds]))[0] * across)

    for row, bar in enumerate(bars):
        middle = top + _STEP_PX * (row + 0.5)
        sheet.write(bar.name, (_LEFT - 10, middle), anchor="rm")
        reached = 0.0
        for part, colour in COLOURS.items():
            length = bar.parts_ms.get(part, 0.0)
            _block(sheet, (place(reached), place(reached + length)), middle, colour)
            reached += length
        sheet.line([(place(min(reached, bar.p50_ms)), middle), (place(bar.p99_ms), middle)], INK, width=1.2)
        sheet.line([(place(bar.p99_ms), middle - 5), (place(bar.p99_ms), middle + 5)], INK, width=1.2)
        sheet.write(_words(bar), (max(place(bar.p99_ms), place(reached)) + 10, middle), colour=SOFT)


def _block(sheet: Sheet, ends: tuple[float, float], middle: float, colour: Colour) -> None:
    left, right = ends
    low, high = middle - _BAR_PX / 2, middle + _BAR_PX / 2
    corners = np.array([(left, low), (right, low), (right, high), (left, high)], dtype=np.float64)
    if right > left:
        sheet.layer.fill(corners, colour, alpha=1.0)


def _words(bar: Bar) -> str:
    said = f"{_ms(bar.p50_ms)} ms, p99 {_ms(bar.p99_ms)}"
    network = bar.parts_ms.get("network")
    said = said if network is None else f"{said}; network {_ms(network)}"
    return said if bar.speedup is None else f"{said}; {bar.speedup:.3g}x"


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _legend(sheet: Sheet, parts: Sequence[str], *, y: float) -> None:
    x = float(_LEFT)
    for part in parts:
        _block(sheet, (x, x + 14), y, COLOURS[part])
        sheet.write(part, (x + 21, y))
        x += 21 + text_width(part, FONT_PX) + 28
    sheet.write("medians; the line ends at the p99 of end to end", (x, y), colour=SOFT)
