"""Which RoIs train which head."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.ops import box_iou

from graspnext.network.sampling import BACKGROUND, Rois, SamplingConfig, sample_box_rois, sample_mask_rois
from graspnext.network.truth import Truth, gather_truth
from graspnext.types import Targets

SIZE = (128, 128)


def proposals(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 80
    return torch.cat([corner, corner + 8 + torch.rand(count, 2, generator=generator) * 40], dim=1)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def draw_both(boxes: torch.Tensor, truth: Truth, config: SamplingConfig, *seeds: int) -> tuple[Rois, Rois]:
    sources = generators(*seeds)
    box_rois = sample_box_rois(boxes, truth, config, SIZE, generators=sources)
    return box_rois, sample_mask_rois(box_rois, truth, config, SIZE, generators=sources)


def test_positives_overlap_their_instance_and_background_overlaps_none(draw_view) -> None:  # type: ignore[no-untyped-def]
    _, targets = draw_view(size=128, count=6, rng=np.random.default_rng(1))
    targets.ignore = torch.tensor([False, True, False, False, False, False])
    config = SamplingConfig()
    rois, _ = draw_both(proposals(150, 0)[None], gather_truth([targets]), config, 0)
    assert rois.boxes.shape == (1, config.box_rois, 4)
    assert rois.valid.all()
    boxes, instance = rois.boxes[0], rois.instance[0]
    iou = box_iou(boxes, targets.boxes)
    positive = instance >= 0
    assert 0 < positive.sum() <= config.box_positives
    assert (instance != 1).all()
    assert (iou[positive].gather(1, instance[positive, None]) >= config.positive_iou).all()
    others = ~targets.ignore
    assert (iou[~positive][:, others] < config.positive_iou).all()
    assert (instance[~positive] == BACKGROUND).all()
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    low = torch.maximum(boxes[:, :2], targets.boxes[1, :2])
    high = torch.minimum(boxes[:, 2:], targets.boxes[1, 2:])
    assert ((high - low).clamp(min=0).prod(1)[~positive] < config.ignore_share * area[~positive] + 1e-3).all()


def test_positives_are_limited_and_every_one_has_its_chance(draw_view) -> None:  # type: ignore[no-untyped-def]
    _, targets = draw_view(size=128, count=4, rng=np.random.default_rng(5))
    config = SamplingConfig(box_rois=16, box_positives=4, mask_rois=4)
    near = targets.boxes.repeat(5, 1) + torch.arange(20)[:, None] / 50  # 20 proposals that all belong to someone
    boxes = torch.cat([near, proposals(60, 1)])[None]
    drawn = torch.zeros(20)
    for seed in range(40):
        rois, _ = draw_both(boxes, gather_truth([targets]), config, seed)
        assert int((rois.instance >= 0).sum()) == 4
        drawn += (rois.boxes[0][:, None] == near[None]).all(2).any(0)
    assert (drawn > 0).all()
    assert drawn.max() < 25


def test_mask_rois_belong_to_instances_and_follow_the_generator(draw_view) -> None:  # type: ignore[no-untyped-def]
    _, targets = draw_view(size=128, count=9, rng=np.random.default_rng(2))
    config = SamplingConfig(mask_rois=8)

    def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        _, rois = draw_both(proposals(100, 3)[None], gather_truth([targets]), config, seed)
        assert rois.valid.all()
        return rois.boxes[0], rois.instance[0]

    boxes, instance = draw(0)
    assert len(boxes) == 8
    assert (box_iou(boxes, targets.boxes).gather(1, instance[:, None]) > 0.45).all()
    assert torch.equal(boxes, draw(0)[0])
    assert not torch.equal(boxes, draw(1)[0])


def test_a_single_mask_roi_is_a_disturbed_true_box(draw_view) -> None:  # type: ignore[no-untyped-def]
    truth = gather_truth([draw_view(size=128, count=3, rng=np.random.default_rng(0))[1]])
    _, mask_rois = draw_both(torch.zeros(1, 10, 4), truth, SamplingConfig(mask_rois=1), 0)
    assert mask_rois.boxes.shape == (1, 1, 4) and mask_rois.valid.all()
    assert box_iou(mask_rois.boxes[0], truth.boxes[0, mask_rois.instance[0]]).item() > 0.6


def test_few_instances_fill_the_mask_rois_in_turn(draw_view) -> None:  # type: ignore[no-untyped-def]
    _, targets = draw_view(size=128, count=3, rng=np.random.default_rng(4))
    targets.ignore = torch.tensor([False, True, False])
    config = SamplingConfig(mask_rois=12)
    far = torch.zeros(1, 10, 4)  # no proposals: at most the disturbed true boxes are matched
    _, rois = draw_both(far, gather_truth([targets]), config, 0)
    assert rois.valid.all()
    counts = torch.bincount(rois.instance[0], minlength=3)
    assert counts[1] == 0
    assert (counts[[0, 2]] >= 5).all()
    assert len(rois.boxes[0].unique(dim=0)) == 12  # no box comes twice


def test_an_image_gets_the_same_in_any_company(draw_view) -> None:  # type: ignore[no-untyped-def]
    config = SamplingConfig()
    views: list[Targets] = [draw_view(size=128, count=n, rng=np.random.default_rng(n))[1] for n in (2, 9, 5)]
    boxes = torch.stack([proposals(80, k) for k in range(3)])
    together = draw_both(boxes, gather_truth(views), config, 10, 11, 12)
    for k, view in enumerate(views):
        alone = draw_both(boxes[k : k + 1], gather_truth([view]), config, 10 + k)
        for ours, theirs in zip(together, alone, strict=True):
            for name in ("boxes", "instance", "valid"):
                assert torch.equal(getattr(ours, name)[k], getattr(theirs, name)[0])


def test_an_empty_view_gives_background_alone(draw_view) -> None:  # type: ignore[no-untyped-def]
    _, targets = draw_view(size=128, count=1, rng=np.random.default_rng(3))
    targets.ignore = torch.tensor([True])
    truth = gather_truth([targets])
    rois, mask_rois = draw_both(torch.zeros(1, 10, 4), truth, SamplingConfig(), 0)
    assert rois.boxes.shape == (1, 64, 4)
    assert not rois.valid.any() and not mask_rois.valid.any()
    rois, mask_rois = draw_both(proposals(100, 0)[None], truth, SamplingConfig(), 0)
    assert rois.valid.any()
    assert (rois.instance == BACKGROUND).all()
    assert not mask_rois.valid.any()
