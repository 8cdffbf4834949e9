"""The test for shifted masks: against closed-form scenes, and against labels shifted on purpose."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graspnext.data.checks.alignment import border, depth_edges, fit, is_free, shifted, steepness
from graspnext.types import BoolArray, Float32Array, View

SIZE = 96


def disc(u: float, v: float, radius: float) -> BoolArray:
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    return np.asarray(np.hypot(columns - u, rows - v) < radius)


def tilted_plane(slope: float) -> Float32Array:
    """Depth of a plane through z = 1 m, seen by a pinhole camera: 1 / z is linear in the image."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] / SIZE - 0.5
    return (1 / (1 + slope * rows + 0.5 * slope * columns)).astype(np.float32)


def stored(depth_m: Float32Array) -> Float32Array:
    """As it comes back from the file."""
    return np.rint(depth_m / 1e-4).astype(np.float32) * np.float32(1e-4)


def test_the_border_is_what_a_brute_search_finds() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = np.zeros((12, 15), dtype=bool)
        y, x = rng.integers(0, 8, 2)
        mask[y : y + int(rng.integers(1, 6)), x : x + int(rng.integers(1, 8))] = True
        expected = [
            (row, column)
            for row, column in np.argwhere(mask).tolist()
            if any(
                0 <= row + dy < 12 and 0 <= column + dx < 15 and not mask[row + dy, column + dx]
                for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
            )
        ]
        assert sorted(map(tuple, border(mask).tolist())) == sorted(expected)


def test_a_long_border_is_thinned_evenly() -> None:
    whole = border(disc(48, 48, 40), limit=10**6)
    thin = border(disc(48, 48, 40), limit=60)
    assert len(whole) > 200
    assert 50 <= len(thin) <= 60
    assert {tuple(one) for one in thin.tolist()} <= {tuple(one) for one in whole.tolist()}
    assert np.ptp(thin, axis=0).min() > 70  # from all around


@pytest.mark.parametrize("slope", [0.0, 0.3, 0.8])
def test_a_plane_has_no_edges_however_it_tilts(slope: float) -> None:
    edges, clean = depth_edges(stored(tilted_plane(slope)))
    assert clean
    assert edges.mean() < 0.01


def test_a_step_of_a_millimetre_is_an_edge_where_it_is() -> None:
    mask = disc(48, 48, 20)
    edges, _ = depth_edges(stored(tilted_plane(0.3) - np.float32(0.001) * mask))
    assert edges[tuple(border(mask).T)].mean() > 0.95
    assert not edges[40:56, 40:56].any()


def test_noise_raises_the_threshold_and_says_that_the_depth_is_not_clean() -> None:
    rng = np.random.default_rng(1)
    edges, clean = depth_edges((1 + rng.normal(0, 0.003, (SIZE, SIZE))).astype(np.float32))
    assert not clean
    assert edges.mean() < 0.1


@pytest.mark.parametrize("shift", [(4, 0), (0, -4), (-5, 0), (3, 3), (6, -2)])
def test_a_shifted_mask_is_found_with_its_way_back(shift: tuple[int, int]) -> None:
    edges, _ = depth_edges(stored(tilted_plane(0.2) - np.float32(0.01) * disc(48, 48, 18)))
    x, y = shift
    found = shifted(border(disc(48 + x, 48 + y, 18)), edges)
    assert found is not None
    assert np.abs(np.array(found) + shift).max() <= 1


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (-1, 1)])
def test_a_mask_in_its_place_is_left_alone(shift: tuple[int, int]) -> None:
    edges, _ = depth_edges(stored(tilted_plane(0.2) - np.float32(0.01) * disc(48, 48, 18)))
    assert shifted(border(disc(48 + shift[0], 48 + shift[1], 18)), edges) is None


def test_flush_surfaces_and_short_borders_raise_no_alarm() -> None:
    edges, _ = depth_edges(stored(tilted_plane(0.2)))  # nothing to see at all
    assert shifted(border(disc(48, 48, 18)), edges) is None
    edges, _ = depth_edges(stored(tilted_plane(0.2) - np.float32(0.01) * disc(48, 48, 3)))
    assert shifted(border(disc(53, 48, 3)), edges) is None


def test_fit_means_are_those_of_shifted_copies() -> None:
    rng = np.random.default_rng(2)
    values = rng.random((SIZE, SIZE)).astype(np.float32)
    pixels = border(disc(48, 48, 15))
    found = fit(pixels, values)

    def mean(x: int, y: int) -> float:
        return float(values[pixels[:, 0] + y, pixels[:, 1] + x].mean())

    assert found.here == pytest.approx(max(mean(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)), rel=1e-5)
    far = {(x, y): mean(x, y) for x in range(-8, 9) for y in range(-8, 9) if np.hypot(x, y) >= 2.5}
    assert found.shift == max(far, key=lambda one: far[one])
    assert found.elsewhere == pytest.approx(max(far.values()), rel=1e-5)
    assert found.mean == pytest.approx(float(np.mean(list(far.values()))), rel=1e-5)


def test_steepness_is_capped_and_zero_on_plain_ground() -> None:
    image = np.full((20, 20, 3), 100, dtype=np.uint8)
    assert not steepness(image).any()
    image[:, 10:] = 255
    steep = steepness(image)
    assert set(np.unique(steep).tolist()) == {0.0, 60.0}
    assert np.flatnonzero(steep[10]).tolist() == [9, 10]


def test_a_hundred_views_raise_no_alarm_and_shifted_ones_do(tiny_view: Callable[..., View]) -> None:
    told = moved = tried = 0
    for number in range(100):
        view = tiny_view("000000", 0, size=160, num_parts=6, rng=np.random.default_rng([5, number]))
        edges, _ = depth_edges(stored(view.labels.depth_m))
        for one in view.labels.instances:
            pixels = border(one.visible_mask)
            told += shifted(pixels, edges) is not None
            if len(pixels) >= 60 and one.visible_box[0] > 6 and one.visible_box[2] < 154:  # not wrapped round
                tried += 1
                moved += shifted(border(np.roll(one.visible_mask, 5, axis=1)), edges) is not None
    assert told == 0
    assert moved > 0.95 * tried > 200


def squares() -> tuple[BoolArray, BoolArray, np.ndarray]:
    """Two squares of 20 px side by side, columns 20 to 39 and 40 to 59, and who is seen where."""
    left, right = np.zeros((SIZE, SIZE), dtype=bool), np.zeros((SIZE, SIZE), dtype=bool)
    left[30:50, 20:40] = right[30:50, 40:60] = True
    return left, right, (left + 2 * right).astype(np.int32)


def test_a_border_to_the_background_leaves_out_neighbours() -> None:
    left, _, owner = squares()
    whole, free = (set(map(tuple, pixels.tolist())) for pixels in (border(left), border(left, owner)))
    assert len(whole) == 4 * 19
    assert whole - free == {(row, 39) for row in range(31, 49)}  # the corners touch the background as well


def test_a_place_is_free_unless_others_are_seen_there() -> None:
    left, right, owner = squares()
    assert is_free(left, owner, (-5, 0))
    assert is_free(left, owner, (0, 5))
    assert not is_free(left, owner, (5, 0))
    assert not is_free(left, owner, (4, 2))  # of 112 px gained 72 are the neighbour's
    assert is_free(right, owner, (5, 0))
    assert not is_free(left, owner, (0, 0))  # nothing gained


def test_flush_parts_in_a_row_are_no_shifted_ones() -> None:
    """Equal parts that lie flush have no edges between them; along the row each fits its neighbour's place."""
    left, right, owner = squares()
    depth = np.where(owner > 0, np.float32(0.8), np.float32(0.9))
    edges, clean = depth_edges(stored(depth))
    assert clean
    for mask in (left, right):
        assert shifted(border(mask, owner), edges) is None
