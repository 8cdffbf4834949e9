"""Printed packages and box-like goods: cartons, pouches, books, tiled cubes, squeeze tubes."""

from __future__ import annotations

import numpy as np

from graspnext.types import Float64Array, UInt8Array
from graspnext.world.looks.appearance import cardboard, make_atlas, noise, sample_color, sample_material, speckle
from graspnext.world.looks.marks import barcode_picture, pictogram, shipping_label
from graspnext.world.looks.prints import printed, sample_scheme, tiles
from graspnext.world.looks.wear import worn
from graspnext.world.parts.draws import between, chance, size_between
from graspnext.world.parts.shapes import Cell, Solid, cuboid, sweep
from graspnext.world.parts.solid import Stuff, part_of
from graspnext.world.scene import Part

_TILE_COLORS = ((190, 20, 30), (240, 240, 240), (250, 210, 20), (10, 140, 60), (20, 70, 180), (240, 110, 20))


def _six_faces(faces: list[UInt8Array]) -> tuple[UInt8Array, list[Cell]]:
    """Six square faces in one texture of 3 x 2, and their cells a pixel inside the borders."""
    side = faces[0].shape[0]
    rows = [np.concatenate(faces[3 * row : 3 * row + 3], axis=1) for row in range(2)]
    texture = np.concatenate(rows)
    u, v = 1 / (3 * side), 1 / (2 * side)
    cells = [
        (column / 3 + u, 1 - (row + 1) / 2 + v, (column + 1) / 3 - u, 1 - row / 2 - v)
        for row in range(2)
        for column in range(3)
    ]
    return texture, cells


def carton(name: str, rng: np.random.Generator) -> Part:
    """A printed folding box, from a matchbox to a parcel; some of plain brown board with a print."""
    size = np.array([size_between(0.025, 0.2, rng=rng) for _ in range(3)])
    size = np.clip(size, size.max() / 7, None)
    scheme, wear = sample_scheme(rng=rng), between(0, 0.7, rng=rng) ** 2
    faces: list[UInt8Array] = []
    for axis in range(3):
        across, up = ((1, 2), (0, 2), (0, 1))[axis]
        aspect = float(size[across] / size[up])
        faces += [printed(scheme, (144, 144), aspect=aspect, rng=rng) for _ in range(2)]
    texture, cells = _six_faces(worn(faces, wear, rng=rng))
    finish = "gloss" if chance(0.35, rng=rng) else "paper"
    material = sample_material(finish, texture=texture, rng=rng)
    stuff = Stuff(material, between(150, 800, rng=rng), between(0.3, 0.6, rng=rng), between(0, 0.08, rng=rng))
    return part_of(name, "carton", cuboid(size, cells), stuff)


def parcel(name: str, rng: np.random.Generator) -> Part:
    """A corrugated shipping box: flaps under tape, a carrier's label, handling signs, rubbed corners."""
    size = np.array(
        [size_between(0.09, 0.27, rng=rng), size_between(0.08, 0.2, rng=rng), size_between(0.05, 0.16, rng=rng)]
    )
    side = 160
    board = cardboard((side, side), rng=rng)
    tape = ((176, 128, 70), (196, 170, 120), (222, 218, 208))[int(rng.integers(3))]
    width = float(np.clip(0.05 / size[1], 0.12, 0.5))  # packing tape is 48 mm wide
    wear, faces = between(0.1, 0.9, rng=rng), []
    for face in range(6):
        picture = np.rot90(board, int(rng.integers(4))).copy()
        across, up = size[[1, 0, 0][face // 2]], size[[2, 2, 1][face // 2]]
        if face < 2:  # the tape's ends hang down over the short sides
            high, half = int(0.28 * side), int(width * side / 2)
            picture[:high, side // 2 - half : side // 2 + half] = tape
        if face >= 4:  # flaps meet in the middle, under tape along x
            half = int(width * side / 2)
            picture[side // 2 - half : side // 2 + half] = tape
            picture[side // 2 - 1 : side // 2 + 1] = np.array(tape) * 3 // 4
        _apply(picture, face, float(across / up), rng=rng)
        faces.append(picture)
    texture, cells = _six_faces(worn(faces, wear, rng=rng))
    material = sample_material("paper", texture=texture, rng=rng)
    stuff = Stuff(material, between(90, 420, rng=rng), between(0.35, 0.6, rng=rng), between(0.02, 0.12, rng=rng))
    return part_of(name, "parcel", cuboid(size, cells), stuff)


def _apply(picture: UInt8Array, face: int, aspect: float, *, rng: np.random.Generator) -> None:
    """Put label, signs and stamps onto one face (S, S, 3) of a parcel, undistorted at its real `aspect`."""
    from PIL import Image

    side = len(picture)

    def stick(print_: UInt8Array, share: float, at: tuple[float, float]) -> None:
        """A print whose height is `share` of the face's, its centre `at` (x, y) of it."""
        high = min(share, 0.85, 0.85 * aspect * print_.shape[0] / print_.shape[1])
        h = max(4, int(high * side))
        w = max(4, int(high * side * print_.shape[1] / print_.shape[0] / aspect))
        x, y = (int(np.clip(c * side - n / 2, 1, side - n - 1)) for c, n in zip(at, (w, h), strict=True))
        picture[y : y + h, x : x + w] = np.asarray(Image.fromarray(print_).resize((w, h), Image.Resampling.BOX))

    if face == 4 or (face < 4 and chance(0.2, rng=rng)):
        stick(
            shipping_label((176, 124), rng=rng),
            between(0.5, 0.8, rng=rng),
            (between(0.3, 0.7, rng=rng), between(0.35, 0.65, rng=rng)),
        )
    elif face < 4:
        for x in (0.14, 0.36)[: int(rng.integers(0, 3))]:
            stick(pictogram(64, rng=rng), 0.3, (x, 0.78))
        if chance(0.4, rng=rng):
            stick(barcode_picture(120, 48, rng=rng), 0.25, (0.76, 0.78))


def book(name: str, rng: np.random.Generator) -> Part:
    """A book or box of cards: printed covers, pale page edges on three sides."""
    long = size_between(0.08, 0.22, rng=rng)
    size = (long * between(0.6, 0.85, rng=rng), long, between(0.012, 0.045, rng=rng))
    scheme = sample_scheme(rng=rng)
    cover = [printed(scheme, (112, 112), aspect=size[0] / size[1], rng=rng) for _ in range(2)]
    pages = speckle((232, 226, 208), (112, 112), 0.2, rng=rng).astype(np.int64)
    pages += 14 * (np.arange(112) % 4 == 0)[:, None, None] - 10
    paper = np.clip(pages, 0, 255).astype(np.uint8)
    spine = printed(scheme, (112, 112), aspect=size[1] / size[2], rng=rng)
    texture, cells = _six_faces([paper, spine, paper, paper, *cover])
    material = sample_material("gloss" if chance(0.5, rng=rng) else "paper", texture=texture, rng=rng)
    stuff = Stuff(material, between(500, 850, rng=rng), between(0.3, 0.55, rng=rng), 0.02)
    return part_of(name, "book", cuboid(size, cells), stuff)


def tiled_cube(name: str, rng: np.random.Generator) -> Part:
    """A cube or block with coloured tiles, as puzzles and toy blocks have."""
    side = size_between(0.03, 0.075, rng=rng)
    counts = int(rng.integers(1, 6))
    size = np.full(3, side)
    if chance(0.25, rng=rng):
        size[2] *= between(0.4, 2.0, rng=rng)
    colors = _TILE_COLORS if chance(0.6, rng=rng) else tuple(sample_color(rng=rng) for _ in range(5))
    if counts == 1:  # one printed picture a face
        scheme = sample_scheme(rng=rng)
        faces = [printed(scheme, (72, 72), rng=rng) for _ in range(6)]
    else:
        faces = [tiles(colors, (counts, counts), 72, rng=rng) for _ in range(6)]
    texture, cells = _six_faces(faces)
    material = sample_material("plastic" if chance(0.6, rng=rng) else "gloss", texture=texture, rng=rng)
    stuff = Stuff(material, between(400, 900, rng=rng), between(0.35, 0.6, rng=rng), 0.02)
    return part_of(name, "tiled_cube", cuboid(size, cells), stuff)


def pouch(name: str, rng: np.random.Generator) -> Part:
    """A filled bag: pillow-like, creased, with flat seams; film, foil or mesh-like net."""
    length, thickness = size_between(0.07, 0.2, rng=rng), between(0.12, 0.35, rng=rng)
    size = np.array([length * between(0.5, 0.95, rng=rng), length])
    solid = pillow(size, thickness * float(size[0]), rng=rng)
    scheme = sample_scheme(rng=rng)
    prints = [printed(scheme, (120, 128), aspect=float(size[0] / size[1]), rng=rng) for _ in range(2)]
    atlas = make_atlas(prints)
    half = len(solid.uv) // 2
    uv = solid.uv.copy()
    for k, cell in enumerate(atlas.cells):
        block = slice(k * half, (k + 1) * half)
        low, high = np.array(cell[:2]), np.array(cell[2:])
        uv[block] = low + solid.uv[block] * (high - low)
    finish = ("gloss", "foil", "paper", "plastic")[int(rng.choice(4, p=[0.4, 0.2, 0.2, 0.2]))]
    material = sample_material(finish, texture=atlas.texture, rng=rng)
    stuff = Stuff(material, between(300, 900, rng=rng), between(0.3, 0.6, rng=rng), between(0, 0.15, rng=rng))
    return part_of(name, "pouch", Solid(solid.vertices, solid.faces, uv, solid.hulls), stuff)


def pillow(size: Float64Array, thickness: float, *, rng: np.random.Generator) -> Solid:
    """Two creased sheets that meet at their border; top vertices first, then as many for the bottom."""
    n = 15
    t = np.linspace(-1, 1, n)
    x, y = np.meshgrid(t, t)
    seam = 0.06 if chance(0.6, rng=rng) else 0.0
    body = np.clip(1 - (np.abs(y) / (1 - seam)) ** between(2.5, 5, rng=rng), 0, None)
    bulge = body ** between(0.45, 0.7, rng=rng) * np.clip(1 - np.abs(x) ** between(2.5, 5, rng=rng), 0, None) ** 0.55
    film = 0.0004 * ((np.abs(x) < 0.999) & (np.abs(y) < 0.999))
    sheets = []
    for _ in range(2):
        crease = 1 + between(0.05, 0.3, rng=rng) * (noise((n, n), 6, rng=rng) - 0.5)
        sheets.append(bulge * crease * thickness / 2 + film)
    waist = 1 - between(0, 0.12, rng=rng) * bulge  # filling pulls the sides in
    flat = np.stack([x * waist * size[0] / 2, y * (1 - 0.04 * bulge) * size[1] / 2], axis=-1)
    top = np.concatenate([flat, sheets[0][..., None]], axis=-1).reshape(-1, 3)
    bottom = np.concatenate([flat, -sheets[1][..., None]], axis=-1).reshape(-1, 3)
    index = np.arange(n * n).reshape(n, n)
    a, b, c, d = (q.ravel() for q in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    # Diagonals run away from the nearest corner: no triangle may have all its corners on the border,
    # where the sheets meet.
    near = np.arange(n - 1) < (n - 1) / 2
    straight = (near[:, None] == near[None, :]).ravel()[:, None]
    first = np.where(straight, np.stack([a, b, c], axis=1), np.stack([a, b, d], axis=1))
    second = np.where(straight, np.stack([a, c, d], axis=1), np.stack([b, c, d], axis=1))
    up = np.concatenate([first, second])
    faces = np.concatenate([up, up[:, ::-1] + n * n]).astype(np.int32)
    uv = np.stack([(x + 1) / 2, (y + 1) / 2], axis=-1).reshape(-1, 2)
    mirrored = uv * np.array([-1, 1]) + np.array([1, 0])
    vertices = np.concatenate([top, bottom])
    return Solid(vertices, faces, np.concatenate([uv, mirrored]), (vertices,))


def squeeze_tube(name: str, rng: np.random.Generator) -> Part:
    """A tube of cream: round at the cap, pressed flat at the other end."""
    length, radius = size_between(0.08, 0.18, rng=rng), between(0.013, 0.024, rng=rng)
    cap = between(0.1, 0.22, rng=rng)
    stations = np.array([0.0, cap - 1e-3, cap, cap + 0.04, 0.35, 0.5, 0.65, 0.8, 0.92, 1.0])
    radii = np.array([0.62, 0.7, 0.72, 0.97, 1.0, 1.02, 1.06, 1.12, 1.18, 1.2]) * radius
    flat = np.array([1, 1, 1, 1, 0.98, 0.88, 0.7, 0.45, 0.2, 0.1])
    angle = 2 * np.pi * np.arange(22) / 22
    sections = np.stack(
        [radii[:, None] * np.cos(angle), (radii * flat)[:, None] * np.sin(angle)], axis=-1
    )  # (K, 22, 2)
    path = np.zeros((len(stations), 3))
    path[:, 2] = stations * length
    solid = sweep(path, sections, pieces=3)
    scheme = sample_scheme(rng=rng)
    label = printed(scheme, (112, 128), aspect=2 * np.pi * radius / length, rng=rng)
    atlas = make_atlas([label, scheme.accent])
    uv, cell, lid = solid.uv.copy(), atlas.cells[0], atlas.cells[1]
    on_cap = solid.vertices[:, 2] < (cap - 0.5e-3) * length
    share = np.clip((uv[:, 1] - cap) / (1 - cap), 0, 1)
    uv[:, 1] = np.where(on_cap, (lid[1] + lid[3]) / 2, cell[1] + share * (cell[3] - cell[1]))
    material = sample_material("gloss" if chance(0.5, rng=rng) else "plastic", texture=atlas.texture, rng=rng)
    stuff = Stuff(material, between(700, 1100, rng=rng), between(0.3, 0.5, rng=rng))
    return part_of(name, "squeeze_tube", Solid(solid.vertices, solid.faces, uv, solid.hulls), stuff)
