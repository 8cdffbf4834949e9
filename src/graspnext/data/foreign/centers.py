"""Centres of mass of MetaGraspNet's objects: true ones from meshes and poses, rough ones from visible key points."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from graspnext.data.foreign.opening import attempt, fault
from graspnext.data.foreign.suction import Surface, locate
from graspnext.errors import MissingDependencyError
from graspnext.geometry import cameras
from graspnext.types import Camera, Float32Array, Float64Array

BEST_SHARE = 0.1
"""Of an object's visible key points, those whose mean stands for its centre of mass."""
MAX_MESH_BYTES = 1 << 28
MAX_COORDINATE = 1e6


@lru_cache(maxsize=256)
def mesh_center(models: Path, category: int) -> Float64Array | None:
    """Centre of mass (3,) m of an object's mesh at uniform density, model frame; None where there is no mesh.

    Raises:
        DatasetFaultError: The mesh is damaged or holds no volume.
        MissingDependencyError: trimesh is not installed.
    """
    file = next((f for f in (f"{category:03d}/textured.obj", f"{category}/textured.obj") if (models / f).is_file()), "")
    if not file:
        return None
    try:
        import trimesh
    except ModuleNotFoundError as error:
        raise MissingDependencyError("trimesh", "reading meshes", "pip install 'graspnext[world]'") from error
    if (models / file).stat().st_size > MAX_MESH_BYTES:
        raise fault(models, file, "", f"larger than {MAX_MESH_BYTES >> 20} MiB")
    mesh = attempt(lambda: trimesh.load(models / file, force="mesh", skip_materials=True), models, file)
    center = attempt(lambda: np.asarray(mesh.center_mass, dtype=np.float64), models, file)
    if center.shape != (3,) or not np.isfinite(center).all():
        raise fault(models, file, "", "the mesh has no centre of mass")
    return center


def project_center(camera: Camera, point_m: Float64Array) -> Float32Array | None:
    """A centre of mass (3,) m in the camera frame as u px, v px, z m; None behind the camera or far beside it."""
    seen = cameras.project(camera, point_m[None])[0]
    return seen.astype(np.float32) if np.isfinite(seen).all() and np.abs(seen).max() <= MAX_COORDINATE else None


def from_keypoints(surface: Surface, keypoints_m: Float64Array) -> dict[int, Float32Array]:
    """Rough centres by instance from visible surface points that are scored by their nearness to the true one.

    The mean of the best tenth of the points seen on each instance: it lies on the side that faces the camera.

    Args:
        surface: What the camera sees.
        keypoints_m: (K, 4) score, x, y, z; metres, camera frame.
    """
    _, owner = locate(surface, keypoints_m[:, 1:])
    centers: dict[int, Float32Array] = {}
    for instance in np.unique(owner[owner > 0]):
        own = keypoints_m[owner == instance]
        best = own[np.argsort(-own[:, 0], kind="stable")][: max(1, round(BEST_SHARE * len(own)))]
        center = project_center(surface.camera, best[:, 1:].mean(axis=0))
        if center is not None:
            centers[int(instance)] = center
    return centers
