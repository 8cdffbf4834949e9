"""Neighbouring boxes: closed cartons, stacks of them, empty totes, pallets."""

from __future__ import annotations

import numpy as np

from graspnext.types import UInt8Array
from graspnext.world.bins.totes import EURO_OUTER_M, plastic_color, tote
from graspnext.world.looks.appearance import cardboard, make_atlas, sample_material, wood
from graspnext.world.looks.prints import printed, sample_scheme
from graspnext.world.parts.draws import between, chance
from graspnext.world.parts.shapes import Solid, cuboid
from graspnext.world.props.shape import Shape
from graspnext.world.scene import Material


def _board(*, rng: np.random.Generator) -> tuple[Material, list[tuple[float, float, float, float]]]:
    """Cardboard with tape on top and a label on some sides; cells of plain board, taped board and label."""
    plain = cardboard((96, 128), rng=rng)
    taped = plain.copy()
    taped[40:56] = np.clip(0.7 * taped[40:56] + np.array([58, 50, 38]), 0, 255).astype(np.uint8)
    label: UInt8Array = plain.copy()
    label[24:72, 30:98] = printed(sample_scheme(rng=rng), (48, 68), aspect=1.4, rng=rng)
    atlas = make_atlas([plain, taped, label])
    return sample_material("paper", texture=atlas.texture, rng=rng), list(atlas.cells)


def _closed(size: np.ndarray, cells: list[tuple[float, float, float, float]], *, rng: np.random.Generator) -> Solid:
    plain, taped, label = cells
    sides = [label if chance(0.3, rng=rng) else plain for _ in range(4)]
    return cuboid(size, [*sides, taped, plain])


def closed_box(ground: float, rng: np.random.Generator) -> Shape:
    """A closed carton on the ground, tall enough to be seen beside the container."""
    shape = Shape(square=chance(0.7, rng=rng))
    material, cells = _board(rng=rng)
    size = np.array([between(0.18, 0.5, rng=rng), between(0.2, 0.6, rng=rng), between(0.1, 0.45, rng=rng)])
    number = shape.paint(material)
    solid = _closed(size, cells, rng=rng).moved((size[0] / 2, 0, ground + size[2] / 2))
    shape.solids.append((solid, number))
    return shape


def stack(ground: float, rng: np.random.Generator) -> Shape:
    """Closed cartons side by side and on one another, all of a kind, as on a pallet."""
    shape = Shape(square=True)
    material, cells = _board(rng=rng)
    number = shape.paint(material)
    size = np.array([between(0.2, 0.4, rng=rng), between(0.2, 0.4, rng=rng), between(0.12, 0.3, rng=rng)])
    columns, layers = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    for i in range(columns):
        for k in range(layers if chance(0.8, rng=rng) else 1):
            sway = rng.uniform(0, 0.012, 2)
            y = (i - (columns - 1) / 2) * (size[1] + 0.014)
            place = (size[0] / 2 + sway[0], y + sway[1] - 0.006, ground + (k + 0.5) * size[2])
            shape.solids.append((_closed(size, cells, rng=rng).moved(place), number))
    return shape


def empty_tote(ground: float, rng: np.random.Generator) -> Shape:
    """An empty tote, alone or nested on others."""
    made = tote(rng)
    low = made.mesh.vertices.min(axis=0).astype(np.float64)
    high = made.mesh.vertices.max(axis=0).astype(np.float64)
    assert made.mesh.uv is not None
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    solid = Solid(made.mesh.vertices.astype(np.float64), made.mesh.faces, made.mesh.uv.astype(np.float64), (corners,))
    shape = Shape(square=True)
    number = shape.paint(made.material)
    for level in range(int(rng.integers(1, 4))):
        lift = ground - low[2] + 0.3 * level * (high[2] - low[2])
        shape.solids.append((solid.moved((high[0], 0, lift)), number))
    return shape


def pallet(ground: float, rng: np.random.Generator) -> Shape:
    """A flat pallet of boards, 1.2 x 0.8 m, now and then of plastic and smaller."""
    shape = Shape(square=True)
    if chance(0.75, rng=rng):
        length, width = (1.2, 0.8) if chance(0.5, rng=rng) else (0.8, 1.2)
        number = shape.paint(sample_material("paper", texture=wood((96, 96), rng=rng), rng=rng))
    else:
        length, width = EURO_OUTER_M[0]
        number = shape.plain("plastic", plastic_color(rng=rng), rng=rng)
    boards = int(rng.integers(5, 8))
    step = width / boards
    for k in range(boards):
        y = -width / 2 + k * step
        shape.bar((0, y, ground + 0.122), (length, y + 0.8 * step, ground + 0.144), number)
    for k in range(3):
        x = k * (length - 0.1) / 2
        shape.bar((x, -width / 2, ground + 0.1), (x + 0.1, width / 2, ground + 0.122), number)
        for y in (-width / 2, -0.05, width / 2 - 0.1):
            shape.bar((x, y, ground), (x + 0.1, y + 0.1, ground + 0.1), number)
    return shape
