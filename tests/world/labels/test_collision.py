import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graspnext.world.containers import sample_container
from graspnext.world.cup import CupConfig
from graspnext.world.labels.collision import SceneSolid, tool_is_free
from graspnext.world.labels.rays import Tracer

CUP = CupConfig(radius_m=0.015, compliance_m=0.003, tool_radius_m=0.02)


def free(shop, placed, point, normal=(0, 0, 1), *, placement: int = 0, container=None, cup=CUP) -> bool:
    solid = SceneSolid(shop.scene(placed, container=container))
    owner = np.array([placement])
    return bool(tool_is_free(solid, owner, np.array([point], float), np.array([normal], float), cup)[0])


def test_a_part_alone_is_free(shop) -> None:
    assert free(shop, [(shop.box(0.1, 0.1, 0.04), shop.pose((0, 0, 0.02)))], (0, 0, 0.04))


@pytest.mark.parametrize(("gap", "expected"), [(0.005, False), (0.018, False), (0.022, True)])
@pytest.mark.parametrize("height", [0.09, 0.4])
def test_a_taller_neighbour_within_the_tool_blocks(shop, gap: float, expected: bool, height: float) -> None:
    # 9 cm: ends beside the tool; 40 cm: the tool's side lies wholly inside it.
    low, high = shop.box(0.1, 0.1, 0.04), shop.box(0.1, 0.1, height)
    placed = [(low, shop.pose((0, 0, 0.02))), (high, shop.pose((0.1, 0, height / 2)))]
    assert free(shop, placed, (0.05 - gap, 0, 0.04)) is expected


def test_a_flush_neighbour_does_not_block(shop) -> None:
    low = shop.box(0.1, 0.1, 0.04)
    placed = [(low, shop.pose((0, 0, 0.02))), (low, shop.pose((0.1001, 0, 0.02)))]
    assert free(shop, placed, (0.05 - 0.016, 0, 0.04))


@pytest.mark.parametrize(("gap", "expected"), [(0.01, False), (0.03, True)])
def test_a_wall_blocks(shop, gap: float, expected: bool) -> None:
    placed = [(shop.box(0.1, 0.1, 0.04), shop.pose((0.15 - 0.05, 0, 0.02)))]
    container = shop.tote(0.3, 0.3, 0.2)
    assert free(shop, placed, (0.15 - gap, 0, 0.04), container=container) is expected


def test_a_roof_over_the_point_blocks(shop) -> None:
    low, roof = shop.box(0.1, 0.1, 0.04), shop.box(0.2, 0.2, 0.01)
    for height, expected in ((0.1, False), (0.3, True)):
        placed = [(low, shop.pose((0, 0, 0.02))), (roof, shop.pose((0, 0, height)))]
        assert free(shop, placed, (0, 0, 0.04)) is expected


def test_a_shelf_beside_the_axis_and_a_ball_on_it_block(shop) -> None:
    low, shelf, ball = shop.box(0.1, 0.1, 0.04), shop.box(0.1, 0.1, 0.01), shop.box(0.01, 0.01, 0.01)
    own = (low, shop.pose((0, 0, 0.02)))
    assert not free(shop, [own, (shelf, shop.pose((0.068, 0, 0.12)))], (0, 0, 0.04))  # begins 18 mm away
    assert free(shop, [own, (shelf, shop.pose((0.072, 0, 0.12)))], (0, 0, 0.04))  # 22 mm away
    assert not free(shop, [own, (ball, shop.pose((0, 0, 0.12)))], (0, 0, 0.04))


def test_a_thin_card_under_the_lip_blocks(shop) -> None:
    low, card = shop.box(0.2, 0.2, 0.04), shop.box(0.1, 0.1, 0.001)  # far below the lip's compliance
    placed = [(low, shop.pose((0, 0, 0.02))), (card, shop.pose((0.06, 0, 0.0406)))]
    assert not free(shop, placed, (0.0, 0, 0.04))  # the card begins 10 mm away
    assert free(shop, placed, (-0.01, 0, 0.04))
    assert free(shop, placed, (0.06, 0, 0.0411), placement=1)  # on the card itself


def test_the_part_itself_blocks_its_inner_corner(shop) -> None:
    import trimesh

    base = trimesh.creation.box(extents=(0.1, 0.1, 0.01))
    wall = trimesh.creation.box(extents=(0.01, 0.1, 0.1), transform=shop.pose((-0.045, 0, 0.05)))
    part = shop.part(trimesh.boolean.union([base, wall], engine="manifold"))
    placed = [(part, shop.pose((0, 0, 0.005)))]
    assert not free(shop, placed, (-0.04 + 0.018, 0, 0.01))
    assert free(shop, placed, (-0.04 + 0.025, 0, 0.01))


def test_the_tool_tilts_with_the_normal(shop) -> None:
    part = shop.box(0.1, 0.1, 0.1)
    T = shop.pose((0, 0, 0.08), (0, 1, 0), np.pi / 4)  # standing on an edge
    beside = shop.box(0.1, 0.3, 0.3)
    normal = np.array([np.sin(np.pi / 4), 0, np.cos(np.pi / 4)])
    point = np.array([0, 0, 0.08]) + 0.05 * normal
    assert free(shop, [(part, T)], point, normal)
    assert not free(shop, [(part, T), (beside, shop.pose((0.2, 0, 0.15)))], point, normal)


def test_no_points(shop) -> None:
    solid = SceneSolid(shop.scene([(shop.box(0.1, 0.1, 0.04), shop.pose((0, 0, 0.02)))]))
    assert tool_is_free(solid, np.zeros(0, int), np.zeros((0, 3)), np.zeros((0, 3)), CUP).shape == (0,)


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_a_wall_blocks_as_far_as_the_bodys_radius_reaches(shop, tilt: float) -> None:
    # The wall's inner face is the plane x = 0.15; a cylinder whose axis leans towards it by `tilt` reaches over to
    # x + s sin(tilt) + R cos(tilt) at s along its axis: farthest at its upper end.
    cup = CupConfig(radius_m=0.01, compliance_m=0.003, tool_radius_m=0.02, tool_length_m=0.1, retreat_m=0.0)
    slope = shop.pose((0, 0, 0.1), (0, 1, 0), tilt)
    normal = slope[:3, :3] @ [0, 0, 1.0]
    solid = SceneSolid(shop.scene([(shop.box(0.29, 0.2, 0.02), slope)], container=shop.tote(0.3, 0.3, 0.5)))
    top = cup.neck_m + cup.tool_length_m
    distance = np.linspace(0.0, 0.14, 201)
    points = slope[:3, 3] + 0.01 * normal + (slope[:3, :3] @ np.outer([1.0, 0, 0], distance)).T
    reach = points[:, 0] + top * np.sin(tilt) + cup.tool_radius_m * np.cos(tilt)
    found = tool_is_free(solid, np.zeros(201, int), points, np.tile(normal, (201, 1)), cup)
    sure = np.abs(reach - 0.15) > 0.0017  # lines round the side: R (1 - cos(pi / 12)) at most
    sure &= distance < 0.133  # the lip on the plate
    assert (found == (reach < 0.15))[sure].all()
    assert 10 < found[sure].sum() < sure.sum()


@pytest.mark.parametrize(("deep", "expected"), [(0.1, True), (0.3, False)])
def test_in_a_deep_tote_the_flange_meets_the_walls(shop, deep: float, expected: bool) -> None:
    # 40 mm body in a 70 mm wide tote: the body fits, the flange of 100 mm above it only while the walls end below it.
    cup = CupConfig(radius_m=0.01, tool_radius_m=0.02, tool_length_m=0.15, upper_body=((0.05, 0.1),))
    placed = [(shop.box(0.06, 0.06, 0.02), shop.pose((0, 0, 0.01)))]
    assert free(shop, placed, (0, 0, 0.02), container=shop.tote(0.07, 0.3, deep), cup=cup) is expected
    slim = CupConfig(radius_m=0.01, tool_radius_m=0.02, tool_length_m=0.15)
    assert free(shop, placed, (0, 0, 0.02), container=shop.tote(0.07, 0.3, deep), cup=slim)


def test_the_way_out_counts(shop) -> None:
    placed = [(shop.box(0.1, 0.1, 0.04), shop.pose((0, 0, 0.02))), (shop.box(0.2, 0.2, 0.01), shop.pose((0, 0, 0.25)))]
    for retreat, expected in ((0.02, True), (0.08, False)):  # the roof begins at 0.245; the body ends at 0.205
        cup = CupConfig(radius_m=0.015, tool_radius_m=0.02, tool_length_m=0.15, retreat_m=retreat)
        assert free(shop, placed, (0, 0, 0.04), cup=cup) is expected


def test_things_around_the_container_block(shop) -> None:
    from dataclasses import replace

    from graspnext.world.scene import Prop

    placed = [(shop.box(0.1, 0.1, 0.04), shop.pose((0, 0, 0.02)))]
    post = shop.box(0.02, 0.02, 0.3)
    scene = shop.scene(placed)
    for x, expected in ((0.042, False), (0.048, True)):  # its side is 17 mm and 23 mm from the axis
        vertices = post.mesh.vertices + np.float32([x, 0, 0.15])
        blocked = replace(scene, props=(Prop(replace(post.mesh, vertices=vertices), post.material),))
        points = np.array([[0.015, 0.0, 0.04]])
        found = tool_is_free(SceneSolid(blocked), np.zeros(1, int), points, np.array([[0, 0, 1.0]]), CUP)
        assert bool(found[0]) is expected


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_free_tool_holds_no_point_of_a_neighbour(shop, seed: int) -> None:
    # Oracle: points strewn through the tool's own volume, and whether each is inside a neighbour's box.
    rng = np.random.default_rng(seed)
    cup = CupConfig(radius_m=0.012, tool_radius_m=0.018, tool_length_m=0.08, upper_body=((0.03, 0.05),))
    own = (shop.box(0.2, 0.2, 0.04), shop.pose((0, 0, 0.02)))
    sides = rng.uniform(0.03, 0.1, 3)
    T = shop.pose((*rng.uniform(-0.1, 0.1, 2), rng.uniform(0.06, 0.2)), rng.normal(size=3), rng.uniform(0, 6))
    count = 20000
    inside = False
    volume: list[np.ndarray] = []
    for radius, low, high in ((0.018, 0.012, 0.012 + 0.08 + 0.05), (0.03, 0.092, 0.092 + 0.05 + 0.05)):
        r, a = radius * np.sqrt(rng.random(count)), rng.uniform(0, 2 * np.pi, count)
        volume.append(np.stack([r * np.cos(a), r * np.sin(a), rng.uniform(low, high, count)], axis=1))
    places = np.concatenate(volume) + np.array([0, 0, 0.04])
    depth = (sides / 2 - np.abs((places - T[:3, 3]) @ T[:3, :3])).min(axis=1)  # how deep in the neighbour
    inside = bool((depth > 0.006).any())  # a corner may reach in between two of the twelve lines
    found = free(shop, [own, (shop.box(*sides), T)], (0, 0, 0.04), cup=cup)
    if inside:
        assert not found
    elif (depth < -0.003).all() and T[2, 3] > 0.13:  # clear of the body, and of the cup below it
        assert found


def test_no_tool_reaches_between_the_wires_of_a_crate(shop) -> None:
    """For the tool the walls of wires are closed, as far as its radius reaches."""
    cup = CupConfig(radius_m=0.005, compliance_m=0.003, tool_radius_m=0.02)
    see_through = 0
    for seed in range(12):
        crate = sample_container("crate", rng=np.random.default_rng(seed))
        x, y, _ = crate.inner_size
        along = np.linspace(-0.4, 0.4, 61) * x
        solid = SceneSolid(shop.scene([(shop.box(x, y, 0.02), shop.pose((0, 0, 0.01)))], container=crate))
        for gap in (0.007, 0.01, 0.012, 0.015, 0.018, 0.022):  # of the axis from the wall
            points = np.stack([along, np.full(61, y / 2 - gap), np.full(61, 0.02)], axis=1)
            found = tool_is_free(solid, np.zeros(61, int), points, np.tile([0, 0, 1.0], (61, 1)), cup)
            assert (found == (gap > cup.tool_radius_m)).all()
        walls = Tracer(crate.mesh.vertices, crate.mesh.faces)
        middle = np.stack([along, np.zeros(61), np.full(61, 0.04)], axis=1)
        see_through += bool(not walls.blocked(middle, np.tile([0, 1.0, 0], (61, 1)), 1.0).all())
    assert see_through > 6
