import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from graspnext.world.labels.surface import PartSurface, tangents


def test_samples_lie_on_a_box_in_proportion_to_its_faces(shop) -> None:
    sides = np.array([0.08, 0.06, 0.02])
    points, face = PartSurface(shop.box(*sides)).samples()
    on = np.isclose(np.abs(points), sides / 2, atol=1e-7)  # which pair of faces
    assert on.any(axis=1).all()
    assert (np.abs(points) <= sides / 2 + 1e-7).all()
    areas = 2 * np.array([sides[1] * sides[2], sides[0] * sides[2], sides[0] * sides[1]])
    np.testing.assert_allclose(on.sum(axis=0) / len(points), areas / areas.sum(), atol=0.01)
    assert len(face) == len(points) >= 1000


@pytest.mark.parametrize("kind", ["box", "ball", "slender"])
def test_no_place_is_far_from_a_sample(shop, kind: str) -> None:
    solid = {
        "box": trimesh.creation.box(extents=(0.12, 0.09, 0.04)),
        "ball": trimesh.creation.icosphere(subdivisions=3, radius=0.05),
        "slender": trimesh.creation.cylinder(radius=0.004, height=0.2, sections=24),
    }[kind]
    surface = PartSurface(shop.part(solid))
    points, _ = surface.samples()
    places = trimesh.sample.sample_surface(solid, 500, seed=1)[0]
    nearest = np.sqrt(((places[:, None] - points[None]) ** 2).sum(axis=2)).min(axis=1)
    assert np.median(nearest) < surface.spacing()
    assert nearest.max() < 4 * surface.spacing()


def test_samples_are_always_the_same(shop) -> None:
    solid = trimesh.creation.icosphere(subdivisions=2, radius=0.03)
    first, second = (PartSurface(shop.part(solid)).samples()[0] for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_faces_without_area_do_no_harm(shop) -> None:
    box = trimesh.creation.box(extents=(0.05, 0.05, 0.05))
    part = shop.part(box)
    faces = np.concatenate([[[0, 0, 1]], part.mesh.faces, [[2, 3, 3]]]).astype(np.int32)
    object.__setattr__(part.mesh, "faces", faces)
    points, face = PartSurface(part).samples()
    assert np.isfinite(points).all()
    assert face.min() >= 1
    assert face.max() <= len(box.faces)


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
