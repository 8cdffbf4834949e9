"""Locations belong to the instance that is seen at them."""

from __future__ import annotations

import math

import torch

from graspnext.network.losses.rpn import BACKGROUND, IGNORED, assign_locations, rpn_losses
from graspnext.network.rpn import RpnConfig, RpnOutput
from graspnext.network.truth import gather_truth
from graspnext.types import Targets

SIZE = 256
STRIDES = (8, 16, 32, 64)
SHAPES = [(SIZE // s, SIZE // s) for s in STRIDES]


def rectangles(amodal: list[list[int]], hidden_by: dict[int, int], ignore: list[bool]) -> Targets:
    """Instances that fill their boxes; `hidden_by[i] = j` takes j's box out of i's visible mask."""
    masks = torch.zeros(len(amodal), SIZE, SIZE, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, amodal, strict=True):
        mask[y1:y2, x1:x2] = True
    visible = masks.clone()
    for lower, upper in hidden_by.items():
        visible[lower] &= ~masks[upper]
    count = len(amodal)
    return Targets(
        boxes=torch.tensor(amodal, dtype=torch.float32).view(-1, 4),
        visible_masks=visible,
        amodal_masks=masks,
        occluded=torch.zeros(count, dtype=torch.bool),
        centers=torch.zeros(count, 2),
        ignore=torch.tensor(ignore, dtype=torch.bool),
        suction=torch.zeros(SIZE // 4, SIZE // 4),
    )


def owners(targets: Targets, config: RpnConfig) -> torch.Tensor:
    return assign_locations(gather_truth([targets]), SHAPES, STRIDES, config)[0]


def by_level(owner: torch.Tensor) -> list[torch.Tensor]:
    sizes = [h * w for h, w in SHAPES]
    return [part.view(shape) for part, shape in zip(owner.split(sizes), SHAPES, strict=True)]


def test_overlapping_boxes_are_told_apart_by_what_is_seen() -> None:
    targets = rectangles([[40, 40, 88, 88], [56, 40, 104, 88]], {0: 1}, [False, False])
    finest = by_level(owners(targets, RpnConfig()))[0]
    assert (finest[5:11, 5:7] == 0).all()  # x 40 to 56: only the lower one is seen
    assert (finest[5:11, 7:13] == 1).all()  # the upper one, though both boxes contain it
    assert (finest[5:11, 5:13] >= 0).sum() == (finest >= 0).sum()


def test_sizes_choose_levels() -> None:
    targets = rectangles([[0, 0, 30, 30], [100, 100, 200, 190], [0, 40, 256, 256]], {2: 1}, [False] * 3)
    levels = by_level(owners(targets, RpnConfig(level_overlap=1.0)))
    assert [sorted(set(level.unique().tolist()) - {BACKGROUND}) for level in levels] == [[0], [1], [2], []]


def test_a_sliver_keeps_its_best_location() -> None:
    targets = rectangles([[40, 40, 100, 43]], {}, [False])
    levels = by_level(owners(targets, RpnConfig(min_coverage=0.9)))
    assert (levels[0] == 0).sum() == 1
    row, column = torch.nonzero(levels[0] == 0)[0].tolist()
    assert row == 5
    assert 5 <= column < 13


def test_ignored_instances_are_neither_positive_nor_negative() -> None:
    targets = rectangles([[40, 40, 88, 88]], {}, [True])
    finest = by_level(owners(targets, RpnConfig()))[0]
    assert (finest[5:11, 5:11] == IGNORED).all()
    assert (finest == 0).sum() == 0
    output = RpnOutput(torch.full((1, finest.numel()), 2.0, requires_grad=True), torch.zeros(1, finest.numel(), 4))
    rpn_losses(output, finest.flatten()[None], gather_truth([targets]))[0].backward()
    assert output.objectness.grad is not None
    silent = output.objectness.grad.view(finest.shape) == 0
    assert torch.equal(silent, finest == IGNORED)


def test_two_instances_with_one_best_location_leave_it_to_the_later_one() -> None:
    for boxes in ([[40, 40, 43, 43], [44, 44, 47, 47]], [[44, 44, 47, 47], [40, 40, 43, 43]]):
        finest = by_level(owners(rectangles(boxes, {}, [False, False]), RpnConfig(min_coverage=0.9)))[0]
        assert finest[5, 5] == 1
        assert (finest >= 0).sum() == 1


def test_images_do_not_disturb_each_other() -> None:
    views = [
        rectangles([[40, 40, 88, 88], [56, 40, 104, 88]], {0: 1}, [False, True]),
        rectangles([], {}, []),
        rectangles([[0, 0, 30, 30], [100, 100, 200, 190], [0, 40, 256, 256]], {2: 1}, [False] * 3),
    ]
    together = assign_locations(gather_truth(views), SHAPES, STRIDES, RpnConfig())
    for found, view in zip(together, views, strict=True):
        assert torch.equal(found, owners(view, RpnConfig()))


def test_losses_by_hand() -> None:
    targets = rectangles([[0, 0, 10, 10]], {}, [False])
    assert targets.visible_masks.shape[1:] == (256, 256)
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 5.0], [0.0, 0.0, 1.0, 1.0]]])
    logits = torch.tensor([[0.0, -2.0]])
    objectness, box = rpn_losses(RpnOutput(logits, boxes), torch.tensor([[0, BACKGROUND]]), gather_truth([targets]))
    # IoU 0.5 -> quality 0.75; GIoU = IoU, the hull is the target
    low = 1 / (1 + math.exp(2))
    expected = (0.75 - 0.5) ** 2 * math.log(2) + low**2 * -math.log(1 - low)
    usual = 212.5 * (256 / 320) ** 2  # positive locations of such a picture, however many it has
    assert math.isclose(float(objectness), expected / usual, rel_tol=1e-5)
    assert math.isclose(float(box), 0.5 / usual, rel_tol=1e-5)


def test_no_instances_no_positives() -> None:
    targets = rectangles([], {}, [])
    owner = owners(targets, RpnConfig())
    assert (owner == BACKGROUND).all()
    objectness, box = rpn_losses(
        RpnOutput(torch.zeros(1, len(owner)), torch.zeros(1, len(owner), 4)), owner[None], gather_truth([targets])
    )
    assert float(objectness) > 0
    assert float(box) == 0
