"""Non-maximum suppression with a fixed number of results, so that a graph with fixed shapes can hold it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import nms


def suppress(boxes: Tensor, scores: Tensor, threshold: float, keep: int) -> tuple[Tensor, Tensor]:
    """The best boxes that do not overlap a better one.

    Args:
        boxes: (N, 4) float32 xyxy px.
        scores: (N,) float32 in [0, 1].
        threshold: Boxes with a larger IoU to a better one fall out.
        keep: Number of results.

    Returns:
        boxes (keep, 4), zeros where fewer are left, and scores (keep,), falling, 0 where fewer are left.
    """
    kept = torch.zeros_like(scores).index_fill(0, nms(boxes, scores, threshold), 1.0)  # (N,) 1 or 0
    best, order = torch.topk(scores * kept, min(keep, scores.shape[0]))
    alive = torch.gather(kept, 0, order)
    missing = keep - order.shape[0]
    boxes = functional.pad(boxes[order] * alive[:, None], (0, 0, 0, missing))
    return boxes, functional.pad(best, (0, missing))
