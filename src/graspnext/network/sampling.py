"""Which RoIs the heads train on: proposals matched to instances, and disturbed true boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from graspnext.errors import ConfigError
from graspnext.network import boxes as box_ops
from graspnext.network.truth import Truth, look_up, stack_rows

BACKGROUND = -1
UNUSED = float("-inf")
"""Priority of what must not be chosen."""


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
    """R RoIs of each of B images."""

    boxes: Tensor
    """(B, R, 4) xyxy px; zeros in rows that are not valid."""
    instance: Tensor
    """(B, R) int64: index of the instance they belong to, BACKGROUND otherwise."""
    valid: Tensor
    """(B, R) bool: false in the last rows of images that had too few to choose from; those teach nothing."""


def sample_box_rois(
    proposals: Tensor,
    truth: Truth,
    config: SamplingConfig,
    size: tuple[int, int],
    *,
    generators: Sequence[torch.Generator],
) -> Rois:
    """Proposals and disturbed true boxes for the box head: positives and background, `box_rois` an image.

    Args:
        proposals: (B, P, 4) xyxy px; empty ones are left out.
        truth: Of the same images.
        config: Numbers and thresholds.
        size: (height, width) of the network's input, px.
        generators: Source of all randomness of each image.
    """
    spare, most = proposals.shape[1], truth.boxes.shape[1]
    noise = _draw(torch.randn, [(n, 4) for n in truth.counts], most, generators).to(proposals.device)
    key = _draw(torch.rand, [(spare + n,) for n in truth.counts], spare + most, generators).to(proposals.device)
    near = box_ops.clip(box_ops.jitter(truth.boxes, noise, config.box_jitter), size)
    boxes = torch.cat([proposals, near], dim=1)  # (B, P + N, 4)
    solid = box_ops.area(boxes) > 1
    iou, match = (box_ops.pairwise_iou(boxes, truth.boxes) * truth.wanted[:, None]).max(dim=2)
    positive = solid & (iou >= config.positive_iou)
    ignored = (box_ops.pairwise_intersection(boxes, truth.boxes) * truth.ignored[:, None]).sum(dim=2)
    free = solid & ~positive & (ignored < config.ignore_share * box_ops.area(boxes))
    chosen = _some(positive, key, config.box_positives)
    priority = torch.where(chosen, 1 + key, torch.where(free, key, UNUSED))
    return _first(boxes, torch.where(positive, match, BACKGROUND), priority, config.box_rois)


def sample_mask_rois(
    box_rois: Rois,
    truth: Truth,
    config: SamplingConfig,
    size: tuple[int, int],
    *,
    generators: Sequence[torch.Generator],
) -> Rois:
    """RoIs for the mask heads, `mask_rois` an image: up to half positives of the box head, the rest disturbed boxes.

    The boxes are the true ones; none comes a second time, disturbed otherwise, before all others came once.
    """
    device, (batch, spare) = box_rois.boxes.device, box_rois.instance.shape
    turns, most = config.mask_rois, truth.boxes.shape[1]
    noise = _draw(torch.randn, [(n, turns, 4) for n in truth.counts], most, generators).to(device)
    key = _draw(torch.rand, [(spare,)] * batch, spare, generators).to(device)
    near_key = _draw(torch.rand, [(n, turns) for n in truth.counts], most, generators).to(device)
    near = box_ops.clip(box_ops.jitter(truth.boxes[:, :, None], noise, config.mask_jitter), size)  # (B, N, turns, 4)
    usable = truth.wanted[:, :, None] & (box_ops.area(near) > 1)
    turn = near_key - torch.arange(turns, device=device)  # the first of every instance, then the second, ...
    chosen = _some(box_rois.instance >= 0, key, config.mask_rois // 2)
    names = torch.arange(most, device=device)[None, :, None].expand(batch, most, turns)
    return _first(
        torch.cat([box_rois.boxes, near.flatten(1, 2)], dim=1),
        torch.cat([box_rois.instance, names.flatten(1)], dim=1),
        torch.cat([torch.where(chosen, 1 + key, UNUSED), torch.where(usable, turn, UNUSED).flatten(1)], dim=1),
        config.mask_rois,
    )


def _draw(
    draw: Callable[..., Tensor],
    shapes: Sequence[tuple[int, ...]],
    length: int,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Random numbers (n_i, ...) of each image's own shape, as (B, length, ...): none depend on the other images."""
    drawn = [draw(s, generator=g, device=g.device) for s, g in zip(shapes, generators, strict=True)]
    return stack_rows(drawn, length)


def _some(mask: Tensor, key: Tensor, count: int) -> Tensor:
    """(B, K) bool: at most `count` random ones an image of those where `mask` (B, K) holds."""
    if not count:
        return torch.zeros_like(mask)
    key = torch.where(mask, key, UNUSED)
    last = torch.topk(key, min(count, key.shape[1])).values[:, -1:]
    return mask & (key >= last)


def _first(boxes: Tensor, instance: Tensor, priority: Tensor, count: int) -> Rois:
    """The `count` candidates of the highest priority, those that are UNUSED left out."""
    missing = max(0, count - priority.shape[1])
    best, order = torch.topk(priority, count - missing)
    valid = best > UNUSED
    return Rois(
        boxes=functional.pad(look_up(boxes, order) * valid[..., None], (0, 0, 0, missing)),
        instance=functional.pad(
            torch.where(valid, look_up(instance, order), BACKGROUND), (0, missing), value=BACKGROUND
        ),
        valid=functional.pad(valid, (0, missing)),
    )
