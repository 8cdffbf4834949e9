import numpy as np
import pytest

from graspnext.world.cup import CupConfig
from graspnext.world.labels.collision import SceneSolid, tool_is_free

CUP = CupConfig(radius_m=0.015, compliance_m=0.003, tool_radius_m=0.02)


def free(shop, placed, point, normal=(0, 0, 1), *, placement: int = 0, container=None) -> bool:
    solid = SceneSolid(shop.scene(placed, container=container))
    return bool(tool_is_free(solid, placement, np.array([point], float), np.array([normal], float), CUP)[0])


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
    assert tool_is_free(solid, 0, np.zeros((0, 3)), np.zeros((0, 3)), CUP).shape == (0,)
