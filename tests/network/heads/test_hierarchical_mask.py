"""The baselines' mask heads: sizes as published for UOAIS-Net, and who reads whom."""

from __future__ import annotations

import pytest
import torch

from graspnext.network.cost import count_macs, count_params
from graspnext.network.heads.hierarchical_mask import HierarchicalMaskHead, HierarchicalMaskHeadConfig

PUBLISHED_M = {"coding": 1.44, "visible": 10.29, "amodal": 14.42, "occlusion": 20.93}
"""Parameters of UOAIS-Net's heads, millions (from its public configuration and layer sizes)."""
UNUSED_M = 0.26
"""Of the last: an up-convolution that its output does not depend on; left out here."""


def test_parameters_are_those_of_uoais_net() -> None:
    with torch.device("meta"):
        head = HierarchicalMaskHead(256, HierarchicalMaskHeadConfig())
    found = {
        "coding": count_params(head.coding),
        "visible": count_params(head.visible) + count_params(head.visible_mask),
        "amodal": count_params(head.amodal) + count_params(head.amodal_mask),
        "occlusion": count_params(head.occlusion) + count_params(head.occluded),
    }
    for name, published in PUBLISHED_M.items():
        wanted = published - (UNUSED_M if name == "occlusion" else 0)
        assert found[name] / 1e6 == pytest.approx(wanted, rel=0.02), name


def test_gradients_reach_the_roi_at_their_own_scale() -> None:
    """From each task's features, at full width; centered weights make them 4, 12 and 28 times as large."""
    torch.manual_seed(0)
    head = HierarchicalMaskHead(256, HierarchicalMaskHeadConfig())
    roi = torch.randn(2, 256, 14, 14).relu().requires_grad_()
    coded = head.coding(torch.nn.functional.avg_pool2d(roi, 2))
    visible = head.visible([roi], coded)
    amodal = head.amodal([roi, visible], coded)
    occlusion = head.occlusion([roi, visible, amodal], coded)
    for features in (visible, amodal, occlusion):
        toward = torch.randn_like(features)
        (gradient,) = torch.autograd.grad((features * toward).sum(), roi, retain_graph=True)
        assert 0.2 < (gradient.norm() / toward.norm()).item() < 2


def test_macs_of_a_roi_in_closed_form() -> None:
    with torch.device("meta"):
        head, roi = HierarchicalMaskHead(256, HierarchicalMaskHeadConfig()), torch.empty(1, 256, 14, 14)
    cells, c = 196, 256
    fusion = 9 * c * c * (4 + 4 + 2)  # 512 to 512, 512 to 512, 512 to 256

    def task(guides: int, tail: int) -> int:
        return cells * (9 * c * c * (guides**2 * 2 + guides) + 9 * c * c + fusion) + tail

    rest = 3 * cells * 9 * c * c
    mask = cells * 4 * c * (c // 2) + 4 * cells * (c // 2)
    coding = 49 * 4 * c * c + 2 * cells * 9 * c * c
    small = 3 * 49 * 9 * c * c
    assert count_macs(head, roi) == coding + task(1, rest + mask) + task(2, rest + mask) + task(3, small) + 49 * c


def test_each_task_reads_the_tasks_before_it_and_no_later_one() -> None:
    torch.manual_seed(0)
    head = HierarchicalMaskHead(16, HierarchicalMaskHeadConfig(roi_size=8, width=16))
    features = torch.rand(3, 16, 8, 8)
    before = head(features)
    assert [tuple(out.shape) for out in before] == [(3, 16, 16), (3, 16, 16), (3,)]
    for changed, kept in (("occlusion", [0, 1]), ("amodal", [0])):
        with torch.no_grad():
            for parameter in getattr(head, changed).parameters():
                parameter.add_(0.3 * torch.rand_like(parameter))
        after = head(features)
        assert [i for i in range(3) if torch.equal(before[i], after[i])] == kept
        before = after
