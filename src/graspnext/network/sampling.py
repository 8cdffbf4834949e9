"""Which RoIs the heads train on: proposals matched to instances, and disturbed true boxes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graspnext.errors import ConfigError
from graspnext.network import boxes as box_ops
from graspnext.types import Targets

BACKGROUND = -1


@dataclass(frozen=True)
class SamplingConfig:
    """Numbers of RoIs an image, in training."""

    box_rois: int = 64
    """RoIs of the box head."""
    box_positives: int = 32
    """Of which at most this many lie on instances."""
    positive_iou: float = 0.5
    """Proposals at this IoU with an amodal box or above belong to it."""
    ignore_share: float = 0.7
    """Background proposals of which this share lies in ignored instances are left out."""
    mask_rois: int = 12
    """RoIs of the mask and occlusion heads, about half of them disturbed true boxes."""
    box_jitter: float = 0.12
    """Noise of true boxes among the box head's RoIs, relative to their sides."""
    mask_jitter: float = 0.05
    """Noise of true boxes among the mask heads' RoIs, about that of final detections."""

    def __post_init__(self) -> None:
        for name in ("box_rois", "box_positives", "mask_rois"):
            if getattr(self, name) < 1:
                raise ConfigError(f"sampling.{name}", getattr(self, name), "at least 1")
        if self.box_positives > self.box_rois:
            raise ConfigError("sampling.box_positives", self.box_positives, f"at most box_rois, {self.box_rois}")
        if not 0 < self.positive_iou < 1:
            raise ConfigError("sampling.positive_iou", self.positive_iou, "in (0, 1)")


@dataclass(frozen=True, eq=False)
class Rois:
    """RoIs of one image."""

    boxes: Tensor
    """(R, 4) xyxy px."""
    instance: Tensor
    """(R,) int64: index of the instance they belong to, BACKGROUND otherwise."""


def sample_box_rois(
    proposals: Tensor, targets: Targets, config: SamplingConfig, size: tuple[int, int], *, generator: torch.Generator
) -> Rois:
    """Proposals and disturbed true boxes for the box head: positives and background, at most `box_rois`.

    Args:
        proposals: (P, 4) xyxy px; empty ones are left out.
        targets: Of the same image.
        config: Numbers and thresholds.
        size: (height, width) of the network's input, px.
        generator: Source of all randomness.
    """
    wanted = targets.boxes[~targets.ignore]
    names = torch.nonzero(~targets.ignore)[:, 0]
    near = box_ops.clip(box_ops.jitter(wanted, config.box_jitter, generator=generator), size)
    boxes = torch.cat([proposals, near])
    boxes = boxes[box_ops.area(boxes) > 1]
    if len(wanted):
        best, match = box_ops.pairwise_iou(boxes, wanted).max(dim=1)
        instance = torch.where(best >= config.positive_iou, names[match], BACKGROUND)
    else:
        instance = torch.full((len(boxes),), BACKGROUND, dtype=torch.int64, device=boxes.device)
    ignored = targets.boxes[targets.ignore]
    inside = box_ops.pairwise_intersection(boxes, ignored).sum(1) / box_ops.area(boxes)
    positive = _choose(instance >= 0, config.box_positives, generator)
    free = (instance < 0) & (inside < config.ignore_share)
    background = _choose(free, config.box_rois - len(positive), generator)
    chosen = torch.cat([positive, background])
    return Rois(boxes[chosen], instance[chosen])


def sample_mask_rois(
    box_rois: Rois, targets: Targets, config: SamplingConfig, size: tuple[int, int], *, generator: torch.Generator
) -> Rois:
    """RoIs for the mask heads: half positives of the box head, the rest disturbed true boxes, at most `mask_rois`."""
    matched = _choose(box_rois.instance >= 0, config.mask_rois // 2, generator)
    names = _choose(~targets.ignore, config.mask_rois - len(matched), generator)
    near = box_ops.clip(box_ops.jitter(targets.boxes[names], config.mask_jitter, generator=generator), size)
    boxes, instance = torch.cat([box_rois.boxes[matched], near]), torch.cat([box_rois.instance[matched], names])
    solid = box_ops.area(boxes) > 1
    return Rois(boxes[solid], instance[solid])


def _choose(mask: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """At most `count` random indices (K,) int64 where `mask` (N,) bool holds."""
    found = torch.nonzero(mask)[:, 0]
    order = torch.randperm(len(found), generator=generator, device=generator.device)[:count]
    return found[order.to(found.device)]
