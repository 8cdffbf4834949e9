"""Totes of plastic or sheet metal, and open cartons."""

from __future__ import annotations

import numpy as np

from graspnext.types import UInt8Array
from graspnext.world.bins.assembly import SIDES, Assembly, Size, add_floor, add_rim, wall_span, worn
from graspnext.world.looks.appearance import Color, cardboard, contrasting, sample_ground_color
from graspnext.world.looks.prints import printed, sample_scheme
from graspnext.world.parts.draws import between, chance
from graspnext.world.scene import Container

EURO_OUTER_M: tuple[tuple[float, float], ...] = ((0.6, 0.4), (0.4, 0.3), (0.3, 0.2))
"""Outer length and width of the usual European stacking boxes (they divide a pallet of 1.2 x 0.8 m)."""
EURO_HEIGHTS_M: tuple[float, ...] = (0.075, 0.12, 0.147, 0.17, 0.22, 0.28)
PLASTICS: tuple[Color, ...] = (
    (28, 78, 160),
    (20, 92, 190),
    (128, 132, 136),
    (86, 90, 94),
    (190, 32, 34),
    (24, 124, 70),
    (228, 178, 30),
    (222, 222, 216),
    (50, 52, 56),
    (226, 104, 32),
)
"""Blue, light grey, grey, red, green, yellow, white, black and orange, as such boxes are sold."""


def plastic_color(*, rng: np.random.Generator) -> Color:
    """A usual colour of plastic boxes, faded a little; now and then any other."""
    if chance(0.2, rng=rng):
        return sample_ground_color(rng=rng)
    r, g, b = (int(np.clip(c + rng.integers(-14, 15), 0, 255)) for c in PLASTICS[int(rng.integers(len(PLASTICS)))])
    return r, g, b


def outer_size(*, rng: np.random.Generator) -> tuple[float, float]:
    """Outer length and width: mostly European sizes, else free."""
    if chance(0.65, rng=rng):
        return EURO_OUTER_M[int(rng.choice(len(EURO_OUTER_M), p=[0.4, 0.4, 0.2]))]
    length = between(0.26, 0.6, rng=rng)
    return length, min(length, between(0.21, 0.4, rng=rng))


def tote(rng: np.random.Generator) -> Container:
    """Walls, often a rim, ribs, hand holes and a label plate."""
    length, width = outer_size(rng=rng)
    wall, base = between(0.003, 0.009, rng=rng), between(0.003, 0.008, rng=rng)
    kind = rng.random()
    if kind < 0.2:  # as low as a tray
        height = between(0.02, 0.06, rng=rng)
    elif kind < 0.6:
        height = EURO_HEIGHTS_M[int(rng.integers(len(EURO_HEIGHTS_M) - (length < 0.35)))]
    else:
        height = between(0.06, 0.25, rng=rng)
    inner = (length - 2 * wall, width - 2 * wall, height)
    made = Assembly()
    add_floor(made, inner, wall, base, 0)
    holes = height > 0.11 and chance(0.55, rng=rng)
    for side in SIDES:
        _wall(made, inner, wall, side, hole=holes and side[0] == 0)
    if chance(0.7, rng=rng):
        reach, thick = between(0.006, 0.02, rng=rng), min(between(0.004, 0.02, rng=rng), 0.3 * height)
        add_rim(made, (length, width), height, reach=reach, thick=thick)
    if height > 0.06 and chance(0.55, rng=rng):
        _ribs(made, inner, wall, rng=rng)
    if height > 0.06 and chance(0.5, rng=rng):
        _plate(made, inner, wall, rng=rng)
    color = plastic_color(rng=rng)
    ground = color if chance(0.8, rng=rng) else sample_ground_color(rng=rng)
    rim = color if chance(0.8, rng=rng) else contrasting(color, rng=rng)
    wear = between(0, 1, rng=rng)
    entries = [worn(c, (96, 192), wear, rng=rng) for c in (ground, rim, color)]
    entries.append(_label(rng=rng))
    finish = "metal" if chance(0.08, rng=rng) else ("plastic" if chance(0.8, rng=rng) else "rubber")
    return made.container("tote", inner, (finish, entries), rng=rng)


def _label(*, rng: np.random.Generator) -> UInt8Array:
    return printed(sample_scheme(rng=rng), (64, 128), aspect=1.6, rng=rng)


def _wall(made: Assembly, inner: Size, wall: float, side: tuple[int, int], *, hole: bool) -> None:
    """One wall; with a hand hole it is drawn as four pieces around an opening, and stays closed for physics."""
    low, high = wall_span(inner, wall, side)
    if not hole:
        made.add(low, high, 2)
        return
    made.cover(low, high)
    other = 1 - side[0]
    z0, z1, half = inner[2] - 0.07, inner[2] - 0.035, min(0.055, 0.3 * inner[other])
    for start, end, bottom, top in (
        (low[other], -half, 0.0, inner[2]),
        (half, high[other], 0.0, inner[2]),
        (-half, half, 0.0, z0),
        (-half, half, z1, inner[2]),
    ):
        a, b = low.copy(), high.copy()
        a[other], b[other], a[2], b[2] = start, end, bottom, top
        made.add(a, b, 2, touch=False)


def _ribs(made: Assembly, inner: Size, wall: float, *, rng: np.random.Generator) -> None:
    """Upright ribs outside the walls, and sometimes one around; they end below the rim."""
    count, deep, thick = int(rng.integers(2, 7)), between(0.003, 0.006, rng=rng), between(0.003, 0.006, rng=rng)
    top = 0.8 * inner[2] - 0.015
    for axis, sign in SIDES:
        other = 1 - axis
        number = count if axis == 1 else max(2, count // 2)
        face = sign * (inner[axis] / 2 + wall)
        for place in ((np.arange(number) + 0.5) / number - 0.5) * inner[other]:
            low, high = np.zeros(3), np.full(3, top)
            low[axis], high[axis] = sorted((face, face + sign * deep))
            low[other], high[other] = place - thick / 2, place + thick / 2
            made.add(low, high, 2)


def _plate(made: Assembly, inner: Size, wall: float, *, rng: np.random.Generator) -> None:
    """A printed label plate on one or two long sides, proud of the ribs."""
    half, tall = min(0.05, 0.3 * inner[0]), min(0.06, 0.45 * inner[2])
    z = 0.35 * inner[2]
    for s in (-1, 1) if chance(0.4, rng=rng) else (1,):
        a, b = sorted((s * (inner[1] / 2 + wall), s * (inner[1] / 2 + wall + 0.0075)))
        made.add((-half, a, z - tall / 2), (half, b, z + tall / 2), 3)


def carton(rng: np.random.Generator) -> Container:
    """An open cardboard box, often with its flaps folded outward, sometimes with tape along the floor."""
    length, width = between(0.22, 0.5, rng=rng), between(0.18, 0.38, rng=rng)
    width, height = min(width, length), between(0.06, 0.24, rng=rng)
    wall = between(0.003, 0.006, rng=rng)
    inner = (length, width, height)
    made = Assembly()
    add_floor(made, inner, wall, wall, 0)
    for side in SIDES:
        made.add(*wall_span(inner, wall, side), 1)
    if chance(0.55, rng=rng):
        reach, x, y = between(0.25, 0.5, rng=rng) * width, length / 2 + wall, width / 2 + wall
        cut = 0.004  # flaps are cut a little shorter than the edge they hang on
        for s in (-1, 1):
            a, b = sorted((s * y, s * (y + reach)))
            made.add((-x + cut, a, height - wall), (x - cut, b, height), 2)
            a, b = sorted((s * x, s * (x + reach)))
            made.add((a, -y + cut, height - wall), (b, y - cut, height), 2)
    if chance(0.5, rng=rng):
        y = width / 2 + wall
        made.add((-0.3 * length, y, 0.25 * height), (0.05 * length, y + 0.0006, 0.75 * height), 3)
    board = cardboard((128, 192), rng=rng)
    ground = board.copy()
    if chance(0.6, rng=rng):  # the slit where the bottom flaps meet, often taped
        middle = len(ground) // 2
        ground[middle - 1 : middle + 1] = (ground[middle - 1 : middle + 1] * 0.5).astype(np.uint8)
        if chance(0.5, rng=rng):
            strip = slice(middle - 12, middle + 12)
            ground[strip] = (0.6 * ground[strip] + 0.4 * np.array([190, 160, 120])).astype(np.uint8)
    entries = [ground, board, np.ascontiguousarray(board[::-1]), _label(rng=rng)]
    return made.container("carton", inner, ("paper", entries), rng=rng)
