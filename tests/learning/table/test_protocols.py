"""Protocols: what all rows share, and how it is changed."""

from __future__ import annotations

import dataclasses

import pytest

from graspnext.errors import ConfigError, UnknownNameError
from graspnext.learning.table.protocols import PROTOCOLS, EvaluationConfig, Protocol, SpeedConfig, find_protocol
from graspnext.network.presets import find_preset


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda one: one.name)
def test_rows_are_the_papers_with_equal_budgets(protocol: Protocol) -> None:
    assert protocol is find_protocol(protocol.name)
    assert set(protocol.rows) == {"fast", "resnet50", "efficientnet_b0", "mobilenet_v3_large"}
    assert protocol.images == protocol.recipe.steps * protocol.recipe.loader.batch_size
    for row in protocol.rows:
        config, preset = protocol.config(row), find_preset(row)
        assert (config.backbone, config.neck, config.mask_head) == (preset.backbone, preset.neck, preset.mask_head)
        if not protocol.network:
            assert config == preset
    assert protocol.budget and protocol.expected and protocol.summary


def test_what_rows_share_reaches_every_network() -> None:
    protocol = dataclasses.replace(find_protocol("cpu"), network={"sampling": {"mask_rois": 3}, "max_detections": 7})
    for row in protocol.rows:
        config = protocol.config(row)
        assert config.sampling.mask_rois == 3 and config.max_detections == 7
        assert config.sampling.box_rois == find_preset(row).sampling.box_rois


def test_steps_and_workers_change_alike_for_all() -> None:
    protocol = find_protocol("cpu")
    changed = protocol.changed(steps=7, workers=3)
    assert (changed.recipe.steps, changed.recipe.loader.workers) == (7, 3)
    assert changed.images == 7 * protocol.recipe.loader.batch_size
    assert changed.changed(steps=protocol.recipe.steps, workers=protocol.recipe.loader.workers) == protocol
    assert protocol.changed() == protocol


def test_input_is_the_next_multiple_of_the_stride() -> None:
    assert SpeedConfig(size=1200).input_size == 1216
    assert SpeedConfig(size=1216).input_size == 1216


def test_what_does_not_fit_is_refused() -> None:
    cpu = find_protocol("cpu")
    with pytest.raises(UnknownNameError, match="unknown protocol 'gpus'; choose one of: cpu, gpu, paper, smoke"):
        find_protocol("gpus")
    with pytest.raises(UnknownNameError, match="unknown preset 'vit'"):
        dataclasses.replace(cpu, rows=("fast", "vit"))
    with pytest.raises(ConfigError, match="different presets"):
        dataclasses.replace(cpu, rows=("fast", "fast"))
    with pytest.raises(ConfigError, match="mask_roi"):
        dataclasses.replace(cpu, network={"sampling": {"mask_roi": 4}})
    with pytest.raises(UnknownNameError, match="unknown recipe"):
        dataclasses.replace(cpu, recipe_name="best")
    with pytest.raises(ConfigError, match="multiple of 32"):
        EvaluationConfig(input_size=500)
    with pytest.raises(ConfigError, match="some of train"):
        EvaluationConfig(input_size=512, splits=("tests",))
    with pytest.raises(ConfigError, match="openvino bf16"):
        SpeedConfig(forms=(("onnxruntime", "bf16"),))
    with pytest.raises(ConfigError, match=r"speed\.rounds is 0"):
        SpeedConfig(rounds=0)
