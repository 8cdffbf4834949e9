"""Heatmap targets and losses against loops and the definition of the Gaussian's radius."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from graspnext.network.losses.dense import center_loss, center_target, gaussian_radius, suction_loss
from graspnext.network.truth import gather_truth


def overlap(width: float, height: float, first: tuple[float, float], second: tuple[float, float]) -> float:
    """IoU of the box (0, 0, width, height) with itself after its corners moved."""
    x1, y1, x2, y2 = first[0], first[1], width + second[0], height + second[1]
    shared = (min(width, x2) - max(0.0, x1)) * (min(height, y2) - max(0.0, y1))
    return shared / (width * height + (x2 - x1) * (y2 - y1) - shared)


@pytest.mark.parametrize("sides", [(10.0, 10.0), (30.0, 8.0), (5.0, 60.0)])
def test_the_radius_is_the_largest_that_keeps_the_overlap(sides: tuple[float, float]) -> None:
    radius = float(gaussian_radius(torch.tensor([sides]))[0])

    def worst(r: float) -> float:
        moves = [((-r, -r), (-r, -r)), ((r, r), (-r, -r)), ((-r, -r), (r, r))]
        return min(overlap(*sides, *move) for move in moves)

    assert worst(radius) == pytest.approx(0.7, abs=1e-4)
    assert worst(radius * 1.05) < 0.7


def test_heatmap_is_the_largest_bump(draw_view) -> None:  # type: ignore[no-untyped-def]
    _, targets = draw_view(size=96, count=5, rng=np.random.default_rng(3))
    targets.ignore = torch.tensor([False, False, True, False, False])
    targets.centers[4] = torch.tensor([-3.0, 10.0])  # outside: no peak
    (heat,), (weight,) = center_target(gather_truth([targets]), (24, 24), 4)
    expected, ignored = np.zeros((24, 24)), np.zeros((24, 24))
    for k in range(4):
        x, y = (targets.centers[k] / 4).floor().tolist()
        sides = (targets.boxes[k, 2:] - targets.boxes[k, :2])[None] / 4
        sigma = (2 * float(gaussian_radius(sides)[0]) + 1) / 6
        bump = np.array(
            [[math.exp(-((i - y) ** 2 + (j - x) ** 2) / (2 * sigma**2)) for j in range(24)] for i in range(24)]
        )
        (ignored if k == 2 else expected)[...] = np.maximum(ignored if k == 2 else expected, bump)
    np.testing.assert_allclose(heat.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(weight.numpy(), 1 - ignored, atol=1e-5)
    assert (heat == 1).sum() == 3


@pytest.mark.parametrize("unknown", [(), (1, 4), (0, 1, 2, 3, 4)])
def test_no_weight_where_an_unknown_centre_may_lie(draw_view, unknown: tuple[int, ...]) -> None:  # type: ignore[no-untyped-def]
    _, targets = draw_view(size=96, count=5, rng=np.random.default_rng(5))
    targets.boxes[1] = torch.tensor([-6.5, 3.0, 30.2, 17.9])  # may reach out of the picture
    targets.centers[list(unknown)] = torch.nan
    expected = np.zeros((24, 24)) if len(unknown) == 5 else np.ones((24, 24))
    for k in unknown:
        x1, y1, x2, y2 = (targets.boxes[k] / 4).tolist()
        for i in range(24):
            for j in range(24):
                if i + 1 > y1 and i < y2 and j + 1 > x1 and j < x2:
                    expected[i, j] = 0
    _, (weight,) = center_target(gather_truth([targets]), (24, 24), 4)
    np.testing.assert_array_equal(weight.numpy(), expected)


def test_focal_loss_by_hand() -> None:
    logits = torch.tensor([[[0.0, 1.0], [-2.0, 0.5]]])
    heat = torch.tensor([[[1.0, 0.6], [0.0, 0.0]]])
    weight = torch.tensor([[[1.0, 1.0], [1.0, 0.25]]])
    p = [1 / (1 + math.exp(-v)) for v in (0.0, 1.0, -2.0, 0.5)]
    expected = -((1 - p[0]) ** 2) * math.log(p[0])
    expected -= (1 - 0.6) ** 4 * p[1] ** 2 * math.log(1 - p[1])
    expected -= p[2] ** 2 * math.log(1 - p[2])
    expected -= 0.25 * p[3] ** 2 * math.log(1 - p[3])
    assert float(center_loss(logits, heat, weight)) == pytest.approx(expected * 700 / 4, rel=1e-5)


def test_an_empty_image_weighs_no_more_than_a_full_one() -> None:
    heat = torch.zeros(3, 4, 4)
    heat[0, 0, 0] = heat[0, 2, 2] = heat[1, 1, 1] = 1
    logits = torch.zeros(3, 4, 4)
    one = 0.25 * math.log(2)  # of every cell at probability 0.5, peak or not
    assert center_loss(logits, heat, torch.ones(3, 4, 4)).tolist() == pytest.approx([700 * one] * 3)


def test_suction_loss_is_the_mean_square() -> None:
    logits = torch.tensor([[[0.0, 2.0]]])
    expected = ((0.5 - 1.0) ** 2 + (1 / (1 + math.exp(-2)) - 0.25) ** 2) / 2
    assert float(suction_loss(logits, torch.tensor([[[1.0, 0.25]]]))) == pytest.approx(expected, rel=1e-5)
