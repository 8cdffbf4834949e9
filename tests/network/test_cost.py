"""MACs against closed forms."""

from __future__ import annotations

import json

import pytest
import torch
from torchvision.models import resnet50
from torchvision.models.detection import maskrcnn_resnet50_fpn

from graspnext.errors import ConfigError
from graspnext.network.build import build_network
from graspnext.network.cost import count_macs, count_params, layer_costs, profile_network
from graspnext.network.presets import PRESETS, find_preset


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
    assert report.total.params_m == pytest.approx(count_params(build_network(config)) / 1e6)
    assert report.total.gmacs == pytest.approx(sum(part.gmacs for part in report.parts))
    box = {part.name: part.gmacs for part in report.parts}["box_head"]
    assert more.total.gmacs - report.total.gmacs == pytest.approx(box)
    assert json.loads(json.dumps(report.to_dict()))["total"]["gmacs"] == report.total.gmacs


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_layers_add_up_to_the_parts(preset: str) -> None:
    report = profile_network(find_preset(preset), 256, proposals=20, detections=5)
    for name in ("params_m", "gmacs", "activation_mb"):
        by_part, by_layer = (sum(getattr(cost, name) for cost in costs) for costs in (report.parts, report.layers))
        assert by_layer == pytest.approx(by_part, rel=1e-9), name


def test_layer_types_and_activations_by_hand() -> None:
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1),
        torch.nn.GroupNorm(2, 8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 5, padding=2, groups=8),
        torch.nn.Conv2d(8, 16, 3, padding=1, groups=4),
        torch.nn.ConvTranspose2d(16, 4, 2, stride=2),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 16 * 16, 10),
    )
    costs = layer_costs(module, torch.zeros(2, 3, 16, 16))
    assert [(cost.name, round(cost.gmacs * 1e9), round(cost.activation_mb * 1e6 / 4)) for cost in costs] == [
        ("conv 3x3 /2", 2 * 8 * 8 * 8 * 3 * 9, 2 * 8 * 8 * 8),
        ("groupnorm", 0, 2 * 8 * 8 * 8),
        ("depthwise conv 5x5", 2 * 8 * 8 * 8 * 25, 2 * 8 * 8 * 8),
        ("grouped conv 3x3", 2 * 8 * 8 * 16 * 2 * 9, 2 * 16 * 8 * 8),
        ("transposed conv 2x2 /2", 2 * 8 * 8 * 16 * 4 * 4, 2 * 4 * 16 * 16),
        ("linear", 2 * 4 * 16 * 16 * 10, 2 * 10),
    ]


def test_a_layer_that_is_called_twice_has_its_parameters_once() -> None:
    shared = torch.nn.Linear(4, 4)
    costs = layer_costs(torch.nn.Sequential(shared, shared), torch.zeros(1, 4))
    assert [round(cost.params_m * 1e6) for cost in costs] == [20, 0]
    assert [round(cost.gmacs * 1e9) for cost in costs] == [16, 16]


def test_mask_rcnn_in_closed_form() -> None:
    """Mask R-CNN, ResNet-50 and pyramid, 800x1280, 1000 proposals and 100 detections: by hand and by count."""
    height, width = 800, 1280
    with torch.device("meta"):
        model = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=2).eval()
        image = torch.empty(1, 3, height, width)
        levels = [torch.empty(1, 256, -(-height // s), -(-width // s)) for s in (4, 8, 16, 32, 64)]
        heads = model.roi_heads
        counted = (
            count_macs(model.backbone, image)
            + count_macs(model.rpn.head, levels)
            + count_macs(torch.nn.Sequential(heads.box_head, heads.box_predictor), torch.empty(1000, 256, 7, 7))
            + count_macs(torch.nn.Sequential(heads.mask_head, heads.mask_predictor), torch.empty(100, 256, 14, 14))
        )
    pixels = {s: (height // s) * (width // s) for s in (4, 8, 16, 32)}
    last = -(-height // 64) * -(-width // 64)
    trunk = pixels[4] * 4 * 7 * 7 * 3 * 64
    channels = 64
    for index, (wide, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        out = pixels[4 << index]
        for block in range(blocks):
            before = out * 4 if index and not block else out
            trunk += before * channels * wide + out * (9 * wide**2 + 4 * wide**2)
            if not block:
                trunk += out * channels * 4 * wide
            channels = 4 * wide
    pyramid = sum(p * 256 * (c + 9 * 256) for p, c in zip(pixels.values(), (256, 512, 1024, 2048), strict=True))
    proposals = (sum(pixels.values()) + last) * 256 * (9 * 256 + 3 + 12)
    boxes = 1000 * (256 * 49 * 1024 + 1024**2 + 1024 * (2 + 8))
    masks = 100 * (196 * 4 * 9 * 256**2 + 784 * 256 * 256 + 784 * 256 * 2)
    assert counted == trunk + pyramid + proposals + boxes + masks
    assert counted / 1e9 == pytest.approx(257.4, rel=0.01)


PAPER = {"resnet50": (92.1, 1314), "efficientnet_b0": (72.0, 1183), "mobilenet_v3_large": (70.9, 1189)}
"""arXiv 2304.11196: parameters in millions, MACs (there "FLOPs") in 1e9, at 1200x1200."""


@pytest.mark.parametrize("preset", sorted(PAPER))
def test_baselines_match_the_paper(preset: str) -> None:
    config = find_preset(preset)
    assert (config.rpn.proposals, config.max_detections) == (1000, 100)
    report = profile_network(config, 1200, proposals=1000, detections=100)
    params_m, gmacs = PAPER[preset]
    assert report.total.params_m == pytest.approx(params_m, rel=0.01)
    assert report.total.gmacs == pytest.approx(gmacs, rel=0.06)


def test_fast_keeps_its_budget() -> None:
    report = profile_network(find_preset("fast"), 1200, proposals=300, detections=100)
    assert report.input_size == 1216
    assert report.total.params_m <= 8.9
    assert report.total.gmacs <= 100


def test_sizes_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="size is 0; it must be at least 1"):
        profile_network(find_preset("tiny"), 0, proposals=1, detections=1)
