"""Each detection finds its own centre on a shared heatmap."""

from __future__ import annotations

import torch

from graspnext.network.heads.center import locate_centers


def bump(heat: torch.Tensor, x: float, y: float, height: float) -> None:
    rows, columns = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    heat.copy_(torch.maximum(heat, height * torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2))))


def test_a_peak_is_found_to_half_a_cell() -> None:
    heat = torch.zeros(64, 64)
    bump(heat, 20.5, 30.5, 1.0)
    boxes = torch.tensor([[50.0, 90.0, 125.0, 150.0]])
    center = locate_centers(heat, 4, boxes, torch.ones(1, 28, 28))[0]
    assert (center - torch.tensor([82.0, 122.0])).abs().max() < 2


def test_a_neighbours_stronger_peak_outside_the_mask_is_left_alone() -> None:
    heat = torch.zeros(64, 64)
    bump(heat, 16.0, 16.0, 0.5)
    bump(heat, 24.0, 24.0, 1.0)
    masks = torch.zeros(1, 28, 28)
    masks[0, :16, :16] = 1
    center = locate_centers(heat, 4, torch.tensor([[32.0, 32.0, 112.0, 112.0]]), masks)[0]
    assert (center - torch.tensor([64.0, 64.0])).norm() < 5


def test_a_silent_heatmap_gives_the_middle_and_an_empty_box_its_corner() -> None:
    boxes = torch.tensor([[20.0, 40.0, 60.0, 120.0], [0.0, 0.0, 0.0, 0.0]])
    centers = locate_centers(torch.zeros(64, 64), 4, boxes, torch.ones(2, 28, 28))
    assert (centers[0] - torch.tensor([40.0, 80.0])).abs().max() < 3
    assert centers[1].tolist() == [0.0, 0.0]


def test_the_centre_of_a_ring_lies_in_its_hole() -> None:
    heat = torch.zeros(64, 64)
    bump(heat, 16.0, 16.0, 0.6)
    rows, columns = torch.meshgrid(torch.arange(28) + 0.5, torch.arange(28) + 0.5, indexing="ij")
    radius = ((rows - 14) ** 2 + (columns - 14) ** 2).sqrt()
    ring = ((radius > 8) & (radius < 14)).float()[None]
    center = locate_centers(heat, 4, torch.tensor([[24.0, 24.0, 104.0, 104.0]]), ring)[0]
    assert (center - torch.tensor([64.0, 64.0])).norm() < 2
