"""Meshes as renderers want them: one normal and one texture coordinate a vertex, creases kept sharp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from graspnext.types import Float32Array, Float64Array, Int64Array
from graspnext.world.scene import Floor, Mesh

CREASE_COS = float(np.cos(np.deg2rad(40.0)))
"""Faces that meet at less than this angle are shaded as one smooth surface."""
TEXTURE_SIZE_M = 0.25
"""Side of one repeat of a texture on a mesh that has no texture coordinates."""

_SLAB_M = 0.02


@dataclass(frozen=True, eq=False)
class Surface:
    """An indexed triangle mesh, split where normals or texture coordinates differ."""

    positions: Float32Array
    """(V, 3) m."""
    normals: Float32Array
    """(V, 3) unit."""
    uv: Float32Array
    """(V, 2), v up."""
    faces: Int64Array
    """(F, 3)."""

    @property
    def image_uv(self) -> Float32Array:
        """(V, 2), v down as image rows run: what renderers take that upload textures top row first."""
        return np.stack([self.uv[:, 0], 1 - self.uv[:, 1]], axis=1)


def tangent_frames(surface: Surface) -> Float32Array:
    """Unit quaternions (V, 4), x y z w, that turn x, y and z into tangent (along u), bitangent (along v) and normal.

    Where the texture is mirrored, w is negative, as Filament packs its tangent frames.
    """
    p, uv = surface.positions.astype(np.float64)[surface.faces], surface.uv.astype(np.float64)[surface.faces]
    edge, du = p[:, 1:] - p[:, :1], uv[:, 1:] - uv[:, :1]  # (F, 2, 3), (F, 2, 2)
    area = du[:, 0, 0] * du[:, 1, 1] - du[:, 0, 1] * du[:, 1, 0]  # (F,) twice the signed area in the texture
    along = np.sign(area)[:, None] * (edge[:, 0] * du[:, 1, 1:] - edge[:, 1] * du[:, 0, 1:])  # (F, 3) grows with u
    total = np.zeros((len(surface.positions), 3))
    corners = surface.faces.ravel()
    for axis in range(3):
        total[:, axis] = np.bincount(corners, weights=np.repeat(along[:, axis], 3), minlength=len(total))
    mirrored = np.bincount(corners, weights=np.repeat(area, 3), minlength=len(total)) < 0
    n = surface.normals.astype(np.float64)
    tangent = total - n * (total * n).sum(axis=1, keepdims=True)
    length = np.linalg.norm(tangent, axis=1)
    spare = np.cross(n, np.eye(3)[np.abs(n).argmin(axis=1)])  # any direction, where the texture gives none
    given = length > np.maximum(1e-3 * np.linalg.norm(total, axis=1), 1e-12)  # not what rounding leaves along n
    tangent = np.where(given[:, None], tangent, spare)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    q = Rotation.from_matrix(np.stack([tangent, np.cross(n, tangent), n], axis=-1)).as_quat(canonical=True)  # w >= 0
    q[:, 3] = np.maximum(q[:, 3], 1e-5)
    return np.asarray(np.where(mirrored[:, None], -q, q), dtype=np.float32)


def build_surface(mesh: Mesh) -> Surface:
    """Shade a mesh: smooth across soft edges, sharp across creases; box-projected where it has no UVs."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)  # (F, 3, 3)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])  # (F, 3), length = 2 area
    length = np.linalg.norm(cross, axis=1)
    keep = length > 0  # faces without area have no normal and cover no pixel
    corners, cross, length = corners[keep], cross[keep], length[keep]
    unit = cross / length[:, None]
    _, point = np.unique(np.round(corners.reshape(-1, 3), 7), axis=0, return_inverse=True)
    normals = _corner_normals(point.reshape(-1), unit, cross)  # (3F, 3)
    uv = _project(corners, unit) if mesh.uv is None else mesh.uv[mesh.faces[keep]].reshape(-1, 2)  # (3F, 2)
    packed = np.concatenate([corners.reshape(-1, 3), normals, uv], axis=1).astype(np.float32)  # (3F, 8)
    vertices, index = np.unique(np.round(packed, 6), axis=0, return_inverse=True)
    return Surface(
        positions=np.ascontiguousarray(vertices[:, :3]),
        normals=np.ascontiguousarray(vertices[:, 3:6]),
        uv=np.ascontiguousarray(vertices[:, 6:]),
        faces=index.reshape(-1, 3).astype(np.int64),
    )


def _corner_normals(point: Int64Array, unit: Float64Array, cross: Float64Array) -> Float64Array:
    """Normal of each face corner: the area-weighted mean over the faces at its point within the crease angle.

    Args:
        point: (3F,) which of the distinct points each corner lies at.
        unit: (F, 3) face normals.
        cross: (F, 3) face normals times twice the area.
    """
    order = np.argsort(point, kind="stable")
    counts = np.bincount(point)  # corners at each point
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    own = counts[point[order]]  # partners of each corner, itself included
    first = np.repeat(np.arange(order.size), own)
    offset = np.arange(first.size) - np.repeat(np.cumsum(own) - own, own)
    second = starts[point[order][first]] + offset
    a, b = order[first] // 3, order[second] // 3  # faces of each pair of corners
    soft = (unit[a] * unit[b]).sum(axis=1) >= CREASE_COS
    total = np.zeros((order.size, 3))
    for axis in range(3):
        total[:, axis] = np.bincount(order[first[soft]], weights=cross[b[soft], axis], minlength=order.size)
    return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True), dtype=np.float64)


def _project(corners: Float64Array, unit: Float64Array) -> Float64Array:
    """Texture coordinates (3F, 2) by projection along the axis that each face looks along most."""
    axis = np.abs(unit).argmax(axis=1)  # (F,)
    others = np.array([[1, 2], [0, 2], [0, 1]])[axis]  # (F, 2)
    uv = np.take_along_axis(corners, others[:, None, :].repeat(3, axis=1), axis=2)  # (F, 3, 2)
    return np.asarray(uv.reshape(-1, 2) / TEXTURE_SIZE_M, dtype=np.float64)


def floor_mesh(floor: Floor) -> Mesh:
    """The ground as a thin slab (renderers want closed meshes), its top at `height_m`."""
    s, top, bottom = floor.half_size_m, floor.height_m, floor.height_m - _SLAB_M
    corners = [(x, y, z) for z in (bottom, top) for x, y in ((-s, -s), (s, -s), (s, s), (-s, s))]
    quads = [(4, 5, 6, 7), (0, 3, 2, 1), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    vertices = np.array(corners, dtype=np.float32)
    return Mesh(vertices, np.array(faces, dtype=np.int32), vertices[:, :2] / np.float32(floor.texture_m))
