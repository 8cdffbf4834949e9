"""Convex pieces for physics: a mesh's hull where that is nearly the mesh, else a decomposition.

Source: Wei, Liu, Ling and Su, Approximate Convex Decomposition for 3D Meshes with Collision-Aware Concavity and
Tree Search, SIGGRAPH 2022 (the coacd library).
"""

from __future__ import annotations

import os
from contextlib import suppress

import numpy as np

from graspnext.errors import MeshFileError
from graspnext.types import Float64Array
from graspnext.world.parts.imported.raw_mesh import RawMesh
from graspnext.world.parts.imported.solids import shape_only

CONVEX_SHARE = 0.97
"""A mesh that fills this share of its hull counts as convex."""
CONCAVITY = 0.08
"""How far a piece may stand out over the mesh, in the library's measure."""
MAX_PIECES = 24
MAX_CORNERS = 48
"""Vertices of one piece of several."""
MAX_CORNERS_ALONE = 160
"""Vertices of the hull of a convex mesh."""
SEED = 0
_WORKING_FACES = 500
"""The decomposition sees the mesh simplified to about this many faces."""
_THINNEST = 2e-4
"""Pieces thinner than this share of the mesh's size are left out: physics needs bodies with a volume."""


def convex_pieces(mesh: RawMesh) -> tuple[Float64Array, ...]:
    """Convex pieces (K, 3) that cover a closed mesh, in its own units; the same for the same mesh.

    Raises:
        MeshFileError: The mesh is so thin that no piece has a volume.
    """
    points, faces = shape_only(mesh, _WORKING_FACES)
    center, size = points.mean(axis=0), mesh.size
    whole = _hull((points - center) / size, MAX_CORNERS_ALONE)
    if whole is None:
        raise MeshFileError("the part is too thin for physics", "give it its real thickness")
    corners, volume = whole
    if mesh.volume / size**3 >= CONVEX_SHARE * volume:
        return (corners * size + center,)
    hulls = [_hull(piece, MAX_CORNERS) for piece in _decompose((points - center) / size, faces)]
    found = tuple(piece[0] * size + center for piece in hulls if piece is not None)
    return found or (corners * size + center,)


def _decompose(points: Float64Array, faces: np.ndarray) -> list[Float64Array]:
    os.environ["OMP_NUM_THREADS"] = "1"  # read when the library loads: workers share the cores, results stay the same
    import coacd

    coacd.set_log_level("error")
    pieces = coacd.run_coacd(
        coacd.Mesh(points, faces),
        threshold=CONCAVITY,
        max_convex_hull=MAX_PIECES,
        preprocess_mode="off",  # the mesh is closed already
        resolution=500,
        mcts_nodes=12,
        mcts_iterations=30,
        mcts_max_depth=2,
        decimate=True,
        max_ch_vertex=MAX_CORNERS,
        seed=SEED,
    )
    return [np.asarray(vertices, dtype=np.float64) for vertices, _ in pieces]


def _hull(points: Float64Array, most: int) -> tuple[Float64Array, float] | None:
    """Corners (K, 3), at most about `most`, and volume of the convex hull; None where it is flat."""
    from scipy.spatial import ConvexHull, QhullError

    with suppress(QhullError, ValueError):
        hull = ConvexHull(points)
        if hull.area > 0 and 2 * hull.volume / hull.area > _THINNEST:
            return points[_spread(points, hull.vertices, most)], float(hull.volume)
    return None


def _spread(points: Float64Array, corners: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the hull's corners: the farthest ones along directions spread over the sphere."""
    if len(corners) <= most:
        return np.sort(corners)
    turn = np.pi * (3 - np.sqrt(5))  # golden angle
    for wanted in range(8 * most, 8, -8):
        z = 1 - (2 * np.arange(wanted) + 1) / wanted
        radius = np.sqrt(1 - z * z)
        around = turn * np.arange(wanted)
        directions = np.stack([radius * np.cos(around), radius * np.sin(around), z], axis=1)  # (wanted, 3)
        chosen = np.unique(corners[(points[corners] @ directions.T).argmax(axis=0)])
        if len(chosen) <= most:
            break
    return chosen
