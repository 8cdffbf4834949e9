"""Electrical and sealing parts: circuit boards, connectors, coils of cable, gaskets and seals."""

from __future__ import annotations

import numpy as np

from graspnext.types import Float64Array, UInt8Array
from graspnext.world.looks.appearance import Color, sample_color
from graspnext.world.looks.marks import font, part_number, paste_text
from graspnext.world.looks.skins import brushed_skin, cast_skin, make_skin_atlas, skin_of
from graspnext.world.looks.wear import dusty
from graspnext.world.parts.draws import between, chance, size_between
from graspnext.world.parts.joining import cut, join
from graspnext.world.parts.revolved import rod
from graspnext.world.parts.shapes import Solid, cuboid, extrude, revolve, turn
from graspnext.world.parts.solid import Stuff, part_of
from graspnext.world.scene import Part

_BOARDS: tuple[Color, ...] = ((16, 92, 52), (12, 74, 44), (18, 48, 110), (24, 24, 28), (140, 24, 28))
_RUBBERS: tuple[Color, ...] = ((26, 26, 28), (34, 34, 36), (84, 46, 30), (150, 40, 30), (40, 70, 50), (30, 50, 104))


def circuit_board(name: str, rng: np.random.Generator) -> Part:
    """An electronic board: tracks and pads, chips with their types, capacitors, a connector or two, corner holes."""
    x, y = size_between(0.045, 0.14, rng=rng), size_between(0.035, 0.1, rng=rng)
    thick = 0.0016
    picture, back = (_tracks(x / y, rng=rng) for _ in range(2))
    chip = skin_of((30, 30, 32), (48, 128), rough=1.0)
    paste_text(chip.color, part_number(rng=rng), (14, 4), 17, (150, 150, 146))
    paste_text(chip.color, part_number(rng=rng), (14, 25), 15, (130, 130, 126))
    plug: Color = ((232, 230, 222), (20, 20, 22), (26, 90, 44), (40, 70, 160))[int(rng.integers(4))]
    tin, can = (
        skin_of((196, 196, 190), rough=0.6),
        skin_of((26, 34, 60) if chance(0.5, rng=rng) else (20, 20, 22), rough=0.7),
    )
    atlas = make_skin_atlas([picture, back, chip, plug, tin, can], 256)
    top, under, dark, socket, metal, blue = atlas.cells
    board = cuboid((x, y, thick), [top, top, top, top, top, under])
    holes = [
        rod(0.0016, 0.02, 10).moved((sx * (x / 2 - 0.004), sy * (y / 2 - 0.004), 0)) for sx in (-1, 1) for sy in (-1, 1)
    ]
    members = [cut(board, holes)]
    columns, rows = max(2, int(x / 0.02)), max(2, int(y / 0.02))
    spots = [(i, j) for i in range(columns) for j in range(rows)]
    for index in rng.permutation(len(spots))[: max(3, int(0.6 * len(spots)))]:
        i, j = spots[int(index)]
        at = (((i + 0.5) / columns - 0.5) * 0.84 * x, ((j + 0.5) / rows - 0.5) * 0.8 * y)
        kind = int(rng.choice(4, p=[0.4, 0.25, 0.2, 0.15]))
        if kind == 0:  # chip
            w, h = between(0.005, 0.014, rng=rng), between(0.0012, 0.003, rng=rng)
            piece = cuboid((w, w * between(0.5, 1.0, rng=rng), h), [metal] * 4 + [dark] * 2).moved((0, 0, h / 2))
        elif kind == 1:  # capacitor
            r, h = between(0.0022, 0.005, rng=rng), between(0.005, 0.013, rng=rng)
            piece = revolve(np.array([[0, 0], [r, 0], [r, h], [0, h]]), segments=14, cells=[blue, blue, metal])
        elif kind == 2:  # coil or relay
            w, h = between(0.005, 0.011, rng=rng), between(0.003, 0.008, rng=rng)
            piece = cuboid((w, w, h), [socket] * 6).moved((0, 0, h / 2))
        else:  # small resistors in a row
            piece = join([cuboid((0.0016, 0.003, 0.0009), [metal] * 6).moved((k * 0.003, 0, 0.0004)) for k in range(3)])
        members.append(piece.moved((*at, thick / 2 - 1e-4)))
    for s in (-1, 1)[: int(rng.integers(1, 3))]:  # connectors at the ends
        w, h = between(0.3, 0.7, rng=rng) * y, between(0.006, 0.012, rng=rng)
        shell = cut(
            cuboid((0.01, w, h), [socket] * 6),
            [cuboid((0.008, 0.84 * w, 0.6 * h), [dark] * 6).moved((s * 0.004, 0, 0))],
            hulls=cuboid((0.01, w, h)).hulls,
        )
        members.append(shell.moved((s * (x / 2 - 0.003), 0, thick / 2 + h / 2 - 1e-4)))
    solid = join(members)
    stuff = Stuff(atlas.material("plastic", rng=rng), between(1700, 2300, rng=rng), between(0.25, 0.4, rng=rng))
    return part_of(name, "circuit_board", solid, stuff)


def _tracks(aspect: float, *, rng: np.random.Generator) -> UInt8Array:
    """A solder mask with tracks, pads, drilled holes and white lettering: (H, 256, 3)."""
    from PIL import Image, ImageDraw

    W, H = 256, int(np.clip(256 / aspect, 96, 256))
    color = _BOARDS[int(rng.choice(5, p=[0.45, 0.25, 0.12, 0.12, 0.06]))]
    lighter = (color[0] + 22, color[1] + 30, color[2] + 22)
    image = Image.new("RGB", (W, H), color)
    draw = ImageDraw.Draw(image)
    for _ in range(46):  # tracks: straight, then a bend of 45 degrees
        u, v = int(rng.integers(0, W)), int(rng.integers(0, H))
        a, b = int(rng.integers(10, 80)), int(rng.integers(-30, 31))
        points = [(u, v), (u + a, v), (u + a + abs(b), v + b), (u + 2 * a, v + b)]
        if rng.random() < 0.5:
            points = [(q, p) for p, q in points]
        draw.line([(int(p), int(q)) for p, q in points], fill=lighter, width=int(rng.integers(1, 4)))
    for _ in range(26):
        u, v, n = int(rng.integers(0, W)), int(rng.integers(0, H)), int(rng.integers(2, 9))
        for k in range(n):
            draw.ellipse((u + 6 * k, v, u + 6 * k + 3, v + 3), fill=(206, 190, 120))
    for _ in range(10):
        text = part_number(rng=rng)[: int(rng.integers(2, 6))]
        draw.text((int(rng.integers(0, W)), int(rng.integers(0, H))), text, fill=(226, 228, 226), font=font(9))
    draw.rectangle((2, 2, W - 3, H - 3), outline=(214, 216, 214))
    return np.asarray(image)


def cable(name: str, rng: np.random.Generator) -> Part:
    """A coil of cable held by ties, with a plug."""
    R, wire = size_between(0.03, 0.075, rng=rng), size_between(0.0022, 0.0045, rng=rng)
    jacket = (
        sample_color(rng=rng)
        if chance(0.5, rng=rng)
        else ((26, 26, 28), (225, 224, 220), (120, 122, 126))[int(rng.integers(3))]
    )
    tie: Color = (236, 236, 232) if chance(0.6, rng=rng) else (24, 24, 26)
    atlas = make_skin_atlas(
        [
            cast_skin(jacket, metal=0.0, rng=rng),
            skin_of(tie),
            skin_of((30, 30, 32)),
            brushed_skin((200, 190, 150), rng=rng),
        ]
    )
    a = 2 * np.pi * np.arange(6) / 6
    members: list[Solid] = []
    half = 2.04 * wire  # four turns, two by two
    for i in range(4):
        off = 1.02 * wire * np.array([2 * (i // 2) - 1, 2 * (i % 2) - 1])
        section = np.stack([R + off[0] + wire * np.cos(a), off[1] + wire * np.sin(a)], axis=1)
        loop = revolve(section, segments=24).moved((0, 0, 0), turn(2, float(rng.uniform(0, 6))))
        members.append(Solid(loop.vertices, loop.faces, loop.uv, ()).painted(atlas.cells[0]))
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half + np.array([R, 0])
    corners[1:3, 0] /= np.cos(np.pi / 24)  # each turn is a polygon of its own: these are drawn around all of them
    hulls = revolve(corners, segments=24, wedges=12).hulls
    for k in range(int(rng.integers(2, 4))):
        band = cuboid((2 * half + 0.001, 0.004, 2 * half + 0.001)).painted(atlas.cells[1])
        members.append(band.moved((R, 0, 0)).moved((0, 0, 0), turn(2, 2.1 * k + 0.4)))
    plug = [
        cuboid((4 * wire, 9 * wire, 3.4 * wire)).painted(atlas.cells[2]).moved((R + 1.5 * wire, 9 * wire, 0)),
        cuboid((2.6 * wire, 4 * wire, 1.6 * wire)).painted(atlas.cells[3]).moved((R + 1.5 * wire, 15 * wire, 0)),
    ]
    made = join([*members, *plug])
    pieces = hulls + tuple(h for piece in [*members, *plug] for h in piece.hulls)
    solid = Solid(made.vertices, made.faces, made.uv, pieces)
    stuff = Stuff(atlas.material("plastic", rng=rng), between(1400, 2600, rng=rng), between(0.4, 0.6, rng=rng))
    return part_of(name, "cable", solid, stuff)


def seal(name: str, rng: np.random.Generator) -> Part:
    """Rubber that seals: a flat gasket with lugs, a shaft seal with its lip, or an O-ring."""
    kind = int(rng.choice(3, p=[0.45, 0.35, 0.2]))
    color = _RUBBERS[int(rng.integers(len(_RUBBERS)))]
    skin = dusty(cast_skin(color, metal=0.0, rng=rng), between(0, 0.5, rng=rng), rng=rng)
    atlas = make_skin_atlas([skin, brushed_skin((170, 172, 174), rng=rng)])
    if kind == 0:
        solid = _gasket(rng=rng).painted(atlas.cells[0])
    elif kind == 1:
        r = size_between(0.012, 0.04, rng=rng)
        bore, h = r * between(0.55, 0.72, rng=rng), r * between(0.2, 0.4, rng=rng)
        wall = 0.12 * (r - bore)
        profile = np.array([[bore + wall, 0], [r, 0], [r, h], [r - 2 * wall, h], [r - 3 * wall, 0.35 * h],
                            [bore + 3 * wall, 0.35 * h], [bore + 2 * wall, 0.9 * h], [bore, 0.8 * h]])  # fmt: skip
        made = revolve(profile, segments=36, cells=[atlas.cells[0]] * 8)
        hulls = revolve(np.array([[bore, 0], [r, 0], [r, h], [bore, h]]), segments=36, wedges=12).hulls
        solid = Solid(made.vertices, made.faces, made.uv, hulls)
    else:
        r, t = size_between(0.012, 0.05, rng=rng), between(0.0012, 0.0035, rng=rng)
        a = 2 * np.pi * np.arange(12) / 12
        solid = revolve(np.stack([r + t * np.cos(a), t * np.sin(a)], axis=1), segments=36, wedges=16).painted(
            atlas.cells[0]
        )
    stuff = Stuff(atlas.material("rubber", rng=rng), between(1100, 1500, rng=rng), between(0.7, 0.95, rng=rng))
    return part_of(name, "seal", solid, stuff)


def _gasket(*, rng: np.random.Generator) -> Solid:
    """A flat gasket for a flange: a ring with lugs and bolt holes."""
    r, count = size_between(0.018, 0.05, rng=rng), int(rng.integers(2, 5))
    bore, t = r * between(0.6, 0.75, rng=rng), between(0.0015, 0.004, rng=rng)
    a = 2 * np.pi * np.arange(96) / 96
    phase = np.abs(((a * count / (2 * np.pi)) + 0.5) % 1 - 0.5) * 2 * np.pi / count  # angle to the next lug
    reach = r * (1 + between(0.22, 0.35, rng=rng) * np.exp(-((phase / 0.22) ** 2)))
    outline = np.stack([reach * np.cos(a), reach * np.sin(a)], axis=1)
    hole = np.stack([bore * np.cos(a[::2]), bore * np.sin(a[::2])], axis=1)
    plate = extrude([outline, hole[::-1]], t)
    lug = 1.08 * r
    angles = 2 * np.pi * np.arange(count) / count
    drills = [rod(0.1 * r, 3 * t, 12).moved((lug * np.cos(b), lug * np.sin(b), 0)) for b in angles]
    rim_r = r / np.cos(np.pi / 36)
    section = np.array([[bore, -t / 2], [rim_r, -t / 2], [rim_r, t / 2], [bore, t / 2]])
    ring = revolve(section, segments=36, wedges=12).hulls
    tabs: list[Float64Array] = []
    for b in angles:
        near = np.abs((a - b + np.pi) % (2 * np.pi) - np.pi) < 0.45
        flat = outline[near]
        inner = 0.92 * r * flat / np.linalg.norm(flat, axis=1, keepdims=True)
        rim = np.concatenate([flat, inner])
        tabs.append(np.concatenate([np.column_stack([rim, np.full(len(rim), z)]) for z in (-t / 2, t / 2)]))
    return cut(plate, drills, hulls=(*ring, *tabs))
