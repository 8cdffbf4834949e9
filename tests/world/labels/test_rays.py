import numpy as np
import pytest
import trimesh

from graspnext.world.labels.rays import Tracer


def test_nearest_hits_are_those_of_brute_force(shop) -> None:
    rng = np.random.default_rng(5)
    vertices = rng.normal(0, 0.25, (40, 3)).astype(np.float32)
    faces = rng.permuted(np.tile(np.arange(40), (25, 1)), axis=1)[:, :3].astype(np.int32)
    origins, directions = rng.normal(0, 0.4, (400, 3)), rng.normal(0, 1, (400, 3))
    directions -= origins * 8  # most rays towards the middle
    expected = shop.brute_force(vertices.astype(float)[faces], origins, directions)
    hits = Tracer(vertices, faces).hits(origins, directions)
    assert 40 < np.isfinite(expected).sum() < 400
    np.testing.assert_array_equal(hits.face >= 0, np.isfinite(expected))
    np.testing.assert_allclose(hits.distance, expected, rtol=1e-4)


def test_distance_is_in_units_of_the_direction() -> None:
    box = trimesh.creation.box(extents=(1, 1, 1))
    tracer = Tracer(box.vertices, box.faces)
    directions = np.array([[0, 0, -1.0], [0, 0, -4.0], [0, 0, 1.0]])
    hits = tracer.hits(np.array([0.1, 0.2, 2.5]), directions)
    np.testing.assert_allclose(hits.distance, [2.0, 0.5, np.inf], rtol=1e-6)
    assert hits.face[2] == -1
    assert box.face_normals[hits.face[0]] == pytest.approx([0, 0, 1])


def test_rays_from_inside_meet_the_far_side() -> None:
    box = trimesh.creation.box(extents=(1, 1, 1))
    assert Tracer(box.vertices, box.faces).hits(np.zeros(3), np.array([[0.0, 0, 2]])).distance[0] == pytest.approx(0.25)


def test_blocked_within_reach_only() -> None:
    box = trimesh.creation.box(extents=(1, 1, 1))
    tracer = Tracer(box.vertices, box.faces)
    origins, directions = np.array([[0.1, 0.2, 1.0], [3.0, 0, 1]]), np.array([[0, 0, -1.0], [0, 0, -1.0]])
    assert tracer.blocked(origins, directions, 0.51).tolist() == [True, False]
    assert tracer.blocked(origins, directions, 0.49).tolist() == [False, False]


def test_no_ray_slips_between_two_faces() -> None:
    plate = trimesh.creation.box(extents=(1, 1, 0.1)).subdivide().subdivide()
    line = np.linspace(-0.49, 0.49, 400)
    origins = np.stack([line, line, np.ones(400)], axis=1)  # along the diagonals that the faces share
    hits = Tracer(plate.vertices, plate.faces).hits(origins, np.tile([0, 0, -1.0], (400, 1)))
    np.testing.assert_allclose(hits.distance, 0.95, rtol=1e-6)
