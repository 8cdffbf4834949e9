import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from graspnext.world.labels.surface import PartSurface, tangents


@pytest.mark.parametrize("kind", ["ball", "cylinder"])
def test_on_round_parts_normals_are_the_true_ones_not_the_facets(shop, kind: str) -> None:
    if kind == "ball":
        solid = trimesh.creation.icosphere(subdivisions=3, radius=0.05)
    else:
        solid = trimesh.creation.cylinder(radius=0.05, height=0.1, sections=40)
    surface = PartSurface(shop.part(solid))
    points, faces = trimesh.sample.sample_surface(solid, 800, seed=3)
    side = np.abs(solid.face_normals[faces][:, 2]) < 0.5 if kind == "cylinder" else np.ones(800, bool)
    points, faces = points[side], faces[side]
    true = points.copy()
    if kind == "cylinder":
        true[:, 2] = 0
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    found = surface.normals_at(points, faces.astype(np.int32))
    error = np.arccos(np.clip((found * true).sum(axis=1), -1, 1))
    facet = np.arccos(np.clip((solid.face_normals[faces] * true).sum(axis=1), -1, 1))
    assert error.mean() < 0.2 * facet.mean()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-9)


def test_sharp_edges_stay_sharp(shop) -> None:
    solid = trimesh.creation.cylinder(radius=0.05, height=0.1, sections=40)
    surface = PartSurface(shop.part(solid))
    lid = np.flatnonzero(solid.face_normals[:, 2] > 0.9).astype(np.int32)
    points = solid.triangles[lid].mean(axis=1)
    np.testing.assert_allclose(surface.normals_at(points, lid), np.tile([0, 0, 1.0], (len(lid), 1)), atol=1e-6)
    box = trimesh.creation.box(extents=(0.05, 0.04, 0.03))
    faces = np.arange(12, dtype=np.int32)
    found = PartSurface(shop.part(box)).normals_at(box.triangles.mean(axis=1), faces)
    np.testing.assert_allclose(found, box.face_normals, atol=1e-6)


def test_faces_without_area_do_no_harm(shop) -> None:
    box = trimesh.creation.icosphere(subdivisions=1, radius=0.03)
    part = shop.part(box)
    faces = np.concatenate([[[0, 0, 1]], part.mesh.faces, [[2, 3, 3]]]).astype(np.int32)
    object.__setattr__(part.mesh, "faces", faces)
    surface = PartSurface(part)
    corners = part.mesh.vertices[faces].astype(float)
    normals = surface.normals_at(corners.mean(axis=1), np.arange(len(faces), dtype=np.int32))
    assert np.isfinite(normals).all()
    plain = PartSurface(shop.part(box)).normals_at(
        corners[1:-1].mean(axis=1), np.arange(len(box.faces), dtype=np.int32)
    )
    np.testing.assert_allclose(normals[1:-1], plain, atol=1e-9)


unit = st.floats(-1, 1)


@given(unit, unit, unit)
def test_tangents_span_the_plane(x: float, y: float, z: float) -> None:
    length = np.linalg.norm([x, y, z])
    if length < 1e-3:
        return
    n = np.array([[x, y, z]]) / length
    first, second = tangents(n)
    basis = np.concatenate([first, second, n])
    np.testing.assert_allclose(basis @ basis.T, np.eye(3), atol=1e-9)
