"""Closed surfaces from a few numbers: boxes, extrusions, bodies of revolution, sweeps, star-shaped bodies, unions.

Each comes with texture coordinates and with the convex pieces that fill it, so that rings, cups and brackets are
as hollow for physics as they look. Vertices are repeated where texture coordinates jump or edges are hard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from graspnext.types import Float64Array, Int32Array

Vector = Sequence[float] | Float64Array
"""Three numbers."""

Cell = tuple[float, float, float, float]
"""A rectangle (u0, v0, u1, v1) of a texture, v up."""

WHOLE: Cell = (0.0, 0.0, 1.0, 1.0)
_HARD_EDGE = np.cos(np.radians(35))
"""Profile corners that turn more are hard edges: they get vertices, and so normals, of their own."""


@dataclass(frozen=True, eq=False)
class Solid:
    """A closed surface, metres, outward faces counter-clockwise, with the convex pieces that fill it."""

    vertices: Float64Array
    """(V, 3)."""
    faces: Int32Array
    """(F, 3)."""
    uv: Float64Array
    """(V, 2) in [0, 1], v up."""
    hulls: tuple[Float64Array, ...]
    """Convex pieces, each (K, 3)."""

    def moved(self, offset: Vector = (0.0, 0.0, 0.0), rotation: Float64Array | None = None) -> Solid:
        """The solid turned by `rotation` (3, 3) about the origin, then shifted by `offset` m."""
        R, t = np.eye(3) if rotation is None else rotation, np.asarray(offset, dtype=np.float64)
        hulls = tuple(hull @ R.T + t for hull in self.hulls)
        return Solid(self.vertices @ R.T + t, self.faces, self.uv, hulls)

    def scaled(self, factors: Vector) -> Solid:
        """The solid stretched by three positive factors along its axes."""
        s = np.asarray(factors, dtype=np.float64)
        return Solid(self.vertices * s, self.faces, self.uv, tuple(hull * s for hull in self.hulls))

    def painted(self, cell: Cell) -> Solid:
        """The solid with its texture coordinates squeezed into one cell of an atlas."""
        return Solid(self.vertices, self.faces, into(cell, self.uv), self.hulls)


def into(cell: Cell, uv: Float64Array) -> Float64Array:
    """Coordinates (..., 2) of the unit square mapped to a cell of an atlas."""
    low, high = np.array(cell[:2]), np.array(cell[2:])
    return np.asarray(low + uv * (high - low), dtype=np.float64)


def turn(axis: int, angle_rad: float) -> Float64Array:
    """Rotation (3, 3) about a coordinate axis (0 x, 1 y, 2 z)."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    R = np.eye(3)
    R[a, a] = R[b, b] = np.cos(angle_rad)
    R[b, a], R[a, b] = np.sin(angle_rad), -np.sin(angle_rad)
    return R


def cuboid(size: Vector, cells: Sequence[Cell] | None = None) -> Solid:
    """A box of full `size` (x, y, z) m around the origin; `cells` for its faces +x, -x, +y, -y, +z, -z."""
    half = np.asarray(size, dtype=np.float64) / 2
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)
    vertices, uv = [], []
    for face in range(6):
        axis, sign = face // 2, 1 - 2 * (face % 2)
        across, up = ((1, 2), (0, 2), (0, 1))[axis]
        corners = np.zeros((4, 3))
        corners[:, axis] = sign
        # Seen from outside, u must run to the right: mirror it where the axes would run to the left.
        mirror = sign * (-1 if axis == 1 else 1)
        corners[:, across] = (2 * square[:, 0] - 1) * mirror
        corners[:, up] = 2 * square[:, 1] - 1
        vertices.append(corners * half)
        uv.append(into(cells[face] if cells else WHOLE, square))
    faces = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * i for i in range(6)])
    points = np.concatenate(vertices)
    return Solid(points, faces.astype(np.int32), np.concatenate(uv), (_unique(points),))


def extrude(
    contours: Sequence[Float64Array], height: float, *, caps: Cell = WHOLE, walls: Cell = WHOLE, pieces: int = 0
) -> Solid:
    """A flat outline raised from z = -height / 2 to height / 2.

    Args:
        contours: (N, 2) m each; the outline counter-clockwise first, then holes clockwise.
        height: Metres.
        caps: Texture cell of top and bottom.
        walls: Texture cell of the side.
        pieces: 0 fills the outline with its convex hull; 1 with one prism a triangle of it.
    """
    import manifold3d

    flat = np.concatenate(contours)
    triangles = np.asarray(manifold3d.triangulate([np.ascontiguousarray(c, dtype=np.float64) for c in contours]))
    low, high = flat.min(axis=0), flat.max(axis=0)
    planar = into(caps, (flat - low) / (high - low).max())
    top = np.column_stack([flat, np.full(len(flat), height / 2)])
    bottom = np.column_stack([flat, np.full(len(flat), -height / 2)])
    vertices, uv, faces = [top, bottom], [planar, planar], [triangles, triangles[:, ::-1] + len(flat)]
    start = 2 * len(flat)
    for contour in contours:
        following = np.roll(contour, -1, axis=0)
        length = np.linalg.norm(following - contour, axis=1)
        along = np.concatenate([[0], np.cumsum(length)]) / length.sum()
        n = len(contour)
        quad = np.empty((n, 4, 3))  # bottom here, bottom next, top next, top here
        quad[:, 0, :2] = quad[:, 3, :2] = contour
        quad[:, 1, :2] = quad[:, 2, :2] = following
        quad[:, :2, 2], quad[:, 2:, 2] = -height / 2, height / 2
        quad_uv = np.zeros((n, 4, 2))
        quad_uv[:, 0, 0] = quad_uv[:, 3, 0] = along[:-1]
        quad_uv[:, 1, 0] = quad_uv[:, 2, 0] = along[1:]
        quad_uv[:, 2:, 1] = 1
        index = start + 4 * np.arange(n)[:, None, None] + np.array([[0, 1, 2], [0, 2, 3]])
        vertices.append(quad.reshape(-1, 3))
        uv.append(into(walls, quad_uv.reshape(-1, 2)))
        faces.append(index.reshape(-1, 3))
        start += 4 * n
    points = np.concatenate(vertices)
    prisms = tuple(np.concatenate([top[t], bottom[t]]) for t in triangles) if pieces else (_unique(points),)
    return Solid(points, np.concatenate(faces).astype(np.int32), np.concatenate(uv), prisms)


def revolve(
    profile: Float64Array, *, segments: int = 32, cells: Sequence[Cell] | None = None, wedges: int = 0
) -> Solid:
    """A profile turned about the z axis.

    Args:
        profile: (K, 2) m: radius and z. Open with both ends on the axis (radius 0), from the bottom outward and up;
            or closed (first point not repeated, counter-clockwise in (r, z)) with every radius positive.
        segments: Around the axis.
        cells: Texture cell of each profile segment; a run of one cell is one print wound around the axis.
        wedges: 0 fills with the convex hull; otherwise each profile piece is split into so many wedges (closed
            profiles), or the caller gives its own pieces.
    """
    closed = bool(profile[0, 0] > 0 and profile[-1, 0] > 0)
    starts = profile if closed else profile[:-1]
    ends = np.roll(profile, -1, axis=0) if closed else profile[1:]
    K = len(starts)
    steps = ends - starts
    length = np.linalg.norm(steps, axis=1)
    cells = [WHOLE] * K if cells is None else list(cells)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (S + 1, 2)
    circle[-1] = circle[0]

    strips = _runs(cells, steps / length[:, None])
    vertices, uv, faces, base = [], [], [], 0
    for first, last, low, high in strips:  # segments first..last inclusive share vertices
        points = np.concatenate([starts[first : last + 1], ends[last : last + 1]])  # (M, 2)
        along = np.concatenate([[0.0], np.cumsum(length[first : last + 1])]) + length[low:first].sum()
        v = along / length[low : high + 1].sum()
        ring = np.empty((len(points), segments + 1, 3))
        ring[..., :2] = points[:, None, :1] * circle[None]
        ring[..., 2] = points[:, 1:]
        coordinate = np.stack(np.broadcast_arrays((angle / (2 * np.pi))[None, :], v[:, None]), axis=-1)
        vertices.append(ring.reshape(-1, 3))
        uv.append(into(cells[first], coordinate.reshape(-1, 2)))
        faces.append(_grid_faces(points[:, 0], segments) + base)
        base += ring.shape[0] * ring.shape[1]
    points3 = np.concatenate(vertices)
    hulls = _wedges(profile, wedges, segments) if wedges else (_unique(points3),)
    return Solid(points3, np.concatenate(faces).astype(np.int32), np.concatenate(uv), hulls)


def _runs(cells: Sequence[Cell], directions: Float64Array) -> list[tuple[int, int, int, int]]:
    """Strips (first, last) of segments without a hard edge, and the run (low, high) of one cell each lies in."""
    K = len(cells)
    cell_breaks = [0, *[i for i in range(1, K) if cells[i] != cells[i - 1]], K]
    strips = []
    for low, high in pairwise(cell_breaks):
        hard = [i for i in range(low + 1, high) if directions[i] @ directions[i - 1] < _HARD_EDGE]
        edges = [low, *hard, high]
        strips += [(a, b - 1, low, high - 1) for a, b in pairwise(edges)]
    return strips


def _grid_faces(radius: Float64Array, segments: int) -> Int32Array:
    """Triangles between successive rings of `segments` + 1 vertices; rings of radius 0 collapse to a point."""
    faces = []
    j = np.arange(segments)
    for i in range(len(radius) - 1):
        here, above = i * (segments + 1) + j, (i + 1) * (segments + 1) + j
        if radius[i] > 0:
            faces.append(np.stack([here, here + 1, above], axis=1))
        if radius[i + 1] > 0:
            faces.append(np.stack([here + 1, above + 1, above], axis=1))
    return np.concatenate(faces).astype(np.int32)


def _wedges(profile: Float64Array, count: int, segments: int) -> tuple[Float64Array, ...]:
    """A closed convex profile as `count` pieces around the axis, each with a few of the ring's own corners."""
    bounds = np.round(np.linspace(0, segments, count + 1)).astype(int)
    pieces = []
    for a, b in pairwise(bounds):
        angle = 2 * np.pi * np.arange(a, b + 1) / segments
        r, z = profile[:, 0], profile[:, 1]
        piece = np.stack(
            np.broadcast_arrays(r * np.cos(angle)[:, None], r * np.sin(angle)[:, None], z[None, :]), axis=-1
        )
        pieces.append(piece.reshape(-1, 3))
    return tuple(pieces)


def shell_pieces(outer: Float64Array, inner: Float64Array, *, wedges: int, segments: int) -> tuple[Float64Array, ...]:
    """Convex pieces of the wall between two profiles (K, 2) of radius and z with the same K, piece by piece in K."""
    pieces: list[Float64Array] = []
    for i in range(len(outer) - 1):
        section = np.array([inner[i], outer[i], outer[i + 1], inner[i + 1]])
        pieces += _wedges(section, wedges, segments)
    return tuple(pieces)


def sweep(path: Float64Array, sections: Float64Array, *, pieces: int = 4, caps: Cell | None = None) -> Solid:
    """Cross-sections carried along a path, closed by flat caps.

    Args:
        path: (K, 3) m.
        sections: (K, N, 2) m: outlines in the plane across the path, counter-clockwise seen against its direction.
        pieces: Convex pieces along the path.
        caps: Texture cell of the caps; the side's own when None.
    """
    K, N = sections.shape[:2]
    normal, binormal = _frames(path)
    rings = path[:, None] + sections[..., :1] * normal[:, None] + sections[..., 1:] * binormal[:, None]  # (K, N, 3)
    closed = np.concatenate([rings, rings[:, :1]], axis=1)  # (K, N + 1, 3)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    uv = np.stack(np.broadcast_arrays((np.arange(N + 1) / N)[None], (along / along[-1])[:, None]), axis=-1)
    faces = [_grid_faces(np.ones(K), N)]
    vertices, coordinates, base = [closed.reshape(-1, 3)], [uv.reshape(-1, 2)], K * (N + 1)
    for end, flip in ((0, True), (K - 1, False)):
        j = np.arange(N)
        fan = np.stack([j, (j + 1) % N, np.full(N, N)], axis=1) + base
        faces.append(fan[:, ::-1] if flip else fan)
        vertices.append(np.concatenate([rings[end], path[end : end + 1]]))
        outline = np.concatenate([sections[end], np.zeros((1, 2))])
        planar = 0.5 + 0.5 * outline / np.abs(outline).max()
        coordinates.append(into(caps, planar) if caps else into((0, uv[end, 0, 1], 1, uv[end, 0, 1]), planar))
        base += N + 1
    bounds = np.round(np.linspace(0, K - 1, pieces + 1)).astype(int)
    hulls = tuple(rings[a : b + 1].reshape(-1, 3) for a, b in pairwise(bounds))
    return Solid(np.concatenate(vertices), np.concatenate(faces).astype(np.int32), np.concatenate(coordinates), hulls)


def _frames(path: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Directions (K, 3) across a path, carried along it without twist (parallel transport)."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normals = np.empty_like(path)
    reference = np.eye(3)[int(np.argmin(np.abs(tangent[0])))]
    for i, t in enumerate(tangent):
        reference = reference - t * (reference @ t)
        reference /= np.linalg.norm(reference)
        normals[i] = reference
    return normals, np.cross(tangent, normals)


def circles(radii: Float64Array, sides: int = 14, *, flatness: float = 1.0) -> Float64Array:
    """Round cross-sections (K, sides, 2) of given radii (K,) m; `flatness` squeezes the second axis."""
    angle = 2 * np.pi * np.arange(sides) / sides
    unit = np.stack([np.cos(angle), flatness * np.sin(angle)], axis=1)
    return np.asarray(radii[:, None, None] * unit[None], dtype=np.float64)


def sphere_grid(rows: int = 12, columns: int = 20) -> tuple[Float64Array, Solid]:
    """Unit directions (V, 3) of a longitude-latitude sphere, and that sphere with the poles on z."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)
    profile = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    profile[[0, -1], 0] = 0.0
    sphere = revolve(profile, segments=columns)
    return sphere.vertices, sphere


def ellipsoid(radii: Vector, *, rows: int = 10, columns: int = 16) -> Solid:
    """An ellipsoid around the origin, poles on z."""
    return sphere_grid(rows, columns)[1].scaled(radii)


def star(radius: Float64Array, directions: Float64Array, sphere: Solid) -> Solid:
    """A body seen whole from the origin: `radius` (V,) m along `directions`; its pieces are the eight octants."""
    points = directions * radius[:, None]
    hulls = []
    for octant in range(8):
        signs = np.array([1 if octant >> bit & 1 else -1 for bit in range(3)])
        inside = (directions * signs > -0.02).all(axis=1)
        inside[sphere.faces[inside[sphere.faces].any(axis=1)]] = True  # whole faces, so that none lies between octants
        hulls.append(_unique(np.concatenate([points[inside], np.zeros((1, 3))])))
    return Solid(points, sphere.faces, sphere.uv, tuple(hulls))


def _unique(points: Float64Array) -> Float64Array:
    return np.asarray(np.unique(np.round(points, 9), axis=0), dtype=np.float64)
