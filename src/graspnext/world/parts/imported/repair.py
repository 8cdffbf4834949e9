"""Makes a closed surface of what a mesh file holds, or says why that cannot be done.

All limits are shares of the mesh's own size, so that the result does not depend on the unit of the file.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from graspnext.errors import MeshFileError
from graspnext.types import BoolArray, Float64Array, Int64Array
from graspnext.world.parts.imported import edges
from graspnext.world.parts.imported.raw_mesh import RawMesh, face_areas, signed_volumes

WELD = 1e-7
"""Points closer than this share of the size are one."""
LOOSE_WELD = 2e-4
"""The same along open edges, where exporters leave seams."""
MAX_HOLE_SHARE = 0.05
"""Holes are closed up to this share of the surface's area, all together."""
THINNEST = 1e-6
"""Volume over area and size below which a surface encloses nothing."""
_OPEN_ADVICE = "close it in your CAD program; a thin sheet needs its two sides, as far apart as it is thick"


def repair(mesh: RawMesh) -> tuple[RawMesh, list[str]]:
    """A closed surface with outward faces, and what was done to it.

    Args:
        mesh: As read.

    Raises:
        MeshFileError: Nothing is left, or it encloses no volume, or it cannot be closed.
    """
    notes: list[str] = []
    mesh = _cleaned(mesh, notes)
    if (turn := edges.sense(mesh.faces)).any():
        mesh = mesh.flip(turn)
        notes.append(f"{int(turn.sum())} faces turned to agree with their neighbours")
    if len(edges.open_edges(mesh.faces)):
        mesh = _sewn(mesh, notes)
    if len(edges.open_edges(mesh.faces)):
        mesh = _filled(mesh, notes)
    mesh = _outward(mesh, notes)
    if not mesh.volume > THINNEST * mesh.area * mesh.size:
        raise MeshFileError("the surface encloses no volume", _OPEN_ADVICE)
    return mesh, notes


def _cleaned(mesh: RawMesh, notes: list[str]) -> RawMesh:
    """Without missing points, doubled points, and faces without area or drawn twice."""
    finite: BoolArray = np.asarray(np.isfinite(mesh.points).all(axis=1))
    keep: BoolArray = np.asarray(finite[mesh.faces].all(axis=1))
    if not keep.all():
        notes.append(f"{int((~keep).sum())} faces with NaN or infinite vertices removed")
        mesh = mesh.select(keep)
    size = mesh.size
    if len(mesh.faces) == 0 or not size > 0:
        raise MeshFileError("no face with an area is left", "export the part again")
    used, index = np.unique(mesh.faces, return_inverse=True)
    mesh = replace(mesh, points=mesh.points[used], faces=index.reshape(-1, 3))
    grid = np.round((mesh.points - mesh.points.min(axis=0)) / (WELD * size)).astype(np.int64)
    _, first, inverse = np.unique(grid, axis=0, return_index=True, return_inverse=True)
    mesh = replace(mesh, points=mesh.points[first], faces=inverse.ravel()[mesh.faces])

    flat = _degenerate(mesh.faces)
    if flat.any():
        notes.append(f"{int(flat.sum())} faces without area removed")
        mesh = mesh.select(~flat)
    if len(mesh.faces) == 0:
        raise MeshFileError("no face with an area is left", "export the part again")
    return _without_doubles(_without_slivers(mesh, notes), notes)


def _degenerate(faces: Int64Array) -> BoolArray:
    """(F,): two corners are the same point."""
    rolled = np.roll(faces, -1, axis=1)
    return np.asarray((faces == rolled).any(axis=1))


def _without_slivers(mesh: RawMesh, notes: list[str]) -> RawMesh:
    """Without faces whose corners lie in a line, unless they hold the surface together."""
    slivers = face_areas(mesh.corners) <= 1e-12 * mesh.size**2
    if not slivers.any() or slivers.all():
        return mesh
    without = mesh.select(~slivers)
    if edges.faults(without.faces) > edges.faults(mesh.faces):
        return mesh
    notes.append(f"{int(slivers.sum())} faces without area removed")
    return without


def _without_doubles(mesh: RawMesh, notes: list[str]) -> RawMesh:
    """Without faces over the same three points: all but one, or all of them (a wall between two bodies)."""
    key = np.sort(mesh.faces, axis=1)
    _, first, inverse, counts = np.unique(key, axis=0, return_index=True, return_inverse=True, return_counts=True)
    if (counts == 1).all():
        return mesh
    one = mesh.select(np.sort(first))
    none = mesh.select(counts[inverse.ravel()] == 1)
    if len(none.faces) == 0:
        raise MeshFileError("the surface is a sheet without thickness, drawn from both sides", _OPEN_ADVICE)
    better = none if edges.faults(none.faces) < edges.faults(one.faces) else one
    notes.append(f"{len(mesh.faces) - len(better.faces)} faces drawn twice removed")
    return better


def _sewn(mesh: RawMesh, notes: list[str]) -> RawMesh:
    """Points of open edges that nearly meet made one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    border = np.unique(edges.open_edges(mesh.faces))
    pairs = cKDTree(mesh.points[border]).query_pairs(LOOSE_WELD * mesh.size, output_type="ndarray")
    if len(pairs) == 0:
        return mesh
    count = len(border)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    _, first = np.unique(labels, return_index=True)
    target = np.arange(len(mesh.points))
    target[border] = border[first[labels]]
    faces = target[mesh.faces]
    sewn = replace(mesh, faces=faces).select(~_degenerate(faces))
    if len(sewn.faces) == 0:
        return mesh
    sewn = sewn.flip(edges.sense(sewn.faces))
    if edges.faults(sewn.faces) >= edges.faults(mesh.faces):
        return mesh
    notes.append(f"{len(border) - len(first)} points along open seams joined")
    return sewn


def _filled(mesh: RawMesh, notes: list[str]) -> RawMesh:
    """Small holes closed.

    Raises:
        MeshFileError: A hole is large, or open edges form no loop.
    """
    before = edges.open_edges(mesh.faces)
    walks = [loop[::-1] for loop in edges.loops(before)]  # a cap runs each open edge the other way
    caps = [_cap(mesh.points, walk) for walk in walks]
    if not caps:
        raise MeshFileError(f"the surface is torn: {len(before)} open edges", _OPEN_ADVICE)
    areas = np.array([face_areas(mesh.points[cap]).sum() for cap in caps])
    share = float(areas.sum()) / mesh.area
    if share > MAX_HOLE_SHARE:
        raise MeshFileError(
            f"the surface is open: holes of {100 * share:.0f} % of its area, {len(caps)} in all "
            f"(up to {100 * MAX_HOLE_SHARE:.0f} % are closed)",
            _OPEN_ADVICE,
        )
    new = np.concatenate(caps)
    starts = edges.directed_edges(mesh.faces)
    owner = np.zeros(len(mesh.points), dtype=np.int64)
    owner[starts[:, 0]] = np.arange(len(starts)) // 3
    filled = mesh.with_faces(new, owner[new[:, 0]])
    if left := len(edges.open_edges(filled.faces)):
        raise MeshFileError(f"the surface is torn: {left} open edges are left after closing holes", _OPEN_ADVICE)
    notes.append(f"{len(caps)} {'hole' if len(caps) == 1 else 'holes'} closed ({100 * share:.2g} % of the area)")
    return filled


def _cap(points: Float64Array, walk: Int64Array) -> Int64Array:
    """Triangles (N, 3) over a closed walk of points, with its sense; flat walks may bend inwards."""
    import manifold3d

    around = points[walk]
    center = around.mean(axis=0)
    spokes = around - center
    normal = np.cross(spokes, np.roll(spokes, -1, axis=0)).sum(axis=0)
    length = float(np.linalg.norm(normal))
    if len(walk) > 3 and length > 0:
        normal /= length
        across = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
        across /= np.linalg.norm(across)
        flat = np.column_stack([spokes @ across, spokes @ np.cross(normal, across)])  # counter-clockwise about normal
        cut = np.asarray(manifold3d.triangulate([flat]), dtype=np.int64).reshape(-1, 3)
        if len(cut) == len(walk) - 2:
            return np.asarray(walk[cut], dtype=np.int64)
    fan = np.arange(1, len(walk) - 1)
    return np.stack([np.full(len(fan), walk[0]), walk[fan], walk[fan + 1]], axis=1)  # (N, 3)


def _outward(mesh: RawMesh, notes: list[str]) -> RawMesh:
    """Faces outward; inward only around a hollow inside another body."""
    label = edges.bodies(mesh.faces)
    volumes = np.bincount(label, weights=signed_volumes(mesh.corners - mesh.points.mean(axis=0)))
    turn = np.zeros(len(volumes), dtype=bool)
    if volumes.sum() < 0:
        turn[:] = True
    signed = np.where(turn, -volumes, volumes)
    for number in np.flatnonzero(signed < 0):
        if not _is_hollow(mesh, label, int(number), signed):
            turn[number] = ~turn[number]
    if not turn.any():
        return mesh
    notes.append("inside out: turned" if turn.all() else f"{int(turn.sum())} of {len(turn)} bodies inside out: turned")
    return mesh.flip(turn[label])


def _is_hollow(mesh: RawMesh, label: Int64Array, body: int, signed: Float64Array) -> bool:
    """Whether a body lies within an outward one: the solid angles of that one's faces about a point of it sum to 4 pi.

    Source: van Oosterom and Strackee, The Solid Angle of a Plane Triangle, 1983.
    """
    point = mesh.points[mesh.faces[label == body][0, 0]]
    for other in np.flatnonzero(signed > abs(signed[body])):
        corners = mesh.corners[label == other] - point  # (F, 3, 3)
        low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
        if (low > 0).any() or (high < 0).any():
            continue
        length = np.linalg.norm(corners, axis=2)  # (F, 3)
        a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
        dots = ((a * b).sum(1) * length[:, 2], (b * c).sum(1) * length[:, 0], (c * a).sum(1) * length[:, 1])
        angle = 2 * np.arctan2(6 * signed_volumes(corners), length.prod(axis=1) + sum(dots))
        if abs(angle.sum()) > 2 * np.pi:
            return True
    return False
