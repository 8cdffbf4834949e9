import numpy as np
import pytest
import trimesh
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graspnext.world.cup import CupConfig
from graspnext.world.labels.seal import seal_scores
from graspnext.world.labels.surface import PartSurface

CUP = CupConfig(radius_m=0.015, compliance_m=0.003)
UP = (0.0, 0.0, 1.0)


def seal(part, point, normal=UP, cup: CupConfig = CUP) -> float:
    n = np.array([normal], dtype=float)
    return float(seal_scores(PartSurface(part), np.array([point], dtype=float), n, cup)[0])


def test_a_plane_seals_and_leaks_in_proportion_to_its_porosity(shop) -> None:
    assert seal(shop.box(0.1, 0.1, 0.02), (0.01, 0, 0.01)) == pytest.approx(1, abs=1e-3)
    assert seal(shop.box(0.1, 0.1, 0.02, porosity=0.3), (0.01, 0, 0.01)) == pytest.approx(0.7, abs=1e-3)


def test_a_hole_leaks_wherever_it_lies_under_the_cup(shop) -> None:
    plate = shop.part(trimesh.creation.annulus(r_min=0.002, r_max=0.06, height=0.01, sections=48))
    assert seal(plate, (0.004, 0, 0.005)) == 0  # inside, near the centre
    assert seal(plate, (0.008, 0, 0.005)) == 0  # inside, smaller than the cup
    assert seal(plate, (0.015, 0, 0.005)) == 0  # under the lip
    assert seal(plate, (0.019, 0, 0.005)) == pytest.approx(1, abs=1e-3)  # outside


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 2 * np.pi), st.floats(0.002, 0.0158))
def test_no_screw_hole_slips_between_the_rays(shop, angle: float, distance: float) -> None:
    plate = shop.part(trimesh.creation.annulus(r_min=0.0017, r_max=0.06, height=0.01, sections=32))
    assert seal(plate, (distance * np.cos(angle), distance * np.sin(angle), 0.005)) == 0


@pytest.mark.parametrize(("depth", "expected"), [(0.003, 1.0), (0.012, 0.0)])
def test_a_shallow_dent_inside_the_lip_is_no_hole(shop, depth: float, expected: float) -> None:
    block = trimesh.creation.box(extents=(0.08, 0.08, 0.04))
    drill = trimesh.creation.cylinder(radius=0.004, height=2 * depth, sections=24, transform=shop.pose((0, 0, 0.02)))
    part = shop.part(trimesh.boolean.difference([block, drill], engine="manifold"))
    assert seal(part, (0.006, 0, 0.02)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("height", "expected"), [(0.001, 2 / 3), (0.002, 1 / 3), (0.004, 0.0), (0.02, 0.0)])
def test_a_bump_inside_the_lip_costs_its_height(shop, height: float, expected: float) -> None:
    block = trimesh.creation.box(extents=(0.08, 0.08, 0.02))
    knob = trimesh.creation.box(extents=(0.006, 0.006, 2 * height), transform=shop.pose((0, 0, 0.01)))
    part = shop.part(trimesh.boolean.union([block, knob], engine="manifold"))
    assert seal(part, (0.006, 0, 0.01)) == pytest.approx(expected, abs=1e-3)


def test_what_is_thinner_than_the_cup_cannot_be_sealed(shop) -> None:
    rod = shop.part(trimesh.creation.cylinder(radius=0.005, height=0.1, sections=64))
    assert seal(rod, (0.005, 0, 0), (1, 0, 0)) == 0
    assert seal(rod, (0, 0, 0.05)) == 0


@pytest.mark.parametrize("kind", ["sphere", "cylinder"])
@pytest.mark.parametrize("radius", [0.02, 0.05, 0.1, 0.3])
def test_round_parts_deviate_by_their_sagitta(shop, kind: str, radius: float) -> None:
    if kind == "sphere":
        solid = trimesh.creation.icosphere(subdivisions=6, radius=radius)
        # At a vertex of the mesh: there it touches the sphere.
        point, normal = solid.vertices[0], solid.vertices[0] / radius
    else:
        solid = trimesh.creation.cylinder(radius=radius, height=0.2, sections=512)
        point, normal = np.array([radius, 0, 0]), np.array([1.0, 0, 0])
    sagitta = radius - np.sqrt(radius**2 - CUP.radius_m**2)  # about r^2 / 2R
    expected = max(0.0, 1 - sagitta / CUP.compliance_m)
    assert seal(shop.part(solid), point, normal) == pytest.approx(expected, abs=0.02)


def test_a_wall_beside_the_point_is_in_the_way(shop) -> None:
    base = trimesh.creation.box(extents=(0.1, 0.1, 0.01))
    for height in (0.006, 0.03):  # lower and higher than the rays begin
        wall = trimesh.creation.box(extents=(0.02, 0.1, height), transform=shop.pose((-0.04, 0, 0.004 + height / 2)))
        part = shop.part(trimesh.boolean.union([base, wall], engine="manifold"))
        assert seal(part, (-0.03 + 0.01, 0, 0.005)) == 0
        assert seal(part, (-0.03 + 0.017, 0, 0.005)) == pytest.approx(1, abs=1e-3)


def test_a_wall_on_a_thin_base_is_not_mistaken_for_the_bases_underside(shop) -> None:
    # The rays begin inside the wall and leave it at the underside, within the lip's compliance.
    base = trimesh.creation.box(extents=(0.1, 0.1, 0.001))
    wall = trimesh.creation.box(extents=(0.02, 0.1, 0.03), transform=shop.pose((-0.04, 0, 0.015 - 0.0005)))
    part = shop.part(trimesh.boolean.union([base, wall], engine="manifold"))
    assert seal(part, (-0.02, 0, 0.0005)) == 0
    assert seal(part, (-0.013, 0, 0.0005)) == pytest.approx(1, abs=1e-3)


def test_a_cup_tilts_onto_a_slightly_wrong_normal(shop) -> None:
    plate = shop.box(0.1, 0.1, 0.02)
    for angle, expected in ((0.05, 1.0), (0.5, 0.0)):
        normal = (np.sin(angle), 0, np.cos(angle))
        assert seal(plate, (0, 0, 0.01), normal) == pytest.approx(expected, abs=0.01)


@settings(max_examples=60, deadline=None)
@given(st.floats(-0.05, 0.05), st.floats(-0.04, 0.04), st.floats(0.005, 0.03))
def test_a_plate_seals_exactly_where_the_cup_lies_on_it(shop, x: float, y: float, radius: float) -> None:
    margin = min(0.05 - abs(x), 0.04 - abs(y))  # distance to the nearest edge
    assume(abs(margin - radius) > 0.01 * radius)  # between two rays of the lip
    score = seal(shop.box(0.1, 0.08, 0.02), (x, y, 0.01), UP, CupConfig(radius_m=radius))
    assert score == pytest.approx(float(margin > radius), abs=1e-3)


def test_many_points_at_once_and_none(shop) -> None:
    surface = PartSurface(shop.box(0.1, 0.1, 0.02))
    points = np.array([[0, 0, 0.01], [0.049, 0, 0.01], [0.02, 0, 0.01]])
    scores = seal_scores(surface, points, np.tile(UP, (3, 1)), CUP)
    np.testing.assert_allclose(scores, [1, 0, 1], atol=1e-3)
    assert seal_scores(surface, points[:0], points[:0], CUP).shape == (0,)
