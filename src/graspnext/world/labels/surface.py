"""The surface of one part, ready for labelling: rays at it, its face normals, and even sample points."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from graspnext.types import Float64Array, Int64Array
from graspnext.world.labels.rays import Tracer
from graspnext.world.scene import Part

_SAMPLES_PER_M2 = 2.0e5
"""One sample on 5 mm^2 (2.2 mm apart): finer than a cup's footprint by far."""
_FEWEST, _MOST = 400, 3000
_GOLDEN = 0.6180339887498949


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
        self.face_areas: Float64Array = doubled / 2
        """(F,) m^2."""
        self._corners = corners

    def samples(self) -> tuple[Float64Array, Int64Array]:
        """Points spread evenly over the surface, always the same for the same mesh.

        The cumulated area is cut into equal slices, one point in each: which face, and how far into the face,
        gives one coordinate; the golden-ratio sequence gives the other (a rank-1 lattice folded into each face
        by the square-root map of Turk, 1990). No random numbers are needed.

        Returns:
            points (S, 3) in the part frame, metres, and the face (S,) of each.
        """
        total = float(self.face_areas.sum())
        count = int(np.clip(total * _SAMPLES_PER_M2, _FEWEST, _MOST))
        ends = np.cumsum(self.face_areas)
        position = (np.arange(count) + 0.5) / count * ends[-1]
        face = np.minimum(np.searchsorted(ends, position, side="right"), len(ends) - 1)
        along = np.clip((position - (ends[face] - self.face_areas[face])) / self.face_areas[face], 0, 1)
        across = (np.arange(count) * _GOLDEN) % 1.0
        root = np.sqrt(along)
        weights = np.stack([1 - root, root * (1 - across), root * across], axis=1)  # (S, 3) barycentric
        return np.einsum("sk,skd->sd", weights, self._corners[face]), face.astype(np.int64)

    def spacing(self) -> float:
        """Typical distance between neighbouring samples, metres."""
        total = float(self.face_areas.sum())
        return float(np.sqrt(total / np.clip(total * _SAMPLES_PER_M2, _FEWEST, _MOST)))


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
