"""Mask targets against RoIAlign of the binary masks, losses against their formulas."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import roi_align

from graspnext.network.losses.mask import crop_masks, mask_loss, occlusion_loss
from graspnext.types import Targets


def test_crops_agree_with_roi_align(draw_view) -> None:  # type: ignore[no-untyped-def]
    import numpy as np

    _, targets = draw_view(size=128, count=6, rng=np.random.default_rng(0))
    assert isinstance(targets, Targets)
    index = torch.arange(6).repeat(2)
    boxes = targets.boxes[index] + torch.randn(12, 4, generator=torch.Generator().manual_seed(0)) * 2
    ours = crop_masks(targets.amodal_masks, index, boxes, 28)
    rois = torch.cat([index[:, None].float(), boxes], dim=1)
    kernel = roi_align(targets.amodal_masks[:, None].float(), rois, (28, 28), 1.0, 2, True)[:, 0]
    # Nearest against bilinear: they differ on the contour alone.
    assert (ours - kernel).abs().mean() < 0.02
    assert ((ours >= 0.5) == (kernel >= 0.5)).float().mean() > 0.98


def test_crops_of_a_rectangle_are_exact() -> None:
    mask = torch.zeros(1, 40, 40, dtype=torch.bool)
    mask[0, 10:20, 8:16] = True
    crop = crop_masks(mask, torch.tensor([0]), torch.tensor([[0.0, 0.0, 40.0, 40.0]]), 20)[0]
    assert torch.equal(crop, mask[0, ::2, ::2].float())
    outside = crop_masks(mask, torch.tensor([0]), torch.tensor([[8.0, -10.0, 16.0, 10.0]]), 4)
    assert (outside == 0).all()


def test_crops_of_nothing_are_nothing() -> None:
    nothing = torch.zeros(0, 40, 40, dtype=torch.bool)
    assert torch.equal(crop_masks(nothing, torch.tensor([-1, -1]), torch.rand(2, 4), 4), torch.zeros(2, 4, 4))


def test_losses_are_zero_without_rois_and_so_are_their_gradients() -> None:
    logits, nobody = torch.randn(2, 3, 8, 8, requires_grad=True), torch.zeros(2, 3, dtype=torch.bool)
    loss = mask_loss(logits, torch.zeros(2, 3, 8, 8), nobody)
    loss.sum().backward()
    assert loss.tolist() == [0, 0]
    assert logits.grad is not None and (logits.grad == 0).all()
    assert occlusion_loss(torch.randn(2, 3), nobody, nobody).tolist() == [0, 0]


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[[[0.0, 2.0], [-1.0, 0.5]], [[9.0, 9.0], [9.0, 9.0]]]])
    wanted = torch.tensor([[[[1.0, 0.0], [0.5, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    p, valid = 1 / (1 + torch.exp(-logits[0, 0])), torch.tensor([[True, False]])
    expected = -(wanted[0, 0] * p.log() + (1 - wanted[0, 0]) * (1 - p).log()).mean()
    assert mask_loss(logits, wanted, valid).tolist() == pytest.approx([float(expected)], rel=1e-5)
    found = occlusion_loss(torch.tensor([[0.5, 9.0]]), torch.tensor([[True, False]]), valid)
    assert found.tolist() == pytest.approx([float(torch.log1p(torch.exp(torch.tensor(-0.5))))], rel=1e-5)
