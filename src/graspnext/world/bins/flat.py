"""What parts lie on without walls: tables and conveyors."""

from __future__ import annotations

import numpy as np

from graspnext.types import UInt8Array
from graspnext.world.bins.assembly import Assembly, Box, worn
from graspnext.world.floors import sample_surface
from graspnext.world.looks.appearance import METALS, Color, brushed, sample_material, weave
from graspnext.world.parts.draws import between, chance
from graspnext.world.parts.shapes import cuboid, revolve, turn
from graspnext.world.scene import Container, Mesh


def table(rng: np.random.Generator) -> Container:
    """A slab with a margin around the area that things are put on."""
    length, width = between(0.3, 0.75, rng=rng), between(0.28, 0.55, rng=rng)
    width = min(width, length)
    margin, thick = between(0.06, 0.4, rng=rng), between(0.008, 0.05, rng=rng)
    half = np.array([length / 2 + margin, width / 2 + margin, thick / 2])
    box: Box = (half, np.array([0.0, 0.0, -thick / 2]))
    slab = cuboid(2 * half).moved(box[1])
    texture, finish = sample_surface(rng=rng)
    # Without texture coordinates the texture repeats by length.
    mesh = Mesh(slab.vertices.astype(np.float32), slab.faces)
    return Container("table", mesh, (box,), (length, width, 0.0), sample_material(finish, texture=texture, rng=rng))


def conveyor(rng: np.random.Generator) -> Container:
    """A stretch of belt or rollers between side rails, on legs; the belt may carry cleats."""
    length, width = between(0.4, 0.75, rng=rng), between(0.28, 0.5, rng=rng)
    reach = length / 2 + between(0.2, 0.6, rng=rng)
    rail, deep = between(0.01, 0.035, rng=rng), between(0.05, 0.12, rng=rng)
    proud = between(-0.004, 0.05, rng=rng)
    made = Assembly()
    rollers = chance(0.35, rng=rng)
    if rollers:
        _rollers(made, width, reach, deep, rng=rng)
    else:
        made.add((-reach, -width / 2, -0.025), (reach, width / 2, 0), 0)
    for s in (-1, 1):
        a, b = sorted((s * width / 2, s * (width / 2 + rail)))
        made.add((-reach, a, -deep), (reach, b, proud), 1)
    for x in (-0.8 * reach, 0.8 * reach):
        for s in (-1, 1):
            y = s * (width / 2 + rail / 2)
            made.add((x - 0.02, y - rail / 2.2, -deep - 0.6), (x + 0.02, y + rail / 2.2, -deep), 1)
        made.add((x - 0.015, -width / 2, -deep - 0.3), (x + 0.015, width / 2, -deep - 0.26), 1)
    cells: list[tuple[float, float, float, float]] = []
    if not rollers and chance(0.25, rng=rng):
        cells = _cleats(made, length, width, reach, rng=rng)
    belt = _belt(rng=rng)
    metal: Color = METALS[int(rng.integers(3))] if chance(0.6, rng=rng) else (40, 90, 150)
    entries: list[UInt8Array | Color] = [belt, worn(metal, (64, 192), between(0.1, 0.8, rng=rng), rng=rng)]
    entries.append(brushed((168, 170, 172), (64, 192), rng=rng) if rollers else belt[:32])
    finish = "metal" if rollers else "rubber" if chance(0.5, rng=rng) else "plastic"
    return made.container("conveyor", (length, width, 0.0), (finish, entries), cells=cells, rng=rng)


def _rollers(made: Assembly, width: float, reach: float, deep: float, *, rng: np.random.Generator) -> None:
    """Rollers across the track, close enough that what lies on them touches their tops; one slab for physics."""
    radius = between(0.009, 0.014, rng=rng)
    pitch = 2 * radius + between(0.002, 0.005, rng=rng)
    circle = np.array([[0.0, -width / 2], [radius, -width / 2], [radius, width / 2], [0.0, width / 2]])
    roller = revolve(circle, segments=12).moved(rotation=turn(0, np.pi / 2))
    for x in np.arange(-reach + radius, reach - radius, pitch):
        made.solids.append((roller.moved((x, 0, -radius)), 2))
    made.cover((-reach, -width / 2, -2 * radius), (reach, width / 2, 0))
    made.add((-reach, -width / 2, -deep), (reach, width / 2, -deep + 0.004), 1)


def _cleats(
    made: Assembly, length: float, width: float, reach: float, *, rng: np.random.Generator
) -> list[tuple[float, float, float, float]]:
    """Bars across the belt; returns the fields between them that lie on the inner area."""
    pitch, thick, tall = between(0.14, 0.3, rng=rng), between(0.004, 0.01, rng=rng), between(0.015, 0.05, rng=rng)
    places = np.arange(-reach + rng.uniform(0, pitch), reach - thick, pitch)
    for x in places:
        made.add((x, -width / 2, 0), (x + thick, width / 2, tall), 2)
    edges = [(float(x + thick), float(x + pitch)) for x in places]
    inside = [(max(a, -length / 2), min(b, length / 2)) for a, b in edges]
    return [(a, -width / 2, b, width / 2) for a, b in inside if b - a > 0.06]


def _belt(*, rng: np.random.Generator) -> UInt8Array:
    """A belt's face (192, 192, 3): plain, woven or with a rough-top pattern."""
    tones: tuple[Color, ...] = (
        (38, 40, 42),
        (30, 32, 34),
        (32, 92, 62),
        (44, 84, 150),
        (212, 214, 210),
        (96, 100, 104),
    )
    color = tones[int(rng.integers(len(tones)))]
    size = (192, 192)
    if chance(0.3, rng=rng):
        return weave(color, size, rng=rng)
    picture = worn(color, size, between(0.2, 1.0, rng=rng), rng=rng).astype(np.float64)
    if chance(0.5, rng=rng):
        y, x = np.mgrid[:192, :192]
        period = int(rng.choice([4, 6, 8, 12]))
        picture += (np.where((x // period + y // period) % 2 == 0, 6.0, -6.0))[..., None]
    # Wheels and parts have polished a track along the middle.
    across = np.exp(-((np.linspace(-1, 1, 192) / between(0.3, 0.7, rng=rng)) ** 4))
    picture += across[:, None, None] * between(-14, 14, rng=rng)
    return np.clip(picture, 0, 255).astype(np.uint8)
