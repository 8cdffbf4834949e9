"""Which location proposes which instance, and the two losses of the proposals."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from graspnext.network import boxes as box_ops
from graspnext.network.losses.mean import sum_per
from graspnext.network.rpn import RpnConfig, RpnOutput
from graspnext.network.truth import MASK_STRIDE, Truth, look_up

BACKGROUND = -1
IGNORED = -2
POSITIVE_DENSITY = 0.1 * 2125 / 320**2
"""Positive locations of an ordinary picture of a bin, per px: a tenth of the 2,125 locations of a 320-pixel crop at
strides 8 to 64 (of `bench` 11 %). A level at stride 4, which adds 6,400 locations there and 1.6 times as many positive
ones, changes nothing: otherwise every location of the baselines would teach a quarter of what it does in `fast`."""


def assign_locations(
    truth: Truth, shapes: Sequence[tuple[int, int]], strides: Sequence[int], config: RpnConfig
) -> Tensor:
    """Owner (B, L) int64 of each location of each image: index of its instance, BACKGROUND or IGNORED.

    A location's owner is the instance of its level's size that covers most of its cell; the best location of
    each instance is its own in any case, so that no visible instance is left without one.
    """
    coverage, reached = truth.seen.float(), MASK_STRIDE  # (B, N, H / 4, W / 4)
    size = box_ops.area(truth.boxes).sqrt()  # (B, N)
    names = torch.arange(size.shape[1], device=size.device).expand_as(size)
    limits = [0.0, *config.level_limits_px, float("inf")]
    owners = []
    for level, (shape, stride) in enumerate(zip(shapes, strides, strict=True)):
        coverage, reached = functional.avg_pool2d(coverage, stride // reached, ceil_mode=True), stride
        assert coverage.shape[2:] == shape
        share = coverage.flatten(2)  # (B, N, h * w)
        fits = (size >= limits[level] / config.level_overlap) & (size < limits[level + 1] * config.level_overlap)
        eligible = share * (fits & truth.wanted)[..., None]
        best, owner = eligible.max(dim=1)  # (B, h * w)
        ignored = (share * truth.ignored[..., None]).sum(dim=1) >= config.min_coverage
        owner = torch.where(best >= config.min_coverage, owner, torch.where(ignored, IGNORED, BACKGROUND))
        top, place = eligible.max(dim=2)  # (B, N)
        nowhere = share.shape[2]
        claims = functional.pad(torch.full_like(owner, BACKGROUND), (0, 1), value=BACKGROUND)  # (B, h * w + 1)
        claims = claims.scatter_reduce(1, torch.where(top > 0, place, nowhere), names, "amax")[:, :-1]
        owners.append(torch.where(claims >= 0, claims, owner))
    return torch.cat(owners, dim=1)


def rpn_losses(output: RpnOutput, owner: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
    """Objectness and box loss of each image, (B,) both: sums over locations, per ordinary number of positive ones.

    Objectness is a quality focal loss (Li et al., NeurIPS 2020): positives are trained towards (1 + IoU) / 2
    of their own box, so that every visible location beats the background and the best box wins. The box loss is
    1 - GIoU.

    Args:
        output: Predictions at L locations.
        owner: (B, L), as `assign_locations` says.
        truth: Of the same images.
    """
    positive = owner >= 0
    ordinary = POSITIVE_DENSITY * truth.seen.shape[2] * truth.seen.shape[3] * MASK_STRIDE**2
    iou, giou = box_ops.iou_and_giou(output.boxes, look_up(truth.boxes, owner))  # (B, L)
    quality = torch.where(positive, (1 + iou.detach()) / 2, 0)
    entropy = functional.binary_cross_entropy_with_logits(output.objectness, quality, reduction="none")
    focus = (torch.sigmoid(output.objectness.detach()) - quality).square()
    return (
        sum_per(ordinary, entropy * focus, owner != IGNORED),
        sum_per(ordinary, 1 - giou, positive),
    )
