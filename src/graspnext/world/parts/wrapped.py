"""Goods behind transparent film: blister packs, bags of small parts, clear bottles and jars.

The mesh that is labelled, touched and sucked is the film; what lies behind it are props, which only pictures show.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from graspnext.types import Float64Array
from graspnext.world.looks.appearance import Color, make_atlas, sample_color, sample_material
from graspnext.world.looks.prints import Scheme, printed, sample_scheme
from graspnext.world.looks.skins import SkinAtlas, crumpled_skin, make_skin_atlas
from graspnext.world.parts import machinery, packaging, profiles, revolved
from graspnext.world.parts.draws import between, chance, size_between
from graspnext.world.parts.joining import cut, join
from graspnext.world.parts.revolved import rod
from graspnext.world.parts.shapes import Solid, cuboid, revolve
from graspnext.world.parts.solid import Stuff, part_of
from graspnext.world.scene import Material, Mesh, Part, Prop

_SMALL: tuple[Callable[[str, np.random.Generator], Part], ...] = (
    profiles.bolt, profiles.nut, machinery.fitting, machinery.spring, revolved.ring, revolved.ball, profiles.brick,
)  # fmt: skip
"""What bags of small parts hold."""
_DISPLAYED = (*_SMALL, machinery.bearing, revolved.turned, profiles.machined, packaging.squeeze_tube)
"""What blister packs show."""
_SHELF_M = 2e-4
"""Gap between film and what it lies on: enough for the depth buffer to tell them apart."""


def _prop(solid: Solid, material: Material) -> Prop:
    return Prop(Mesh(solid.vertices.astype(np.float32), solid.faces, solid.uv.astype(np.float32)), material)


def _fitted(part: Part, room: Float64Array) -> Prop:
    """A part laid flat, longest side along x, scaled (at most 3-fold) to fill a room (3,) around the origin."""
    points = part.mesh.vertices.astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    order = np.argsort(-(high - low), kind="stable")  # longest side first
    turned = (points - (low + high) / 2)[:, order]
    if np.linalg.det(np.eye(3)[order]) < 0:
        turned[:, 2] *= -1
    size = np.ptp(turned, axis=0)
    scale = min(3.0, float((room / np.maximum(size, 1e-6)).min()))
    return Prop(Mesh((turned * scale).astype(np.float32), part.mesh.faces, part.mesh.uv), part.material)


def _copies(prop: Prop, poses: list[tuple[Float64Array, Float64Array]]) -> Prop:
    """One prop at several poses (rotation (3, 3), offset (3,)), as a single mesh."""
    mesh, count = prop.mesh, len(prop.mesh.vertices)
    vertices = [mesh.vertices @ R.T + t for R, t in poses]
    faces = [mesh.faces + count * i for i in range(len(poses))]
    uv = None if mesh.uv is None else np.tile(mesh.uv, (len(poses), 1))
    return Prop(Mesh(np.concatenate(vertices).astype(np.float32), np.concatenate(faces), uv), prop.material)


def _film(*, opacity: float, tint: Color = (236, 240, 242), rng: np.random.Generator) -> Material:
    plain = sample_material("film", color=tint, rng=rng)
    return Material(plain.color, plain.roughness, 0.0, opacity=opacity)


def blister(name: str, rng: np.random.Generator) -> Part:
    """A printed card with a clear dome, and the goods under it."""
    x, y = size_between(0.06, 0.14, rng=rng), size_between(0.08, 0.19, rng=rng)
    deep, thick = between(0.012, 0.034, rng=rng), between(0.0012, 0.002, rng=rng)
    room = np.array([between(0.6, 0.85, rng=rng) * x, between(0.4, 0.62, rng=rng) * y, deep])
    middle = np.array([0.0, -0.5 * y + 0.5 * room[1] + between(0.05, 0.12, rng=rng) * y, 0.0])
    dome = _dome(room, between(0.82, 0.93, rng=rng)).moved((*middle[:2], thick / 2 - 1e-4))
    hole = rod(between(0.0025, 0.004, rng=rng), 0.1, 16).scaled((between(1.0, 2.6, rng=rng), 1.0, 1.0))
    hole = hole.moved((0, 0.5 * y - 0.009, 0))
    card = cut(cuboid((x, y, thick)), [hole])
    solid = join([card, dome])
    scheme = sample_scheme(rng=rng)
    prints = [printed(scheme, (288, 192), aspect=x / y, rng=rng) for _ in range(2)]
    atlas = make_atlas(prints, 192)
    front, back = atlas.cells
    board = cuboid((x - _SHELF_M, y - _SHELF_M, thick - 2 * _SHELF_M), [front, front, front, front, front, back])
    inside = [
        _prop(cut(board, [hole.scaled((1.05, 1.0, 1.0))]), sample_material("paper", texture=atlas.texture, rng=rng))
    ]
    goods = _DISPLAYED[int(rng.integers(len(_DISPLAYED)))]("goods", rng)
    count = 1 if chance(0.6, rng=rng) else int(rng.integers(2, 4))
    cell = room * np.array([0.8, 0.8 / count, 0.85])
    one = _fitted(goods, cell)
    if room[1] / count > room[0]:
        one = _fitted(goods, cell[[1, 0, 2]])
        turned = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    else:
        turned = np.eye(3)
    lift = thick / 2 + float(np.ptp(one.mesh.vertices[:, 2])) / 2 + 5e-4
    rows = ((np.arange(count) + 0.5) / count - 0.5) * 0.85 * room[1]
    inside.append(_copies(one, [(turned, middle + np.array([0, row, lift])) for row in rows]))
    stuff = Stuff(
        _film(opacity=between(0.04, 0.1, rng=rng), rng=rng), between(250, 700, rng=rng), between(0.25, 0.4, rng=rng)
    )
    return _seen_through(part_of(name, "blister", solid, stuff), inside)


def _dome(room: Float64Array, taper: float) -> Solid:
    """A clear tub upside down: rounded walls that lean in, standing on z = 0."""
    a = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    unit = np.stack([np.cos(a), np.sin(a)], axis=1)
    outline = np.sign(unit) * np.abs(unit) ** 0.35  # a rounded square
    rings = [(1.0, 0.0), (0.5 + 0.5 * taper, 0.55), (taper, 0.9), (taper * 0.94, 1.0)]
    levels = [np.column_stack([outline * room[:2] / 2 * s, np.full(40, t * room[2])]) for s, t in rings]
    points = np.concatenate([*levels, [[0, 0, 0]], [[0, 0, room[2]]]])
    j = np.arange(40)
    k, last = (j + 1) % 40, 40 * (len(rings) - 1)
    faces = [
        np.stack([np.full(40, len(points) - 2), k, j], axis=1),
        np.stack([np.full(40, len(points) - 1), last + j, last + k], axis=1),
    ]
    for i in range(len(rings) - 1):
        here, above = 40 * i, 40 * (i + 1)
        faces += [np.stack([here + j, here + k, above + k], axis=1), np.stack([here + j, above + k, above + j], axis=1)]
    uv = 0.5 + points[:, :2] / room[:2] * 0.98
    return Solid(points, np.concatenate(faces).astype(np.int32), np.clip(uv, 0, 1), (points,))


def _seen_through(part: Part, inside: list[Prop]) -> Part:
    return dataclasses.replace(part, inside=tuple(inside))


def bag(name: str, rng: np.random.Generator) -> Part:
    """A crumpled film bag of small parts, half of them with a printed label on it."""
    length = size_between(0.07, 0.16, rng=rng)
    size = np.array([length * between(0.6, 0.95, rng=rng), length])
    thick = float(size[0]) * between(0.16, 0.28, rng=rng)
    pillow = packaging.pillow(size, thick, rng=rng)
    scheme = sample_scheme(rng=rng)
    clear = int(255 * between(0.1, 0.2, rng=rng))
    atlas = _bag_film(scheme, clear, float(size[0] / size[1]), rng=rng)
    half = len(pillow.uv) // 2
    uv = pillow.uv.copy()
    for side, cell in ((slice(0, half), atlas.cells[0]), (slice(half, None), atlas.cells[1])):
        low, high = np.array(cell[:2]), np.array(cell[2:])
        uv[side] = low + pillow.uv[side] * (high - low)
    goods = _SMALL[int(rng.integers(len(_SMALL)))]("goods", rng)
    one = _fitted(goods, np.array([0.32 * size[0], 0.3 * size[0], 0.55 * thick]))
    inside = [_copies(one, _heap(one, size, thick, rng=rng))]
    material = atlas.material("film", rng=rng)
    solid = Solid(pillow.vertices, pillow.faces, uv, pillow.hulls)
    stuff = Stuff(material, between(350, 1500, rng=rng), between(0.25, 0.4, rng=rng), between(0, 0.05, rng=rng))
    return _seen_through(part_of(name, "bag", solid, stuff), inside)


def _bag_film(scheme: Scheme, clear: int, aspect: float, *, rng: np.random.Generator) -> SkinAtlas:
    """Front and back of a bag: creased film, the front perhaps with a print across its head or a sticker."""
    faces = []
    for front in (True, False):
        color = np.empty((160, 128, 4), dtype=np.uint8)
        color[...] = (238, 241, 243, clear)
        if front and chance(0.7, rng=rng):
            high, wide = int(rng.integers(36, 60)), int(rng.integers(60, 118))
            left = (128 - wide) // 2
            top = int(rng.integers(8, 100 - high // 2))
            label = printed(scheme, (high, wide), aspect=aspect * 160 / 128 * wide / high, rng=rng)
            color[top : top + high, left : left + wide, :3] = label
            color[top : top + high, left : left + wide, 3] = 255
        faces.append(crumpled_skin(color, between(0.25, 0.6, rng=rng), rng=rng))
    return make_skin_atlas(faces)


def _heap(
    one: Prop, size: Float64Array, thick: float, *, rng: np.random.Generator
) -> list[tuple[Float64Array, Float64Array]]:
    """Poses of copies that lie about in the belly of a pillow, each on its own spot."""
    side = np.ptp(one.mesh.vertices.astype(np.float64), axis=0)
    step = max(float(np.hypot(side[0], side[1])) * 0.8, 0.006)
    columns, rows = max(1, int(0.72 * size[0] / step)), max(1, int(0.72 * size[1] / step))
    spots = [(i, j) for i in range(min(columns, 6)) for j in range(min(rows, 7))]
    chosen = rng.permutation(len(spots))[: max(1, int(len(spots) * rng.uniform(0.6, 1.0)))]
    poses = []
    for index in chosen[:24]:
        i, j = spots[int(index)]
        at = np.array([(i + 0.5) / min(columns, 6) - 0.5, (j + 0.5) / min(rows, 7) - 0.5]) * 0.72 * size
        a = rng.uniform(0, 2 * np.pi)
        R = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1.0]])
        poses.append((R, np.array([*at, rng.uniform(-0.06, 0.06) * thick])))
    return poses


def jar(name: str, rng: np.random.Generator) -> Part:
    """A clear bottle or jar with a screw cap: a liquid or small goods inside, most with a label around it."""
    wide = chance(0.5, rng=rng)
    r = between(0.02, 0.042, rng=rng)
    h = r * (between(1.7, 3.0, rng=rng) if wide else between(3.2, 5.2, rng=rng))
    neck = r * (between(0.78, 0.92, rng=rng) if wide else between(0.3, 0.45, rng=rng))
    shoulder = h * (0.8 if wide else between(0.6, 0.72, rng=rng))
    cap_z, cap = 0.86 * h, neck * between(1.05, 1.15, rng=rng)
    low, high = between(0.12, 0.25, rng=rng) * h, shoulder * between(0.8, 0.95, rng=rng)
    profile = np.array(
        [[0, 0.003], [0.75 * r, 0], [0.95 * r, 0.001], [r, 0.03 * h], [r, low], [r, high], [r, shoulder],
         [neck, 0.83 * h], [neck, cap_z], [cap, cap_z], [cap, 0.99 * h], [0.94 * cap, h], [0, h]]
    )  # fmt: skip
    scheme = sample_scheme(rng=rng)
    tint = ((232, 240, 244), (236, 240, 240), (150, 90, 30), (90, 150, 110), (120, 170, 220))[
        int(rng.choice(5, p=[0.4, 0.2, 0.15, 0.15, 0.1]))
    ]
    glass = np.empty((16, 192, 4), dtype=np.uint8)
    glass[...] = (*tint, int(255 * between(0.1, 0.24, rng=rng)))
    wrap = np.broadcast_to(glass[:1], (96, 192, 4)).copy()
    if chance(0.75, rng=rng):
        span = 192 if chance(0.5, rng=rng) else int(rng.integers(80, 150))
        wrap[:, :span, :3] = printed(scheme, (96, span), aspect=2 * np.pi * r * span / 192 / (high - low), rng=rng)
        wrap[:, :span, 3] = 255
    lid = np.empty((16, 192, 4), dtype=np.uint8)
    lid[...] = (*scheme.second, 255)
    lid[:, ::6, :3] = lid[:, ::6, :3] // 3 * 2  # ridges to grip
    atlas = make_skin_atlas([wrap, glass, lid], 192)
    cells = [atlas.cells[1]] * 4 + [atlas.cells[0]] + [atlas.cells[1]] * 3 + [atlas.cells[2]] * 4
    solid = revolve(profile, segments=30, cells=cells)
    points = solid.vertices
    hulls = (points[points[:, 2] <= shoulder + 1e-6], points[points[:, 2] >= shoulder - 1e-6])
    solid = Solid(solid.vertices, solid.faces, solid.uv, hulls)
    fill = between(0.45, 0.95, rng=rng) * shoulder
    inner = np.array([[0, 0.005], [0.72 * r, 0.0035], [0.95 * r, 0.04 * h], [0.95 * r, fill], [0, fill]])
    content = _prop(revolve(inner, segments=24), _contents(rng=rng))
    plug = revolve(
        np.array([[0, cap_z + 4e-4], [cap - 4e-4, cap_z + 4e-4], [cap - 4e-4, 0.99 * h], [0, 0.99 * h]]), segments=24
    )
    closed = _prop(plug, sample_material("plastic", color=scheme.second, rng=rng))
    stuff = Stuff(atlas.material("film", rng=rng), between(500, 1150, rng=rng), between(0.3, 0.45, rng=rng))
    return _seen_through(part_of(name, "jar", solid, stuff), [content, closed])


def _contents(*, rng: np.random.Generator) -> Material:
    """A liquid of one colour, or pills, beads and granules as a picture of them."""
    if chance(0.5, rng=rng):
        return sample_material("gloss", color=sample_color(rng=rng), rng=rng)
    color, other = np.array(sample_color(rng=rng)), np.array(sample_color(rng=rng))
    y, x = np.mgrid[:64, :64]
    seeds = rng.random((80, 2)) * 64
    square = (y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2  # (64, 64, 80)
    nearest, distance = square.argmin(axis=-1), np.sqrt(square.min(axis=-1))
    second = rng.random(80) < 0.3
    tone = np.where(second[nearest][..., None], other, color) * np.clip(1.15 - distance / 9, 0.35, 1.1)[..., None]
    return sample_material("plastic", texture=np.clip(tone, 0, 255).astype(np.uint8), rng=rng)
