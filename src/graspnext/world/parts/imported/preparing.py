"""From mesh files to cached shapes: read, repaired, decomposed, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from graspnext.errors import MeshFileError
from graspnext.world.parts.imported.baking import bake
from graspnext.world.parts.imported.cache import ShapeCache
from graspnext.world.parts.imported.isolation import LimitError, isolated
from graspnext.world.parts.imported.loading import load
from graspnext.world.parts.imported.pieces import convex_pieces
from graspnext.world.parts.imported.raw_mesh import RawMesh
from graspnext.world.parts.imported.repair import repair
from graspnext.world.parts.imported.shape import Shape, to_bytes
from graspnext.world.parts.imported.solids import solidify
from graspnext.world.parts.imported.sources import Source, read_source
from graspnext.world.workers import run_tasks

_FAR = 2.0
"""Sizes between a file's origin and its mesh beyond which the mesh is moved to its own centre."""
_RENEW_AFTER = 1000


@dataclass(frozen=True)
class PrepareTask:
    """One file to be prepared."""

    folder: Path
    file: str
    key: str
    cache: Path


def make_shape(source: Source) -> Shape:
    """Everything that follows from a mesh file's bytes.

    Raises:
        MeshFileError: It cannot become a part.
    """
    raw, remarks = load(source)
    closed, repairs = repair(raw)
    closed, centring = _centred(closed)
    solid, changes = solidify(closed)
    hulls = convex_pieces(solid)
    baked = bake(solid)
    return Shape(
        vertices=baked.vertices,
        faces=baked.faces,
        uv=baked.uv,
        group=solid.group.astype(np.int32),
        groups=tuple(surface.names for surface in solid.surfaces),
        color=baked.color,
        roughness=baked.roughness,
        metallic=baked.metallic,
        texture=baked.texture,
        hulls=hulls,
        volume=solid.volume,
        faces_read=len(raw.faces),
        notes=(*remarks, *repairs, *centring, *changes),
    )


def _centred(mesh: RawMesh) -> tuple[RawMesh, list[str]]:
    """Numbers far from 0 lose digits, and far levers mislead physics."""
    corners = mesh.corners.reshape(-1, 3)
    center = (corners.min(axis=0) + corners.max(axis=0)) / 2
    away = float(np.linalg.norm(center)) / mesh.size
    if away <= _FAR:
        return mesh, []
    return replace(mesh, points=mesh.points - center), [
        f"moved to its own centre: the origin was {away:.3g} sizes away"
    ]


def prepare(task: PrepareTask) -> tuple[str, MeshFileError | None]:
    """Make and cache the shape of one file, or why there is none; its key, and the refusal."""
    cache = ShapeCache(task.cache)
    try:
        cache.put_bytes(task.key, isolated(lambda: to_bytes(make_shape(read_source(task.folder, task.file)))))
    except LimitError as error:
        return task.key, error
    except MeshFileError as error:
        cache.put_refusal(task.key, error)
        return task.key, error
    return task.key, None


def prepare_all(tasks: list[PrepareTask], *, workers: int) -> Iterator[tuple[str, MeshFileError | None]]:
    """Prepare files in child processes: key and refusal of each as they become ready."""
    return run_tasks(prepare, tasks, workers=workers, renew_after=_RENEW_AFTER)
