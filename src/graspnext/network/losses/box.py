"""Losses of the box head."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from graspnext.network import boxes as box_ops
from graspnext.network.heads.box import CODER_WEIGHTS
from graspnext.network.losses.mean import mean_of, sum_per
from graspnext.network.sampling import Rois
from graspnext.network.truth import Truth, look_up

SMOOTH_BELOW = 0.5
"""Deltas (scaled) below which the absolute error turns into a square."""
POSITIVE_SHARE = 1 / 3
"""Of all RoIs, what lies on instances in an ordinary picture of a bin."""


def box_losses(logits: Tensor, deltas: Tensor, rois: Rois, truth: Truth) -> tuple[Tensor, Tensor]:
    """Score and delta loss of each image, (B,) both.

    Args:
        logits: (B, R) quality logits.
        deltas: (B, R, 4).
        rois: What was pooled.
        truth: Of the same images.

    Returns:
        Cross-entropy towards the IoU of the refined box (0 for background), mean over RoIs, so that scores rank
        by quality (as in IoU-Net, Jiang et al., ECCV 2018); smooth L1 of the deltas, sum over positives per ordinary
        number of them.
    """
    positive = rois.instance >= 0
    wanted = look_up(truth.boxes, rois.instance)  # (B, R, 4)
    with torch.no_grad():
        refined = box_ops.decode(deltas, rois.boxes, CODER_WEIGHTS)
        quality = torch.where(positive, box_ops.iou_and_giou(refined, wanted)[0], 0)
        goal = torch.where(positive[..., None], box_ops.encode(wanted, rois.boxes, CODER_WEIGHTS), 0)
    score = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    error = functional.smooth_l1_loss(deltas, goal.to(deltas.dtype), beta=SMOOTH_BELOW, reduction="none").sum(dim=2)
    return mean_of(score, rois.valid), sum_per(POSITIVE_SHARE * error.shape[1], error, positive)
