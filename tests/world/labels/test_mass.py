"""Centres of mass against integrals over volume: manifold's, trimesh's, and sums over voxels."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from graspnext.types import Camera
from graspnext.world.labels.center_of_mass import project_center_of_mass

CAMERA = Camera(640, 480, 500.0, 520.0, 310.0, 250.0)


def solid_of(kind: int, rng: np.random.Generator) -> trimesh.Trimesh:
    block = trimesh.creation.box(extents=rng.uniform(0.04, 0.1, 3))
    if kind == 0:
        return block
    tool = trimesh.creation.cylinder(radius=0.015, height=0.3, sections=20)
    tool.apply_translation([*rng.uniform(-0.03, 0.03, 2), 0])
    if kind == 1:
        return trimesh.boolean.difference([block, tool], engine="manifold")
    return trimesh.boolean.union([block, tool], engine="manifold")


def voxel_center(solid: trimesh.Trimesh, step: float) -> np.ndarray:
    """Mean of the voxel centres inside, by the parity of crossings along z: no volume integral."""
    low, high = solid.bounds
    axes = [np.arange(low[k] + step / 2, high[k], step) for k in range(3)]
    x, y = (grid.ravel() + 1e-7 for grid in np.meshgrid(axes[0], axes[1], indexing="ij"))
    crossings = np.zeros((x.size, axes[2].size), dtype=int)
    for a, b, c in solid.triangles:
        det = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if abs(det) < 1e-14:
            continue
        s = ((x - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (y - a[1])) / det
        t = ((b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])) / det
        hit = (s >= 0) & (t >= 0) & (s + t <= 1)
        z = a[2] + s * (b[2] - a[2]) + t * (c[2] - a[2])
        crossings[hit] += axes[2][None] > z[hit, None]
    inside = crossings % 2 == 1
    points = np.stack([np.repeat(x, axes[2].size), np.repeat(y, axes[2].size), np.tile(axes[2], x.size)], axis=1)
    return points[inside.ravel()].mean(axis=0)


@settings(max_examples=15, deadline=None)
@given(kind=st.integers(0, 2), seed=st.integers(0, 10**6))
def test_projected_centers_are_those_of_the_volume(shop, kind: int, seed: int) -> None:
    from manifold3d import Manifold, Mesh

    rng = np.random.default_rng(seed)
    solid = solid_of(kind, rng)
    T = shop.pose((*rng.uniform(-0.1, 0.1, 2), rng.uniform(0.4, 0.9)), rng.normal(size=3), rng.uniform(0, 6))
    found = project_center_of_mass(shop.part(solid), T, CAMERA)
    x, y, z = T[:3, :3] @ solid.center_mass + T[:3, 3]
    assert found == pytest.approx([500 * x / z + 310, 520 * y / z + 250, z], rel=1e-4)
    # manifold has volumes only: the centre splits no plane's moments, so compare halves cut through it.
    body = Manifold(Mesh(solid.vertices.astype(np.float32), solid.faces.astype(np.uint32)))
    ray = np.array([(found[0] - 310) / 500, (found[1] - 250) / 520, 1]) * found[2]
    center = T[:3, :3].T @ (ray - T[:3, 3])
    for axis in np.eye(3):
        assert moment_about(body, axis, float(center @ axis), solid) == pytest.approx(0, abs=2e-4)
    assert np.abs(voxel_center(solid, 0.002) - center).max() < 0.001


def moment_about(body, axis: np.ndarray, offset: float, solid: trimesh.Trimesh) -> float:
    """First moment of the volume about the plane axis . x = offset over volume, by slabs cut with manifold, metres."""
    low, high = (solid.vertices @ axis).min(), (solid.vertices @ axis).max()
    edges = np.linspace(low, high, 81)
    above = [body.trim_by_plane(tuple(axis), float(edge)).volume() for edge in edges]
    slabs = -np.diff(above)
    return float((slabs * ((edges[:-1] + edges[1:]) / 2 - offset)).sum() / body.volume())
