"""One mesh with one texture out of groups with looks of their own: what the renderers take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspnext.types import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array, UInt8Array
from graspnext.world.looks.appearance import Color, make_atlas
from graspnext.world.parts.imported.loading import MAX_TEXTURE_PX
from graspnext.world.parts.imported.raw_mesh import RawMesh, face_areas, to_srgb

_MAX_COLORS = 64
"""Plain colours that get a stripe of their own; more are painted face by face."""
_MAX_TILES = 4
"""Repeats of a texture that are written out."""
_UNKNOWN = (0.7, 0.7, 0.7)
"""sRGB of a group without a look in a file where others have one."""


@dataclass(frozen=True, eq=False)
class Baked:
    """A mesh and its look; None = the file does not say."""

    vertices: Float64Array
    faces: Int32Array
    uv: Float32Array | None
    color: tuple[float, float, float] | None
    roughness: float | None
    metallic: float | None
    texture: UInt8Array | None


def bake(mesh: RawMesh) -> Baked:
    """Bring all looks of a mesh onto one texture where there are several; the order of faces is kept.

    Roughness and metallic are means over the area of the groups that state them.
    """
    used = np.unique(mesh.group)
    looks = {(mesh.surfaces[g].color, id(mesh.surfaces[g].texture)) for g in used}
    rough = _mean(mesh, [surface.roughness for surface in mesh.surfaces])
    metal = _mean(mesh, [surface.metallic for surface in mesh.surfaces])
    plain = mesh.surfaces[used[0]]
    if len(looks) == 1 and mesh.shade is None:
        uv = None if plain.texture is None else mesh.uv
        vertices, faces, at = _vertices(mesh, uv)
        return Baked(vertices, faces, at, plain.color, rough, metal, plain.texture)
    uv, texture = _atlas(mesh, used)
    vertices, faces, at = _vertices(mesh, uv)
    return Baked(vertices, faces, at, (1.0, 1.0, 1.0), rough, metal, texture)


def _mean(mesh: RawMesh, values: list[float | None]) -> float | None:
    areas = np.bincount(mesh.group, weights=face_areas(mesh.corners), minlength=len(values))
    known = [(area, value) for area, value in zip(areas, values, strict=True) if value is not None and area > 0]
    if not known:
        return None
    return float(sum(area * value for area, value in known) / sum(area for area, _ in known))


def _vertices(mesh: RawMesh, uv: Float32Array | None) -> tuple[Float64Array, Int32Array, Float32Array | None]:
    """Vertices, faces and texture coordinates, a vertex for each point and coordinate."""
    if uv is None:
        points, index = np.unique(mesh.faces, return_inverse=True)
        return mesh.points[points], index.reshape(-1, 3).astype(np.int32), None
    rows = np.concatenate([mesh.faces.reshape(-1, 1), uv.reshape(-1, 2).astype(np.float64)], axis=1)
    unique, index = np.unique(rows, axis=0, return_inverse=True)
    points = unique[:, 0].astype(np.int64)
    return mesh.points[points], index.reshape(-1, 3).astype(np.int32), unique[:, 1:].astype(np.float32)


def _atlas(mesh: RawMesh, used: Int64Array) -> tuple[Float32Array, UInt8Array]:
    """Texture coordinates (F, 3, 2) into one texture of all looks."""
    pictured = [g for g in used if mesh.surfaces[g].texture is not None and mesh.uv is not None]
    colors = _corner_colors(mesh)  # (F, 3, 3)
    constant = (np.ptp(colors, axis=1) == 0).all(axis=1) & ~np.isin(mesh.group, pictured)
    palette, which = np.unique(colors[constant, 0], axis=0, return_inverse=True)
    painted = ~constant & ~np.isin(mesh.group, pictured)
    if len(palette) > _MAX_COLORS:
        painted, constant, palette = painted | constant, np.zeros_like(constant), palette[:0]
    side = MAX_TEXTURE_PX // max(1, int(np.ceil(np.sqrt(len(pictured) + painted.any()))))
    entries: list[UInt8Array | Color] = [(int(r), int(g), int(b)) for r, g, b in palette]
    uv = np.zeros((len(mesh.faces), 3, 2), dtype=np.float64)
    places: list[tuple[BoolArray, Float64Array]] = []
    for g in pictured:
        faces = mesh.group == g
        picture, at = _tiled(mesh, faces, int(g), side)
        entries.append(picture)
        places.append((faces, at))
    if painted.any():
        picture, at = _painted(colors[painted], side)
        entries.append(picture)
        places.append((painted, at))
    width = max([entry.shape[1] for entry in entries if not isinstance(entry, tuple)], default=16)
    atlas = make_atlas(entries, width)
    if len(palette):
        cells = np.array(atlas.cells[: len(palette)])[which.ravel()]  # (C, 4)
        uv[constant] = ((cells[:, :2] + cells[:, 2:]) / 2)[:, None]
    for (faces, at), cell in zip(places, atlas.cells[len(palette) :], strict=True):
        low, high = np.array(cell[:2]), np.array(cell[2:])
        uv[faces] = low + at * (high - low)
    return uv.astype(np.float32), atlas.texture


def _corner_colors(mesh: RawMesh) -> UInt8Array:
    """(F, 3, 3) sRGB of each corner: the group's colour times the corner's own."""
    linear = [surface.color for surface in mesh.surfaces]
    base = np.array([_UNKNOWN if c is None else to_srgb(np.array(c, np.float32)) for c in linear])
    if mesh.shade is None:
        colors = base[mesh.group][:, None].repeat(3, axis=1)
    else:
        stated = np.array([(1.0, 1.0, 1.0) if c is None else b for c, b in zip(linear, base, strict=True)])
        colors = stated[mesh.group][:, None] * mesh.shade
    return np.asarray(np.round(255 * np.clip(colors, 0, 1)), dtype=np.uint8)


def _tiled(mesh: RawMesh, faces: BoolArray, group: int, side: int) -> tuple[UInt8Array, Float64Array]:
    """A group's texture in its colour, repeated as far as its faces reach, and (N, 3, 2) places on it in [0, 1]."""
    from PIL import Image

    surface = mesh.surfaces[group]
    assert surface.texture is not None and mesh.uv is not None
    uv = mesh.uv[faces].astype(np.float64)
    uv = uv - np.floor(uv.min(axis=1, keepdims=True))  # each face into the first repeat
    tiles = np.clip(np.ceil(uv.max(axis=(0, 1)) - 1e-6), 1, _MAX_TILES).astype(int)
    picture = np.tile(surface.texture, (tiles[1], tiles[0], 1))
    if surface.color is not None and surface.color != (1.0, 1.0, 1.0):
        factor = to_srgb(np.array(surface.color, np.float32))
        picture = np.asarray(np.round(picture * factor), dtype=np.uint8)
    if max(picture.shape[:2]) > side:
        scale = side / max(picture.shape[:2])
        size = (max(2, round(picture.shape[1] * scale)), max(2, round(picture.shape[0] * scale)))
        picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    return picture, np.clip(uv / tiles, 0, 1)


def _painted(colors: UInt8Array, side: int) -> tuple[UInt8Array, Float64Array]:
    """A square of texture for each face, its corners' colours blended over it, and (N, 3, 2) places in [0, 1].

    Args:
        colors: (N, 3, 3) sRGB of each corner.
        side: Width of the texture, px.
    """
    count = len(colors)
    columns = int(np.ceil(np.sqrt(count)))
    cell = int(np.clip(side // columns, 3, 32))
    rows = -(-count // columns)
    x, y = (np.mgrid[:cell, :cell] - 0.5) / (cell - 2)  # first corner in the middle of px (0, 0), others of px cell - 2
    weights = np.stack([1 - (x + y), x, y], axis=-1)  # (cell, cell, 3)
    weights = np.clip(weights, 0, 1)
    weights /= weights.sum(axis=-1, keepdims=True)
    squares = np.einsum("xyk,nkc->nyxc", weights, colors.astype(np.float64))
    grid = np.zeros((rows * columns, cell, cell, 3))
    grid[:count] = squares
    picture = grid.reshape(rows, columns, cell, cell, 3).swapaxes(1, 2).reshape(rows * cell, columns * cell, 3)
    picture = np.pad(picture, ((0, 0), (0, max(0, side - columns * cell)), (0, 0)))  # wide enough never to be stretched
    number = np.arange(count)
    corner = np.stack([number % columns, number // columns], axis=1) * cell  # (N, 2) px: left, top
    inner = np.array([[1.0, 1.0], [cell - 1.0, 1.0], [1.0, cell - 1.0]])  # px edges of the corners' places
    px = corner[:, None] + inner  # (N, 3, 2)
    s = (px[..., 0] - 1) / (picture.shape[1] - 2)
    t = 1 - (px[..., 1] - 1) / (picture.shape[0] - 2)
    return np.asarray(np.round(picture), dtype=np.uint8), np.stack([s, t], axis=-1)
