"""Suppression with fixed shapes against the plain greedy loop."""

from __future__ import annotations

import torch
from torchvision.ops import box_iou

from graspnext.network.nms import suppress, suppress_in_parallel


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


def crowd(seed: int, count: int) -> torch.Tensor:
    """Boxes of a few parts, each proposed many times, in falling order of their scores."""
    generator = torch.Generator().manual_seed(seed)
    parts = torch.rand(8, 2, generator=generator) * 80
    corner = parts.repeat(count // 8, 1) + torch.randn(count, 2, generator=generator) * 3
    return torch.cat([corner, corner + 20 + torch.randn(count, 2, generator=generator)], dim=1)


def test_parallel_suppression_keeps_what_the_greedy_loop_keeps() -> None:
    scores = torch.linspace(1, 0, 80)
    for seed in range(20):
        boxes = crowd(seed, 80)
        expected = boxes[greedy(boxes, scores, 0.7)]
        (found,) = suppress_in_parallel(boxes[None], 0.7, 100)
        alive = found[: int((found != 0).any(dim=1).sum())]
        assert (alive[:, None] == expected[None]).all(2).any(1).all()  # nothing else
        assert len(alive) >= 0.9 * len(expected)  # long chains cost a few
        assert (found[len(alive) :] == 0).all()


def test_parallel_suppression_is_exact_on_short_chains_and_image_by_image() -> None:
    # Each box overlaps the next one only: the first drops the second, which spares the third.
    chain = torch.tensor([[0.0, 0, 10, 10], [2, 0, 12, 10], [4, 0, 14, 10]])
    alone = torch.tensor([[0.0, 0, 10, 10], [50, 0, 60, 10], [0.5, 0, 10.5, 10]])
    found = suppress_in_parallel(torch.stack([chain, alone]), 0.6, 2)
    assert found.tolist() == [chain[[0, 2]].tolist(), alone[:2].tolist()]
    assert suppress_in_parallel(alone[None], 0.6, 5)[0, 2:].abs().max() == 0
