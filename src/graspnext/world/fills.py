"""How parts come into their container: the poses that physics starts from.

A fill only says where parts begin; all end in the same settling and the same checks. Parts for which a fill finds no
room are left out, so a scene may hold fewer than were asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from graspnext.errors import SceneError, UnknownNameError
from graspnext.geometry.rotations import from_quaternion, random_quaternion
from graspnext.types import Float64Array
from graspnext.world.parts.draws import between, chance
from graspnext.world.parts.shapes import turn
from graspnext.world.scene import Container, Part

if TYPE_CHECKING:
    from graspnext.world.sampling import Contents

Area = tuple[float, float, float, float]
"""(x0, y0, x1, y1), metres."""

_GAP_M = 0.002
"""Least distance between the boxes around two parts that start side by side."""
_TRIES = 32
"""Places tried for a part in a layer, and how often it is turned before it is left out."""
_TURNS = 3
_FLAT_LAYERS = 2
"""Layers of a packed fill where no wall holds them."""


@dataclass(frozen=True, eq=False)
class Start:
    """One part before it is let go."""

    part: int
    """Index into `Contents.parts`."""
    position: Float64Array
    """(3,) of the part's own origin, world frame."""
    rotation: Float64Array
    """(3, 3)."""


def start_poses(contents: Contents, *, rng: np.random.Generator) -> list[Start]:
    """Where each part starts, in the order of `contents.order`, by the contents' fill.

    Raises:
        UnknownNameError: There is no such fill.
        SceneError: No part found room.
    """
    if contents.fill not in FILLS:
        raise UnknownNameError("fill", contents.fill, FILLS)
    starts = FILLS[contents.fill](contents, rng)
    if not starts:
        raise SceneError(f"no room: no part could be put into the {contents.container.kind}; use smaller parts")
    return starts


def _pile(contents: Contents, rng: np.random.Generator) -> list[Start]:
    """Dropped from above, each turned at random, no two bounding spheres touching.

    Of a few places for each part the one is taken where it starts lowest: one place gives steep heaps, many give
    level ones.
    """
    length, width, _ = contents.container.inner_size
    choices = int(rng.integers(2, 9))
    centers, radii, starts = np.zeros((0, 3)), np.zeros(0), []
    for index in contents.order:
        part = contents.parts[index]
        rotation = from_quaternion(random_quaternion(rng=rng))
        radius = float(np.linalg.norm(np.concatenate(part.hulls) - part.center_of_mass, axis=1).max())
        room = np.maximum(np.array([length, width]) / 2 - radius, 0)
        places = rng.uniform(-room, room, (choices, 2))
        reach = radii + radius
        gap = np.linalg.norm(places[:, None] - centers[None, :, :2], axis=2)  # (choices, placed)
        lift = np.sqrt(np.maximum(reach**2 - gap**2, 0)) + 0.002
        heights = np.where(gap < reach, centers[None, :, 2] + lift, 0).max(axis=1, initial=0)
        heights = np.maximum(heights, radius + between(0.005, 0.03, rng=rng))
        best = int(heights.argmin())
        center = np.array([*places[best], heights[best]])
        centers, radii = np.concatenate([centers, center[None]]), np.append(radii, radius)
        starts.append(Start(index, center - rotation @ part.center_of_mass, rotation))
    return starts


def _packed(contents: Contents, rng: np.random.Generator) -> list[Start]:
    """Rows and stacks of like parts, slightly disturbed: one kind a compartment, or a lane of the floor each."""
    container = contents.container
    left = Counter(contents.order)
    kinds = sorted(left, key=lambda index: (-left[index], index))
    areas = container.cells or _lanes(container, len(kinds), rng=rng)
    height = 1.05 * container.inner_size[2]
    if container.cells:  # a compartment holds a few, not as many as fit
        share = -(-len(contents.order) // len(container.cells))
        limits = [int(rng.integers(1, max(share, 1) + 1)) for _ in areas]
    else:
        limits = [len(contents.order)] * len(areas)
    starts: list[Start] = []
    for number, (area, limit) in enumerate(zip(areas, limits, strict=True)):
        index = kinds[number % len(kinds)]
        stack = _stack(index, contents.parts[index], min(left[index], limit), (area, height), rng=rng)
        left[index] -= len(stack)
        starts += stack
    return starts


def _lanes(container: Container, count: int, *, rng: np.random.Generator) -> list[Area]:
    """The floor cut across its longer side, one lane for each kind of part."""
    x, y = container.inner_size[0] / 2, container.inner_size[1] / 2
    weights = rng.uniform(0.8, 1.2, count)
    edges = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()]) * 2 - 1
    return [(float(a * x), -y, float(b * x), y) for a, b in pairwise(edges)]


def _stack(index: int, part: Part, count: int, room: tuple[Area, float], *, rng: np.random.Generator) -> list[Start]:
    """Up to `count` copies in rows, columns and layers over an area, all the same way up."""
    (x0, y0, x1, y1), height = room
    best: tuple[Float64Array, Float64Array, Float64Array] | None = None
    gap = between(0.003, 0.006, rng=rng)
    up = int(rng.choice(3, p=[0.65, 0.25, 0.1]))  # shortest, middle or longest side upright
    for quarter in range(2):
        rotation = turn(2, np.pi / 2 * (quarter + 2 * int(rng.integers(2)))) @ _upright(part, up)
        low, high = _bounds(part, rotation)
        pitch = high - low + gap
        number = np.floor((np.array([x1 - x0, y1 - y0]) - gap) / pitch[:2]).astype(int)
        if best is None or number.prod() > best[0].prod():
            best = (number, rotation, low)
    assert best is not None
    number, rotation, low = best
    if number.prod() <= 0 or count <= 0:
        return []
    size = _bounds(part, rotation)[1] - low
    layers = int(height / (size[2] + 0.001)) if height > 0 else _FLAT_LAYERS
    layers = max(1, min(layers, -(-count // int(number.prod()))))
    pitch = size + gap
    slack = np.array([x1 - x0, y1 - y0]) - gap - number * pitch[:2]
    corner = np.array([x0, y0]) + gap + slack * rng.random(2)
    rows = [(i, j) for i in range(number[0]) for j in range(number[1])]
    if chance(0.3, rng=rng):  # picked from at random instead of row by row
        rows = [rows[k] for k in rng.permutation(len(rows))]
    # So far that corners of neighbours cannot meet.
    sway = 0.35 * gap / max(float(np.linalg.norm(size[:2])), 1e-6)
    starts = []
    for k in range(min(count, layers * len(rows))):
        i, j = rows[k % len(rows)]
        place = np.array([*(corner + (i, j) * pitch[:2]), 0.001 + (k // len(rows)) * (size[2] + 0.001)])
        middle = low + size / 2
        yaw = turn(2, float(rng.uniform(-sway, sway)))
        shift = np.array([*rng.uniform(-0.12, 0.12, 2) * gap, 0])
        starts.append(Start(index, place + size / 2 + shift - yaw @ middle, yaw @ rotation))
    return starts


def _layer(contents: Contents, rng: np.random.Generator) -> list[Start]:
    """One dense layer: each flat on its broadest side, turned at random or in line, none on another."""
    aligned = chance(0.3, rng=rng)

    def pose(part: Part) -> Float64Array:
        up = int(rng.choice(3, p=[0.85, 0.12, 0.03]))
        angle = np.pi / 2 * int(rng.integers(4)) + rng.normal(scale=0.05) if aligned else rng.uniform(0, 2 * np.pi)
        return turn(2, float(angle)) @ _upright(part, up)

    return _side_by_side(contents, pose, _GAP_M, rng=rng)


def _scattered(contents: Contents, rng: np.random.Generator) -> list[Start]:
    """Apart from one another, let go a little above the floor, most of them flat."""

    def pose(part: Part) -> Float64Array:
        if chance(0.3, rng=rng):
            return from_quaternion(random_quaternion(rng=rng))
        return turn(2, float(rng.uniform(0, 2 * np.pi))) @ _upright(part, int(rng.choice(3, p=[0.8, 0.15, 0.05])))

    return _side_by_side(contents, pose, between(0.01, 0.04, rng=rng), rng=rng)


def _side_by_side(
    contents: Contents, pose: Callable[[Part], Float64Array], gap: float, *, rng: np.random.Generator
) -> list[Start]:
    """Parts one after another at the first of some random places where their rectangle on the floor is free.

    `gap` is kept between parts; walls may be nearer.
    """
    x, y, _ = contents.container.inner_size
    areas = np.array(contents.container.cells or ((-x / 2, -y / 2, x / 2, y / 2),))
    placed = np.zeros((0, 4, 2))
    starts: list[Start] = []
    for index in contents.order:
        for _ in range(_TURNS):
            rotation = pose(contents.parts[index])
            points = np.concatenate(contents.parts[index].hulls) @ rotation.T
            body, claim = _rectangle(points[:, :2], _GAP_M / 2), _rectangle(points[:, :2], gap / 2)
            chosen = areas[rng.integers(len(areas), size=_TRIES)]
            free_low, free_high = chosen[:, :2] - body.min(axis=0), chosen[:, 2:] - body.max(axis=0)
            places = free_low + rng.random((_TRIES, 2)) * (free_high - free_low)
            fitting = places[(free_high > free_low).all(axis=1)]
            place = next((place for place in fitting if not _overlap(claim + place, placed)), None)
            if place is not None:
                placed = np.concatenate([placed, (claim + place)[None]])
                starts.append(Start(index, np.array([*place, 0.001 - points[:, 2].min()]), rotation))
                break
    return starts


def _rectangle(points: Float64Array, margin: float) -> Float64Array:
    """Corners (4, 2) of the smallest of some rectangles around points (N, 2), each side `margin` further out."""
    best, best_area = np.zeros((4, 2)), np.inf
    for angle in np.arange(0, np.pi / 2, np.pi / 24):
        c, s = np.cos(angle), np.sin(angle)
        turned = points @ np.array([[c, -s], [s, c]])
        low, high = turned.min(axis=0) - margin, turned.max(axis=0) + margin
        area = float(np.prod(high - low))
        if area < best_area - 1e-12:
            corners = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
            best, best_area = corners @ np.array([[c, s], [-s, c]]), area
    return best


def _overlap(rectangle: Float64Array, others: Float64Array) -> bool:
    """Whether a rectangle (4, 2) shares room with any of (N, 4, 2), by separating axes along their sides."""
    if not len(others):
        return False
    own = np.broadcast_to(rectangle[:2] - rectangle[1:3], (len(others), 2, 2))
    axes = np.concatenate([own, others[:, :2] - others[:, 1:3]], axis=1)  # (N, 4, 2)
    a = np.einsum("nkd,cd->nkc", axes, rectangle)  # (N, 4, 4)
    b = np.einsum("nkd,ncd->nkc", axes, others)
    apart = (a.max(axis=2) <= b.min(axis=2)) | (b.max(axis=2) <= a.min(axis=2))
    return bool((~apart.any(axis=1)).any())


def _upright(part: Part, rank: int) -> Float64Array:
    """Rotation (3, 3) that turns the side of the part's box with that rank in length (0 shortest) to the vertical."""
    axis = int(np.argsort(np.ptp(np.concatenate(part.hulls), axis=0), kind="stable")[rank])
    return np.roll(np.eye(3), 2 - axis, axis=0)


def _bounds(part: Part, rotation: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Lowest and highest corner (3,) of the turned part."""
    points = np.concatenate(part.hulls) @ rotation.T
    return points.min(axis=0), points.max(axis=0)


FILLS: dict[str, Callable[[Contents, np.random.Generator], list[Start]]] = {
    "pile": _pile,
    "packed": _packed,
    "scattered": _scattered,
    "layer": _layer,
}
"""Fill -> where its parts start."""
