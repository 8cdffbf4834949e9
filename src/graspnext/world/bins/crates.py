"""Crates that one can look through: wire mesh, and plastic with slots."""

from __future__ import annotations

import numpy as np

from graspnext.types import Float64Array
from graspnext.world.bins.assembly import SIDES, Assembly, Size, wall_span, worn
from graspnext.world.bins.totes import outer_size, plastic_color
from graspnext.world.looks.appearance import Color
from graspnext.world.parts.draws import between, chance
from graspnext.world.scene import Container

_COATINGS: tuple[Color, ...] = (
    (196, 199, 202),
    (176, 178, 180),
    (150, 152, 155),
    (24, 26, 28),
    (235, 235, 232),
    (30, 80, 150),
)
"""Zinc, chrome, steel; black, white and blue coating."""


def crate(rng: np.random.Generator) -> Container:
    """A wire or plastic crate. Its walls have real openings; for physics each wall is one closed slab."""
    return _wire(rng) if chance(0.45, rng=rng) else _slotted(rng)


def _wire(rng: np.random.Generator) -> Container:
    length, width = outer_size(rng=rng)
    thick = between(0.0025, 0.004, rng=rng)
    inner = (length - 2 * thick, width - 2 * thick, between(0.06, 0.22, rng=rng))
    pitch = between(0.018, 0.045, rng=rng), between(0.018, 0.06, rng=rng)
    made = Assembly()
    for side in SIDES:
        low, high = wall_span(inner, thick, side)
        made.cover(low, high)
        _grid(made, low, high, side[0], pitch)
    x, y = inner[0] / 2 + thick, inner[1] / 2 + thick
    floor_low, floor_high = np.array([-x, -y, -thick]), np.array([x, y, 0.0])
    made.cover(floor_low, floor_high)
    _grid(made, floor_low, floor_high, 2, (pitch[0], pitch[0]))
    heavy, z = 2 * thick, inner[2]
    for s in (-1, 1):  # the frame around the top, outside the room
        a, b = sorted((s * (inner[0] / 2), s * (inner[0] / 2 + heavy)))
        made.add((a, -inner[1] / 2 - heavy, z), (b, inner[1] / 2 + heavy, z + heavy), 1)
        a, b = sorted((s * (inner[1] / 2), s * (inner[1] / 2 + heavy)))
        made.add((-inner[0] / 2, a, z), (inner[0] / 2, b, z + heavy), 1)
    color = _COATINGS[int(rng.integers(len(_COATINGS)))]
    bare = color in _COATINGS[:3]
    entries = [worn(color, (48, 96), 0.3, rng=rng), worn(color, (48, 96), 0.5, rng=rng)]
    return made.container("crate", (inner[0], inner[1], z + heavy), ("metal" if bare else "gloss", entries), rng=rng)


def _grid(made: Assembly, low: Float64Array, high: Float64Array, axis: int, pitch: tuple[float, float]) -> None:
    """Crossing bars, as thick as the slab between two corners, that fill it in the plane across `axis`.

    The two directions lie side by side in the slab's thickness, as welded wires do, so that no two faces coincide.
    """
    first, second = (k for k in range(3) if k != axis)
    thick = high[axis] - low[axis]
    for across, spacing, shift in ((second, pitch[1], 0.0), (first, pitch[0], 0.35)):
        span = high[across] - low[across] - 0.65 * thick
        for place in np.linspace(0, span, max(2, round(span / spacing) + 1)):
            a, b = low.copy(), high.copy()
            a[axis], b[axis] = low[axis] + shift * thick, low[axis] + (shift + 0.65) * thick
            a[across] = low[across] + place
            b[across] = a[across] + 0.65 * thick
            made.add(a, b, 0, touch=False)


def _slotted(rng: np.random.Generator) -> Container:
    length, width = outer_size(rng=rng)
    wall, base = between(0.003, 0.007, rng=rng), between(0.003, 0.006, rng=rng)
    inner = (length - 2 * wall, width - 2 * wall, between(0.07, 0.24, rng=rng))
    bars = int(rng.integers(0, 4))
    slot, web = between(0.012, 0.05, rng=rng), between(0.005, 0.02, rng=rng)
    made = Assembly()
    x, y = inner[0] / 2 + wall, inner[1] / 2 + wall
    if chance(0.5, rng=rng):
        made.add((-x, -y, -base), (x, y, 0), 0)
    else:
        low, high = np.array([-x, -y, -base]), np.array([x, y, 0.0])
        made.cover(low, high)
        _lattice(made, low, high, 2, (slot, web, int(rng.integers(2, 6))))
    for side in SIDES:
        low, high = wall_span(inner, wall, side)
        made.cover(low, high)
        _lattice(made, low, high, side[0], (slot, web, bars))
    _corner_posts(made, inner, wall)
    color = plastic_color(rng=rng)
    wear = between(0.1, 0.9, rng=rng)
    entries = [worn(color, (96, 192), wear, rng=rng), worn(color, (96, 192), wear, rng=rng)]
    return made.container("crate", inner, ("plastic", entries), rng=rng)


def _lattice(made: Assembly, low: Float64Array, high: Float64Array, axis: int, form: tuple[float, float, int]) -> None:
    """A sheet between two corners with slots: a frame, upright webs, and `form[2]` bars across them."""
    slot, web, bars = form
    first, second = (k for k in range(3) if k != axis)  # bars run along the first, webs along the second
    edge = min(0.018, 0.2 * (high[second] - low[second]))

    def piece(a0: float, a1: float, b0: float, b1: float, inset: float) -> None:
        a, b = low.copy(), high.copy()
        a[first], b[first], a[second], b[second] = a0, a1, b0, b1
        a[axis] += inset * (high[axis] - low[axis])
        b[axis] -= inset * (high[axis] - low[axis])
        made.add(a, b, 1, touch=False)

    piece(low[first], high[first], low[second], low[second] + edge, 0)
    piece(low[first], high[first], high[second] - edge, high[second], 0)
    inside = (low[second] + edge, high[second] - edge)
    count = max(2, round((high[first] - low[first] - web) / (slot + web)))
    for place in np.linspace(low[first], high[first] - web, count + 1):
        piece(place, place + web, *inside, 0.1)
    for k in range(bars):
        middle = inside[0] + (k + 1) * (inside[1] - inside[0]) / (bars + 1)
        piece(low[first], high[first], middle - web / 3, middle + web / 3, 0.2)


def _corner_posts(made: Assembly, inner: Size, wall: float) -> None:
    """Posts outside the four corners, and a rim between them."""
    x, y, z, deep = inner[0] / 2 + wall, inner[1] / 2 + wall, inner[2], 0.006
    for sx in (-1, 1):
        for sy in (-1, 1):
            a, b = sorted((sx * (x - 0.03), sx * x))
            c, d = sorted((sy * y, sy * (y + deep)))
            made.add((a, c, 0), (b, d, z), 1)
    for s in (-1, 1):
        a, b = sorted((s * x, s * (x + deep)))
        made.add((a, -y, z - 0.012), (b, y, z), 1)
