"""Configurations survive JSON, and bad ones say what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graspnext.errors import ConfigError, UnknownNameError
from graspnext.network.config import NetworkConfig
from graspnext.network.presets import PRESETS, find_preset


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_json_round_trip(name: str) -> None:
    config = find_preset(name)
    assert NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_presets_differ_from_each_other() -> None:
    assert find_preset("fast") != find_preset("tiny")
    with pytest.raises(
        UnknownNameError,
        match=r"unknown preset 'fsat'; choose one of: .*fast, .*tiny",
    ):
        find_preset("fsat")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 3}, "network.depth is 3; it must be left out"),
        ({"neck": {"widht": 64}}, "network.neck.widht is 64; it must be left out; known are: width"),
        ({"neck": {"width": 50}}, "neck.width is 50; it must be a positive multiple of 8"),
        ({"neck": {"width": "64"}}, "network.neck.width is '64'; it must be a whole number"),
        ({"neck": {"width": True}}, "network.neck.width is True; it must be a whole number"),
        ({"neck": 64}, "network.neck is 64; it must be a table of settings"),
        ({"backbone": {"widths": [16, 32]}}, "4 numbers, one a stage"),
        ({"backbone": {"widths": 16}}, "network.backbone.widths is 16; it must be a list of numbers"),
        ({"backbone": {"taps": [2, 2, 6, 2]}}, r"backbone.taps is \(2, 2, 6, 2\)"),
        ({"backbone": {"depths": [1, 0, 1, 1]}}, "at least 1 in every stage"),
        ({"rpn": {"nms_iou": 0}}, r"rpn.nms_iou is 0.0; it must be in \(0, 1\]"),
        ({"rpn": {"level_limits_px": [3, 2, 1]}}, "3 rising sizes"),
        ({"rpn": {"finest_stride": 4}}, "4 rising sizes"),
        ({"rpn": {"finest_stride": 16}}, "rpn.finest_stride is 16; it must be 4 or 8"),
        (
            {"backbone": {"kind": "resnet"}},
            "backbone.kind is 'resnet'; it must be one of: condenser, torch",
        ),
        ({"backbone": {"kind": "torchvision", "trunk": "vgg"}}, "network.backbone.trunk is 'vgg'; it must be one of"),
        ({"backbone": {"kind": "torchvision", "norm": "layer"}}, "network.backbone.norm is 'layer'"),
        ({"backbone": {"kind": "torchvision", "widths": [8]}}, "network.backbone.widths is .*; known are: kind, trunk"),
        ({"mask_head": {"kind": ["shared"]}}, "network.mask_head.kind"),
        ({"mask_head": {"kind": "hierarchical", "width": 20}}, "mask_head.width is 20"),
        ({"neck": {"finest_conv": 1}}, "network.neck.finest_conv is 1; it must be one of: True, False"),
        ({"dense_head": {"stride": 2}}, "dense_head.stride is 2; it must be 4 or 8"),
        ({"rpn": {"nms_iou": None}}, "network.rpn.nms_iou is None; it must be a number"),
        ({"box_head": {"hidden": 0}}, "hidden >= 1"),
        ({"mask_head": {"roi_size": 7}}, "even and at least 4"),
        ({"dense_head": {"depth": 0}}, "depth >= 1"),
        ({"sampling": {"mask_rois": 0}}, "sampling.mask_rois is 0"),
        ({"loss_weights": {"suction": -1}}, "loss_weights.suction is -1.0; it must be at least 0"),
        ({"max_detections": 0}, "max_detections is 0; it must be at least 1"),
    ],
)
def test_bad_values_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NetworkConfig.from_dict(change)
