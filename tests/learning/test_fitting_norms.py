"""Batch statistics only where there are images enough for them."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from graspnext.learning.train import with_fitting_norms
from graspnext.network.backbones.pretrained import with_frozen_norms
from graspnext.network.presets import find_preset


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0", "mobilenet_v3_large"])
def test_small_parts_of_a_batch_get_group_norms(name: str, caplog: pytest.LogCaptureFixture) -> None:
    preset = find_preset(name)
    assert preset.backbone.norm == "batch"  # type: ignore[union-attr]
    assert with_fitting_norms(preset, 4) == preset
    assert not caplog.records
    with caplog.at_level(logging.INFO):
        changed = with_fitting_norms(preset, 3)
    assert changed == replace(preset, backbone=replace(preset.backbone, norm="group"))  # type: ignore[arg-type]
    assert "3 images at once" in caplog.text


def test_other_norms_and_other_trunks_stay() -> None:
    frozen = with_frozen_norms(find_preset("resnet50"))
    assert with_fitting_norms(frozen, 1) == frozen
    assert with_fitting_norms(find_preset("fast"), 1) == find_preset("fast")
