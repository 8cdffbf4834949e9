"""Can the tool reach a point without touching anything else? Judged by rays at the whole scene."""

from __future__ import annotations

import numpy as np

from graspnext.geometry import rotations
from graspnext.types import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from graspnext.world.cup import CupConfig
from graspnext.world.labels.rays import Tracer
from graspnext.world.labels.surface import tangents
from graspnext.world.parts.shapes import cuboid
from graspnext.world.scene import Scene

_BODY_RAYS = 12
"""Lines along the body's side, and spokes of its lower end."""
_LIP_RAYS = ((1.0, 12), (0.5, 4))
"""Rings under the cup: share of its radius, rays."""


def still_mesh(scene: Scene) -> tuple[Float32Array, Int32Array]:
    """Vertices (V, 3) and faces (F, 3) of the container and all props as one mesh, world frame."""
    meshes = [scene.container.mesh, *(prop.mesh for prop in scene.props)]
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    faces = [mesh.faces + np.int32(start) for mesh, start in zip(meshes, starts, strict=True)]
    return np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces)


class SceneSolid:
    """All placements, the container and the props as one mesh in the world frame.

    The container's collision boxes are in it too: a tool reaches through a mesh of wires as little as a part does.
    """

    def __init__(self, scene: Scene) -> None:
        seen, touched = still_mesh(scene), [cuboid(2 * half).moved(center) for half, center in scene.container.boxes]
        vertices: list[Float32Array] = [seen[0], *(box.vertices.astype(np.float32) for box in touched)]
        starts = np.cumsum([0, *(len(item) for item in vertices)])
        closed = [box.faces + np.int32(start) for box, start in zip(touched, starts[1:-1], strict=True)]
        faces: list[Int32Array] = [np.concatenate([seen[1], *closed])]
        offset = int(starts[-1])
        for placement in scene.placements:
            mesh = scene.parts[placement.part].mesh
            world = rotations.transform(placement.T_world_part, mesh.vertices.astype(np.float64))
            vertices.append(world.astype(np.float32))
            faces.append(mesh.faces + np.int32(offset))
            offset += len(mesh.vertices)
        self.tracer = Tracer(np.concatenate(vertices), np.concatenate(faces))
        self._starts: Int64Array = np.cumsum([0, *(len(item) for item in faces)])

    def faces_of(self, placements: Int64Array) -> tuple[Int64Array, Int64Array]:
        """First face (N,) of each placement (N,), and the first (N,) that is no more of it."""
        return self._starts[placements + 1], self._starts[placements + 2]


def tool_is_free(
    solid: SceneSolid, placements: Int64Array, points: Float64Array, normals: Float64Array, cup: CupConfig
) -> BoolArray:
    """Whether cup and tool fit at points of placements, with their axis along the normal: (N,) bool.

    The cup, one radius high, must see nothing but its own part: the first thing under rays from its upper end is
    that part, on the lip and half-way inside. The body behind it is a stack of cylinders (`CupConfig.body`), each
    as long as it is and as far as the tool comes in and goes out: whatever crosses its axis, twelve lines along its
    side or twelve spokes of its lower end blocks it, be it another part, the part itself, or the container. As the
    axis is also the way in, a free tool has a free approach.

    Args:
        solid: Everything in the scene.
        placements: (N,) the placement that each point lies on.
        points: (N, 3) world frame, metres.
        normals: (N, 3) unit, outward.
        cup: The tool.
    """
    low = cup.compliance_m
    free = np.asarray(~solid.tracer.blocked(points + normals * low, normals, cup.top_m - low), dtype=np.bool_)
    for radius, start, stop in cup.body():
        for blocked in (_spokes, _sides):
            index = np.flatnonzero(free)
            ends = points[index] + normals[index] * start
            free[index] = ~blocked(solid.tracer, ends, normals[index], radius, stop - start)
    index = np.flatnonzero(free)
    free[index] = _cup_sees_only(solid, placements[index], points[index], normals[index], cup)
    return free


def _spokes(tracer: Tracer, ends: Float64Array, normals: Float64Array, radius: float, _length: float) -> BoolArray:
    """Whether anything is between the axis and the side at a cylinder's lower end (N, 3)."""
    spokes = _circle(normals, _BODY_RAYS) * radius  # (N, K, 3)
    origins = np.repeat(ends, _BODY_RAYS, axis=0)
    return np.asarray(
        tracer.blocked(origins, spokes.reshape(-1, 3), 1.0).reshape(-1, _BODY_RAYS).any(axis=1), dtype=np.bool_
    )


def _sides(tracer: Tracer, ends: Float64Array, normals: Float64Array, radius: float, length: float) -> BoolArray:
    """Whether anything is across a cylinder's side, from its lower end (N, 3) to its upper."""
    origins = ends[:, None] + _circle(normals, _BODY_RAYS) * radius  # (N, K, 3)
    along = np.repeat(normals, _BODY_RAYS, axis=0)
    return np.asarray(
        tracer.blocked(origins.reshape(-1, 3), along, length).reshape(-1, _BODY_RAYS).any(axis=1), dtype=np.bool_
    )


def _cup_sees_only(
    solid: SceneSolid, placements: Int64Array, points: Float64Array, normals: Float64Array, cup: CupConfig
) -> BoolArray:
    """The surface under lip and interior is the placement's own, not that of something lying over it."""
    rings = [points[:, None] + _circle(normals, count) * (share * cup.radius_m) for share, count in _LIP_RAYS]
    origins = np.concatenate(rings, axis=1) + (normals * cup.neck_m)[:, None]  # (N, K, 3)
    directions = np.broadcast_to(-normals[:, None], origins.shape)
    face = solid.tracer.hits(origins.reshape(-1, 3), directions.reshape(-1, 3)).face.reshape(origins.shape[:2])
    first, stop = solid.faces_of(placements)
    return np.asarray(((face >= first[:, None]) & (face < stop[:, None])).all(axis=1), dtype=np.bool_)


def _circle(normals: Float64Array, count: int) -> Float64Array:
    """Unit vectors (N, count, 3) evenly round each normal."""
    first, second = tangents(normals)
    angle = np.arange(count) * (2 * np.pi / count)
    return np.asarray(
        first[:, None] * np.cos(angle)[None, :, None] + second[:, None] * np.sin(angle)[None, :, None],
        dtype=np.float64,
    )
