"""Bodies of revolution: cans, bottles, cups, mugs, rings, tubes, flanges, balls, turned parts."""

from __future__ import annotations

import numpy as np

from graspnext.types import Float64Array
from graspnext.world.looks.appearance import METALS, Atlas, Color, make_atlas, sample_color, sample_material, speckle
from graspnext.world.looks.prints import printed, sample_scheme, tiles
from graspnext.world.looks.wear import sample_metal, sample_paint
from graspnext.world.parts.draws import between, chance, size_between
from graspnext.world.parts.joining import cut, join
from graspnext.world.parts.shapes import Solid, circles, revolve, shell_pieces, sphere_grid, sweep
from graspnext.world.parts.solid import Stuff, part_of
from graspnext.world.scene import Part

_SEGMENTS = 30


def _metal_color(*, rng: np.random.Generator) -> Color:
    return METALS[int(rng.integers(len(METALS)))]


def rod(radius: float, height: float, segments: int = 24) -> Solid:
    """A plain cylinder around z, centred."""
    profile = np.array([[0, -height / 2], [radius, -height / 2], [radius, height / 2], [0, height / 2]])
    return revolve(profile, segments=segments)


def can(name: str, rng: np.random.Generator) -> Part:
    """A food or drink can: rims, recessed lid, printed or paper-labelled side."""
    r, h = between(0.025, 0.05, rng=rng), size_between(0.035, 0.17, rng=rng)
    rim, dip = 0.002, between(0.002, 0.006, rng=rng)
    neck = between(0.8, 1.0, rng=rng) if chance(0.4, rng=rng) else 1.0
    profile = np.array(
        [
            [0, dip], [0.84 * neck * r, dip], [0.9 * neck * r, 0], [neck * r, 0], [r, 0.02 * h + 0.004],
            [r, 0.97 * h - 0.004], [neck * r, h - rim], [neck * r, h], [0.92 * neck * r, h], [0.88 * neck * r, h - dip],
            [0, h - dip],
        ]
    )  # fmt: skip
    scheme = sample_scheme(rng=rng)
    label = printed(scheme, (96, 192), aspect=2 * np.pi * r / h, rng=rng)
    metal = _metal_color(rng=rng) if chance(0.8, rng=rng) else scheme.accent
    atlas = make_atlas([label, metal], 192)
    cells = [atlas.cells[1]] * 4 + [atlas.cells[0]] + [atlas.cells[1]] * 5
    solid = revolve(profile, segments=_SEGMENTS, cells=cells)
    material = sample_material("foil" if chance(0.5, rng=rng) else "gloss", texture=atlas.texture, rng=rng)
    density = between(800, 1100, rng=rng) if chance(0.7, rng=rng) else between(80, 200, rng=rng)
    return part_of(name, "can", solid, Stuff(material, density, between(0.25, 0.5, rng=rng)))


def bottle(name: str, rng: np.random.Generator) -> Part:
    """A bottle or vial with shoulder, neck and cap, labelled or plain."""
    r = size_between(0.014, 0.038, rng=rng)
    h = r * between(2.6, 6.0, rng=rng)
    h = min(h, 0.24)
    neck, shoulder = r * between(0.35, 0.75, rng=rng), between(0.55, 0.78, rng=rng)
    top = shoulder + between(0.06, 0.14, rng=rng)
    cap = neck * between(1.05, 1.35, rng=rng)
    low, high = 0.12 * h, (shoulder - 0.06) * h
    bend = between(0.3, 0.8, rng=rng)
    middle = (r * bend + neck * (1 - bend), (shoulder + 0.6 * (top - shoulder)) * h)
    profile = np.array(
        [
            [0, 0.004], [0.7 * r, 0], [0.95 * r, 0], [r, 0.03 * h], [r, low], [r, high], [0.99 * r, shoulder * h],
            middle, [neck, top * h], [neck, (top + 0.03) * h], [cap, (top + 0.03) * h], [cap, h], [0, h],
        ]
    )  # fmt: skip
    scheme = sample_scheme(rng=rng)
    label = printed(scheme, (96, 160), aspect=2 * np.pi * r / (high - low), rng=rng)
    body = sample_color(rng=rng)
    atlas = make_atlas([label if chance(0.8, rng=rng) else speckle(body, (32, 160), 0.1, rng=rng), body, scheme.second])
    cells = [atlas.cells[1]] * 4 + [atlas.cells[0]] + [atlas.cells[1]] * 4 + [atlas.cells[2]] * 3
    solid = revolve(profile, segments=_SEGMENTS, cells=cells)
    wall = solid.vertices
    hulls = (wall[wall[:, 2] <= shoulder * h + 1e-6], wall[wall[:, 2] >= shoulder * h - 1e-6])
    solid = Solid(solid.vertices, solid.faces, solid.uv, hulls)
    if chance(0.4, rng=rng):  # flask: squeezed
        solid = solid.scaled((1.0, between(0.45, 0.8, rng=rng), 1.0))
    material = sample_material("gloss" if chance(0.6, rng=rng) else "plastic", texture=atlas.texture, rng=rng)
    density = between(150, 1100, rng=rng)
    return part_of(name, "bottle", solid, Stuff(material, density, between(0.3, 0.5, rng=rng)))


def _vessel(r: tuple[float, float], h: float, wall: float, atlas: Atlas) -> Solid:
    """An open vessel of radius r[0] at the bottom and r[1] at the top; cells: outside, inside."""
    profile = np.array([[0, 0], [r[0], 0], [r[1], h], [r[1] - wall, h], [r[0] - wall, wall], [0, wall]])
    out, inside = atlas.cells[0], atlas.cells[1]
    solid = revolve(profile, segments=_SEGMENTS, cells=[inside, out, inside, inside, inside])
    foot = r[0] - wall - wall * (r[1] - r[0]) / (h - wall)  # the inner wall carried on through the bottom
    outer, inner = np.array([[r[0], 0], [r[1], h]]), np.array([[foot, 0], [r[1] - wall, h]])
    walls = shell_pieces(outer, inner, wedges=10, segments=_SEGMENTS)
    floor = rod(r[0], wall).moved((0, 0, wall / 2)).hulls
    return Solid(solid.vertices, solid.faces, solid.uv, walls + floor)


def cup(name: str, rng: np.random.Generator) -> Part:
    """A cup, pot, bowl or open jar: hollow, its bottom in reach of the ray but not of a cup on the rim."""
    top = size_between(0.025, 0.075, rng=rng)
    h = top * between(0.5, 2.4, rng=rng)
    base = top * between(0.55, 1.0, rng=rng)
    scheme = sample_scheme(rng=rng)
    inside = scheme.ground if chance(0.5, rng=rng) else sample_color(rng=rng)
    side = printed(scheme, (80, 160), aspect=6 * top / h, rng=rng)
    if chance(0.5, rng=rng):
        side = speckle(scheme.ground, (32, 160), 0.1, rng=rng)
    atlas = make_atlas([side, inside], 160)
    solid = _vessel((base, top), h, between(0.0018, 0.004, rng=rng), atlas)
    finish = ("paper", "plastic", "gloss")[int(rng.integers(3))]
    material = sample_material(finish, texture=atlas.texture, rng=rng)
    return part_of(name, "cup", solid, Stuff(material, between(700, 2300, rng=rng), between(0.3, 0.6, rng=rng)))


def mug(name: str, rng: np.random.Generator) -> Part:
    """A mug with a handle."""
    r, wall = between(0.033, 0.046, rng=rng), between(0.0032, 0.0045, rng=rng)
    h = r * between(1.7, 2.6, rng=rng)
    base = r * between(0.8, 1.0, rng=rng)
    scheme = sample_scheme(rng=rng)
    side = printed(scheme, (80, 160), aspect=6 * r / h, rng=rng)
    if chance(0.4, rng=rng):
        side = speckle(scheme.ground, (32, 160), 0.1, rng=rng)
    atlas = make_atlas([side, scheme.ground, scheme.accent if chance(0.3, rng=rng) else scheme.ground], 160)
    vessel = _vessel((base, r), h, wall, atlas)
    angle = np.linspace(-np.pi / 2, np.pi / 2, 11)
    reach, span = r * between(0.55, 0.85, rng=rng), h * between(0.26, 0.34, rng=rng)
    x = base + (r - base) * 0.2 - wall + reach * np.cos(angle)
    path = np.stack([x, np.zeros(11), h / 2 + span * np.sin(angle)], axis=1)
    side_x = base + (r - base) * path[[0, -1], 2] / h - wall * 0.6
    path[[0, -1], 0] = side_x
    handle = sweep(path, circles(np.full(11, between(0.004, 0.0055, rng=rng)), 10), pieces=5)
    solid = join([vessel, handle.painted(atlas.cells[2])])
    material = sample_material("gloss" if chance(0.7, rng=rng) else "plastic", texture=atlas.texture, rng=rng)
    return part_of(name, "mug", solid, Stuff(material, between(1800, 2400, rng=rng), between(0.35, 0.55, rng=rng)))


def ring(name: str, rng: np.random.Generator) -> Part:
    """A roll of tape, a torus or a seal: its middle is free."""
    outer = size_between(0.018, 0.07, rng=rng)
    inner = outer * between(0.45, 0.85, rng=rng)
    if chance(0.55, rng=rng):
        h = between(0.008, 0.05, rng=rng)
        profile = np.array([[inner, 0], [outer, 0], [outer, h], [inner, h]])
        core, face = sample_color(rng=rng), sample_color(rng=rng)
        atlas = make_atlas([sample_color(rng=rng), face, core])
        solid = revolve(
            profile, segments=32, wedges=12, cells=[atlas.cells[1], atlas.cells[0], atlas.cells[1], atlas.cells[2]]
        )
        material = sample_material("paper" if chance(0.4, rng=rng) else "gloss", texture=atlas.texture, rng=rng)
    else:
        angle = 2 * np.pi * np.arange(12) / 12
        thick = (outer - inner) / 2
        profile = np.stack([outer - thick + thick * np.cos(angle), thick * np.sin(angle)], axis=1)
        solid = revolve(profile, segments=32, wedges=12)
        finish = ("rubber", "metal", "plastic")[int(rng.integers(3))]
        material = sample_material(finish, rng=rng)
    return part_of(name, "ring", solid, Stuff(material, between(700, 2500, rng=rng), between(0.35, 0.7, rng=rng)))


def tube(name: str, rng: np.random.Generator) -> Part:
    """A pipe, sleeve or cardboard core: open at both ends."""
    outer, length = size_between(0.01, 0.035, rng=rng), size_between(0.04, 0.22, rng=rng)
    inner = outer * between(0.6, 0.92, rng=rng)
    profile = np.array([[inner, 0], [outer, 0], [outer, length], [inner, length]])
    finish = ("metal", "plastic", "paper", "gloss")[int(rng.integers(4))]
    color = _metal_color(rng=rng) if finish == "metal" else sample_color(rng=rng)
    side = speckle(color, (64, 128), 0.3, rng=rng)
    if finish != "metal" and chance(0.4, rng=rng):
        side = printed(sample_scheme(rng=rng), (96, 128), aspect=6 * outer / length, rng=rng)
    atlas = make_atlas([side, color])
    cells = [atlas.cells[1], atlas.cells[0], atlas.cells[1], atlas.cells[1]]
    solid = revolve(profile, segments=28, cells=cells, wedges=10)
    material = sample_material(finish, texture=atlas.texture, rng=rng)
    density = between(2500, 7800, rng=rng) if finish == "metal" else between(500, 1400, rng=rng)
    return part_of(name, "tube", solid, Stuff(material, density, between(0.25, 0.5, rng=rng)))


def flange(name: str, rng: np.random.Generator) -> Part:
    """A disc with a hub, a bore and bolt holes; or a plain disc, lid or washer."""
    r, t = size_between(0.02, 0.065, rng=rng), between(0.004, 0.014, rng=rng)
    hub, bore = r * between(0.4, 0.65, rng=rng), r * between(0.15, 0.35, rng=rng)
    height = t + between(0.0, 0.03, rng=rng) * chance(0.7, rng=rng)
    finish = "metal" if chance(0.65, rng=rng) else "plastic"
    if height > t + 0.001:
        profile = np.array([[bore, 0], [r, 0], [r, t], [hub, t], [hub, height], [bore, height]])
    else:
        profile = np.array([[bore, 0], [r, 0], [r, t], [bore, t]])
    solid = revolve(profile, segments=36)
    disc = revolve(np.array([[bore, 0], [r, 0], [r, t], [bore, t]]), segments=36, wedges=8).hulls
    neck = revolve(np.array([[bore, 0], [hub, 0], [hub, height], [bore, height]]), segments=36, wedges=6).hulls
    solid = Solid(solid.vertices, solid.faces, solid.uv, disc + neck)
    holes = int(rng.integers(0, 9))
    if holes >= 3:
        at, size = (hub + r) / 2, (r - hub) * between(0.15, 0.32, rng=rng)
        angles = 2 * np.pi * np.arange(holes) / holes
        cutters = [rod(size, 3 * t, 12).moved((at * np.cos(a), at * np.sin(a), t / 2)) for a in angles]
        solid = cut(solid, cutters)
    material = sample_metal(rng=rng) if finish == "metal" else sample_paint(sample_color(rng=rng), rng=rng)
    density = between(2600, 7800, rng=rng) if finish == "metal" else between(900, 1400, rng=rng)
    return part_of(name, "flange", solid, Stuff(material, density, between(0.25, 0.5, rng=rng)))


def ball(name: str, rng: np.random.Generator) -> Part:
    """A ball, egg or fruit: plain, in halves, striped, chequered or printed."""
    r = size_between(0.014, 0.05, rng=rng)
    _, sphere = sphere_grid(16, 28)
    stretch = between(0.75, 1.35, rng=rng) if chance(0.35, rng=rng) else 1.0
    solid = sphere.scaled((r, r, r * stretch))
    kind, color = int(rng.integers(5)), sample_color(rng=rng)
    if kind == 0:
        texture = speckle(color, (64, 64), between(0, 0.8, rng=rng), rng=rng)
    elif kind == 1:
        texture = np.repeat(np.array([color, sample_color(rng=rng)], dtype=np.uint8), 32, axis=0)[:, None]
        texture = np.repeat(texture, 64, axis=1)
    elif kind == 2:
        bands = np.array([sample_color(rng=rng) for _ in range(int(rng.integers(2, 9)))], dtype=np.uint8)
        texture = np.repeat(bands[np.arange(64) * len(bands) // 64][None], 64, axis=0)
    elif kind == 3:
        texture = tiles([color, sample_color(rng=rng)], (6, 10), 96, rng=rng)
    else:
        texture = printed(sample_scheme(rng=rng), (96, 160), aspect=2.0, rng=rng)
    finish = ("rubber", "plastic", "gloss", "cloth")[int(rng.integers(4))]
    material = sample_material(finish, texture=np.ascontiguousarray(texture), rng=rng)
    porosity = between(0.3, 0.7, rng=rng) if finish == "cloth" else 0.0
    stuff = Stuff(material, between(80, 1100, rng=rng), between(0.4, 0.8, rng=rng), porosity)
    return part_of(name, "ball", solid, stuff)


def turned(name: str, rng: np.random.Generator) -> Part:
    """A random lathe profile: torches, spools, knobs, pawns, shafts, each step of one of three colours."""
    length, steps = size_between(0.03, 0.2, rng=rng), int(rng.integers(2, 7))
    widest = float(np.clip(length * between(0.12, 0.6, rng=rng), 0.008, 0.05))
    z = np.concatenate([[0], np.sort(rng.uniform(0.06, 0.94, steps - 1)), [1]]) * length
    radius = widest * rng.uniform(0.35, 1.0, steps)
    radius[int(rng.integers(steps))] = widest
    profile, colors = [(0.0, 0.0)], []
    palette = [sample_color(rng=rng) for _ in range(3)]
    finish = ("metal", "plastic", "gloss", "rubber")[int(rng.integers(4))]
    if finish == "metal":
        palette[:2] = [_metal_color(rng=rng)] * 2
    pieces: list[tuple[float, float, float, float]] = []
    for i in range(steps):
        taper = radius[i] * (between(0.75, 1.15, rng=rng) if chance(0.4, rng=rng) else 1.0)
        profile += [(radius[i], z[i]), (taper, z[i + 1])]
        pieces.append((radius[i], z[i], taper, z[i + 1]))
        colors += [int(rng.integers(3))] * 2
    profile.append((0.0, length))
    colors.append(colors[-1])
    atlas = make_atlas(palette)
    solid = revolve(np.array(profile), segments=28, cells=[atlas.cells[c] for c in colors])
    solid = Solid(solid.vertices, solid.faces, solid.uv, tuple(_frustum(*piece) for piece in pieces))
    material = sample_material(finish, texture=atlas.texture, rng=rng)
    density = between(1500, 5000, rng=rng) if finish == "metal" else between(400, 1300, rng=rng)
    return part_of(name, "turned", solid, Stuff(material, density, between(0.25, 0.6, rng=rng)))


def _frustum(r0: float, z0: float, r1: float, z1: float) -> Float64Array:
    angle = 2 * np.pi * np.arange(28) / 28  # as many corners as the surface has
    low = np.stack([r0 * np.cos(angle), r0 * np.sin(angle), np.full(28, z0)], axis=1)
    high = np.stack([r1 * np.cos(angle), r1 * np.sin(angle), np.full(28, z1)], axis=1)
    return np.concatenate([low, high])
