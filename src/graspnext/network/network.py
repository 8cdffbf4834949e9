"""The six-task network: its parts are given to it, it only says in which order they work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from graspnext.network import boxes as box_ops
from graspnext.network.blocks.roi import RoiLevels, pool_by_gather, pool_by_kernel
from graspnext.network.config import LossWeights
from graspnext.network.heads.box import CODER_WEIGHTS, BoxHead
from graspnext.network.heads.center import locate_centers
from graspnext.network.heads.dense import DenseHead
from graspnext.network.heads.hierarchical_mask import HierarchicalMaskHead
from graspnext.network.heads.mask import MaskHead
from graspnext.network.losses.box import box_losses
from graspnext.network.losses.dense import center_loss, center_target, suction_loss
from graspnext.network.losses.mask import crop_masks, mask_loss, occlusion_loss
from graspnext.network.losses.rpn import assign_locations, rpn_losses
from graspnext.network.nms import suppress
from graspnext.network.rpn import RegionProposals
from graspnext.network.sampling import Rois, SamplingConfig, sample_box_rois, sample_mask_rois
from graspnext.network.truth import Truth, gather_truth, look_up
from graspnext.types import Targets

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Colour statistics of ImageNet, RGB in [0, 1]."""
DENSE_STRIDE = 4


class Detections(NamedTuple):
    """What the network says about one image: D = `max_detections` rows, best first, spare ones at score 0."""

    scores: Tensor
    """(D,) float32 in [0, 1]: expected IoU of the box, 0 for background."""
    boxes: Tensor
    """(D, 4) float32 amodal xyxy px of the network's input."""
    visible_masks: Tensor
    """(D, M, M) float32 probabilities over the box."""
    amodal_masks: Tensor
    """(D, M, M) float32 probabilities over the box."""
    occluded: Tensor
    """(D,) float32 probability."""
    centers: Tensor
    """(D, 2) float32 x, y px of the projected centre of mass."""
    suction: Tensor
    """(H / 4, W / 4) float32 in [0, 1]."""


@dataclass(frozen=True, eq=False)
class NetworkParts:
    """What a network is made of."""

    backbone: nn.Module
    """Image to maps at strides 4 to 32."""
    neck: nn.Module
    """Those maps to pyramid levels of one width."""
    rpn: RegionProposals
    box_head: BoxHead
    mask_head: MaskHead | HierarchicalMaskHead
    dense_head: DenseHead


@dataclass(frozen=True)
class NetworkSettings:
    """What the network needs to know besides its parts."""

    max_detections: int
    roi_levels: RoiLevels
    sampling: SamplingConfig
    loss_weights: LossWeights


class Network(nn.Module):
    """Amodal boxes, visible masks, amodal masks, occlusion, centres of mass and suction scores from one image."""

    def __init__(self, parts: NetworkParts, settings: NetworkSettings) -> None:
        super().__init__()
        self.backbone = parts.backbone
        self.neck = parts.neck
        self.rpn = parts.rpn
        self.box_head = parts.box_head
        self.mask_head = parts.mask_head
        self.dense_head = parts.dense_head
        self.settings = settings
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))

    def levels(self, images: Tensor) -> list[Tensor]:
        """Pyramid levels, strides 4 to 64, of images (B, 3, H, W) in [0, 1] float32."""
        normalised = (images - self.get_buffer("mean")) / self.get_buffer("deviation")
        levels: list[Tensor] = self.neck(self.backbone(normalised))
        return levels

    def forward(self, image: Tensor, limit: Tensor | None = None) -> Detections:
        """Predict; shapes depend on (H, W) alone, so that the graph can be exported.

        Args:
            image: (1, 3, H, W) float32 in [0, 1], RGB; H and W multiples of 32.
            limit: (2,) float32 width and height px of what is picture rather than padding; all of it when None.
                Boxes end there, and masks are predicted for the boxes as they are given out.
        """
        size = (image.shape[2], image.shape[3])
        levels = self.levels(image)
        proposals = self.rpn.propose(self.rpn(self._proposing(levels)), size)
        (features,) = self._pool(levels, (proposals[None], self.box_head.config.roi_size))
        logits, deltas = self.box_head(features)
        refined = box_ops.clip(box_ops.decode(deltas, proposals, CODER_WEIGHTS), size)
        if limit is not None:
            refined = torch.minimum(refined, limit.repeat(2))
        scores = torch.sigmoid(logits) * (box_ops.area(proposals) > 0)
        boxes, scores = suppress(refined, scores, self.box_head.config.nms_iou, self.settings.max_detections)
        (features,) = self._pool(levels, (boxes[None], self.mask_head.config.roi_size))
        visible, amodal, occluded = self.mask_head(features)
        amodal_masks = torch.sigmoid(amodal)
        center_logits, suction_logits = self.dense_head(levels[0])
        centers = locate_centers(torch.sigmoid(center_logits[0]), DENSE_STRIDE, boxes, amodal_masks)
        return Detections(
            scores,
            boxes,
            torch.sigmoid(visible),
            amodal_masks,
            torch.sigmoid(occluded),
            centers,
            torch.sigmoid(suction_logits[0]),
        )

    def losses(
        self, images: Tensor, targets: Sequence[Targets], *, generators: Sequence[torch.Generator]
    ) -> dict[str, Tensor]:
        """All weighted losses of a batch by name, scalars; the total is their sum.

        Each is the mean over the images of that image's own loss, 0 where an image has nothing to teach, so that
        the mean over equal parts of a batch is the loss of the whole, however it is split. No shape depends on a value
        that a GPU holds, and none is asked for, so that the GPU is not waited for.

        Args:
            images: (B, 3, H, W) floating point in [0, 1] or uint8, RGB; H and W multiples of 32.
            targets: One an image.
            generators: Source of all randomness of each image; best on the images' device.
        """
        if images.dtype == torch.uint8:
            images = images.to(self.get_buffer("mean").dtype) / 255
        size = (images.shape[2], images.shape[3])
        truth = gather_truth(targets)
        levels = self.levels(images.contiguous(memory_format=torch.channels_last))
        proposing = self._proposing(levels)
        output = self.rpn(proposing)
        shapes = [(level.shape[2], level.shape[3]) for level in proposing]
        owner = assign_locations(truth, shapes, self.rpn.strides, self.rpn.config)
        objectness, rpn_box = rpn_losses(output, owner, truth)
        losses = {"rpn_objectness": objectness, "rpn_box": rpn_box}
        with torch.no_grad():
            proposals, sampling = self.rpn.propose_in_training(output, size), self.settings.sampling
            box_rois = sample_box_rois(proposals, truth, sampling, size, generators=generators)
            mask_rois = sample_mask_rois(box_rois, truth, sampling, size, generators=generators)
        box_features, mask_features = self._pool(
            levels,
            (box_rois.boxes, self.box_head.config.roi_size),
            (mask_rois.boxes, self.mask_head.config.roi_size),
        )
        losses |= self._box_losses(box_features, box_rois, truth)
        losses |= self._mask_losses(mask_features, mask_rois, truth, targets)
        losses |= self._dense_losses(levels[0], truth, targets)
        weights = self.settings.loss_weights
        return {name: value.mean() * getattr(weights, name) for name, value in losses.items()}

    def _box_losses(self, features: Tensor, rois: Rois, truth: Truth) -> dict[str, Tensor]:
        logits, deltas = self.box_head(features)
        score, delta = box_losses(logits.view_as(rois.instance), deltas.view_as(rois.boxes), rois, truth)
        return {"box_score": score, "box_delta": delta}

    def _mask_losses(self, features: Tensor, rois: Rois, truth: Truth, targets: Sequence[Targets]) -> dict[str, Tensor]:
        images, side = rois.boxes.shape[:2], self.mask_head.config.mask_size
        visible, amodal, occluded = (output.view(*images, *output.shape[1:]) for output in self.mask_head(features))
        pairs = list(zip(targets, rois.instance, rois.boxes, strict=True))
        want_visible = torch.stack([crop_masks(t.visible_masks, index, boxes, side) for t, index, boxes in pairs])
        want_amodal = torch.stack([crop_masks(t.amodal_masks, index, boxes, side) for t, index, boxes in pairs])
        return {
            "visible_mask": mask_loss(visible, want_visible, rois.valid),
            "amodal_mask": mask_loss(amodal, want_amodal, rois.valid),
            "occlusion": occlusion_loss(occluded, look_up(truth.occluded, rois.instance), rois.valid),
        }

    def _dense_losses(self, level: Tensor, truth: Truth, targets: Sequence[Targets]) -> dict[str, Tensor]:
        center_logits, suction_logits = self.dense_head(level)
        heat, weight = center_target(truth, (center_logits.shape[1], center_logits.shape[2]), DENSE_STRIDE)
        return {
            "center_of_mass": center_loss(center_logits, heat, weight),
            "suction": suction_loss(suction_logits, torch.stack([target.suction for target in targets])),
        }

    def _proposing(self, levels: list[Tensor]) -> list[Tensor]:
        """The levels that proposals come from: the last ones."""
        return levels[-len(self.rpn.strides) :]

    def _pool(self, levels: list[Tensor], *requests: tuple[Tensor, int]) -> list[Tensor]:
        """RoI features (B * R, C, size, size) of each request: boxes (B, R, 4), and the cells along a side."""
        rois = [(_with_image(boxes), size) for boxes, size in requests]
        choice = self.settings.roi_levels
        used = levels[: len(choice.strides)]
        # The gathered form is for training on CPU only: exported graphs and GPUs have a kernel.
        if self.training and used[0].device.type == "cpu":
            return pool_by_gather(used, rois, choice)
        return [pool_by_kernel(used, boxes, choice, size) for boxes, size in rois]


def _with_image(boxes: Tensor) -> Tensor:
    """Boxes of each image, (B, R, 4), as one (B * R, 5) with the image's index in front."""
    image = torch.arange(boxes.shape[0], dtype=boxes.dtype, device=boxes.device)[:, None, None]
    # Weights gone bad give boxes that are no numbers; those must not become addresses of a kernel.
    return torch.cat([image.expand_as(boxes[..., :1]), torch.nan_to_num(boxes)], dim=2).flatten(0, 1)
