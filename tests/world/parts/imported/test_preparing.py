"""From bytes to shapes: volumes and moments against closed forms, repairs and refusals by name."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import trimesh
from tests.world.parts.imported import meshes

from graspnext.errors import MeshFileError
from graspnext.world.parts.imported.loading import load
from graspnext.world.parts.imported.pieces import CONVEX_SHARE
from graspnext.world.parts.imported.preparing import make_shape
from graspnext.world.parts.imported.records import build_part, record
from graspnext.world.parts.imported.repair import repair
from graspnext.world.parts.imported.settings import PartSettings
from graspnext.world.parts.imported.shape import from_bytes, to_bytes
from graspnext.world.parts.imported.sources import Source
from graspnext.world.scene import Part


def part_from(mesh: trimesh.Trimesh, kind: str = "ply", **settings: object) -> Part:
    shape = make_shape(meshes.source(mesh, kind))
    about, _ = record("p", "0" * 64, shape, 1e-3, PartSettings.model_validate(settings))
    return build_part(about, shape)


def notes_of(mesh: trimesh.Trimesh) -> str:
    return "; ".join(make_shape(meshes.source(mesh)).notes)


def refusal(mesh: trimesh.Trimesh) -> str:
    with pytest.raises(MeshFileError) as caught:
        make_shape(meshes.source(mesh))
    return str(caught.value)


@pytest.mark.parametrize("kind", meshes.FORMATS)
def test_box_has_the_moments_of_its_formula(kind: str) -> None:
    mesh = meshes.box()
    mesh.apply_translation((30, -10, 5))
    part = part_from(mesh, kind, density_kg_m3=1000)
    x, y, z = np.array(meshes.BOX) * 1e-3
    mass = 1000 * x * y * z
    assert part.mass_kg == pytest.approx(mass, rel=1e-5)
    np.testing.assert_allclose(part.center_of_mass, (0.03, -0.01, 0.005), atol=1e-7)
    expected = mass / 12 * np.diag([y * y + z * z, x * x + z * z, x * x + y * y])
    np.testing.assert_allclose(part.inertia, expected, rtol=1e-4, atol=1e-10)
    assert len(part.hulls) == 1 and len(part.hulls[0]) == 8


@pytest.mark.parametrize("kind", meshes.FORMATS)
def test_sphere_and_cylinder_come_close_to_theirs(kind: str) -> None:
    r, h = 0.02, 0.05
    cylinder = part_from(trimesh.creation.cylinder(20, 50, sections=128), kind, mass_kg=0.3)
    np.testing.assert_allclose(cylinder.inertia[2, 2], 0.3 * r * r / 2, rtol=3e-3)
    np.testing.assert_allclose(cylinder.inertia[0, 0], 0.3 * (3 * r * r + h * h) / 12, rtol=3e-3)
    sphere = part_from(trimesh.creation.icosphere(4, 20), kind, density_kg_m3=2000)
    assert sphere.mass_kg == pytest.approx(2000 * 4 / 3 * np.pi * r**3, rel=5e-3)
    np.testing.assert_allclose(sphere.inertia, 0.4 * sphere.mass_kg * r * r * np.eye(3), rtol=6e-3, atol=1e-9)


def test_bracket_is_two_plates_for_physics() -> None:
    shape = make_shape(meshes.source(meshes.bracket(), "stl"))
    plates = np.array([60 * 4, 4 * 46])
    assert shape.volume == pytest.approx(40 * plates.sum(), rel=1e-6)
    hulls = sum(trimesh.convex.convex_hull(hull).volume for hull in shape.hulls)
    assert len(shape.hulls) >= 2 and hulls == pytest.approx(shape.volume, rel=0.05)
    about, _ = record("p", "0" * 64, shape, 1e-3, PartSettings())
    part = build_part(about, shape)
    center = (plates @ [[30, 2], [2, 27]]) / plates.sum() * 1e-3
    np.testing.assert_allclose(part.center_of_mass, (center[0], 0.02, center[1]), atol=1e-7)


@pytest.mark.parametrize("mesh", [meshes.box(), trimesh.creation.cylinder(3, 60), meshes.bracket()], ids=str)
def test_pieces_are_solid_and_cover_the_corners(mesh: trimesh.Trimesh) -> None:
    shape = make_shape(meshes.source(mesh))
    for hull in shape.hulls:
        assert np.linalg.matrix_rank(hull - hull.mean(axis=0), tol=1e-3) == 3
    points = np.concatenate(shape.hulls)
    np.testing.assert_allclose(points.min(axis=0), shape.vertices.min(axis=0), atol=1.0)
    np.testing.assert_allclose(points.max(axis=0), shape.vertices.max(axis=0), atol=1.0)


def test_convex_hulls_lose_little_volume() -> None:
    shape = make_shape(meshes.source(trimesh.creation.icosphere(5, 20)))
    (hull,) = shape.hulls
    assert trimesh.convex.convex_hull(hull).volume >= (CONVEX_SHARE - 0.02) * shape.volume


def test_same_bytes_same_shape() -> None:
    source = meshes.source(meshes.bracket())
    first, second = (to_bytes(make_shape(source)) for _ in range(2))
    assert hashlib.sha256(first).hexdigest() == hashlib.sha256(second).hexdigest()
    assert to_bytes(from_bytes(first)) == first


def test_inside_out_is_turned() -> None:
    assert "inside out" in notes_of(meshes.inverted())
    assert make_shape(meshes.source(meshes.inverted())).volume == pytest.approx(np.prod(meshes.BOX))


def test_disagreeing_faces_are_turned() -> None:
    mesh = trimesh.creation.icosphere(2, 20)
    volume = mesh.volume
    mesh.faces[::3] = mesh.faces[::3, ::-1]
    shape = make_shape(meshes.source(mesh))
    assert "turned to agree" in "; ".join(shape.notes)
    assert shape.volume == pytest.approx(volume, rel=1e-6)


def test_missing_vertices_and_small_holes_are_closed() -> None:
    notes = notes_of(meshes.with_nan())
    assert "NaN" in notes and "hole closed" in notes
    whole = trimesh.creation.icosphere(4, 25)
    volume = whole.volume
    shape = make_shape(meshes.source(meshes.without(whole, 40)))
    assert shape.volume == pytest.approx(volume, rel=0.01)


def test_flat_holes_are_closed_exactly() -> None:
    mesh = meshes.box((10, 10, 200)).subdivide()
    ends = np.abs(mesh.face_normals[:, 2]) > 0.5
    mesh.update_faces(~ends)
    assert make_shape(meshes.source(mesh)).volume == pytest.approx(20000, rel=1e-6)


def test_faces_without_area_and_doubles_are_removed() -> None:
    mesh = meshes.box()
    extra = np.concatenate([mesh.faces, [[0, 0, 1]], mesh.faces[:2]])
    shape = make_shape(meshes.source(trimesh.Trimesh(mesh.vertices, extra, process=False)))
    assert "without area" in "; ".join(shape.notes) and "drawn twice" in "; ".join(shape.notes)
    assert len(shape.faces) == 12 and shape.faces_read == 15


def test_seams_are_sewn() -> None:
    mesh = trimesh.creation.icosphere(3, 20)
    volume = mesh.volume
    mesh.unmerge_vertices()
    rng = np.random.default_rng(0)
    mesh.vertices += rng.uniform(-1e-3, 1e-3, mesh.vertices.shape)  # 0.02 thousandths of the size
    assert make_shape(meshes.source(mesh)).volume == pytest.approx(volume, rel=1e-3)


def test_overlapping_bodies_count_once() -> None:
    other = meshes.box((40, 40, 40))
    other.apply_translation((20, 0, 0))
    both = trimesh.util.concatenate([meshes.box((40, 40, 40)), other])
    shape = make_shape(meshes.source(both))
    assert "united" in "; ".join(shape.notes) and shape.volume == pytest.approx(60 * 40 * 40, rel=1e-6)


def test_a_hollow_stays_hollow_whatever_the_sense() -> None:
    outer, inner = meshes.box((40, 40, 40)), meshes.box((20, 20, 20))
    inner.invert()
    hollow = trimesh.util.concatenate([outer, inner])
    for _ in range(2):
        assert repair(load(meshes.source(hollow))[0])[0].volume == pytest.approx(40**3 - 20**3)
        hollow.invert()


def test_separate_bodies_are_kept() -> None:
    other = meshes.box((10, 10, 10))
    other.apply_translation((40, 0, 0))
    shape = make_shape(meshes.source(trimesh.util.concatenate([meshes.box((10, 10, 10)), other])))
    assert shape.volume == pytest.approx(2000) and len(shape.hulls) >= 2


def test_many_faces_become_fewer() -> None:
    mesh = trimesh.creation.icosphere(6, 20)
    shape = make_shape(meshes.source(mesh))
    assert shape.faces_read == 81920 and len(shape.faces) <= 20000
    assert shape.volume == pytest.approx(mesh.volume, rel=2e-3)


def test_a_far_origin_is_left() -> None:
    mesh = meshes.box()
    mesh.apply_translation((5000, 0, 0))
    shape = make_shape(meshes.source(mesh))
    assert "own centre" in "; ".join(shape.notes)
    np.testing.assert_allclose(shape.vertices.mean(axis=0), 0, atol=1e-2)


def test_what_is_no_solid_is_refused_by_name() -> None:
    assert "open" in refusal(meshes.without(meshes.box(), 2)) and "two sides" in refusal(
        meshes.without(meshes.box(), 2)
    )
    sheet = trimesh.Trimesh([[0, 0, 0], [50, 0, 0], [0, 50, 0], [50, 50, 0]], [[0, 1, 2], [1, 3, 2]], process=False)
    assert "open" in refusal(sheet) or "torn" in refusal(sheet)
    both = trimesh.Trimesh(sheet.vertices, np.concatenate([sheet.faces, sheet.faces[:, ::-1]]), process=False)
    assert "sheet without thickness" in refusal(both)
    gone = trimesh.Trimesh(np.full((3, 3), np.nan), [[0, 1, 2]], process=False, validate=False)
    assert "no face" in refusal(gone)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("stl", b"solid nothing\nendsolid nothing\n"),
        ("obj", b"# only words\n"),
        ("obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"),
        ("off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n"),
        ("ply", b"ply\nformat ascii 1.0\nelement vertex 9\nproperty float x\nend_header\n1\n"),
        ("glb", b"glTF\x02\x00\x00\x00\xff\x00\x00\x00"),
        ("gltf", b'{"asset": {"version": "2.0"}}'),
    ],
)
def test_empty_and_broken_files_are_refused(kind: str, content: bytes) -> None:
    with pytest.raises(MeshFileError):
        make_shape(Source(f"x.{kind}", kind, content, {}, ()))
