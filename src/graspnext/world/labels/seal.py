"""Does a compliant cup close on a surface? Judged by rays at the part alone."""

from __future__ import annotations

import numpy as np

from graspnext.types import BoolArray, Float64Array, Int32Array, Int64Array
from graspnext.world.cup import CupConfig
from graspnext.world.labels.surface import PartSurface, tangents

_RING = 36
"""Rays under the lip: 2.6 mm apart for a cup of 30 mm."""
_FIRST = 4
_LATTICE = 6
"""Rays inside the lip lie on a triangular lattice of this many steps a radius: no round hole wider than 1.155 steps
(2.9 mm for a cup of 30 mm) slips between them."""
_HOLE_DEPTH_RADII = 0.5
"""An interior ray that goes deeper below the lip's plane than this many cup radii has found a hole."""


def seal_scores(
    surface: PartSurface, points: Float64Array, normals: Float64Array, cup: CupConfig, faces: Int32Array | None = None
) -> Float64Array:
    """How well the cup seals when pressed on each point along its normal: (N,) in [0, 1].

    Heights of the surface over the tangent plane are read by rays along -normal, on the lip (radius r) and at its
    inside. A plane is fitted to the lip's heights, since a cup tilts by itself, as long as the tilt lifts the lip
    by no more than its compliance c. About that plane,

        deviation = max(lip and interior) - min(lip),      seal = (1 - porosity) * max(0, 1 - deviation / c).

    So a plane has 1, and a sphere or cylinder of radius R has 1 - (R - sqrt(R^2 - r^2)) / c, about 1 - r^2 / (2 R c).
    The seal is 0 where any lip ray finds nothing, a face that may not be sucked, or starts inside the part, and
    where an interior ray does, or goes more than r / 2 below the plane: a hole. Shallower dents inside the lip cost
    nothing. (The lip's compliance as the measure follows the spring model of Dex-Net 3.0, Mahler et al., ICRA 2018;
    the hole test is what SuctionNet-1Billion, Cao et al., RA-L 2021, lacks.)

    Args:
        surface: The part.
        points: (N, 3) on its surface, part frame, metres.
        normals: (N, 3) unit, outward.
        cup: The cup.
        faces: (N,) faces that the points lie on, if known: those that may not be sucked are left out at once.
    """
    scores = np.zeros(len(points))
    index = np.arange(len(points))
    if faces is not None and surface.part.suckable is not None:
        index = np.flatnonzero(surface.part.suckable[faces])
    index, heights = _closed(surface, points, normals, cup, index)  # (M,), (M, K)
    lip = _lip(cup.radius_m)
    mean = heights.mean(axis=1)
    slope = heights @ lip * (2 / (_RING * cup.radius_m**2))  # (M, 2) least squares: the ring's points are orthogonal
    residual = heights - mean[:, None] - slope @ lip.T
    level = np.linalg.norm(slope, axis=1) * cup.radius_m <= cup.compliance_m
    level &= np.ptp(residual, axis=1) < cup.compliance_m
    index, mean, slope, residual = index[level], mean[level], slope[level], residual[level]

    inside = _interior(cup.radius_m)  # (J, 2)
    depth, solid = _heights(surface, points[index], normals[index], inside, cup)
    depth = depth - mean[:, None] - slope @ inside.T
    whole = (solid & (depth >= -_HOLE_DEPTH_RADII * cup.radius_m)).all(axis=1)
    top = np.maximum(residual.max(axis=1), depth.max(axis=1, initial=-np.inf))
    deviation = top - residual.min(axis=1)
    score = np.clip(1 - deviation / cup.compliance_m, 0, 1) * whole
    scores[index] = score * (1 - surface.part.porosity)
    return scores


def _lip(radius_m: float) -> Float64Array:
    """Offsets (K, 2) of the lip's rays."""
    angle = np.arange(_RING) * (2 * np.pi / _RING)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius_m


def _closed(
    surface: PartSurface, points: Float64Array, normals: Float64Array, cup: CupConfig, index: Int64Array
) -> tuple[Int64Array, Float64Array]:
    """Which of the points `index` (N,) have a surface under all the lip, (M,), and its heights (M, K).

    A first pass with every `_FIRST`-th ray leaves most of the others no work.
    """
    lip = _lip(cup.radius_m)
    heights = np.empty((len(index), _RING))
    for rays in (np.arange(0, _RING, _FIRST), np.flatnonzero(np.arange(_RING) % _FIRST)):
        found, solid = _heights(surface, points[index], normals[index], lip[rays], cup)
        heights[:, rays] = found
        closed = (solid & (np.abs(found) <= 2 * cup.compliance_m)).all(axis=1)
        index, heights = index[closed], heights[closed]
    return index, heights


def _interior(radius_m: float) -> Float64Array:
    """Offsets (J, 2) of the interior rays, the centre among them."""
    i, j = np.mgrid[-2 * _LATTICE : 2 * _LATTICE + 1, -2 * _LATTICE : 2 * _LATTICE + 1]
    lattice = np.stack([i + 0.5 * j, np.sqrt(0.75) * j], axis=-1).reshape(-1, 2) / _LATTICE  # (J, 2)
    # The rim is the lip's own; without it the count stays the same whatever the rounding.
    return np.asarray(lattice[np.linalg.norm(lattice, axis=1) < 0.99] * radius_m, dtype=np.float64)


def _heights(
    surface: PartSurface, points: Float64Array, normals: Float64Array, offsets: Float64Array, cup: CupConfig
) -> tuple[Float64Array, BoolArray]:
    """Heights of the surface over each tangent plane at `offsets` (K, 2) in it.

    Returns:
        heights (N, K) metres, -inf where nothing is below, and whether each is met from outside, on a face that may be
        sucked (N, K).
    """
    start = 3 * cup.compliance_m  # above anything that the lip can follow
    shape = (len(points), len(offsets), 3)
    plane = np.stack(tangents(normals), axis=1)  # (N, 2, 3)
    # float32, as the rays are: most of the work here is to write them down.
    raised = (points + normals * start).astype(np.float32)
    origins = np.matmul(offsets.astype(np.float32), plane.astype(np.float32)) + raised[:, None]  # (N, K, 3)
    directions = np.ascontiguousarray(np.broadcast_to(-normals.astype(np.float32)[:, None], shape))
    hits = surface.tracer.hits(origins.reshape(-1, 3), directions.reshape(-1, 3))
    face = hits.face.reshape(shape[:2])
    faced = np.einsum("nkd,nd->nk", surface.face_normals.astype(np.float32)[face], normals.astype(np.float32))
    met = (face >= 0) & (faced > 0)  # from behind: the ray began inside the part, under a higher wall
    if surface.part.suckable is not None:
        met &= surface.part.suckable[face]
    return start - hits.distance.astype(np.float64).reshape(shape[:2]), met
