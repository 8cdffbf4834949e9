"""Lines and colours against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from graspnext.viz import draw


def enclosed(line: np.ndarray) -> float:
    """Signed area inside a closed line (K, 2): the shoelace formula."""
    x, y = line[:, 0], line[:, 1]
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14)))
@settings(max_examples=60, deadline=None)
def test_contours_enclose_exactly_the_mask(mask: np.ndarray) -> None:
    """Outer borders count plus and holes minus, so the areas sum to the pixels; each point lies on the pixel grid."""
    lines = draw.contours(mask, smooth=1)
    assert sum(map(enclosed, lines)) == mask.sum()
    for line in lines:
        assert np.array_equal(line[0], line[-1])
        assert np.all(np.abs(np.diff(line, axis=0)).sum(axis=1) == 1)


def test_regions_that_touch_at_a_corner_stay_apart() -> None:
    assert len(draw.contours(np.eye(3, dtype=bool), smooth=1)) == 3


def test_a_smoothed_disc_is_round() -> None:
    rows, columns = np.mgrid[:60, :60] + 0.5
    line = draw.contours(np.hypot(rows - 30, columns - 30) < 20)[0]
    assert np.abs(np.hypot(*(line - 30).T) - 20).max() < 0.7


def test_dashes_cover_their_share_of_a_line() -> None:
    layer = draw.Layer(20, 220)
    layer.dashes(np.array([[10.0, 10.0], [210.0, 10.0]]), (255, 0, 0), width=2, dash=6, gap=4)
    row = layer.over(np.zeros((20, 220, 3), dtype=np.uint8))[10, 10:210, 0] > 127
    assert row.mean() == pytest.approx(0.6, abs=0.05)
    assert np.abs(np.diff(row.astype(int))).sum() == pytest.approx(40, abs=2)  # 20 dashes, two ends each


def test_a_layer_with_nothing_on_it_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)
    assert np.array_equal(draw.Layer(13, 17).over(image), image)


def test_a_dot_has_its_area_and_colour() -> None:
    layer = draw.Layer(40, 40)
    layer.dot(20, 20, (0, 0, 255), radius=8, ring=None)
    blue = layer.over(np.zeros((40, 40, 3), dtype=np.uint8))[..., 2] / 255
    assert blue.sum() == pytest.approx(np.pi * 64, rel=0.1)
    assert blue[20, 20] == 1


def test_heat_colours_run_from_blue_over_green_to_red() -> None:
    low, middle, high = draw.heat_colours(np.array([0.0, 0.5, 1.0], dtype=np.float32)).astype(int)
    assert low.argmax() == 2
    assert middle.argmax() == 1
    assert high.argmax() == 0
    ramp = draw.heat_colours(np.linspace(0, 1, 256, dtype=np.float32)).astype(int)
    assert np.abs(np.diff(ramp, axis=0)).max() <= 6  # no steps


def test_resized_maps_keep_a_ramp() -> None:
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32), (8, 8))
    large = draw.resize_map(np.ascontiguousarray(ramp), 80, 80)
    expected = np.clip((np.arange(80) + 0.5) / 10 - 0.5, 0, 7)
    assert np.abs(large - expected).max() < 1e-4


def test_text_leaves_ink_inside_its_width() -> None:
    blank = np.full((30, 200, 3), 255, dtype=np.uint8)
    inked = np.flatnonzero((draw.write(blank, "suction", (5, 5), size=14) < 128).any(axis=(0, 2)))
    assert inked.min() >= 5
    assert inked.max() <= 5 + draw.text_width("suction", 14) + 1
