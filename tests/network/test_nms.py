"""Suppression with fixed shapes against the plain greedy loop."""

from __future__ import annotations

import torch
from torchvision.ops import box_iou

from graspnext.network.nms import suppress


def greedy(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> list[int]:
    kept: list[int] = []
    overlap = box_iou(boxes, boxes)
    for index in scores.argsort(descending=True).tolist():
        if all(overlap[index, k] <= threshold for k in kept):
            kept.append(index)
    return kept


def test_suppress_equals_the_greedy_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(80, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + 10 + torch.rand(80, 2, generator=generator) * 30], dim=1)
    scores = torch.rand(80, generator=generator)
    expected = greedy(boxes, scores, 0.5)
    assert 5 < len(expected) < 80
    for keep in (3, len(expected), 70, 120):
        found, found_scores = suppress(boxes, scores, 0.5, keep)
        alive = expected[:keep]
        assert found.shape == (keep, 4)
        torch.testing.assert_close(found[: len(alive)], boxes[alive])
        torch.testing.assert_close(found_scores[: len(alive)], scores[alive])
        assert (found[len(alive) :] == 0).all()
        assert (found_scores[len(alive) :] == 0).all()
