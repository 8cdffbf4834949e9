"""Rays against triangle meshes: nearest hits and free passages, by Embree (Wald et al., SIGGRAPH 2014).

Coordinates reach Embree as they are, in float32: no rescaling, so that distances of different meshes compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspnext.types import BoolArray, Float32Array, Float64Array, Int32Array

Floats = Float32Array | Float64Array
_MISS = 1e30
"""Embree leaves the ray's far end (1e37) where nothing is hit."""


@dataclass(frozen=True, eq=False)
class Hits:
    """The nearest hits of N rays."""

    distance: Float32Array
    """(N,) ray parameter of the hit in units of the direction's length, inf where nothing is hit."""
    face: Int32Array
    """(N,) index of the face hit, -1 where nothing is hit."""


class Tracer:
    """A triangle mesh that rays can be cast at, in the mesh's own frame."""

    def __init__(self, vertices: Float32Array, faces: Int32Array) -> None:
        """Build the search tree.

        Args:
            vertices: (V, 3) metres.
            faces: (F, 3) indices of vertices.
        """
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self._scene = EmbreeScene(robust=True)  # robust: no ray slips through between two triangles
        self._mesh = TriangleMesh(
            self._scene, np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int32)
        )

    def hits(self, origins: Floats, directions: Floats) -> Hits:
        """The nearest hit of each ray; faces count from both sides.

        Args:
            origins: (N, 3) or (3,) for all rays, metres.
            directions: (N, 3), any length but 0.
        """
        found = self._scene.run(*_prepared(origins, directions), output=True)
        distance = np.asarray(found["tfar"], dtype=np.float32)
        distance[distance > _MISS] = np.inf
        return Hits(distance, np.asarray(found["primID"]).astype(np.int32))

    def blocked(self, origins: Floats, directions: Floats, reach: float) -> BoolArray:
        """Whether each ray meets a face before its parameter passes `reach` (in direction lengths): (N,) bool."""
        found = self._scene.run(*_prepared(origins, directions), dists=float(reach), query="OCCLUDED")
        return np.asarray(found != -1, dtype=np.bool_)


def _prepared(origins: Floats, directions: Floats) -> tuple[Float32Array, Float32Array]:
    direction = np.ascontiguousarray(directions, dtype=np.float32)
    if origins.shape == directions.shape:
        return np.ascontiguousarray(origins, dtype=np.float32), direction
    origin = np.empty_like(direction)
    origin[:] = origins
    return origin, direction
