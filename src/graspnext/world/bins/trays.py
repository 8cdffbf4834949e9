"""Trays with compartments: dividers, or pockets in a thick sheet."""

from __future__ import annotations

import numpy as np

from graspnext.world.bins.assembly import SIDES, Assembly, add_floor, add_rim, wall_span, worn
from graspnext.world.bins.totes import outer_size, plastic_color
from graspnext.world.looks.appearance import sample_ground_color
from graspnext.world.parts.draws import between, chance
from graspnext.world.scene import Container

_LEAST_CELL_M = 0.055


def tray(rng: np.random.Generator) -> Container:
    """A low tray of 2 to 24 equal compartments.

    Thin dividers stand as in a drawer and may be lower than the walls; thick ones are the land between the pockets of
    a formed sheet. Each compartment is one of the container's `cells`.
    """
    length, width = outer_size(rng=rng)
    wall, base = between(0.002, 0.006, rng=rng), between(0.002, 0.006, rng=rng)
    height = between(0.025, 0.09, rng=rng)
    inner = (length - 2 * wall, width - 2 * wall, height)
    pockets = chance(0.35, rng=rng)
    land = between(0.01, 0.022, rng=rng) if pockets else between(0.002, 0.005, rng=rng)
    most = [max(1, int((side + land) / (_LEAST_CELL_M + land))) for side in inner[:2]]
    columns, rows = int(rng.integers(1, min(most[0], 6) + 1)), int(rng.integers(1, min(most[1], 4) + 1))
    if columns * rows == 1:
        columns = 2
    top = height if pockets or chance(0.5, rng=rng) else between(0.5, 1.0, rng=rng) * height

    made = Assembly()
    add_floor(made, inner, wall, base, 0)
    for side in SIDES:
        made.add(*wall_span(inner, wall, side), 1)
    if chance(0.6, rng=rng):
        reach, thick = between(0.005, 0.02, rng=rng), min(0.006, 0.3 * height)
        add_rim(made, (length, width), height, reach=reach, thick=thick)
    edges = [_edges(side, count, land) for side, count in zip(inner[:2], (columns, rows), strict=True)]
    for low, high in zip(edges[0][:-1, 1], edges[0][1:, 0], strict=True):
        made.add((low, -inner[1] / 2, 0), (high, inner[1] / 2, top), 2)
    for low, high in zip(edges[1][:-1, 1], edges[1][1:, 0], strict=True):
        # Between the dividers across x, so that no two boxes share room.
        for x0, x1 in edges[0]:
            made.add((x0, low, 0), (x1, high, top), 2)
    cells = [(float(x0), float(y0), float(x1), float(y1)) for x0, x1 in edges[0] for y0, y1 in edges[1]]
    color = plastic_color(rng=rng)
    inside = color if pockets or chance(0.6, rng=rng) else sample_ground_color(rng=rng)
    wear = between(0, 0.8, rng=rng)
    entries = [worn(c, (96, 192), wear, rng=rng) for c in (color, color, inside)]
    finish = "metal" if chance(0.06, rng=rng) else ("plastic" if chance(0.7, rng=rng) else "rubber")
    return made.container("tray", inner, (finish, entries), cells=cells, rng=rng)


def _edges(side: float, count: int, land: float) -> np.ndarray:
    """Start and end (count, 2) of equal compartments along one side, `land` between them."""
    step = (side + land) / count
    start = -side / 2 + step * np.arange(count)
    return np.stack([start, start + step - land], axis=1)
