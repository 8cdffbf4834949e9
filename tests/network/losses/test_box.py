"""Box-head losses against their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from graspnext.network.losses.box import box_losses


def test_losses_by_hand() -> None:
    rois = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 40.0]])
    wanted = torch.tensor([[1.0, 0.0, 11.0, 10.0], [0.0, 0.0, 0.0, 0.0]])
    logits = torch.tensor([0.3, -1.0])
    deltas = torch.zeros(2, 4)  # boxes stay where they are: IoU 9 / 11; wanted deltas (0.1 * 10, 0, 0, 0)
    score, delta = box_losses(logits, deltas, rois, wanted, torch.tensor([True, False]))
    p, quality = 1 / (1 + math.exp(-0.3)), 9 / 11
    q = 1 / (1 + math.exp(1.0))
    expected = -(quality * math.log(p) + (1 - quality) * math.log(1 - p) + math.log(1 - q)) / 2
    assert float(score) == pytest.approx(expected, rel=1e-5)
    assert float(delta) == pytest.approx(1.0 - 0.25, rel=1e-5)


def test_without_positives_only_scores_learn() -> None:
    logits, deltas = torch.zeros(3, requires_grad=True), torch.zeros(3, 4, requires_grad=True)
    rois = torch.tensor([[0.0, 0.0, 10.0, 10.0]] * 3)
    score, delta = box_losses(logits, deltas, rois, rois, torch.zeros(3, dtype=torch.bool))
    (score + delta).backward()
    assert float(delta.detach()) == 0
    assert logits.grad is not None
    assert (logits.grad > 0).all()
