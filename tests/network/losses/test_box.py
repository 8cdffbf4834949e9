"""Box-head losses against their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from graspnext.network.losses.box import box_losses
from graspnext.network.sampling import BACKGROUND, Rois
from graspnext.network.truth import Truth, gather_truth
from graspnext.types import Targets


def truth_of(*boxes: list[list[float]]) -> Truth:
    """Images with these amodal boxes and nothing else of interest."""
    return gather_truth(
        [
            Targets(
                boxes=torch.tensor(each, dtype=torch.float32).view(-1, 4),
                visible_masks=torch.zeros(len(each), 8, 8, dtype=torch.bool),
                amodal_masks=torch.zeros(len(each), 8, 8, dtype=torch.bool),
                occluded=torch.zeros(len(each), dtype=torch.bool),
                centers=torch.zeros(len(each), 2),
                ignore=torch.zeros(len(each), dtype=torch.bool),
                suction=torch.zeros(2, 2),
            )
            for each in boxes
        ]
    )


def test_losses_by_hand() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 40.0], [0.0, 0.0, 0.0, 0.0]])
    rois = Rois(boxes[None], torch.tensor([[0, BACKGROUND, BACKGROUND]]), torch.tensor([[True, True, False]]))
    logits = torch.tensor([[0.3, -1.0, 5.0]])
    deltas = torch.zeros(1, 3, 4)  # boxes stay where they are: IoU 9 / 11; wanted deltas (0.1 * 10, 0, 0, 0)
    score, delta = box_losses(logits, deltas, rois, truth_of([[1.0, 0.0, 11.0, 10.0]]))
    p, quality = 1 / (1 + math.exp(-0.3)), 9 / 11
    q = 1 / (1 + math.exp(1.0))
    expected = -(quality * math.log(p) + (1 - quality) * math.log(1 - p) + math.log(1 - q)) / 2
    assert score.tolist() == pytest.approx([expected], rel=1e-5)
    assert delta.tolist() == pytest.approx([1.0 - 0.25], rel=1e-5)


def test_positives_count_alike_whatever_their_image() -> None:
    near = [0.0, 0.0, 10.0, 10.0]
    boxes = torch.tensor([[near, near, near], [near, near, near]])
    instance = torch.tensor([[0, 0, BACKGROUND], [1, BACKGROUND, BACKGROUND]])
    rois = Rois(boxes, instance, torch.tensor([[True, True, True], [True, False, False]]))
    truth = truth_of([[1.0, 0.0, 11.0, 10.0]], [[50.0, 50.0, 60.0, 60.0], [3.0, 0.0, 13.0, 10.0]])
    score, delta = box_losses(torch.zeros(2, 3), torch.zeros(2, 3, 4), rois, truth)
    assert score.tolist() == pytest.approx([math.log(2)] * 2, rel=1e-5)  # logit 0: whatever the quality
    assert delta.tolist() == pytest.approx([2 * (1 - 0.25), 3 - 0.25], rel=1e-5)  # a third of 3 RoIs


def test_without_positives_only_scores_learn() -> None:
    logits, deltas = torch.zeros(1, 3, requires_grad=True), torch.zeros(1, 3, 4, requires_grad=True)
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0]] * 3])
    valid = torch.tensor([[True, True, False]])
    score, delta = box_losses(logits, deltas, Rois(boxes, torch.full((1, 3), BACKGROUND), valid), truth_of([]))
    (score + delta).sum().backward()
    assert float(delta.detach()) == 0
    assert logits.grad is not None and deltas.grad is not None
    assert torch.equal(logits.grad > 0, valid)
    assert (deltas.grad == 0).all()
