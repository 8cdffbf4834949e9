"""Part families: closed surfaces, true masses, honest collision pieces, same seed same bytes."""

import numpy as np
import pytest
import trimesh

from graspnext.errors import ConfigError, UnknownNameError
from graspnext.world.parts.families import FAMILIES, INDUSTRIAL_FAMILIES, NOVEL_FAMILIES, TRAIN_FAMILIES, sample_part
from graspnext.world.parts.joining import cut, join
from graspnext.world.parts.profiles import bracket_outline
from graspnext.world.parts.shapes import Solid, cuboid, ellipsoid, extrude, revolve, turn
from graspnext.world.parts.solid import Physics, Stuff, make_part, part_of
from graspnext.world.scene import Material, Mesh, Part

GREY = Material((0.2, 0.2, 0.2), 0.5, 0.0)
HOLLOW = {"ring", "tube", "nut", "bearing", "spring", "seal", "cable"}


def merged(part: Part) -> trimesh.Trimesh:
    mesh = trimesh.Trimesh(part.mesh.vertices, part.mesh.faces, process=False)
    mesh.merge_vertices()
    return mesh


def in_hulls(part: Part, points: np.ndarray) -> np.ndarray:
    inside = np.zeros(len(points), dtype=bool)
    for hull in part.hulls:
        planes = trimesh.convex.convex_hull(hull.astype(np.float64))
        offsets = np.einsum("fi,fi->f", planes.face_normals, planes.triangles[:, 0])
        inside |= (points @ planes.face_normals.T <= offsets + 1e-7).all(axis=1)
    return inside


def in_mesh(mesh: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
    """Winding number by solid angles (Van Oosterom and Strackee, 1983): sums to 4 pi inside, 0 outside."""
    a, b, c = (mesh.triangles[None, :, k] - points[:, None] for k in range(3))  # (P, F, 3)
    la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
    numerator = (a * np.cross(b, c)).sum(axis=2)
    denominator = la * lb * lc + (a * b).sum(2) * lc + (b * c).sum(2) * la + (c * a).sum(2) * lb
    return 2 * np.arctan2(numerator, denominator).sum(axis=1) > 2 * np.pi


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_family_makes_closed_parts_of_real_size(family: str) -> None:
    for seed in range(10):
        part = sample_part(family, "part-00", rng=np.random.default_rng(seed))
        mesh = merged(part)
        assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0, seed
        assert len(mesh.faces) <= 2500
        longest = np.ptp(part.mesh.vertices, axis=0).max()
        assert 0.015 <= longest <= 0.30, (seed, longest)
        assert 0.001 <= part.mass_kg <= 5.0
        assert 0.0 <= part.porosity <= 1.0 and 0.1 <= part.friction <= 1.0
        assert (part.name, part.family) == ("part-00", family)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_family_is_textured_within_its_texture(family: str) -> None:
    part = sample_part(family, "p", rng=np.random.default_rng(4))
    uv, texture = part.mesh.uv, part.material.texture
    assert uv is not None and uv.shape == (len(part.mesh.vertices), 2)
    assert uv.min() >= 0 and uv.max() <= 1
    if texture is not None:
        assert texture.dtype == np.uint8 and texture.ndim == 3 and texture.shape[2] in (3, 4)
        assert max(texture.shape[:2]) <= 576


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_same_seed_same_bytes(family: str) -> None:
    a, b = (sample_part(family, "p", rng=np.random.default_rng(11)) for _ in range(2))
    other = sample_part(family, "p", rng=np.random.default_rng(12))
    assert a.mesh.vertices.tobytes() == b.mesh.vertices.tobytes()
    assert a.mesh.faces.tobytes() == b.mesh.faces.tobytes()
    assert a.inertia.tobytes() == b.inertia.tobytes() and a.mass_kg == b.mass_kg
    looks = [[part.material, *(prop.material for prop in part.inside)] for part in (a, b)]
    for one, two in zip(*looks, strict=True):
        for name in ("texture", "orm", "normals"):
            first, second = getattr(one, name), getattr(two, name)
            assert (first is None) == (second is None)
            assert first is None or first.tobytes() == second.tobytes()
        assert (one.roughness, one.metallic, one.opacity) == (two.roughness, two.metallic, two.opacity)
    for here, there in zip(a.inside, b.inside, strict=True):
        assert here.mesh.vertices.tobytes() == there.mesh.vertices.tobytes()
    assert a.mesh.vertices.tobytes() != other.mesh.vertices.tobytes()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_hulls_fill_the_mesh(family: str) -> None:
    """Points inside the mesh lie inside the hulls, and the hulls add little to it."""
    covered, filled = [], []
    for seed in range(3):
        part = sample_part(family, "p", rng=np.random.default_rng(seed))
        mesh = merged(part)
        rng = np.random.default_rng(1)
        low, high = mesh.bounds
        points = low + rng.random((300, 3)) * (high - low)
        inside = in_mesh(mesh, points)
        hull = in_hulls(part, points)
        covered.append((inside & hull).sum() / max(inside.sum(), 1))
        filled.append(inside.sum() / max(hull.sum(), 1))
    assert np.mean(covered) >= 0.9, covered
    assert np.mean(filled) >= 0.6, filled


@pytest.mark.parametrize("family", sorted(HOLLOW))
def test_holes_are_free(family: str) -> None:
    for seed in range(10):
        part = sample_part(family, "p", rng=np.random.default_rng(seed))
        low, high = part.mesh.vertices.min(axis=0), part.mesh.vertices.max(axis=0)
        axis = np.zeros((21, 3))
        axis[:, 2] = np.linspace(low[2], high[2], 21)
        assert not in_hulls(part, axis).any(), seed


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_centre_of_mass_lies_within_the_outline(family: str) -> None:
    for seed in range(3):
        part = sample_part(family, "p", rng=np.random.default_rng(seed))
        outline = trimesh.convex.convex_hull(part.mesh.vertices.astype(np.float64))
        offsets = np.einsum("fi,fi->f", outline.face_normals, outline.triangles[:, 0])
        assert (outline.face_normals @ part.center_of_mass <= offsets + 1e-6).all()
        assert (np.linalg.eigvalsh(part.inertia) > 0).all()


@pytest.mark.parametrize("family", ["blister", "bag", "jar"])
def test_goods_lie_behind_their_film(family: str) -> None:
    for seed in range(6):
        part = sample_part(family, "p", rng=np.random.default_rng(seed))
        assert part.material.transparent and part.porosity <= 0.05
        assert part.inside and not any(prop.material.transparent for prop in part.inside)
        for prop in part.inside:
            out = ~in_hulls(part, prop.mesh.vertices[:: max(1, len(prop.mesh.vertices) // 300)].astype(np.float64))
            assert out.mean() < 0.02, (seed, out.mean())


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_maps_of_a_material_belong_together(family: str) -> None:
    for seed in range(4):
        material = sample_part(family, "p", rng=np.random.default_rng(seed)).material
        for extra in (material.orm, material.normals):
            if extra is not None:
                assert material.texture is not None and extra.dtype == np.uint8
                assert extra.shape == (*material.texture.shape[:2], 3)
        if material.normals is not None:
            length = np.linalg.norm(material.normals / 127.5 - 1, axis=-1)
            assert (np.abs(length - 1) < 0.05).all() and (material.normals[..., 2] > 127).all()


@pytest.mark.parametrize("family", ["cup", "mug"])
def test_vessels_are_open(family: str) -> None:
    for seed in range(5):
        part = sample_part(family, "p", rng=np.random.default_rng(seed))
        height = part.mesh.vertices[:, 2].max()
        assert not in_hulls(part, np.array([[0, 0, 0.5 * height], [0, 0, 0.9 * height]])).any()
        assert in_hulls(part, np.array([[0, 0, 0.0005]])).all()


def physical(solid: Solid, mass: float) -> Part:
    mesh = Mesh(solid.vertices.astype(np.float32), solid.faces, solid.uv.astype(np.float32))
    return make_part("p", "test", mesh, physics=Physics(mass), material=GREY, hulls=solid.hulls)


def test_box_matches_its_formula() -> None:
    x, y, z, m = 0.04, 0.09, 0.15, 0.7
    part = physical(cuboid((x, y, z)).moved((0.3, -0.2, 0.1)), m)
    expected = m / 12 * np.diag([y * y + z * z, x * x + z * z, x * x + y * y])
    np.testing.assert_allclose(part.inertia, expected, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(part.center_of_mass, (0.3, -0.2, 0.1), atol=1e-7)


def test_cylinder_matches_the_formula_of_its_polygon() -> None:
    r, h, n, m = 0.03, 0.11, 24, 0.4
    part = physical(revolve(np.array([[0, 0], [r, 0], [r, h], [0, h]]), segments=n), m)
    polar = m * r * r / 6 * (2 + np.cos(2 * np.pi / n))  # regular n-gon of circumradius r about its centre
    across = polar / 2 + m * h * h / 12
    np.testing.assert_allclose(part.inertia, np.diag([across, across, polar]), rtol=1e-5, atol=1e-10)
    np.testing.assert_allclose(part.center_of_mass, (0, 0, h / 2), atol=1e-7)
    np.testing.assert_allclose(polar, m * r * r / 2, rtol=0.03)  # and the polygon is close to the circle


def test_bracket_matches_the_sum_of_its_legs() -> None:
    w, h, t, length, density = 0.06, 0.05, 0.004, 0.12, 2700.0
    outline, _ = bracket_outline("L", w, h, t)
    part = part_of("p", "test", extrude([outline], length), Stuff(GREY, density))
    areas = np.array([w * t, t * (h - t)])
    centres = np.array([[w / 2, t / 2], [t / 2, (h + t) / 2]])
    mass = density * length * areas
    centre = mass @ centres / mass.sum()
    about_z = 0.0
    for m, (a, b), c in zip(mass, [(w, t), (t, h - t)], centres, strict=True):
        about_z += m * ((a * a + b * b) / 12 + ((c - centre) ** 2).sum())
    assert part.mass_kg == pytest.approx(mass.sum(), rel=1e-6)
    np.testing.assert_allclose(part.center_of_mass, (*centre, 0), atol=1e-7)
    assert part.inertia[2, 2] == pytest.approx(about_z, rel=1e-5)


@pytest.mark.parametrize("kind", ["L", "U", "T", "Z"])
def test_bracket_rectangles_tile_the_outline(kind: str) -> None:
    outline, tiles = bracket_outline(kind, 0.06, 0.05, 0.004)
    x, y = outline.T
    shoelace = 0.5 * (x * np.roll(y, -1) - np.roll(x, -1) * y).sum()
    assert shoelace == pytest.approx(sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in tiles))


def test_join_and_cut_keep_volume_and_texture_coordinates() -> None:
    a = cuboid((0.1, 0.1, 0.1)).painted((0, 0, 0.5, 1))
    b = cuboid((0.1, 0.1, 0.1)).painted((0.5, 0, 1, 1)).moved((0.05, 0.03, 0.0))
    united = trimesh.Trimesh(join([a, b]).vertices, join([a, b]).faces)
    overlap = 0.05 * 0.07 * 0.1
    assert united.volume == pytest.approx(2 * 0.1**3 - overlap, rel=1e-6)
    left = cut(a, [b])
    assert trimesh.Trimesh(left.vertices, left.faces).volume == pytest.approx(0.1**3 - overlap, rel=1e-6)
    joined = join([a, b])
    beyond = joined.vertices[:, 0] > 0.0501  # only the second box reaches there
    assert (joined.uv[beyond, 0] >= 0.5 - 1e-9).all()
    assert (joined.uv[joined.vertices[:, 0] < -0.0001, 0] <= 0.5 + 1e-9).any()


def test_turn_is_right_handed() -> None:
    for axis in range(3):
        x = np.eye(3)[(axis + 1) % 3]
        np.testing.assert_allclose(turn(axis, np.pi / 2) @ x, np.eye(3)[(axis + 2) % 3], atol=1e-12)


def test_open_surface_is_refused() -> None:
    sphere = ellipsoid((0.1, 0.1, 0.1))
    flipped = Mesh(sphere.vertices.astype(np.float32), sphere.faces[:, ::-1].copy())
    with pytest.raises(ConfigError, match="volume of part 'bad'"):
        make_part("bad", "test", flipped, physics=Physics(1.0), material=GREY)
    with pytest.raises(ValueError, match="not a closed surface"):
        join([Solid(sphere.vertices, sphere.faces[:-3], sphere.uv, sphere.hulls), sphere])


def test_families_split_into_train_and_novel() -> None:
    assert len(NOVEL_FAMILIES) == 4 and len(TRAIN_FAMILIES) >= 16
    assert len(INDUSTRIAL_FAMILIES) >= 8 and set(FAMILIES) >= INDUSTRIAL_FAMILIES
    assert NOVEL_FAMILIES & INDUSTRIAL_FAMILIES and INDUSTRIAL_FAMILIES - NOVEL_FAMILIES
    assert set(TRAIN_FAMILIES) | NOVEL_FAMILIES == set(FAMILIES)
    assert not set(TRAIN_FAMILIES) & NOVEL_FAMILIES
    assert list(TRAIN_FAMILIES) == sorted(TRAIN_FAMILIES)
    with pytest.raises(UnknownNameError, match="unknown part family 'teapot'"):
        sample_part("teapot", "p", rng=np.random.default_rng(0))
