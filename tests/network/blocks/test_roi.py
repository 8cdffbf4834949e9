"""The gathered RoIAlign against torchvision's kernel, and both against a function whose mean is known."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import roi_align

from graspnext.network.blocks.roi import RoiLevels, pool_by_gather, pool_by_kernel

LEVELS = RoiLevels(strides=(4, 8, 16), finest_limit_px=24.0)


def random_rois(count: int, side: float, generator: torch.Generator) -> torch.Tensor:
    corner = (torch.rand(count, 2, generator=generator) * 1.2 - 0.1) * side
    sides = 2 + torch.rand(count, 2, generator=generator) * side * 0.8
    image = torch.randint(0, 2, (count, 1), generator=generator).float()
    return torch.cat([image, corner, corner + sides], dim=1)


def make_features(side: int, generator: torch.Generator) -> list[torch.Tensor]:
    shapes = [(2, 6, side // s, side // s) for s in LEVELS.strides]
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("size", [7, 14])
def test_gather_agrees_with_the_kernel(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    features = make_features(128, generator)
    rois = random_rois(60, 128.0, generator)
    assert len(LEVELS.assign(rois[:, 1:]).unique()) == 3
    (gathered,) = pool_by_gather(features, [(rois, size)], LEVELS)
    kernel = pool_by_kernel(features, rois, LEVELS, size)
    torch.testing.assert_close(gathered, kernel, atol=1e-4, rtol=0)
    seed = torch.randn(kernel.shape, generator=generator)
    for ours, theirs in zip(
        torch.autograd.grad((gathered * seed).sum(), features),
        torch.autograd.grad((kernel * seed).sum(), features),
        strict=True,
    ):
        assert theirs.abs().max() > 0.1
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_each_roi_reads_its_own_level() -> None:
    generator = torch.Generator().manual_seed(0)
    features = make_features(128, generator)
    rois = random_rois(40, 128.0, generator)
    pooled = pool_by_kernel(features, rois, LEVELS, 7)
    for row, roi in enumerate(rois):
        area = float((roi[3] - roi[1]) * (roi[4] - roi[2]))
        level = 0 if area < 24**2 else 1 if area < 48**2 else 2
        alone = roi_align(features[level], roi[None], (7, 7), 1 / LEVELS.strides[level], 2, True)
        torch.testing.assert_close(pooled[row], alone[0])


def test_a_ramp_gives_the_cell_centres() -> None:
    """A feature that equals the pixel's x coordinate is, in every cell, the x of the cell's centre."""
    ramps = [((torch.arange(32) + 0.5) * 4).expand(1, 1, 32, 32).clone()]
    levels = RoiLevels(strides=(4,), finest_limit_px=1e6)
    roi = torch.tensor([[0.0, 20.0, 30.0, 90.0, 86.0]])
    (pooled,) = pool_by_gather(ramps, [(roi, 7)], levels)
    expected = 20 + (torch.arange(7) + 0.5) * 10
    torch.testing.assert_close(pooled[0, 0], expected.expand(7, 7))


def test_sets_pooled_together_equal_sets_pooled_apart() -> None:
    generator = torch.Generator().manual_seed(1)
    features = make_features(128, generator)
    a, b = random_rois(5, 128.0, generator), random_rois(0, 128.0, generator)
    together = pool_by_gather(features, [(a, 7), (b, 14), (a[2:], 14)], LEVELS)
    assert [tuple(p.shape) for p in together] == [(5, 6, 7, 7), (0, 6, 14, 14), (3, 6, 14, 14)]
    torch.testing.assert_close(together[2], pool_by_gather(features, [(a[2:], 14)], LEVELS)[0])
