"""Totes, cardboard boxes and tables, and the ground that they stand on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from graspnext.errors import UnknownNameError
from graspnext.types import Float64Array, UInt8Array
from graspnext.world.appearance import (
    METALS,
    Color,
    brushed,
    cardboard,
    contrasting,
    make_atlas,
    noise,
    sample_color,
    sample_ground_color,
    sample_material,
    speckle,
    weave,
    wood,
)
from graspnext.world.parts.draws import between, chance, size_between
from graspnext.world.parts.shapes import Cell, cuboid
from graspnext.world.prints import collage
from graspnext.world.scene import Container, ContainerKind, Floor, Mesh

Box = tuple[Float64Array, Float64Array]
"""Half sizes (3,) and centre (3,), metres."""

_TEXTURE = 192


def sample_container(kind: str, *, rng: np.random.Generator) -> Container:
    """A random container with its inner floor at z = 0 around the origin.

    Args:
        kind: "tote" (plastic or metal, walls, often a rim and ribs), "carton" (cardboard, open, often with flaps),
            "table" (a slab whose top is z = 0; `inner_size` is the part of it that things are put on).
        rng: Source of randomness.

    Raises:
        UnknownNameError: Another kind.
    """
    makers: dict[str, Callable[[np.random.Generator], Container]] = {"tote": _tote, "carton": _carton, "table": _table}
    if kind not in makers:
        raise UnknownNameError("container", kind, makers)
    return makers[kind](rng)


def _tote(rng: np.random.Generator) -> Container:
    length, width = between(0.25, 0.6, rng=rng), between(0.2, 0.4, rng=rng)
    width = min(width, length)
    height = between(0.02, 0.06, rng=rng) if chance(0.25, rng=rng) else between(0.05, 0.25, rng=rng)
    wall, base = between(0.004, 0.014, rng=rng), between(0.003, 0.008, rng=rng)
    boxes = _walls((length, width, height), wall, base)
    outside = [2] * len(boxes)
    outside[0] = 0
    if chance(0.6, rng=rng):
        rim = _rim((length + 2 * wall, width + 2 * wall), height, between(0.008, 0.025, rng=rng), rng=rng)
        boxes += rim
        outside += [1] * len(rim)
    if height > 0.06 and chance(0.4, rng=rng):
        ribs = _ribs((length, width, height), wall, rng=rng)
        boxes += ribs
        outside += [2] * len(ribs)
    color = sample_ground_color(rng=rng)
    ground = color if chance(0.6, rng=rng) else sample_ground_color(rng=rng)
    rim_color = color if chance(0.7, rng=rng) else contrasting(color, rng=rng)
    wear = between(0, 0.5, rng=rng)
    entries = [speckle(c, (96, 96), wear, rng=rng) for c in (ground, rim_color, color)]
    finish = "metal" if chance(0.08, rng=rng) else ("plastic" if chance(0.75, rng=rng) else "rubber")
    return _container("tote", boxes, (length, width, height), outside, (finish, entries), rng=rng)


def _carton(rng: np.random.Generator) -> Container:
    length, width = between(0.22, 0.5, rng=rng), between(0.18, 0.38, rng=rng)
    width, height = min(width, length), between(0.06, 0.22, rng=rng)
    wall = between(0.003, 0.007, rng=rng)
    boxes = _walls((length, width, height), wall, wall)
    outside = [0] + [1] * 4
    if chance(0.5, rng=rng):  # flaps folded flat outward
        reach, x, y = between(0.25, 0.5, rng=rng) * width, length / 2 + wall, width / 2 + wall
        half_z, z = wall / 2, height - wall / 2
        for s in (-1, 1):
            boxes.append((np.array([x, reach / 2, half_z]), np.array([0, s * (y + reach / 2), z])))
            boxes.append((np.array([reach / 2, y, half_z]), np.array([s * (x + reach / 2), 0, z])))
        outside += [2] * 4
    entries = [cardboard((96, 96), rng=rng)]
    entries += [np.ascontiguousarray(entries[0][::-1]), np.ascontiguousarray(entries[0][:, ::-1])]
    return _container("carton", boxes, (length, width, height), outside, ("paper", entries), rng=rng)


def _table(rng: np.random.Generator) -> Container:
    length, width = between(0.3, 0.75, rng=rng), between(0.28, 0.55, rng=rng)
    width = min(width, length)
    margin = between(0.06, 0.4, rng=rng)
    thick = between(0.008, 0.05, rng=rng)
    half = np.array([length / 2 + margin, width / 2 + margin, thick / 2])
    boxes: list[Box] = [(half, np.array([0.0, 0.0, -thick / 2]))]
    top, finish = _surface(rng=rng)
    return _container("table", boxes, (length, width, 0.0), [0], (finish, [top]), rng=rng)


def _walls(inner: tuple[float, float, float], wall: float, base: float) -> list[Box]:
    """Floor slab and four walls around the inner room (x, y, z)."""
    x, y, z = inner[0] / 2, inner[1] / 2, inner[2]
    boxes = [(np.array([x + wall, y + wall, base / 2]), np.array([0.0, 0.0, -base / 2]))]
    for s in (-1, 1):
        boxes.append((np.array([wall / 2, y + wall, z / 2]), np.array([s * (x + wall / 2), 0, z / 2])))
        boxes.append((np.array([x, wall / 2, z / 2]), np.array([0, s * (y + wall / 2), z / 2])))
    return boxes


def _rim(outer: tuple[float, float], height: float, reach: float, *, rng: np.random.Generator) -> list[Box]:
    """A lip around the top of the walls, outside them."""
    x, y, thick = outer[0] / 2, outer[1] / 2, min(between(0.004, 0.02, rng=rng), 0.5 * height)
    boxes: list[Box] = []
    for s in (-1, 1):
        boxes.append(
            (np.array([reach / 2, y + reach, thick / 2]), np.array([s * (x + reach / 2), 0, height - thick / 2]))
        )
        boxes.append((np.array([x, reach / 2, thick / 2]), np.array([0, s * (y + reach / 2), height - thick / 2])))
    return boxes


def _ribs(inner: tuple[float, float, float], wall: float, *, rng: np.random.Generator) -> list[Box]:
    """Upright ribs outside the long walls; short ones stand below the rim."""
    count, thick, deep = int(rng.integers(2, 7)), 0.004, between(0.004, 0.008, rng=rng)
    height = 0.8 * inner[2] - 0.015
    places = (np.arange(count) + 0.5) / count - 0.5
    y = inner[1] / 2 + wall + deep / 2
    return [
        (np.array([thick / 2, deep / 2, height / 2]), np.array([p * inner[0], s * y, height / 2]))
        for p in places
        for s in (-1, 1)
    ]


def _container(
    kind: str,
    boxes: Sequence[Box],
    inner: tuple[float, float, float],
    entry_of_box: Sequence[int],
    look: tuple[str, Sequence[UInt8Array | Color]],
    *,
    rng: np.random.Generator,
) -> Container:
    """Boxes with the look (finish, atlas entries) that `entry_of_box` gives each; a mesh of the very same boxes."""
    finish, entries = look
    atlas = make_atlas(list(entries), 128 if len(entries) > 2 else _TEXTURE)
    vertices, faces, uv, base = [], [], [], 0
    for (half, centre), entry in zip(boxes, entry_of_box, strict=True):
        cell: Cell = atlas.cells[entry]
        solid = cuboid(2 * half, [cell] * 6).moved(tuple(centre))
        vertices.append(solid.vertices)
        faces.append(solid.faces + base)
        uv.append(solid.uv)
        base += len(solid.vertices)
    mesh = Mesh(
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        None if kind == "table" else np.concatenate(uv).astype(np.float32),  # a table's texture repeats by length
    )
    material = sample_material(finish, texture=atlas.texture, rng=rng)
    return Container(cast(ContainerKind, kind), mesh, tuple(boxes), inner, material)


def _surface(*, rng: np.random.Generator) -> tuple[UInt8Array, str]:
    """A texture (_TEXTURE, _TEXTURE, 3) for a table top or ground, and its finish."""
    size = (_TEXTURE, _TEXTURE)
    kind = rng.random()
    if kind < 0.2:  # painted or plastic-coated, any colour
        return speckle(sample_ground_color(rng=rng), size, between(0, 0.25, rng=rng), rng=rng), "plastic"
    if kind < 0.34:  # white, grey
        level = int(rng.integers(110, 245))
        return speckle((level, level, level), size, between(0, 0.4, rng=rng), rng=rng), "paper"
    if kind < 0.48:  # concrete, stone
        level = int(rng.integers(90, 190))
        return speckle((level, level, max(0, level - 6)), size, between(0.6, 1.4, rng=rng), rng=rng), "paper"
    if kind < 0.62:
        return wood(size, rng=rng), "plastic"
    if kind < 0.82:
        vivid = [(40, 140, 60), (120, 220, 30), (30, 70, 160), (235, 235, 232), (130, 130, 132), (25, 25, 28)]
        color = vivid[int(rng.integers(len(vivid)))] if chance(0.6, rng=rng) else sample_ground_color(rng=rng)
        return weave(color, size, rng=rng), "cloth"
    if kind < 0.9:
        metal = METALS[int(rng.integers(len(METALS)))]
        return brushed(metal, size, rng=rng), "metal"
    cells = int(rng.integers(4, 30))
    shade = noise(size, cells, rng=rng)[..., None]
    channels = 0.65 * shade + 0.35 * np.stack([noise(size, cells, rng=rng) for _ in range(3)], axis=-1)
    tone = np.array(sample_color(rng=rng))
    return np.clip(tone * (0.4 + 0.9 * channels), 0, 255).astype(np.uint8), "paper"


def sample_floor(container: Container, *, rng: np.random.Generator) -> Floor:
    """Ground for a container: right under it, or far below as under a table or a conveyor; sometimes cluttered."""
    bottom = min(float(centre[2] - half[2]) for half, centre in container.boxes)
    below = 0.0 if container.kind != "table" and chance(0.7, rng=rng) else size_between(0.1, 0.9, rng=rng)
    half_size = between(1.2, 2.5, rng=rng)
    if chance(0.08 if below == 0 else 0.3, rng=rng):
        texture, finish = collage((_TEXTURE, _TEXTURE), int(rng.integers(15, 60)), rng=rng), "paper"
    else:
        texture, finish = _surface(rng=rng)
    material = sample_material(finish, texture=texture, rng=rng)
    return Floor(bottom - below, half_size, material)
