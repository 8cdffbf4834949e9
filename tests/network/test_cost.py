"""MACs against closed forms."""

from __future__ import annotations

import json

import pytest
import torch
from torchvision.models import resnet50

from graspnext.errors import ConfigError
from graspnext.network.build import build_network
from graspnext.network.cost import count_macs, count_params, profile_network
from graspnext.network.presets import find_preset


def resnet50_trunk_gmacs(side: int) -> float:
    """Every convolution of ResNet-50 v1.5, by hand."""
    side = -(-side // 2)
    total, channels = side**2 * 7 * 7 * 3 * 64, 64
    side = -(-side // 2)
    for index, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(blocks):
            total += side**2 * channels * width
            out = -(-side // 2) if index and not block else side
            total += out**2 * (9 * width * width + width * 4 * width)
            if not block:
                total += out**2 * channels * 4 * width
            side, channels = out, 4 * width
    return total / 1e9


def test_resnet50_at_1200() -> None:
    with torch.device("meta"):
        model, image = resnet50(weights=None).eval(), torch.empty(1, 3, 1200, 1200)
    macs = count_macs(model, image) - 2048 * 1000  # without the classifier
    assert macs / 1e9 == pytest.approx(resnet50_trunk_gmacs(1200), rel=1e-6)
    assert macs / 1e9 == pytest.approx(117.84, abs=0.01)


def test_heads_in_closed_form() -> None:
    config = find_preset("fast")
    report = profile_network(config, 512, proposals=30, detections=7)
    gmacs = {part.name: part.gmacs for part in report.parts}
    width, box, dense = config.neck.width, config.box_head, config.dense_head
    cells = box.roi_size**2
    per_roi = box.depth * cells * 9 * width**2 + cells * width * box.hidden + box.hidden**2 + 5 * box.hidden
    assert gmacs["box_head"] == pytest.approx(30 * per_roi / 1e9, rel=1e-9)
    per_pixel = 9 * width * dense.width + (dense.depth - 1) * 9 * dense.width**2 + 2 * dense.width
    assert gmacs["dense_head"] == pytest.approx(128**2 * per_pixel / 1e9, rel=1e-9)


def test_totals_are_sums_and_scale_with_the_counts() -> None:
    config = find_preset("fast")
    report = profile_network(config, 384, proposals=100, detections=20)
    more = profile_network(config, 384, proposals=200, detections=20)
    assert report.params_m == pytest.approx(count_params(build_network(config)) / 1e6)
    assert report.gmacs == pytest.approx(sum(part.gmacs for part in report.parts))
    box = {part.name: part.gmacs for part in report.parts}["box_head"]
    assert more.gmacs - report.gmacs == pytest.approx(box)
    assert json.loads(json.dumps(report.to_dict()))["total"]["gmacs"] == report.gmacs


def test_fast_keeps_its_budget() -> None:
    report = profile_network(find_preset("fast"), 1200, proposals=300, detections=100)
    assert report.input_size == 1216
    assert report.params_m <= 8.9
    assert report.gmacs <= 100


def test_sizes_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="size is 0; it must be at least 1"):
        profile_network(find_preset("tiny"), 0, proposals=1, detections=1)
