"""Losses of the box head."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from graspnext.network import boxes as box_ops
from graspnext.network.heads.box import CODER_WEIGHTS

SMOOTH_BELOW = 0.5
"""Deltas (scaled) below which the absolute error turns into a square."""


def box_losses(logits: Tensor, deltas: Tensor, rois: Tensor, wanted: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Score and delta loss, scalars.

    Args:
        logits: (R,) quality logits.
        deltas: (R, 4).
        rois: (R, 4) xyxy px that were pooled.
        wanted: (R, 4) xyxy px amodal boxes; read where positive.
        positive: (R,) bool.

    Returns:
        Cross-entropy towards the IoU of the refined box (0 for background), mean over RoIs, so that scores rank
        by quality (as in IoU-Net, Jiang et al., ECCV 2018); smooth L1 of the deltas, mean over positives.
    """
    chosen = torch.nonzero(positive)[:, 0]
    with torch.no_grad():
        refined = box_ops.decode(deltas[chosen], rois[chosen], CODER_WEIGHTS)
        quality = torch.zeros_like(logits)
        quality[chosen] = box_ops.iou_and_giou(refined, wanted[chosen])[0]
        goal = box_ops.encode(wanted[chosen], rois[chosen], CODER_WEIGHTS)
    score = functional.binary_cross_entropy_with_logits(logits, quality, reduction="sum") / max(1, len(logits))
    error = functional.smooth_l1_loss(deltas[chosen], goal, beta=SMOOTH_BELOW, reduction="sum")
    return score, error / max(1, len(chosen))
