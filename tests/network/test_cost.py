"""Parameters, MACs and activations against closed forms, torch's flop counter and autograd."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Literal

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchvision.models import resnet50
from torchvision.models.detection import maskrcnn_resnet50_fpn

from graspnext.errors import ConfigError
from graspnext.network.backbones.condenser import BackboneConfig
from graspnext.network.backbones.torchvision_trunk import TorchvisionBackboneConfig
from graspnext.network.blocks.downsample import TAPS
from graspnext.network.build import build_network
from graspnext.network.config import NetworkConfig
from graspnext.network.cost import CostTrace, count_macs, count_params, profile_network
from graspnext.network.folding import fold
from graspnext.network.heads.box import BoxHeadConfig
from graspnext.network.heads.dense import DenseHeadConfig
from graspnext.network.heads.hierarchical_mask import HierarchicalMaskHeadConfig
from graspnext.network.heads.mask import MaskHeadConfig
from graspnext.network.neck import NeckConfig
from graspnext.network.presets import PRESETS, find_preset
from graspnext.network.rpn import RpnConfig


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
    assert report.total.params_m == pytest.approx(count_params(fold(build_network(config))) / 1e6)
    assert report.total.gmacs == pytest.approx(sum(part.gmacs for part in report.parts))
    box = {part.name: part.gmacs for part in report.parts}["box_head"]
    assert more.total.gmacs - report.total.gmacs == pytest.approx(box)
    assert json.loads(json.dumps(report.to_dict()))["total"]["gmacs"] == report.total.gmacs


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_whole_network_agrees_with_the_flop_counter(preset: str) -> None:
    config = find_preset(preset)
    check_whole_network(replace(config, rpn=replace(config.rpn, proposals=20), max_detections=5), 64)


WIDTHS = st.sampled_from([8, 16, 24])
CONDENSER = st.builds(
    BackboneConfig,
    stem_channels=WIDTHS,
    widths=st.tuples(*[WIDTHS] * 4),
    depths=st.tuples(*[st.integers(1, 2)] * 4),
    taps=st.tuples(*[st.sampled_from(TAPS)] * 4),
    condensers=st.tuples(*[st.integers(0, 2)] * 4),
)
TRUNK = st.builds(
    TorchvisionBackboneConfig,
    trunk=st.just("mobilenet_v3_large"),
    norm=st.sampled_from(["batch", "group", "frozen_batch"]),
)
RPN = st.sampled_from([(4, (32.0, 64.0, 128.0, 256.0)), (8, (64.0, 128.0, 256.0))]).flatmap(
    lambda finest: st.builds(
        RpnConfig,
        finest_stride=st.just(finest[0]),
        level_limits_px=st.just(finest[1]),
        depth=st.integers(1, 3),
        proposals=st.integers(1, 40),
    )
)
ROI_SIZES = st.sampled_from([4, 8, 14])
CONFIGS = st.builds(
    NetworkConfig,
    backbone=st.one_of(CONDENSER, CONDENSER, CONDENSER, TRUNK),
    neck=st.builds(NeckConfig, width=WIDTHS, finest_conv=st.booleans()),
    rpn=RPN,
    box_head=st.builds(BoxHeadConfig, roi_size=st.integers(2, 9), depth=st.integers(0, 2), hidden=st.integers(1, 40)),
    mask_head=st.one_of(
        st.builds(MaskHeadConfig, roi_size=ROI_SIZES, width=WIDTHS, depth=st.integers(1, 3)),
        st.builds(HierarchicalMaskHeadConfig, roi_size=ROI_SIZES, width=WIDTHS),
    ),
    dense_head=st.builds(
        DenseHeadConfig,
        width=WIDTHS,
        depth=st.integers(1, 3),
        separate=st.booleans(),
        stride=st.sampled_from([4, 8]),
    ),
    max_detections=st.integers(1, 20),
)


@settings(max_examples=12, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(config=CONFIGS, side=st.sampled_from([64, 96, 160]))
def test_random_networks_agree_with_the_flop_counter(config: NetworkConfig, side: int) -> None:
    check_whole_network(config, side)


def check_whole_network(config: NetworkConfig, side: int) -> None:
    """What the profile says on the meta device, against one real picture and the network's own parameters."""
    report = profile_network(config, side, proposals=config.rpn.proposals, detections=config.max_detections)
    network = fold(build_network(config).eval())
    assert report.total.gmacs * 1e9 == pytest.approx(count_macs(network, torch.rand(1, 3, side, side)), rel=1e-9)
    assert report.total.params_m * 1e6 == pytest.approx(sum(p.numel() for p in network.parameters()), rel=1e-9)
    for name in ("params_m", "gmacs", "activation_mb"):
        by_part, by_layer = (sum(getattr(cost, name) for cost in costs) for costs in (report.parts, report.layers))
        assert by_layer == pytest.approx(by_part, rel=1e-9), name


def test_layer_types_and_activations_by_hand() -> None:
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1),
        torch.nn.GroupNorm(2, 8),
        torch.nn.ReLU(inplace=True),
        torch.nn.Conv2d(8, 8, 5, padding=2, groups=8),
        torch.nn.Conv2d(8, 16, 3, padding=1, groups=4),
        torch.nn.ConvTranspose2d(16, 4, 2, stride=2),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 16 * 16, 10),
    )
    trace, image = CostTrace(), torch.zeros(2, 3, 16, 16)
    trace.given("image", image)
    trace.call("all", module, image)
    statistics = 2 * 2 * 2  # mean and deviation of two groups in two images, which only normalisation knows of
    wanted = {
        "conv 3x3 /2": (2 * 8 * 8 * 8 * 3 * 9, 2 * 8 * 8 * 8),
        "groupnorm": (0, 2 * 8 * 8 * 8),  # and the ReLU, in the same place
        "depthwise conv 5x5": (2 * 8 * 8 * 8 * 25, 2 * 8 * 8 * 8),
        "grouped conv 3x3": (2 * 8 * 8 * 16 * 2 * 9, 2 * 16 * 8 * 8),
        "transposed conv 2x2 /2": (2 * 8 * 8 * 16 * 4 * 4, 2 * 4 * 16 * 16),
        "linear": (2 * 4 * 16 * 16 * 10, 0),  # nothing after it needs its output
        "image": (0, 2 * 3 * 16 * 16),
        "other": (0, statistics),
    }
    found = {
        name: (round(cost.gmacs * 1e9), round(cost.activation_mb * 1e6 / 4))
        for name, cost in trace.layers.items()
        if cost.gmacs or cost.activation_mb
    }
    assert found == wanted
    assert trace.parts[0].activation_mb == pytest.approx(sum(kept for _, kept in wanted.values()) * 4 / 1e6)


@pytest.mark.parametrize("norm", ["group", "frozen_batch"])
def test_kept_maps_of_resnet50_in_closed_form(norm: Literal["group", "frozen_batch"]) -> None:
    """Group norm keeps its input and, after ReLU, its output; a frozen one is a scale and keeps no input."""
    side, width = 256, 64
    maps = 4 * (side // 2) ** 2 * width  # bytes of one map
    small = 4 * (side // 4) ** 2 * width
    total = 4 * 3 * side**2 + maps * (1 + (norm == "group")) + small + 2 * small  # the pooled places are 8 bytes each
    for stage, blocks in enumerate((3, 4, 6, 3)):
        out = 4 * (side // (4 << stage)) ** 2 * (width << stage)
        for block in range(blocks):
            first = out * 4 if stage and not block else out  # before the step down
            total += first + out + 4 * out  # after each ReLU
            total += (first + out + 4 * out) * (norm == "group") + 4 * out * (norm == "group" and not block)
    config = replace(find_preset("resnet50"), backbone=TorchvisionBackboneConfig(norm=norm))
    report = profile_network(config, side, proposals=1, detections=1)
    assert report.parts[0].name == "backbone"
    assert report.parts[0].activation_mb == pytest.approx(total / 1e6, rel=0.01)  # statistics and scales beside them


def test_a_layer_that_is_called_twice_has_its_parameters_once() -> None:
    shared, trace = torch.nn.Linear(4, 4), CostTrace()
    trace.call("all", torch.nn.Sequential(shared, shared), torch.zeros(1, 4))
    assert round(trace.layers["linear"].params_m * 1e6) == 20
    assert round(trace.layers["linear"].gmacs * 1e9) == 2 * 16


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
