"""What machines are built of: bearings, hose fittings, die-cast housings, valves, shafts, springs."""

from __future__ import annotations

import numpy as np

from graspnext.types import Float64Array
from graspnext.world.looks.appearance import METALS, Color, sample_color
from graspnext.world.looks.marks import part_number, paste_text
from graspnext.world.looks.skins import Skin, brushed_skin, cast_skin, make_skin_atlas, skin_of
from graspnext.world.looks.wear import dusty, scratched
from graspnext.world.parts.draws import between, chance, size_between
from graspnext.world.parts.joining import cut, join
from graspnext.world.parts.revolved import rod
from graspnext.world.parts.shapes import Cell, Solid, circles, cuboid, ellipsoid, extrude, revolve, sweep, turn
from graspnext.world.parts.solid import Stuff, part_of
from graspnext.world.scene import Part

STEEL: Color = (206, 208, 210)
_ALONG_X = turn(1, np.pi / 2)
_PAINTS: tuple[Color, ...] = (
    (30, 70, 140), (168, 30, 30), (92, 98, 104), (38, 96, 62), (214, 150, 30), (206, 206, 200), (40, 42, 46)
)  # fmt: skip


def etched(color: Color, texts: int, *, rng: np.random.Generator) -> Skin:
    """A band of bright metal with part numbers burnt in by a laser."""
    skin = brushed_skin(color, (32, 256), rng=rng)
    label = part_number(rng=rng)
    for i in range(texts):
        paste_text(skin.color, label, (int(256 * i / texts) + 8, 8), 17, (58, 52, 50))
    return skin


def _tube(inner: float, outer: float, low: float, high: float, wedges: int = 8) -> tuple[Float64Array, ...]:
    """Convex pieces of a pipe around z, their outline drawn around the circle so that they cover any polygon in it."""
    outer = outer / np.cos(np.pi / 24)
    return revolve(
        np.array([[inner, low], [outer, low], [outer, high], [inner, high]]), segments=24, wedges=wedges
    ).hulls


def _hexagon(across: float, height: float, bore: float = 0.0) -> Solid:
    """A hexagonal prism around z, `across` flats, with a round hole."""
    angle = np.pi / 3 * np.arange(6)
    outer = across / np.sqrt(3) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if not bore:
        return extrude([outer], height)
    round_ = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    made = extrude([outer, (bore * np.stack([np.cos(round_), np.sin(round_)], axis=1))[::-1]], height)
    inner = bore * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    sectors = [np.concatenate([c[[k, (k + 1) % 6]] for c in (outer, inner)]) for k in range(6)]
    ends = (-height / 2, height / 2)
    hulls = tuple(np.concatenate([np.column_stack([flat, np.full(4, z)]) for z in ends]) for flat in sectors)
    return Solid(made.vertices, made.faces, made.uv, hulls)


def bearing(name: str, rng: np.random.Generator) -> Part:
    """A ball bearing: two ground rings, and between them bare balls, a rubber seal or a steel shield."""
    outer = size_between(0.012, 0.045, rng=rng)
    bore = outer * between(0.38, 0.58, rng=rng)
    half = outer * between(0.14, 0.22, rng=rng)
    gap = outer - bore
    lips = bore + 0.3 * gap, outer - 0.27 * gap  # outside of the inner ring, inside of the outer one
    bevel = 0.05 * gap
    open_balls = chance(0.4, rng=rng)
    rubber: Color = ((24, 24, 26), (26, 26, 28), (120, 40, 24), (30, 50, 110))[int(rng.integers(4))]
    ring = scratched(brushed_skin(STEEL, (48, 256), rng=rng), int(rng.integers(0, 8)), rng=rng)
    if open_balls:
        between_rings = skin_of((230, 231, 233), rough=0.4)
    elif chance(0.65, rng=rng):
        between_rings = skin_of(rubber, (24, 256), rough=1.0, metal=0.0)
        paste_text(between_rings.color, part_number(rng=rng), (20, 4), 14, (150, 150, 150))
    else:
        between_rings = brushed_skin((168, 168, 166), (24, 256), rng=rng)
    atlas = make_skin_atlas([ring, etched(STEEL, 3, rng=rng), between_rings], 256)
    side, face, middle = atlas.cells
    profiles = []
    for low, high in ((bore, lips[0]), (lips[1], outer)):
        profiles.append(
            np.array([[low + bevel, -half], [high - bevel, -half], [high, bevel - half], [high, half - bevel],
                      [high - bevel, half], [low + bevel, half], [low, half - bevel], [low, bevel - half]])
        )  # fmt: skip
    cells: list[Cell] = [face, side, side, side, face, side, side, side]
    members = [revolve(profile, segments=30, cells=cells) for profile in profiles]
    if open_balls:
        count, radius = int(rng.integers(7, 10)), min(0.29 * gap, 0.95 * half)
        place = (lips[0] + lips[1]) / 2
        for a in 2 * np.pi * np.arange(count) / count:
            ball = ellipsoid((radius,) * 3, rows=6, columns=9).painted(middle)
            members.append(ball.moved((place * np.cos(a), place * np.sin(a), 0)))
    else:
        dip = half * between(0.75, 0.95, rng=rng)
        seal = np.array(
            [[lips[0] - bevel, -dip], [lips[1] + bevel, -dip], [lips[1] + bevel, dip], [lips[0] - bevel, dip]]
        )
        members.append(revolve(seal, segments=30, cells=[middle] * 4))
    made = join(members)
    solid = Solid(made.vertices, made.faces, made.uv, _tube(bore, outer, -half, half, 12))
    material = atlas.material("polished", rng=rng)
    return part_of(name, "bearing", solid, Stuff(material, between(6800, 7800, rng=rng), between(0.15, 0.25, rng=rng)))


def fitting(name: str, rng: np.random.Generator) -> Part:
    """A hose fitting: barbs on one side, a hexagon, a thread on the other; bored through; straight or at an angle."""
    r = size_between(0.004, 0.011, rng=rng)
    bore = r * between(0.45, 0.62, rng=rng)
    barbs, hex_h, thread_l = int(rng.integers(3, 6)), r * between(0.8, 1.3, rng=rng), r * between(1.6, 2.6, rng=rng)
    pitch = r * between(0.75, 1.0, rng=rng)
    angle = np.pi / 2 if chance(0.3, rng=rng) else 0.0
    barb = [(bore, 0.0), (0.88 * r, 0.0)]
    for i in range(barbs):
        z = 0.6 * r + i * pitch
        barb += [(0.82 * r, z), (1.06 * r, z + 0.02 * r)] if i == 0 else [(0.86 * r, z - 0.03 * r), (1.06 * r, z)]
        barb.append((0.86 * r, z + 0.92 * pitch))
    top = 0.6 * r + barbs * pitch
    barb += [(0.86 * r, top), (bore, top)]
    turns, R = int(rng.integers(6, 9)), r * between(1.0, 1.35, rng=rng)
    thread = [(bore, 0.0)]
    for i in range(turns):
        step = thread_l / turns
        thread += [(0.88 * R, i * step), (R, (i + 0.5) * step)]
    thread += [(0.88 * R, thread_l), (bore, thread_l)]
    flats = 2.4 * max(r, R)
    hexagon = _hexagon(flats, hex_h, bore)
    barb_solid = revolve(np.array(barb), segments=20)
    barb_solid = Solid(barb_solid.vertices, barb_solid.faces, barb_solid.uv, _tube(bore, 1.06 * r, 0, top))
    thread_solid = revolve(np.array(thread), segments=20)
    thread_solid = Solid(thread_solid.vertices, thread_solid.faces, thread_solid.uv, _tube(bore, R, 0, thread_l))
    plastic = chance(0.3, rng=rng)
    color = sample_color(rng=rng) if plastic else ((206, 172, 98), STEEL, (214, 214, 212))[int(rng.integers(3))]
    finish = "plastic" if plastic else "polished"
    atlas = make_skin_atlas([cast_skin(color, rng=rng) if plastic else brushed_skin(color, rng=rng)])
    lower = thread_solid.moved((0, 0, 0), turn(0, np.pi)).moved((0, 0, -hex_h / 2 + 0.02 * r))
    if angle:  # an elbow: the barb leaves a block sideways
        block = cut(
            cuboid((flats, flats, 1.3 * flats)).moved((0, 0, 0.4 * flats)),
            [
                rod(bore, 2 * flats).moved((0, 0, -0.6 * flats)),
                rod(bore, flats).moved((0, 0, 0), _ALONG_X).moved((0.5 * flats, 0, 0.5 * flats)),
            ],
        )
        members = [
            block,
            barb_solid.moved((0, 0, 0), turn(1, -np.pi / 2)).moved((flats / 2 + top - 0.02 * r, 0, 0.5 * flats)),
            lower,
        ]
        members[2] = members[2].moved((0, 0, -0.25 * flats + hex_h / 2))
    else:
        barb_up = barb_solid.moved((0, 0, 0), turn(0, np.pi)).moved((0, 0, top + hex_h / 2 - 0.02 * r))
        members = [hexagon, barb_up, lower]
    solid = join(members).painted(atlas.cells[0])
    density = between(1000, 1400, rng=rng) if plastic else between(7500, 8500, rng=rng)
    return part_of(name, "fitting", solid, Stuff(atlas.material(finish, rng=rng), density, between(0.2, 0.4, rng=rng)))


def housing(name: str, rng: np.random.Generator) -> Part:
    """A die-cast housing: an open box with screw bosses in its corners, ribs inside, cooling fins or lugs outside."""
    x, y = size_between(0.05, 0.13, rng=rng), size_between(0.04, 0.09, rng=rng)
    z, wall = between(0.018, 0.045, rng=rng), between(0.0025, 0.004, rng=rng)
    pieces = [cuboid((x, y, wall)).moved((0, 0, wall / 2))]
    for s in (-1, 1):
        pieces.append(cuboid((wall, y, z)).moved((s * (x - wall) / 2, 0, z / 2)))
        pieces.append(cuboid((x, wall, z)).moved((0, s * (y - wall) / 2, z / 2)))
    boss = between(0.0035, 0.005, rng=rng)
    drills: list[Solid] = []
    for sx in (-1, 1):
        for sy in (-1, 1):
            at = (sx * (x / 2 - wall - 0.6 * boss), sy * (y / 2 - wall - 0.6 * boss))
            pieces.append(rod(boss, 0.96 * z, 12).moved((*at, 0.48 * z)))
            drills.append(rod(0.5 * boss, 0.6 * z, 8).moved((*at, 0.8 * z)))
    for place in (np.arange(int(rng.integers(1, 4))) + 1) / 4 - 0.5:  # ribs across the floor
        pieces.append(cuboid((0.6 * wall, y - wall, between(0.25, 0.6, rng=rng) * z)).moved((place * x, 0, 0.3 * z)))
    if chance(0.5, rng=rng):  # cooling fins under the floor
        for place in np.linspace(-0.44, 0.44, int(rng.integers(4, 9))):
            pieces.append(cuboid((0.6 * wall, 0.92 * y, 0.007)).moved((place * x, 0, -0.0028)))
    if chance(0.6, rng=rng):  # lugs to screw it down by
        for s in (-1, 1):
            pieces.append(cuboid((0.018, 0.4 * y, wall)).moved((s * (x / 2 + 0.006), 0, wall / 2)))
            drills.append(rod(0.0028, 4 * wall, 10).moved((s * (x / 2 + 0.009), 0, 0)))
    painted = chance(0.35, rng=rng)
    color = (
        _PAINTS[int(rng.integers(len(_PAINTS)))]
        if painted
        else ((206, 206, 204), (188, 190, 192))[int(rng.integers(2))]
    )
    skin = cast_skin(color, (128, 128), metal=0.0 if painted else 0.6, rng=rng)
    skin = dusty(scratched(skin, int(rng.integers(0, 10)), rng=rng), between(0, 0.6, rng=rng), rng=rng)
    atlas = make_skin_atlas([skin])
    solid = cut(join(pieces), drills).painted(atlas.cells[0])
    stuff = Stuff(atlas.material("cast", rng=rng), between(2600, 2800, rng=rng), between(0.3, 0.45, rng=rng))
    return part_of(name, "housing", solid, stuff)


def valve(name: str, rng: np.random.Generator) -> Part:
    """A valve or small pump: a bored body between two flanges or hexagons, a bonnet, and a wheel or lever on top."""
    r = size_between(0.008, 0.02, rng=rng)
    length, bore = r * between(3.6, 5.0, rng=rng), 0.6 * r
    color = _PAINTS[int(rng.integers(len(_PAINTS)))]
    metal = chance(0.4, rng=rng)
    if metal:
        color = METALS[int(rng.integers(len(METALS)))]
    grip: Color = ((178, 24, 28), (20, 60, 140), (30, 30, 32), (220, 170, 20))[int(rng.integers(4))]
    body_skin = dusty(cast_skin(color, metal=0.7 if metal else 0.0, rng=rng), between(0, 0.5, rng=rng), rng=rng)
    atlas = make_skin_atlas([body_skin, skin_of(grip, metal=0.0, rough=0.6), brushed_skin(STEEL, rng=rng)])
    pipe = revolve(
        np.array([[bore, -length / 2], [r, -length / 2], [r, length / 2], [bore, length / 2]]), segments=24, wedges=8
    )
    members = [pipe.painted(atlas.cells[0]).moved((0, 0, 0), _ALONG_X)]
    flanged = chance(0.5, rng=rng)
    for s in (-1, 1):
        if flanged:
            plate = cut(rod(1.9 * r, 0.4 * r, 28), [rod(bore, r, 24)], hulls=_tube(bore, 1.9 * r, -0.2 * r, 0.2 * r))
            holes = [
                rod(0.22 * r, r, 8).moved((1.45 * r * np.cos(a), 1.45 * r * np.sin(a), 0))
                for a in np.pi / 4 + np.pi / 2 * np.arange(4)
            ]
            end = cut(plate, holes)
        else:
            end = _hexagon(2.5 * r, 0.9 * r, bore)
        members.append(end.painted(atlas.cells[0]).moved((0, 0, 0), _ALONG_X).moved((s * (length / 2 - 0.2 * r), 0, 0)))
    drill = rod(bore, 4 * r, 24).moved((0, 0, 0), _ALONG_X)
    steps = _tube(bore, 1.45 * r, -0.6 * r, 0.6 * r, 6) + _tube(bore, 1.32 * r, -1.05 * r, 1.05 * r, 6)
    around = tuple(hull @ _ALONG_X.T for hull in steps)
    collar = cut(ellipsoid((1.45 * r,) * 3, rows=10, columns=16), [drill], hulls=around)
    members.append(collar.painted(atlas.cells[0]))
    neck = between(1.9, 2.6, rng=rng) * r
    above = rod(0.75 * r, neck - bore, 16).moved((0, 0, (neck + bore) / 2)).hulls  # the bore stays free
    bonnet = cut(rod(0.75 * r, neck, 16).moved((0, 0, neck / 2)), [drill], hulls=above)
    members.append(bonnet.painted(atlas.cells[0]))
    members.append(_hexagon(1.8 * r, 0.6 * r).painted(atlas.cells[2]).moved((0, 0, 0.8 * neck)))
    members.append(rod(0.25 * r, 1.2 * r, 12).painted(atlas.cells[2]).moved((0, 0, neck + 0.5 * r)))
    top = neck + 1.0 * r
    if chance(0.55, rng=rng):  # hand wheel
        wheel, thick = 1.6 * r, 0.22 * r
        a = 2 * np.pi * np.arange(8) / 8
        rim = revolve(np.stack([wheel + thick * np.cos(a), thick * np.sin(a)], axis=1), segments=24, wedges=10)
        spokes = [
            cuboid((2 * wheel, 0.3 * r, 0.2 * r)).moved((0, 0, 0), turn(2, angle))
            for angle in (0, np.pi / 3, 2 * np.pi / 3)
        ]
        members += [piece.painted(atlas.cells[1]).moved((0, 0, top)) for piece in (rim, *spokes)]
    else:  # lever
        reach = between(2.2, 3.6, rng=rng) * r
        members.append(
            cuboid((reach, 0.7 * r, 0.22 * r)).painted(atlas.cells[1]).moved((0.5 * reach - 0.4 * r, 0, top))
        )
    solid = join(members)
    density = between(5000, 7600, rng=rng) if metal else between(2500, 6500, rng=rng)
    return part_of(name, "valve", solid, Stuff(atlas.material("cast", rng=rng), density, between(0.25, 0.4, rng=rng)))


def shaft(name: str, rng: np.random.Generator) -> Part:
    """A ground, stepped shaft with a keyway, sometimes with a groove for a clip and a pinion."""
    length = size_between(0.06, 0.2, rng=rng)
    widest = float(np.clip(length * between(0.06, 0.13, rng=rng), 0.005, 0.016))
    radius = widest * np.array([between(0.6, 0.8, rng=rng), 1.0, between(0.55, 0.85, rng=rng)])
    z = np.array([0, between(0.2, 0.35, rng=rng), between(0.6, 0.75, rng=rng), 1.0]) * length
    bevel = 0.12 * widest
    profile, hulls = [(0.0, 0.0)], []
    for i, r in enumerate(radius):
        profile += [(r - bevel, z[i]), (r, z[i] + bevel), (r, z[i + 1] - bevel), (r - bevel, z[i + 1])]
        hulls += list(rod(r, z[i + 1] - z[i], 14).moved((0, 0, (z[i] + z[i + 1]) / 2)).hulls)
    profile.append((0.0, length))
    ground = scratched(brushed_skin(STEEL, (96, 128), rng=rng), int(rng.integers(0, 8)), rng=rng)
    atlas = make_skin_atlas([ground, brushed_skin((120, 122, 124), rng=rng)])
    turned = revolve(np.array(profile), segments=28, cells=[atlas.cells[0]] * (len(profile) - 1))
    width, deep, long = 0.55 * radius[0], 0.35 * radius[0], 0.6 * z[1]
    key = cuboid((width, deep * 2, long - width)).moved((0, radius[0], 0.5 * z[1]))
    ends = [
        rod(width / 2, 2 * deep, 12)
        .moved((0, 0, 0), turn(0, np.pi / 2))
        .moved((0, radius[0], 0.5 * z[1] + s * (long - width) / 2))
        for s in (-1, 1)
    ]
    cutters = [key, *ends]
    if chance(0.6, rng=rng):
        groove = revolve(
            np.array(
                [
                    [0.85 * radius[2], 0],
                    [2 * radius[2], 0],
                    [2 * radius[2], 0.1 * widest],
                    [0.85 * radius[2], 0.1 * widest],
                ]
            ),
            segments=28,
        )
        cutters.append(groove.moved((0, 0, 0.94 * length)))
    solid = cut(turned, [c.painted(atlas.cells[1]) for c in cutters], hulls=hulls)
    stuff = Stuff(atlas.material("polished", rng=rng), 7850.0, between(0.15, 0.3, rng=rng))
    return part_of(name, "shaft", solid, stuff)


def spring(name: str, rng: np.random.Generator) -> Part:
    """A coil spring, close-wound or nearly so; hollow inside."""
    wire = size_between(0.0011, 0.003, rng=rng)
    R, turns = wire * between(3.2, 5.5, rng=rng), int(rng.integers(6, 10))
    pitch = 2 * wire * between(1.01, 1.05, rng=rng)
    end = 2 * np.pi * turns
    t = np.array([0, *np.linspace(0.03, end - 0.03, 14 * turns + 1), end])  # short steps: ends cut straight across
    path = np.stack([R * np.cos(t), R * np.sin(t), pitch * t / (2 * np.pi)], axis=1)
    coil = sweep(path, circles(np.full(len(t), wire), 8), pieces=1)
    height = float(path[-1, 2])
    color: Color = ((150, 152, 156), (196, 199, 202), (70, 70, 74), (200, 170, 90))[int(rng.integers(4))]
    atlas = make_skin_atlas([skin_of(color, (32, 64), rough=0.9)])
    hulls = []
    for share, sector in zip((np.arange(8) + 1) / 8, _tube(R - 0.94 * wire, R + 0.94 * wire, 0, 1), strict=True):
        # The wire's two ends make stairs of bottom and top: each sector reaches just as far as the wire does in it.
        low, high = pitch * (share - 1 / 8) - wire, height - pitch * (1 - share) + wire
        hulls.append(sector * (1, 1, high - low) + (0, 0, low))
    solid = Solid(coil.vertices, coil.faces, coil.uv, tuple(hulls)).painted(atlas.cells[0])
    stuff = Stuff(atlas.material("metal", rng=rng), 7850.0, between(0.2, 0.35, rng=rng))
    return part_of(name, "spring", solid, stuff)
