"""Smooth lines, dashes, dots, colour scales and captions on pictures. numpy and Pillow only.

Pillow draws without anti-aliasing; everything here is drawn on a transparent layer of `SUPERSAMPLING` times the
picture's size and reduced at the end.
"""

from __future__ import annotations

from functools import cache
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from graspnext.types import BoolArray, Float32Array, Float64Array, UInt8Array

Colour = tuple[int, int, int]

SUPERSAMPLING = 3
INK: Colour = (24, 26, 30)
PAPER: Colour = (250, 250, 248)
WHITE: Colour = (255, 255, 255)


class Layer:
    """A transparent layer over a picture; coordinates and widths are in the picture's pixels."""

    def __init__(self, height: int, width: int) -> None:
        self.size = (width, height)
        self._image = Image.new("RGBA", (width * SUPERSAMPLING, height * SUPERSAMPLING), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._image)

    def line(self, points: Float64Array, colour: Colour, *, width: float = 1.5, alpha: float = 1.0) -> None:
        """A line through points (K, 2) x, y px."""
        if len(points) < 2:
            return
        scaled = [(float(x), float(y)) for x, y in points * SUPERSAMPLING]
        self._draw.line(scaled, _ink(colour, alpha), max(1, round(width * SUPERSAMPLING)), joint="curve")

    def dashes(
        self, points: Float64Array, colour: Colour, *, width: float = 1.2, dash: float = 5.0, gap: float = 4.0
    ) -> None:
        """A dashed line through points (K, 2) x, y px; `dash` and `gap` in px along the line."""
        for piece in _dashes(points, dash, gap):
            self.line(piece, colour, width=width)

    def rectangle(self, box: Float32Array, colour: Colour, *, width: float = 1.0, alpha: float = 1.0) -> None:
        """The outline of a box (4,) xyxy px."""
        x1, y1, x2, y2 = (float(value) for value in box)
        self.line(np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]), colour, width=width, alpha=alpha)

    def dot(self, x: float, y: float, colour: Colour, *, radius: float = 4.0, ring: Colour | None = WHITE) -> None:
        """A filled circle, with a ring around it so that it shows on any background."""
        if ring is not None:
            self._disc(x, y, radius + 1.3, ring)
        self._disc(x, y, radius, colour)

    def fill(self, points: Float64Array, colour: Colour, *, alpha: float) -> None:
        """The inside of a closed line through points (K, 2) x, y px."""
        if len(points) >= 3:
            scaled = [(float(x), float(y)) for x, y in points * SUPERSAMPLING]
            self._draw.polygon(scaled, _ink(colour, alpha))

    def over(self, image: UInt8Array) -> UInt8Array:
        """The picture (H, W, 3) with this layer on it."""
        layer = self._image.convert("RGBa").resize(self.size, Image.Resampling.BOX).convert("RGBA")
        base = Image.fromarray(image).convert("RGBA")
        return np.asarray(Image.alpha_composite(base, layer).convert("RGB"), dtype=np.uint8)

    def _disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        x, y, radius = x * SUPERSAMPLING, y * SUPERSAMPLING, radius * SUPERSAMPLING
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), _ink(colour, 1.0))


def contours(mask: BoolArray, *, smooth: int = 5) -> list[Float64Array]:
    """The closed borders of a mask (H, W): lines (K, 2) x, y px whose last point is the first, holes included.

    Follows the edges between pixels with the inside on the right; where two regions touch at a corner they stay
    apart. Each line is then averaged over `smooth` edge middles, which takes the stairs out; 1 leaves it as it is.
    """
    heads = _border_edges(mask)
    lines: list[Float64Array] = []
    while heads:
        start = next(iter(heads))
        corner, direction = start
        path: list[tuple[int, int]] = []
        while (corner, direction) in heads:
            heads.discard((corner, direction))
            path.append(corner)
            corner = (corner[0] + direction[0], corner[1] + direction[1])
            direction = _turn(corner, direction, heads)
        lines.append(_smooth(np.array(path, dtype=np.float64), smooth))
    return lines


def _border_edges(mask: BoolArray) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    """Directed unit edges (corner x, y; step x, y) around all inside pixels, inside on the right."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    edges: set[tuple[tuple[int, int], tuple[int, int]]] = set()
    for rows, columns, offset, step in (
        (slice(0, -2), slice(1, -1), (0, 0), (1, 0)),  # above: left to right along the top
        (slice(1, -1), slice(2, None), (1, 0), (0, 1)),  # right: downwards
        (slice(2, None), slice(1, -1), (1, 1), (-1, 0)),  # below: right to left
        (slice(1, -1), slice(0, -2), (0, 1), (0, -1)),  # left: upwards
    ):
        for y, x in np.argwhere(inside & ~padded[rows, columns]):
            edges.add(((int(x) + offset[0], int(y) + offset[1]), step))
    return edges


def _turn(
    corner: tuple[int, int], step: tuple[int, int], edges: set[tuple[tuple[int, int], tuple[int, int]]]
) -> tuple[int, int]:
    """The step with which a border goes on: right before straight before left, so that corners do not join."""
    right, left = (-step[1], step[0]), (step[1], -step[0])
    for candidate in (right, step, left):
        if (corner, candidate) in edges:
            return candidate
    return step


def _smooth(path: Float64Array, window: int) -> Float64Array:
    if window > 1 and len(path) >= 4:
        middles = (path + np.roll(path, -1, axis=0)) / 2
        window = min(window, len(path))
        offsets = range(-(window // 2), window - window // 2)
        path = cast("Float64Array", np.mean([np.roll(middles, offset, axis=0) for offset in offsets], axis=0))
    return np.concatenate([path, path[:1]])


def _dashes(points: Float64Array, dash: float, gap: float) -> list[Float64Array]:
    """Pieces of a line, each `dash` long, `gap` apart; both are stretched so that a closed line ends in a gap."""
    if len(points) < 2:
        return []
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    total = float(lengths[-1])
    periods = max(1, round(total / (dash + gap)))
    period = total / periods
    on = period * dash / (dash + gap)
    pieces = []
    for index in range(periods):
        inner = lengths[(lengths > index * period) & (lengths < index * period + on)]
        at = np.concatenate([[index * period], inner, [index * period + on]])
        pieces.append(np.stack([np.interp(at, lengths, points[:, axis]) for axis in range(2)], axis=1))
    return pieces


def _ink(colour: Colour, alpha: float) -> tuple[int, int, int, int]:
    return (*colour, round(255 * alpha))


_HEAT_STOPS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
_HEAT_COLOURS = np.array(
    [(38, 60, 180), (30, 150, 200), (60, 190, 80), (245, 200, 50), (220, 38, 36)], dtype=np.float64
)


def heat_colours(values: Float32Array) -> UInt8Array:
    """Values (...) in [0, 1] as colours (..., 3): blue (0) over green to red (1)."""
    channels = [np.interp(values, _HEAT_STOPS, _HEAT_COLOURS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def resize(image: UInt8Array, height: int, width: int) -> UInt8Array:
    """A picture (H, W, 3) in another size, anti-aliased."""
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized, dtype=np.uint8)


def resize_map(values: Float32Array, height: int, width: int) -> Float32Array:
    """A map (h, w) float32 in another size, bilinear between the cells' centres."""
    resized = Image.fromarray(values, mode="F").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)


def blend(image: UInt8Array, colours: UInt8Array, alpha: float) -> UInt8Array:
    """`colours` over `image`, both (H, W, 3); alpha 1 hides the image."""
    mixed = image.astype(np.float32) * (1 - alpha) + colours.astype(np.float32) * alpha
    return mixed.round().astype(np.uint8)


def grey(image: UInt8Array) -> UInt8Array:
    """A picture (H, W, 3) without its colours, still in three channels."""
    return np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)


@cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def text_width(text: str, size: int) -> int:
    """Pixels that a line of text takes up."""
    return round(_font(size).getlength(text))


def write(image: UInt8Array, text: str, place: tuple[int, int], *, size: int, colour: Colour = INK) -> UInt8Array:
    """The picture with a line of text whose upper left corner is at `place` (x, y)."""
    canvas = Image.fromarray(image)
    ImageDraw.Draw(canvas).text(place, text, fill=colour, font=_font(size))
    return np.asarray(canvas, dtype=np.uint8)
