"""Batch statistics only where there are images enough for them."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from graspnext.learning.train import with_fitting_norms
from graspnext.network.backbones.pretrained import with_frozen_norms
from graspnext.network.presets import find_preset


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0", "mobilenet_v3_large"])
def test_small_parts_of_a_batch_get_group_norms(name: str, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    preset = find_preset(name)
    assert preset.backbone.norm == "batch"  # type: ignore[union-attr]
    assert with_fitting_norms(preset, 4, tmp_path) == preset
    assert not caplog.records
    with caplog.at_level(logging.INFO):
        changed = with_fitting_norms(preset, 3, tmp_path)
    assert changed == replace(preset, backbone=replace(preset.backbone, norm="group"))  # type: ignore[arg-type]
    assert "3 images at once" in caplog.text


@pytest.mark.parametrize("first", [1, 4])
@pytest.mark.parametrize("later", [1, 4])
def test_a_run_that_goes_on_keeps_its_norms(first: int, later: int, tmp_path: Path) -> None:
    """Also where its batches are shared by more processes, or by fewer."""
    preset = find_preset("resnet50")
    started = with_fitting_norms(preset, first, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"preset": started.to_dict()}))
    assert with_fitting_norms(preset, later, tmp_path) == started


def test_other_norms_and_other_trunks_stay(tmp_path: Path) -> None:
    frozen = with_frozen_norms(find_preset("resnet50"))
    assert with_fitting_norms(frozen, 1, tmp_path) == frozen
    assert with_fitting_norms(find_preset("fast"), 1, tmp_path) == find_preset("fast")
