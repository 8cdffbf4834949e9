"""Extruded and machined parts: brackets, nuts, bolts, plates, gears, prisms, machined blocks, building bricks."""

from __future__ import annotations

import numpy as np

from graspnext.types import Float64Array
from graspnext.world.looks.appearance import make_atlas, sample_color, sample_material, speckle
from graspnext.world.looks.prints import printed, sample_scheme
from graspnext.world.looks.wear import sample_metal, sample_paint
from graspnext.world.parts.draws import between, chance, size_between
from graspnext.world.parts.joining import cut, join
from graspnext.world.parts.revolved import rod
from graspnext.world.parts.shapes import Solid, cuboid, extrude, turn
from graspnext.world.parts.solid import Stuff, part_of
from graspnext.world.scene import Part

Rectangle = tuple[float, float, float, float]
"""x0, y0, x1, y1 in metres."""


def _metal_stuff(*, rng: np.random.Generator) -> Stuff:
    """Bare metal twice out of three, painted or plastic otherwise."""
    if chance(0.6, rng=rng):
        return Stuff(sample_metal(rng=rng), between(2600, 7850, rng=rng), between(0.25, 0.45, rng=rng))
    material = sample_paint(sample_color(rng=rng), rng=rng)
    return Stuff(material, between(950, 3000, rng=rng), between(0.3, 0.5, rng=rng))


def bracket_outline(kind: str, width: float, height: float, wall: float) -> tuple[Float64Array, list[Rectangle]]:
    """The outline (N, 2) of an L, U, T or Z section, counter-clockwise, and the rectangles that tile it."""
    w, h, t = width, height, wall
    tiles: list[Rectangle]
    if kind == "L":
        outline = [(0, 0), (w, 0), (w, t), (t, t), (t, h), (0, h)]
        tiles = [(0, 0, w, t), (0, t, t, h)]
    elif kind == "U":
        outline = [(0, 0), (w, 0), (w, h), (w - t, h), (w - t, t), (t, t), (t, h), (0, h)]
        tiles = [(0, 0, w, t), (0, t, t, h), (w - t, t, w, h)]
    elif kind == "T":
        a, b = (w - t) / 2, (w + t) / 2
        outline = [(a, 0), (b, 0), (b, h - t), (w, h - t), (w, h), (0, h), (0, h - t), (a, h - t)]
        tiles = [(a, 0, b, h - t), (0, h - t, w, h)]
    else:
        a, b = (w - t) / 2, (w + t) / 2
        outline = [(0, 0), (b, 0), (b, h - t), (w, h - t), (w, h), (a, h), (a, t), (0, t)]
        tiles = [(0, 0, a, t), (a, 0, b, h), (b, h - t, w, h)]
    return np.array(outline, dtype=np.float64), tiles


def bracket(name: str, rng: np.random.Generator) -> Part:
    """A length of L, U, T or Z section, half of them with bolt holes."""
    kind = "LUTZ"[int(rng.choice(4, p=[0.4, 0.3, 0.15, 0.15]))]
    width, height = size_between(0.025, 0.1, rng=rng), size_between(0.02, 0.08, rng=rng)
    wall, length = between(0.002, 0.006, rng=rng), size_between(0.02, 0.16, rng=rng)
    outline, tiles = bracket_outline(kind, width, height, wall)
    hulls = tuple(_prism(tile, length) for tile in tiles)
    solid = extrude([outline], length)
    solid = Solid(solid.vertices, solid.faces, solid.uv, hulls)
    if kind in "LU" and chance(0.5, rng=rng):
        radius = min(0.006, 0.2 * width, 0.2 * length)
        x = width * (0.65 if kind == "L" else 0.5)
        places = [-0.25, 0.25] if length > 0.05 else [0.0]
        cutters = [rod(radius, 4 * wall, 12).moved((0, 0, 0), turn(0, np.pi / 2)) for _ in places]
        cutters = [c.moved((x, wall / 2, z * length)) for c, z in zip(cutters, places, strict=True)]
        if height > 0.03:
            cutters.append(rod(radius, 4 * wall, 12).moved((0, 0, 0), turn(1, np.pi / 2)).moved((0, 0.65 * height, 0)))
        solid = cut(solid, cutters)
    return part_of(name, "bracket", solid, _metal_stuff(rng=rng))


def _prism(tile: Rectangle, length: float) -> Float64Array:
    x0, y0, x1, y1 = tile
    return np.array([(x, y, z) for x in (x0, x1) for y in (y0, y1) for z in (-length / 2, length / 2)])


def _polygon(sides: int, radius: float, start: float = 0.0) -> Float64Array:
    angle = 2 * np.pi * np.arange(sides) / sides + start
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def nut(name: str, rng: np.random.Generator) -> Part:
    """A hex, square or octagonal nut: its bore is free."""
    sides, r = int(rng.choice([4, 6, 6, 6, 8])), size_between(0.012, 0.035, rng=rng)
    h, bore = r * between(0.5, 1.4, rng=rng), r * between(0.45, 0.68, rng=rng)
    outer, inner = _polygon(sides, r), _polygon(4 * sides, bore * np.cos(np.pi / sides) / np.cos(np.pi / 4))
    solid = extrude([outer, inner[::-1]], h)
    hulls = []
    for i in range(sides):
        ring = np.concatenate([outer[[i, (i + 1) % sides]], inner[np.arange(4 * i, 4 * i + 5) % (4 * sides)]])
        hulls.append(np.concatenate([np.column_stack([ring, np.full(7, z)]) for z in (-h / 2, h / 2)]))
    solid = Solid(solid.vertices, solid.faces, solid.uv, tuple(hulls))
    return part_of(name, "nut", solid, _metal_stuff(rng=rng))


def bolt(name: str, rng: np.random.Generator) -> Part:
    """A bolt or screw: hex, round or countersunk-like head on a shaft."""
    r, length = size_between(0.004, 0.012, rng=rng), size_between(0.03, 0.12, rng=rng)
    head_r, head_h = r * between(1.5, 2.2, rng=rng), r * between(0.8, 1.6, rng=rng)
    shaft = rod(r, length, 16).moved((0, 0, -length / 2 + 0.2 * head_h))
    head = extrude([_polygon(6, head_r)], head_h) if chance(0.6, rng=rng) else rod(head_r, head_h, 20)
    solids = [shaft, head.moved((0, 0, head_h / 2))]
    if chance(0.35, rng=rng):  # with a washer or collar
        solids.append(rod(head_r * between(1.1, 1.5, rng=rng), 0.25 * head_h, 24))
    return part_of(name, "bolt", join(solids), _metal_stuff(rng=rng))


def plate(name: str, rng: np.random.Generator) -> Part:
    """A flat plate of irregular outline with holes, or a printed card."""
    n, r = int(rng.integers(4, 9)), size_between(0.025, 0.085, rng=rng)
    angle = 2 * np.pi * (np.arange(n) + rng.uniform(-0.25, 0.25, n)) / n
    reach = r * rng.uniform(0.75, 1.0, n)
    outline = np.stack([reach * np.cos(angle), reach * np.sin(angle) * between(0.55, 1.0, rng=rng)], axis=1)
    if chance(0.4, rng=rng):
        outline = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.array([r, r * between(0.4, 1.0, rng=rng)])
    outline = _chamfer(outline, between(0.08, 0.3, rng=rng))
    thickness = between(0.0025, 0.012, rng=rng)
    solid = extrude([outline], thickness)
    if chance(0.3, rng=rng):
        texture = printed(sample_scheme(rng=rng), (128, 128), rng=rng)
        material = sample_material("gloss" if chance(0.5, rng=rng) else "paper", texture=texture, rng=rng)
        stuff = Stuff(material, between(600, 1400, rng=rng), between(0.3, 0.5, rng=rng))
        return part_of(name, "plate", solid, stuff)
    holes = int(rng.integers(0, 5))
    cutters = []
    for k in range(holes):
        at = 2 * np.pi * (k + 0.3) / holes
        distance = between(0.15, 0.38, rng=rng) * r
        radius = between(0.04, 0.11, rng=rng) * r
        cutters.append(rod(radius, 3 * thickness, 12).moved((distance * np.cos(at), 0.55 * distance * np.sin(at), 0)))
    if cutters:
        solid = cut(solid, cutters)
    return part_of(name, "plate", solid, _metal_stuff(rng=rng))


def _chamfer(outline: Float64Array, share: float) -> Float64Array:
    """Each corner cut by `share` of its sides."""
    before, after = np.roll(outline, 1, axis=0), np.roll(outline, -1, axis=0)
    cut_corner = np.stack([outline + share * (before - outline), outline + share * (after - outline)], axis=1)
    return cut_corner.reshape(-1, 2)


def gear(name: str, rng: np.random.Generator) -> Part:
    """A gear wheel with a bore, sometimes lightened by holes."""
    teeth, r = int(rng.integers(10, 27)), size_between(0.02, 0.06, rng=rng)
    h, root = between(0.005, 0.025, rng=rng), between(0.78, 0.9, rng=rng)
    tooth = np.array([0.0, 0.18, 0.32, 0.5])
    angle = 2 * np.pi * (np.arange(teeth)[:, None] + tooth[None]) / teeth
    reach = np.broadcast_to(r * np.array([root, 1, 1, root]), angle.shape)
    outline = np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=-1).reshape(-1, 2)
    bore = _polygon(16, r * between(0.12, 0.3, rng=rng))
    solid = extrude([outline, bore[::-1]], h)
    hulls = _ring_of_pieces(outline, bore, h, 12)
    solid = Solid(solid.vertices, solid.faces, solid.uv, hulls)
    if chance(0.4, rng=rng):
        count, at = int(rng.integers(3, 7)), 0.55 * r
        angles = 2 * np.pi * np.arange(count) / count
        solid = cut(solid, [rod(0.13 * r, 3 * h, 14).moved((at * np.cos(a), at * np.sin(a), 0)) for a in angles])
    return part_of(name, "gear", solid, _metal_stuff(rng=rng))


def _ring_of_pieces(outer: Float64Array, inner: Float64Array, height: float, count: int) -> tuple[Float64Array, ...]:
    """Sectors between two contours around the origin, raised to `height`."""
    pieces = []
    bearing = [np.arctan2(c[:, 1], c[:, 0]) % (2 * np.pi) for c in (outer, inner)]
    for k in range(count):
        low, step = 2 * np.pi * k / count, 2 * np.pi / count
        edge = np.array([[np.cos(a), np.sin(a)] for a in (low, low + step)])
        r = float(np.linalg.norm(inner[0]))
        beyond, within = ((b >= low) & (b <= low + step) for b in bearing)
        beyond = beyond | np.roll(beyond, 1) | np.roll(beyond, -1)  # an edge that crosses into the next sector is whole
        flat = np.concatenate([outer[beyond], inner[within], edge * r])
        pieces.append(
            np.concatenate([np.column_stack([flat, np.full(len(flat), z)]) for z in (-height / 2, height / 2)])
        )
    return tuple(pieces)


def prism(name: str, rng: np.random.Generator) -> Part:
    """A prism over a polygon, star, cross or rounded outline: crayons, tiles, wooden blocks, stars."""
    r = size_between(0.015, 0.05, rng=rng)
    length = size_between(0.008, 0.16, rng=rng)
    kind = int(rng.integers(3))
    if kind == 0:
        sides = int(rng.integers(3, 9))
        solid = extrude([_polygon(sides, r)], length)
    elif kind == 1:
        points = int(rng.integers(4, 8))
        length = min(length, 1.5 * r)
        reach = r * np.where(np.arange(2 * points) % 2, between(0.4, 0.7, rng=rng), 1.0)
        angle = np.pi * np.arange(2 * points) / points
        outline = np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)
        solid = extrude([outline], length, pieces=1)
    else:
        angle = 2 * np.pi * np.arange(28) / 28
        power = between(0.35, 0.9, rng=rng)
        unit = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        outline = np.sign(unit) * np.abs(unit) ** power * np.array([r, r * between(0.5, 1.0, rng=rng)])
        solid = extrude([outline], length)
    color = sample_color(rng=rng)
    finish = ("plastic", "gloss", "rubber", "paper")[int(rng.integers(4))]
    texture = speckle(color, (64, 64), between(0, 0.7, rng=rng), rng=rng)
    if chance(0.25, rng=rng):
        texture = printed(sample_scheme(rng=rng), (96, 96), rng=rng)
    material = sample_material(finish, texture=texture, rng=rng)
    stuff = Stuff(material, between(300, 1400, rng=rng), between(0.35, 0.6, rng=rng), between(0, 0.1, rng=rng))
    return part_of(name, "prism", solid, stuff)


def machined(name: str, rng: np.random.Generator) -> Part:
    """A block with steps, bosses and bores, as castings and housings have."""
    size = np.array(
        [size_between(0.03, 0.11, rng=rng), size_between(0.025, 0.08, rng=rng), between(0.01, 0.03, rng=rng)]
    )
    solids = [cuboid(size)]
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(-0.32, 0.32, 2) * size[:2]
        height = between(0.006, 0.04, rng=rng)
        width = size[:2].min() * between(0.2, 0.5, rng=rng)
        if chance(0.5, rng=rng):
            boss = rod(width / 2, height + 0.004, 20)
        else:
            boss = cuboid((width, size[1] * between(0.3, 0.8, rng=rng), height + 0.004))
            y = 0.0
        solids.append(boss.moved((x, y, size[2] / 2 + height / 2 - 0.002)))
    solid = join(solids)
    cutters = []
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(-0.4, 0.4, 2) * size[:2]
        radius = size[:2].min() * between(0.05, 0.12, rng=rng)
        cutters.append(rod(radius, 0.2, 14).moved((x, y, 0)))
    if cutters:
        solid = cut(solid, cutters)
    return part_of(name, "machined", solid, _metal_stuff(rng=rng))


def brick(name: str, rng: np.random.Generator) -> Part:
    """A building brick with studs."""
    pitch = between(0.012, 0.024, rng=rng)
    nx, ny = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    height = pitch * between(0.4, 1.4, rng=rng)
    body = cuboid((nx * pitch, ny * pitch, height))
    places = [((i - (nx - 1) / 2) * pitch, (j - (ny - 1) / 2) * pitch) for i in range(nx) for j in range(ny)]
    stud = rod(0.3 * pitch, 0.35 * pitch, 14)
    atlas = make_atlas([sample_color(rng=rng)])
    solid = join([body, *(stud.moved((x, y, height / 2 + 0.1 * pitch)) for x, y in places)]).painted(atlas.cells[0])
    material = sample_material("gloss" if chance(0.6, rng=rng) else "plastic", texture=atlas.texture, rng=rng)
    return part_of(name, "brick", solid, Stuff(material, between(400, 1000, rng=rng), between(0.3, 0.5, rng=rng)))
