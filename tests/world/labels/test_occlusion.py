from itertools import permutations

import numpy as np
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from graspnext.geometry import cameras
from graspnext.geometry.layering import layers
from graspnext.world.labels.occlusion import coverage
from graspnext.world.labels.silhouettes import cast
from graspnext.world.labels.surface import PartSurface


def silhouettes(shop, placed, camera):
    rays, T = cameras.rays(camera), np.linalg.inv(camera.T_world_camera)
    return [cast(k, PartSurface(part), T @ pose, camera, rays) for k, (part, pose) in enumerate(placed)]


def test_a_tower_counts_down_from_its_top(shop) -> None:
    box = shop.box(0.1, 0.1, 0.04)
    placed = [(box, shop.pose((0.01 * k, 0, 0.02 + 0.04 * k))) for k in (1, 0, 2)]
    assert layers(coverage(silhouettes(shop, placed, shop.above(1.0)))) == [1, 2, 0]


def test_neighbours_share_the_top_layer(shop) -> None:
    box = shop.box(0.1, 0.1, 0.04)
    placed = [(box, shop.pose((x, 0, 0.02))) for x in (-0.1, 0.0, 0.1)]
    shares = coverage(silhouettes(shop, placed, shop.above(1.0)))
    assert not shares.any()
    assert layers(shares) == [0, 0, 0]


def test_coverage_is_the_share_of_the_amodal_area(shop) -> None:
    low, high = shop.box(0.2, 0.2, 0.04), shop.box(0.1, 0.1, 0.04)
    placed = [(low, shop.pose((0, 0, 0.02))), (high, shop.pose((0, 0, 0.06)))]
    shares = coverage(silhouettes(shop, placed, shop.above(1.0, focal=600.0)))
    assert shares[1, 0] == 0
    expected = (0.1 / (1 - 0.08)) ** 2 / (0.2 / (1 - 0.04)) ** 2
    assert abs(shares[0, 1] - expected) < 0.01


def test_three_sticks_in_a_pinwheel_have_one_top(shop) -> None:
    # Each stick rises along its length, so that its far end lies over the next one's near end.
    stick = shop.part(trimesh.creation.box(extents=(0.2, 0.02, 0.006)))
    placed = []
    for k in range(3):
        turn = shop.pose((0, 0, 0), (0, 0, 1), k * 2 * np.pi / 3)
        placed.append((stick, turn @ shop.pose((0, -0.035, 0.05), (0, 1, 0), -0.15)))
    shares = coverage(silhouettes(shop, placed, shop.above(0.6, focal=300.0)))
    covers = {(int(over), int(under)) for under, over in np.argwhere(shares > 0)}
    ring = [{(a, b), (b, c), (c, a)} for a, b, c in permutations(range(3))]
    assert covers in ring
    assert sorted(layers(shares)) == [0, 1, 2]


def test_the_least_covered_of_a_ring_is_its_top_and_what_hangs_on_it_follows() -> None:
    shares = np.zeros((4, 4))
    shares[0, 1], shares[1, 0] = 0.3, 0.1  # 0 and 1 interlocked, 1 less covered
    shares[2, 0] = 0.01  # 2 under 0, covered least of all: but it is no part of the ring
    shares[0, 3] = 0.2  # 3 over 0
    assert layers(shares) == [1, 0, 2, 0]


@given(st.integers(1, 7), st.integers(0, 10**6))
def test_without_rings_the_layer_is_the_longest_way_up(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    shares = np.zeros((count, count))
    for under in range(count):
        for over in range(count):
            if order[over] > order[under] and rng.random() < 0.4:
                shares[under, over] = rng.uniform(0.01, 1)

    def longest(part: int) -> int:
        return max((1 + longest(int(over)) for over in np.flatnonzero(shares[part])), default=0)

    assert layers(shares) == [longest(part) for part in range(count)]


@given(st.integers(0, 7), st.integers(0, 10**6))
def test_any_knot_is_resolved(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0, 1, (count, count)) * (rng.random((count, count)) < 0.5)
    np.fill_diagonal(shares, 0)
    result = layers(shares)
    assert len(result) == count
    assert not result or min(result) == 0
    assert all(0 <= layer < count for layer in result)
