"""Which location proposes which instance, and the two losses of the proposals."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from graspnext.network import boxes as box_ops
from graspnext.network.rpn import RpnConfig, RpnOutput
from graspnext.types import Targets

BACKGROUND = -1
IGNORED = -2
MASK_STRIDE = 4
"""Masks are read at every fourth pixel: enough to know who is seen where."""


def assign_locations(
    targets: Targets, shapes: Sequence[tuple[int, int]], strides: Sequence[int], config: RpnConfig
) -> Tensor:
    """Owner (L,) int64 of each location of one image: index of its instance, BACKGROUND or IGNORED.

    A location's owner is the instance of its level's size that covers most of its cell; the best location of
    each instance is its own in any case, so that no visible instance is left without one.
    """
    device = targets.boxes.device
    if len(targets.boxes) == 0:
        return torch.full((sum(h * w for h, w in shapes),), BACKGROUND, dtype=torch.int64, device=device)
    half = MASK_STRIDE // 2
    seen = targets.visible_masks[:, half::MASK_STRIDE, half::MASK_STRIDE].float()  # (N, H / 4, W / 4)
    size = box_ops.area(targets.boxes).sqrt()  # (N,)
    limits = [0.0, *config.level_limits_px, float("inf")]
    owners = []
    for level, (shape, stride) in enumerate(zip(shapes, strides, strict=True)):
        coverage = functional.avg_pool2d(seen[None], stride // MASK_STRIDE, ceil_mode=True)[0].flatten(1)  # (N, h * w)
        assert coverage.shape[1] == shape[0] * shape[1]
        fits = (size >= limits[level] / config.level_overlap) & (size < limits[level + 1] * config.level_overlap)
        fits &= ~targets.ignore
        ignored = (coverage * targets.ignore[:, None]).sum(0)
        eligible = coverage * fits[:, None]
        best, owner = eligible.max(dim=0)  # (h * w,)
        owner = torch.where(best >= config.min_coverage, owner, BACKGROUND)
        owner = torch.where((owner == BACKGROUND) & (ignored >= config.min_coverage), IGNORED, owner)
        top, place = eligible.max(dim=1)  # (N,)
        owner[place[top > 0]] = torch.nonzero(top > 0)[:, 0]
        owners.append(owner)
    return torch.cat(owners)


def rpn_losses(output: RpnOutput, owners: Sequence[Tensor], targets: Sequence[Targets]) -> tuple[Tensor, Tensor]:
    """Objectness and box loss of a batch, both scalars per positive location.

    Objectness is a quality focal loss (Li et al., NeurIPS 2020): positives are trained towards (1 + IoU) / 2
    of their own box, so that every visible location beats the background and the best box wins. The box loss is
    1 - GIoU.
    """
    owner = torch.stack(list(owners))  # (B, L)
    positive = owner >= 0
    count = positive.sum().clamp(min=1)
    image, place = torch.nonzero(positive, as_tuple=True)
    first = torch.tensor([0, *[len(t.boxes) for t in targets]], device=owner.device).cumsum(0)
    wanted = torch.cat([t.boxes for t in targets])[first[image] + owner[image, place]]  # (P, 4)
    iou, giou = box_ops.iou_and_giou(output.boxes[image, place], wanted)
    quality = torch.zeros_like(output.objectness)
    quality[image, place] = (1 + iou.detach()) / 2
    entropy = functional.binary_cross_entropy_with_logits(output.objectness, quality, reduction="none")
    focus = (torch.sigmoid(output.objectness.detach()) - quality).square()
    objectness = (entropy * focus * (owner != IGNORED)).sum() / count
    return objectness, (1 - giou).sum() / count
