"""Closed meshes through the Manifold library: proven closed, overlapping bodies united, many faces made fewer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from graspnext.errors import MeshFileError
from graspnext.types import Float64Array, Int64Array
from graspnext.world.parts.imported.edges import bodies
from graspnext.world.parts.imported.raw_mesh import RawMesh, signed_volumes

if TYPE_CHECKING:
    import manifold3d

TARGET_FACES = 20_000
"""Meshes with more faces are simplified to about this many."""
MAX_DEVIATION = 0.01
"""How far simplifying may move the surface, as a share of the size, before the mesh is refused."""
_SCALE = 100.0
"""Size to which meshes are brought for the library, whose tolerances suit numbers around 1 to 1000."""
_STEPS = 14
"""Tolerances tried for simplifying, each half again as large as the one before."""


@dataclass(frozen=True, eq=False)
class _Frame:
    """Between the file's coordinates and the library's."""

    center: Float64Array
    factor: float

    @classmethod
    def of(cls, mesh: RawMesh) -> _Frame:
        return cls(mesh.points.mean(axis=0), _SCALE / mesh.size)

    def inner(self, points: Float64Array) -> Float64Array:
        return (points - self.center) * self.factor

    def outer(self, points: Float64Array) -> Float64Array:
        return points / self.factor + self.center


def solidify(mesh: RawMesh) -> tuple[RawMesh, list[str]]:
    """A mesh as one closed solid of at most about `TARGET_FACES` faces, with remarks.

    Args:
        mesh: Closed, outward; bodies may overlap.

    Raises:
        MeshFileError: The surface is closed but no solid, or cannot be simplified without losing its shape.
    """
    import manifold3d

    notes: list[str] = []
    frame = _Frame.of(mesh)
    local = replace(mesh, points=frame.inner(mesh.points))
    base = manifold3d.Manifold.reserve_ids(len(mesh.surfaces))
    solid = _manifold(local, base)
    united = _united(local, solid, base, notes)
    fewer = _simplified(solid if united is None else united, notes)
    result = united if fewer is None else fewer
    if result is None:
        return mesh, notes
    local = _raw(result, mesh, base)
    return replace(local, points=frame.outer(local.points)), notes


def shape_only(mesh: RawMesh, faces: int) -> tuple[Float64Array, Int64Array]:
    """Vertices (V, 3) and faces (F, 3) of a closed mesh, simplified to about a number of faces."""
    frame = _Frame.of(mesh)
    plain = RawMesh(frame.inner(mesh.points), mesh.faces, np.zeros_like(mesh.group), mesh.surfaces[:1])
    solid = _manifold(plain, 0)
    for step in range(_STEPS):
        if solid.num_tri() <= faces:
            break
        solid = solid.simplify(_tolerance(step))
    out = _raw(solid, plain, 0)
    return frame.outer(out.points), out.faces


def _tolerance(step: int) -> float:
    return float(_SCALE * MAX_DEVIATION * 1.5 ** (step - _STEPS + 1))


def _manifold(mesh: RawMesh, base: int) -> manifold3d.Manifold:
    """The library's solid: texture coordinates and colours as vertex properties, one run of faces a group."""
    import manifold3d

    mesh = mesh.select(np.argsort(mesh.group, kind="stable"))
    channels = [mesh.faces.reshape(-1, 1).astype(np.float64)]  # (3F, 1)
    if mesh.uv is not None:
        channels.append(mesh.uv.astype(np.float64).reshape(-1, 2))
    if mesh.shade is not None:
        channels.append(mesh.shade.astype(np.float64).reshape(-1, 3))
    rows, index = np.unique(np.concatenate(channels, axis=1), axis=0, return_inverse=True)
    point = rows[:, 0].astype(np.int64)
    _, first, which = np.unique(point, return_index=True, return_inverse=True)
    lead = first[which]
    repeated = np.flatnonzero(lead != np.arange(len(rows)))
    groups, counts = np.unique(mesh.group, return_counts=True)
    given = manifold3d.Mesh64(
        np.ascontiguousarray(np.concatenate([mesh.points[point], rows[:, 1:]], axis=1)),
        np.ascontiguousarray(index.reshape(-1, 3).astype(np.uint64)),
        repeated.astype(np.uint64),
        lead[repeated].astype(np.uint64),
        run_index=np.concatenate([[0], 3 * np.cumsum(counts)]).astype(np.uint64),
        run_original_id=(groups + base).astype(np.uint32),
    )
    solid = manifold3d.Manifold(given)
    if solid.status() != manifold3d.Error.NoError or solid.num_tri() == 0:
        raise MeshFileError(
            f"the surface is closed but not the skin of a solid ({str(solid.status()).rpartition('.')[2]})",
            "let your CAD program check the solid, and export it again",
        )
    return solid


def _raw(solid: manifold3d.Manifold, like: RawMesh, base: int) -> RawMesh:
    mesh = solid.to_mesh64()
    rows = np.asarray(mesh.vert_properties, dtype=np.float64)
    lead = np.arange(len(rows))
    lead[np.asarray(mesh.merge_from_vert, dtype=np.int64)] = np.asarray(mesh.merge_to_vert, dtype=np.int64)
    corners = np.asarray(mesh.tri_verts, dtype=np.int64)
    points, faces = np.unique(lead[corners], return_inverse=True)
    ends = np.asarray(mesh.run_index, dtype=np.int64) // 3
    lengths: Int64Array = ends[1:] - ends[:-1]
    owner = np.asarray(mesh.run_original_id, dtype=np.int64) - base
    at = 3
    uv = shade = None
    if like.uv is not None:
        uv, at = rows[corners, at : at + 2].astype(np.float32), at + 2
    if like.shade is not None:
        shade = np.clip(rows[corners, at : at + 3], 0, 1).astype(np.float32)
    group = np.repeat(owner[: len(lengths)], lengths) if base else np.zeros(len(corners), dtype=np.int64)
    return RawMesh(rows[points, :3], faces.reshape(-1, 3), group, like.surfaces, uv, shade)


def _united(mesh: RawMesh, whole: manifold3d.Manifold, base: int, notes: list[str]) -> manifold3d.Manifold | None:
    """The union of bodies that overlap, or None where none do."""
    import manifold3d

    label = bodies(mesh.faces)
    count = int(label.max()) + 1
    if count == 1:
        return None
    volumes = np.bincount(label, weights=signed_volumes(mesh.corners))
    low = np.full((count, 3), np.inf)
    high = np.full((count, 3), -np.inf)
    np.minimum.at(low, label, mesh.corners.min(axis=1))
    np.maximum.at(high, label, mesh.corners.max(axis=1))
    solid = np.flatnonzero(volumes > 0)
    if not _any_overlap(low[solid], high[solid]):
        return None
    if (volumes < 0).any():  # hollows go with the smallest body around them
        for hollow in np.flatnonzero(volumes < 0):
            around = [s for s in solid if (low[s] <= low[hollow]).all() and (high[s] >= high[hollow]).all()]
            label[label == hollow] = min(around or solid, key=lambda s: volumes[s])
    members = [_manifold(mesh.select(label == number), base) for number in solid]
    united = manifold3d.Manifold.batch_boolean(members, manifold3d.OpType.Add)
    if united.volume() > (1 - 1e-6) * whole.volume():
        return None
    notes.append(f"{len(members)} bodies, some overlapping, united")
    return united


def _any_overlap(low: Float64Array, high: Float64Array) -> bool:
    """Whether any two of N boxes share room."""
    for number in range(len(low) - 1):
        rest = slice(number + 1, None)
        if ((low[number] < high[rest]) & (high[number] > low[rest])).all(axis=1).any():
            return True
    return False


def _simplified(solid: manifold3d.Manifold, notes: list[str]) -> manifold3d.Manifold | None:
    """The solid with at most about `TARGET_FACES` faces, or None where it has no more.

    Raises:
        MeshFileError: That would move its surface too far.
    """
    before = solid.num_tri()
    if before <= TARGET_FACES:
        return None
    for step in range(_STEPS):
        fewer = solid.simplify(_tolerance(step))
        if fewer.num_tri() <= TARGET_FACES:
            share = 100 * _tolerance(step) / _SCALE
            notes.append(
                f"{before} faces simplified to {fewer.num_tri()} (moved by less than {share:.2g} % of the size)"
            )
            return fewer
    raise MeshFileError(
        f"{before} faces, and {fewer.num_tri()} even when simplified by {100 * MAX_DEVIATION:.0f} % of the size",
        f"reduce it in your CAD program to {TARGET_FACES} faces",
    )
