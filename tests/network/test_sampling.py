"""Which RoIs train which head."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.ops import box_iou

from graspnext.network.sampling import BACKGROUND, SamplingConfig, sample_box_rois, sample_mask_rois

SIZE = (128, 128)


def proposals(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 80
    return torch.cat([corner, corner + 8 + torch.rand(count, 2, generator=generator) * 40], dim=1)


def test_positives_overlap_their_instance_and_background_overlaps_none(draw_view) -> None:  # type: ignore[no-untyped-def]
    _, targets = draw_view(size=128, count=6, rng=np.random.default_rng(1))
    targets.ignore = torch.tensor([False, True, False, False, False, False])
    config = SamplingConfig()
    rois = sample_box_rois(proposals(150, 0), targets, config, SIZE, generator=torch.Generator().manual_seed(0))
    assert len(rois.boxes) <= config.box_rois
    iou = box_iou(rois.boxes, targets.boxes)
    positive = rois.instance >= 0
    assert 0 < positive.sum() <= config.box_positives
    assert (rois.instance != 1).all()
    assert (iou[positive].gather(1, rois.instance[positive, None]) >= config.positive_iou).all()
    others = ~targets.ignore
    assert (iou[~positive][:, others] < config.positive_iou).all()
    assert (rois.instance[~positive] == BACKGROUND).all()
    area = (rois.boxes[:, 2] - rois.boxes[:, 0]) * (rois.boxes[:, 3] - rois.boxes[:, 1])
    low = torch.maximum(rois.boxes[:, :2], targets.boxes[1, :2])
    high = torch.minimum(rois.boxes[:, 2:], targets.boxes[1, 2:])
    assert ((high - low).clamp(min=0).prod(1)[~positive] < config.ignore_share * area[~positive] + 1e-3).all()


def test_mask_rois_belong_to_instances_and_follow_the_generator(draw_view) -> None:  # type: ignore[no-untyped-def]
    _, targets = draw_view(size=128, count=9, rng=np.random.default_rng(2))
    config = SamplingConfig(mask_rois=8)

    def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        box_rois = sample_box_rois(proposals(100, 3), targets, config, SIZE, generator=generator)
        rois = sample_mask_rois(box_rois, targets, config, SIZE, generator=generator)
        return rois.boxes, rois.instance

    boxes, instance = draw(0)
    assert len(boxes) == 8
    assert (box_iou(boxes, targets.boxes).gather(1, instance[:, None]) > 0.45).all()
    assert torch.equal(boxes, draw(0)[0])
    assert not torch.equal(boxes, draw(1)[0])


def test_an_empty_view_gives_background_alone(draw_view) -> None:  # type: ignore[no-untyped-def]
    _, targets = draw_view(size=128, count=1, rng=np.random.default_rng(3))
    targets.ignore = torch.tensor([True])
    generator = torch.Generator().manual_seed(0)
    rois = sample_box_rois(torch.zeros(10, 4), targets, SamplingConfig(), SIZE, generator=generator)
    assert len(rois.boxes) == 0
    rois = sample_box_rois(proposals(100, 0), targets, SamplingConfig(), SIZE, generator=generator)
    assert (rois.instance == BACKGROUND).all()
    assert len(sample_mask_rois(rois, targets, SamplingConfig(), SIZE, generator=generator).boxes) == 0
