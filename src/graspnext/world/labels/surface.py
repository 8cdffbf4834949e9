"""The surface of one part, ready for labelling: rays at it, and its normals."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from graspnext.types import BoolArray, Float64Array, Int32Array
from graspnext.world.labels.rays import Tracer
from graspnext.world.scene import Part

_SMOOTH_COS = float(np.cos(np.radians(35)))
"""Faces that meet at less than this angle are taken as one curved surface, cut into facets by the mesh."""


class PartSurface:
    """A part's mesh as the labels see it, in the part frame."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.tracer = Tracer(part.mesh.vertices, part.mesh.faces)
        corners = part.mesh.vertices.astype(np.float64)[part.mesh.faces]  # (F, 3, 3)
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        doubled = np.linalg.norm(cross, axis=1)
        self.face_normals: Float64Array = cross / np.maximum(doubled, 1e-30)[:, None]
        """(F, 3) unit outward normals; 0 for a face without area."""
        self._corners = corners
        self._corner_normals, self._curved = _smooth(part, corners, cross, self.face_normals)

    def normals_at(self, points: Float64Array, faces: Int32Array) -> Float64Array:
        """Unit outward normals (N, 3) at points (N, 3) on faces (N,): of the surface that the facets stand for.

        On flat faces and at sharp edges that is the face's own. On a curved surface it is interpolated between the
        corners (Phong, "Illumination for Computer Generated Pictures", CACM 1975), so that the axis of a cup turns
        steadily as it moves over a cylinder or a ball, and does not jump from facet to facet.
        """
        normals = self.face_normals[faces]
        index = np.flatnonzero(self._curved[faces])
        if index.size:
            weights = self._barycentric(points[index], faces[index])
            smooth = np.einsum("nk,nkd->nd", weights, self._corner_normals[faces[index]])
            normals[index] = smooth / np.linalg.norm(smooth, axis=1, keepdims=True)
        return normals

    def _barycentric(self, points: Float64Array, faces: Int32Array) -> Float64Array:
        """Weights (N, 3) of the face's corners, clipped to the face."""
        a, b, c = (self._corners[faces, k] for k in range(3))
        across = self.face_normals[faces]
        doubled = np.einsum("nd,nd->n", np.cross(b - a, c - a), across)
        second = np.einsum("nd,nd->n", np.cross(points - a, c - a), across) / np.maximum(doubled, 1e-30)
        third = np.einsum("nd,nd->n", np.cross(b - a, points - a), across) / np.maximum(doubled, 1e-30)
        weights = np.clip(np.stack([1 - second - third, second, third], axis=1), 0, 1)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def _smooth(
    part: Part, corners: Float64Array, cross: Float64Array, face_normals: Float64Array
) -> tuple[Float64Array, BoolArray]:
    """Normals at the corners of each face (F, 3, 3), and which faces are curved (F,).

    A corner's normal is the mean over the faces that meet there and differ little from its own, weighted by their
    angle at the corner (Thuermer and Wuethrich, "Computing Vertex Normals from Polygonal Facets", JGT 1998).
    """
    faces = part.mesh.faces
    _, place = np.unique(part.mesh.vertices, axis=0, return_inverse=True)  # seams share their places
    corner_place = place.ravel()[faces].ravel()  # (3 F,)
    edges = np.roll(corners, -1, axis=1) - corners  # (F, 3, 3) from each corner to the next
    length = np.maximum(np.linalg.norm(edges, axis=2, keepdims=True), 1e-30)
    edges = edges / length
    angle = np.arccos(np.clip(-(edges * np.roll(edges, 1, axis=1)).sum(axis=2), -1, 1))  # (F, 3)
    angle[np.linalg.norm(cross, axis=1) <= 0] = 0  # no area, no say

    # All pairs of corners at the same place: sorted by place, each corner meets its whole group.
    order = np.argsort(corner_place, kind="stable")
    counts = np.bincount(corner_place)
    first = np.repeat(np.cumsum(counts) - counts, counts)  # (3 F,) where each sorted corner's group begins
    size = np.repeat(counts, counts)
    one = np.repeat(np.arange(order.size), size)
    other = np.arange(one.size) - np.repeat(np.cumsum(size) - size, size) + first[one]
    one, other = order[one], order[other]
    close = np.einsum("pd,pd->p", face_normals[one // 3], face_normals[other // 3]) > _SMOOTH_COS
    one, other = one[close], other[close]
    sums = np.zeros((faces.size, 3))
    for axis in range(3):
        sums[:, axis] = np.bincount(one, angle.ravel()[other] * face_normals[other // 3, axis], faces.size)
    norm = np.linalg.norm(sums, axis=1, keepdims=True)
    own = np.repeat(face_normals, 3, axis=0)
    smooth = np.where(norm > 1e-9, sums / np.maximum(norm, 1e-30), own).reshape(-1, 3, 3)  # (F, 3, 3)
    curved = (np.einsum("fkd,fd->fk", smooth, face_normals) < 1 - 1e-6).any(axis=1)
    curved &= np.linalg.norm(cross, axis=1) > 0
    return smooth, np.asarray(curved, dtype=np.bool_)


@lru_cache(maxsize=32)
def part_surface(part: Part) -> PartSurface:
    """The surface of a part, kept for the next scene that holds the same `Part` object."""
    return PartSurface(part)


def tangents(normals: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Two unit vectors (N, 3) each that span the plane across every unit normal (N, 3).

    Branch-free but for a sign (Duff et al., "Building an Orthonormal Basis, Revisited", JCGT 2017).
    """
    x, y, z = normals[:, 0], normals[:, 1], normals[:, 2]
    sign = np.where(z >= 0, 1.0, -1.0)
    a = -1.0 / (sign + z)
    b = x * y * a
    first = np.stack([1 + sign * x * x * a, sign * b, -sign * x], axis=1)
    second = np.stack([b, sign + y * y * a, -y], axis=1)
    return first, second
