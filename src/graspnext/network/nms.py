"""Non-maximum suppression with a fixed number of results, so that a graph with fixed shapes can hold it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import nms

from graspnext.network import boxes as box_ops

ROUNDS = 3
"""Of the parallel suppression; after an odd number of them no box is left that the exact one would drop."""


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


def suppress_in_parallel(boxes: Tensor, threshold: float, keep: int) -> Tensor:
    """`suppress` for training: whole batches at once, and a device is not waited for.

    One round drops every box that overlaps a better one (Fast NMS: Bolya et al., YOLACT, ICCV 2019), also where that
    one falls out itself. The next ones ask the survivors of the round before (Cluster-NMS: Zheng et al., IEEE
    Transactions on Cybernetics 2022): exact where no more than `ROUNDS` boxes in a row depend on each other.

    Args:
        boxes: (B, N, 4) xyxy px, best first.
        threshold: Boxes with a larger IoU to a better one fall out.
        keep: Number of results an image.

    Returns:
        (B, keep, 4), best first, zeros where fewer are left.
    """
    count = boxes.shape[1]
    share = box_ops.area(boxes) * (threshold / (1 + threshold))  # IoU > t, without a division for each pair
    overlap = box_ops.pairwise_intersection(boxes, boxes) > share[:, :, None] + share[:, None, :]
    overlap = overlap.triu_(1).view(torch.uint8)  # (B, N better, N worse); CPUs reduce bytes faster than bools
    kept = 1 - overlap.amax(dim=1)
    for _ in range(ROUNDS - 1):
        kept = 1 - (overlap & kept[:, :, None]).amax(dim=1)
    rank = torch.arange(count, 0, -1, device=boxes.device)
    place, order = torch.topk(rank * kept, min(keep, count))
    best = torch.take_along_dim(boxes, order[:, :, None], dim=1) * (place > 0)[:, :, None]
    return functional.pad(best, (0, 0, 0, keep - order.shape[1]))
