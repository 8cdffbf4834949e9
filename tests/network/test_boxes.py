"""Box arithmetic against counting of cells, torchvision and its own inverse."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.ops import generalized_box_iou_loss

from graspnext.network import boxes as box_ops


def random_boxes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 20, (count, 2), generator=generator)
    return torch.cat([corner, corner + torch.randint(1, 12, (count, 2), generator=generator)], dim=1).float()


def filled(box: torch.Tensor) -> np.ndarray:
    grid = np.zeros((32, 32), dtype=bool)
    x1, y1, x2, y2 = (int(v) for v in box)
    grid[y1:y2, x1:x2] = True
    return grid


def test_pairwise_iou_counts_cells() -> None:
    a, b = random_boxes(12, 0), random_boxes(9, 1)
    ours = box_ops.pairwise_iou(a, b)
    counted = [[(filled(p) & filled(q)).sum() / (filled(p) | filled(q)).sum() for q in b] for p in a]
    np.testing.assert_allclose(ours.numpy(), np.array(counted), atol=1e-6)


def test_giou_agrees_with_torchvision() -> None:
    a, b = random_boxes(50, 2), random_boxes(50, 3)
    iou, giou = box_ops.iou_and_giou(a, b)
    torch.testing.assert_close(1 - giou, generalized_box_iou_loss(a, b), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(iou, box_ops.pairwise_iou(a, b).diagonal())


def test_decode_undoes_encode() -> None:
    a, b = random_boxes(50, 4), random_boxes(50, 5)
    torch.testing.assert_close(box_ops.decode(box_ops.encode(a, b, (10.0, 5.0)), b, (10.0, 5.0)), a, atol=1e-4, rtol=0)


def test_jitter_stays_near() -> None:
    boxes = random_boxes(200, 6)
    noise = torch.randn(boxes.shape, generator=torch.Generator().manual_seed(0))
    moved = box_ops.jitter(boxes, noise, 0.05)
    assert torch.equal(box_ops.jitter(boxes, 0 * noise, 0.05), boxes)
    iou = box_ops.pairwise_iou(boxes, moved).diagonal()
    assert iou.min() > 0.6
    assert 0.8 < iou.mean() < 0.97


def test_clip_keeps_boxes_inside() -> None:
    clipped = box_ops.clip(torch.tensor([[-5.0, 2.0, 40.0, 50.0]]), (20, 30))
    assert clipped.tolist() == [[0.0, 2.0, 30.0, 20.0]]
