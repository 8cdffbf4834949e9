"""Rounded, assembled and hand-sized things: blobs, toys, curved parts, tools, clamps, toy cars."""

from __future__ import annotations

import numpy as np

from graspnext.types import Float64Array, UInt8Array
from graspnext.world.looks.appearance import (
    Color,
    contrasting,
    make_atlas,
    noise,
    sample_color,
    sample_material,
    speckle,
)
from graspnext.world.looks.prints import printed, sample_scheme
from graspnext.world.parts.draws import between, chance, size_between
from graspnext.world.parts.joining import cut, join
from graspnext.world.parts.revolved import rod
from graspnext.world.parts.shapes import Solid, circles, cuboid, ellipsoid, sphere_grid, star, sweep, turn
from graspnext.world.parts.solid import Stuff, part_of
from graspnext.world.scene import Part


def _soft(*, rng: np.random.Generator) -> tuple[str, float]:
    """A finish for toys and its porosity."""
    finish = ("plastic", "gloss", "rubber", "cloth")[int(rng.choice(4, p=[0.3, 0.25, 0.2, 0.25]))]
    return finish, between(0.3, 0.7, rng=rng) if finish == "cloth" else 0.0


def _skin(color: Color, *, rng: np.random.Generator) -> UInt8Array:
    """Plain, mottled, spotted or striped skin of one colour."""
    kind = rng.random()
    if kind < 0.45:
        return speckle(color, (64, 128), between(0, 0.9, rng=rng), rng=rng)
    picture = np.broadcast_to(np.array(color, dtype=np.uint8), (64, 128, 3)).copy()
    other = contrasting(color, rng=rng)
    if kind < 0.6:
        picture[noise((64, 128), int(rng.integers(5, 14)), rng=rng) > 0.62] = other
    elif kind < 0.75:
        period = int(rng.integers(6, 22))
        picture[np.arange(64) % period < period // 2] = other
    elif kind < 0.88:
        picture[: int(rng.integers(16, 48))] = other
    else:
        picture = printed(sample_scheme(rng=rng), (64, 128), aspect=2.0, rng=rng)
    return picture


def blob(name: str, rng: np.random.Generator) -> Part:
    """A rounded body: a superquadric with bumps, from pebble and fruit to bar of soap and plush."""
    directions, sphere = sphere_grid(16, 26)
    size = np.array([size_between(0.02, 0.065, rng=rng) for _ in range(3)])
    size = np.clip(size, size.max() * 0.35, None)
    power = between(1.4, 5.0, rng=rng)
    radius = (np.abs(directions / size) ** power).sum(axis=1) ** (-1 / power)  # superquadric, seen from its middle
    bumps = np.zeros(len(directions))
    for _ in range(int(rng.integers(0, 7))):
        axis = rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        bumps += between(-0.2, 0.4, rng=rng) * np.exp((directions @ axis - 1) * between(2, 9, rng=rng))
    solid = star(radius * np.clip(1 + bumps, 0.6, 1.8), directions, sphere)
    finish, porosity = _soft(rng=rng)
    material = sample_material(finish, texture=_skin(sample_color(rng=rng), rng=rng), rng=rng)
    stuff = Stuff(material, between(100, 1200, rng=rng), between(0.35, 0.8, rng=rng), porosity)
    return part_of(name, "blob", solid, stuff)


def toy(name: str, rng: np.random.Generator) -> Part:
    """An animal-like figure: body, head, limbs, ears or tail, of two or three colours."""
    body = np.array([between(0.02, 0.05, rng=rng), between(0.014, 0.032, rng=rng), between(0.014, 0.034, rng=rng)])
    palette = [sample_color(rng=rng) for _ in range(2)]
    atlas = make_atlas([_skin(palette[0], rng=rng), palette[1], contrasting(palette[0], rng=rng)])
    head = body.mean() * between(0.55, 1.0, rng=rng) * rng.uniform(0.8, 1.15, 3)
    neck = np.array([body[0] * between(0.7, 1.1, rng=rng), 0, body[2] * between(0.4, 1.3, rng=rng)])
    members = [ellipsoid(body).painted(atlas.cells[0])]
    members.append(ellipsoid(head).painted(atlas.cells[int(rng.integers(2))]).moved(neck))
    snout = neck + np.array([head[0] * 0.8, 0, -0.1 * head[2]])
    members.append(ellipsoid(head * rng.uniform(0.3, 0.6, 3), rows=8, columns=10).painted(atlas.cells[1]).moved(snout))
    limb = float(body.min() * between(0.25, 0.45, rng=rng))
    long = limb * between(1.2, 3.5, rng=rng)
    for x in (-0.55, 0.55):
        for y in (-0.6, 0.6):
            at = (x * body[0], y * body[1], -0.55 * body[2] - 0.3 * long)
            lean = turn(1, between(-0.5, 0.5, rng=rng))
            limb_cell = atlas.cells[0 if chance(0.5, rng=rng) else 1]
            members.append(
                ellipsoid((limb, limb, long), rows=8, columns=10).painted(limb_cell).moved((0, 0, 0), lean).moved(at)
            )
    for y in (-0.6, 0.6):
        ear = ellipsoid(head * np.array([0.2, 0.3, between(0.3, 0.8, rng=rng)]), rows=6, columns=8)
        members.append(ear.painted(atlas.cells[2]).moved(neck + np.array([0, y * head[1], 0.85 * head[2]])))
    if chance(0.6, rng=rng):
        members.append(_tail(body, rng=rng).painted(atlas.cells[int(rng.integers(3))]))
    solid = join(members)
    finish, porosity = _soft(rng=rng)
    material = sample_material(finish, texture=atlas.texture, rng=rng)
    stuff = Stuff(material, between(100, 1100, rng=rng), between(0.35, 0.8, rng=rng), porosity)
    return part_of(name, "toy", solid, stuff)


def _tail(body: Float64Array, *, rng: np.random.Generator) -> Solid:
    t = np.linspace(0, 1, 8)
    length, rise = body[0] * between(0.6, 1.8, rng=rng), between(-0.3, 1.0, rng=rng)
    path = np.stack([-0.8 * body[0] - length * t, 0.2 * length * np.sin(3 * t), rise * length * t**2], axis=1)
    return sweep(path, circles(body.min() * np.linspace(0.28, 0.12, 8), 8), pieces=3)


def curved(name: str, rng: np.random.Generator) -> Part:
    """A bent, tapering body: banana, sausage, hook, cable end, elbow."""
    t = np.linspace(0, 1, 15)
    length, bend = size_between(0.06, 0.2, rng=rng), between(0.2, 3.0, rng=rng)
    heading = (t - 0.5) * bend
    twist = between(-0.6, 0.6, rng=rng) * t * chance(0.4, rng=rng)
    steps = np.stack([np.cos(heading) * np.cos(twist), np.sin(heading), np.sin(twist)], axis=1) * length / 14
    path = np.cumsum(steps, axis=0) - steps.sum(axis=0) / 2
    thick = float(np.clip(length * between(0.06, 0.16, rng=rng), 0.006, 0.022))
    thick = min(thick, 0.7 * length / max(bend, 0.5))
    profile = np.clip(1 - np.abs(2 * t - 1) ** between(2, 8, rng=rng), 0.03, None) ** between(0.3, 0.6, rng=rng)
    sections = circles(thick * np.clip(profile, 0.15, None), 14, flatness=between(0.6, 1.0, rng=rng))
    solid = sweep(path, sections, pieces=6)
    finish, porosity = _soft(rng=rng)
    material = sample_material(finish, texture=_skin(sample_color(rng=rng), rng=rng), rng=rng)
    stuff = Stuff(material, between(300, 1200, rng=rng), between(0.35, 0.7, rng=rng), porosity)
    return part_of(name, "curved", solid, stuff)


def _handle(length: float, thick: float, *, rng: np.random.Generator) -> Solid:
    """A grip along x from 0 to `length`, waisted and slightly flat."""
    t = np.linspace(0, 1, 10)
    wave = 1 + between(0, 0.25, rng=rng) * np.cos(2 * np.pi * t * between(0.5, 1.6, rng=rng))
    wave[[0, -1]] *= 0.75
    path = np.zeros((10, 3))
    path[:, 0] = t * length
    return sweep(path, circles(thick * wave, 12, flatness=between(0.6, 1.0, rng=rng)), pieces=3)


def tool(name: str, rng: np.random.Generator) -> Part:
    """A handle with a head: hammer, driver, spoon, scraper, brush, spanner."""
    grip, thick = between(0.06, 0.13, rng=rng), between(0.006, 0.014, rng=rng)
    shank = between(0.02, 0.07, rng=rng)
    color, dark = sample_color(rng=rng), (int(rng.integers(20, 60)),) * 3
    metal = (int(rng.integers(130, 210)),) * 3
    atlas = make_atlas([color, metal, dark if chance(0.5, rng=rng) else sample_color(rng=rng)])
    rail = rod(thick * between(0.3, 0.6, rng=rng), shank + 0.01, 12).moved((0, 0, 0), turn(1, np.pi / 2))
    members = [
        _handle(grip, thick, rng=rng).painted(atlas.cells[0]),
        rail.moved((grip + shank / 2, 0, 0)).painted(atlas.cells[1]),
    ]
    end, kind = grip + shank, int(rng.integers(5))
    if kind == 0:  # hammer
        size = (between(0.015, 0.03, rng=rng), between(0.05, 0.1, rng=rng), between(0.015, 0.028, rng=rng))
        head = cuboid(size) if chance(0.5, rng=rng) else rod(size[0] / 2, size[1]).moved((0, 0, 0), turn(0, np.pi / 2))
    elif kind == 1:  # spoon or brush
        head = ellipsoid((between(0.02, 0.04, rng=rng), between(0.012, 0.028, rng=rng), between(0.004, 0.014, rng=rng)))
    elif kind == 2:  # scraper
        head = cuboid((between(0.03, 0.07, rng=rng), between(0.02, 0.07, rng=rng), between(0.002, 0.005, rng=rng)))
    elif kind == 3:  # open spanner
        r = between(0.012, 0.024, rng=rng)
        head = cut(rod(r, 0.5 * r), [cuboid((2 * r, 0.8 * r, 2 * r)).moved((r * 0.9, 0, 0))])
    else:  # torch or driver with a bulb
        head = rod(between(0.01, 0.024, rng=rng), between(0.02, 0.05, rng=rng)).moved((0, 0, 0), turn(1, np.pi / 2))
    members.append(head.painted(atlas.cells[2 if chance(0.5, rng=rng) else 1]).moved((end, 0, 0)))
    solid = join(members)
    material = sample_material("plastic" if chance(0.7, rng=rng) else "gloss", texture=atlas.texture, rng=rng)
    return part_of(name, "tool", solid, Stuff(material, between(900, 3500, rng=rng), between(0.3, 0.6, rng=rng)))


def clamp(name: str, rng: np.random.Generator) -> Part:
    """Two crossing arms on a pin: spring clamps, pliers, scissors."""
    length, thick = between(0.08, 0.18, rng=rng), between(0.005, 0.011, rng=rng)
    opening, bow = between(0.1, 0.35, rng=rng), between(0.0, 0.35, rng=rng)
    color = sample_color(rng=rng) if chance(0.5, rng=rng) else (int(rng.integers(18, 70)),) * 3
    tip = sample_color(rng=rng) if chance(0.6, rng=rng) else color
    atlas = make_atlas([color, tip, (int(rng.integers(130, 210)),) * 3])
    t = np.linspace(-1, 1, 13)
    members: list[Solid] = []
    middle = np.array([((c[0] + c[2]) / 2, (c[1] + c[3]) / 2) for c in atlas.cells])
    for side in (-1, 1):
        y = side * length / 2 * (opening * t + bow * np.where(t > 0, np.sin(np.pi * t), 0.4 * np.sin(np.pi * t)))
        path = np.stack([t * length / 2, y, np.full(13, side * 0.35 * thick)], axis=1)
        width = thick * (0.75 + 0.25 * np.cos(t * 1.5))
        arm = sweep(path, circles(width, 10, flatness=0.8), pieces=5)
        uv = np.where(arm.vertices[:, :1] > 0.42 * length, middle[1], middle[0])
        members.append(Solid(arm.vertices, arm.faces, uv, arm.hulls))
    members.append(rod(1.3 * thick, 2.6 * thick, 16).painted(atlas.cells[2]))
    material = sample_material("plastic" if chance(0.6, rng=rng) else "rubber", texture=atlas.texture, rng=rng)
    stuff = Stuff(material, between(1000, 3500, rng=rng), between(0.3, 0.6, rng=rng))
    return part_of(name, "clamp", join(members), stuff)


def car(name: str, rng: np.random.Generator) -> Part:
    """A toy car, van or truck: body, cabin with windows, four wheels."""
    length = size_between(0.06, 0.14, rng=rng)
    width, body_h = length * between(0.4, 0.5, rng=rng), length * between(0.13, 0.2, rng=rng)
    paint, glass, tyre = sample_color(rng=rng), (28, 34, 44), (24, 24, 26)
    atlas = make_atlas([paint, glass, tyre, sample_color(rng=rng)])
    radius = length * between(0.085, 0.12, rng=rng)
    cabin_l, cabin_h = length * between(0.3, 0.6, rng=rng), length * between(0.12, 0.22, rng=rng)
    cabin = _tapered((cabin_l, 0.88 * width, cabin_h), between(0.55, 0.9, rng=rng))
    x = length * between(-0.15, 0.08, rng=rng)
    roof = cuboid((cabin_l * 0.6, 0.7 * width, 0.004)).moved((x, 0, body_h / 2 + cabin_h))
    members = [
        _tapered((length, width, body_h), between(0.88, 0.98, rng=rng)).painted(atlas.cells[0]),
        cabin.painted(atlas.cells[1]).moved((x, 0, body_h / 2 + cabin_h / 2 - 0.001)),
        roof.painted(atlas.cells[0]),
    ]
    wheel = rod(radius, 0.16 * width, 18).moved((0, 0, 0), turn(0, np.pi / 2)).painted(atlas.cells[2])
    for a in (-0.3, 0.3):
        members += [wheel.moved((a * length, side * 0.47 * width, -0.4 * body_h)) for side in (-1, 1)]
    if chance(0.4, rng=rng):
        members.append(
            cuboid((0.08 * length, 0.9 * width, 0.25 * body_h)).painted(atlas.cells[3]).moved((0.48 * length, 0, 0))
        )
    material = sample_material("gloss" if chance(0.7, rng=rng) else "plastic", texture=atlas.texture, rng=rng)
    stuff = Stuff(material, between(700, 2500, rng=rng), between(0.3, 0.5, rng=rng))
    return part_of(name, "car", join(members), stuff)


def _tapered(size: tuple[float, float, float], top: float) -> Solid:
    """A box whose top face is smaller by the factor `top`."""
    box = cuboid(size)

    def shrink(points: Float64Array) -> Float64Array:
        factor = np.where(points[:, 2] > 0, top, 1.0)[:, None]
        return np.asarray(points * np.concatenate([factor, factor, np.ones_like(factor)], axis=1))

    return Solid(shrink(box.vertices), box.faces, box.uv, tuple(shrink(hull) for hull in box.hulls))
