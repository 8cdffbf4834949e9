"""Unions and cuts of solids that keep texture coordinates (the Manifold library)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from graspnext.types import Float64Array
from graspnext.world.parts.shapes import Solid

if TYPE_CHECKING:
    import manifold3d

_UNIT = 1000.0
"""Solids are joined in millimetres: the library's tolerances suit numbers around 1 to 1000."""
_SMALLEST_EDGE = 1e-3
"""Millimetres: shorter edges, left by near-touching surfaces, are collapsed."""


def join(solids: Sequence[Solid]) -> Solid:
    """The union; its convex pieces are those of all members."""
    import manifold3d

    united = manifold3d.Manifold.batch_boolean([_to_manifold(solid) for solid in solids], manifold3d.OpType.Add)
    return _from_manifold(united, tuple(hull for solid in solids for hull in solid.hulls))


def cut(solid: Solid, cutters: Sequence[Solid], *, hulls: Sequence[Float64Array] | None = None) -> Solid:
    """What is left of `solid` outside all `cutters`. Its convex pieces stay unless `hulls` are given."""
    import manifold3d

    members = [_to_manifold(member) for member in (solid, *cutters)]
    left = manifold3d.Manifold.batch_boolean(members, manifold3d.OpType.Subtract)
    return _from_manifold(left, solid.hulls if hulls is None else tuple(hulls))


def _to_manifold(solid: Solid) -> manifold3d.Manifold:
    import manifold3d

    properties = np.column_stack([solid.vertices * _UNIT, solid.uv])
    mesh = manifold3d.Mesh64(properties, solid.faces.astype(np.uint64), *_seams(solid.vertices))
    made = manifold3d.Manifold(mesh)
    if made.status() != manifold3d.Error.NoError:
        raise ValueError(f"a solid with {len(solid.faces)} faces is not a closed surface: {made.status()}")
    return made


def _seams(vertices: Float64Array) -> tuple[np.ndarray, np.ndarray]:
    """Vertices that repeat an earlier one's position, and that earlier one."""
    keys = np.round(vertices, 9)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    target = first[inverse.ravel()]
    repeated = np.flatnonzero(target != np.arange(len(vertices)))
    return repeated.astype(np.uint64), target[repeated].astype(np.uint64)


def _from_manifold(made: manifold3d.Manifold, hulls: tuple[Float64Array, ...]) -> Solid:
    mesh = made.simplify(_SMALLEST_EDGE).to_mesh64()
    properties = np.asarray(mesh.vert_properties)
    vertices, target = properties[:, :3] / _UNIT, np.arange(len(properties))
    target[np.asarray(mesh.merge_from_vert, dtype=np.int64)] = np.asarray(mesh.merge_to_vert, dtype=np.int64)
    faces = np.asarray(mesh.tri_verts).astype(np.int32)
    return Solid(np.ascontiguousarray(vertices[target]), faces, np.ascontiguousarray(properties[:, 3:5]), hulls)
