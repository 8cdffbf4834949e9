"""Pretrained weights: torchvision's own features, and nothing but tensors of the right trunk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor

from graspnext.errors import ConfigError, WeightsError
from graspnext.network.backbones.pretrained import (
    load_backbone_weights,
    select_weights,
    with_frozen_norms,
)
from graspnext.network.backbones.pth import read_pth
from graspnext.network.backbones.torchvision_trunk import TorchvisionBackboneConfig, Trunk
from graspnext.network.build import build_network
from graspnext.network.config import NetworkConfig
from graspnext.network.network import Network
from graspnext.network.presets import TINY, find_preset

TRUNKS: tuple[Trunk, ...] = get_args(Trunk)
NODES = {
    "resnet50": ["layer1", "layer2", "layer3", "layer4"],
    "efficientnet_b0": ["features.2", "features.3", "features.5", "features.8"],
    "mobilenet_v3_large": ["features.3", "features.6", "features.12", "features.16"],
}


def small(trunk: Trunk) -> Network:
    """The trunk, ready for pretrained weights, under heads that are quick to make."""
    config = replace(TINY, backbone=TorchvisionBackboneConfig(trunk=trunk))
    return build_network(with_frozen_norms(config)).eval()


def torchvision_model(name: str) -> nn.Module:
    """With weights, scales and statistics as after training: all different, none trivial."""
    torch.manual_seed(0)
    model: nn.Module = getattr(models, name)(weights=None)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            assert module.running_mean is not None and module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            # some near the epsilon: there a wrong one shows
            module.running_var.copy_(torch.rand_like(module.running_var).pow(4) + 1e-4)
    return model.eval()


@pytest.fixture(name="state", scope="module")
def state_fixture() -> dict[str, Tensor]:
    return torchvision_model("mobilenet_v3_large").state_dict()


@pytest.mark.parametrize("trunk", TRUNKS)
def test_features_are_those_of_torchvision(trunk: Trunk, tmp_path: Path) -> None:
    theirs = torchvision_model(trunk)
    torch.save(theirs.state_dict(), tmp_path / "model.pth")
    weights = select_weights(read_pth(tmp_path / "model.pth"), tmp_path / "model.pth")
    assert weights.trunk == trunk
    assert weights.left and all(name.startswith(("fc.", "classifier.")) for name in weights.left)
    save_file(weights.tensors, tmp_path / "model.safetensors")
    ours = small(trunk)
    report = load_backbone_weights(ours, tmp_path / "model.safetensors")
    assert (report.trunk, report.left) == (trunk, ())
    assert len(report.tensors) == len(ours.backbone.state_dict())
    image = torch.rand(2, 3, 96, 64, dtype=torch.float64)  # rounding cannot hide a wrong epsilon
    with torch.no_grad():
        wanted = create_feature_extractor(theirs.double(), return_nodes=NODES[trunk])(image).values()
        found = ours.backbone.double()(image)
    for a, b in zip(found, wanted, strict=True):
        assert b.std() > 1e-3
        torch.testing.assert_close(a / b.std(), b / b.std(), atol=1e-9, rtol=1e-9)


def test_a_whole_model_in_half_precision_is_taken(state: dict[str, Tensor], tmp_path: Path) -> None:
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    save_file(half, tmp_path / "half.safetensors")
    network = small("mobilenet_v3_large")
    report = load_backbone_weights(network, tmp_path / "half.safetensors")
    assert report.left == ("classifier.0.bias", "classifier.0.weight", "classifier.3.bias", "classifier.3.weight")
    assert report.summary().startswith("mobilenet_v3_large, 262 tensors taken; left out: classifier.0.bias")
    stem = network.backbone.state_dict()["stages.0.0.0.weight"]
    assert stem.dtype == torch.float32
    assert torch.equal(stem, half["features.0.0.weight"].float())


def damaged(state: dict[str, Tensor], name: str, value: Tensor | None) -> dict[str, Tensor]:
    rest = {key: tensor for key, tensor in state.items() if key != name}
    return rest if value is None else {**rest, name: value}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("features.3.block.0.0.weight", None, "no features.3.block.0.0.weight"),
        (
            "features.0.0.weight",
            torch.zeros(16, 1, 3, 3),
            r"features.0.0.weight is \(16, 1, 3, 3\), not \(16, 3, 3, 3\)",
        ),
        ("features.17.0.weight", torch.zeros(1), "'features.17.0.weight' is none of its tensors"),
        ("features.0.1.bias", torch.full((16,), float("nan")), "no weights can be, in features.0.1.bias"),
        ("features.0.1.running_var", -torch.ones(16), "no weights can be, in features.0.1.running_var"),
        ("features.0.1.weight", torch.ones(16, dtype=torch.int32), "no weights can be, in features.0.1.weight"),
    ],
)
def test_what_does_not_fit_is_named(
    name: str, value: Tensor | None, message: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    save_file(damaged(state, name, value), tmp_path / "bad.safetensors")
    network = small("mobilenet_v3_large")
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError, match=message):
        load_backbone_weights(network, tmp_path / "bad.safetensors")
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


def test_other_trunks_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(state, tmp_path / "mobilenet.safetensors")
    with pytest.raises(WeightsError, match=r"not the weights of resnet50 .*no conv1.weight"):
        load_backbone_weights(small("resnet50"), tmp_path / "mobilenet.safetensors")
    with torch.device("meta"):
        deeper = models.resnet101(weights=None).state_dict()  # holds all that resnet50 has, and more
    with pytest.raises(WeightsError, match=r"not the weights of resnet50 \('layer3.6.conv1.weight' is none of"):
        select_weights(deeper, tmp_path / "resnet101.pth")


def test_networks_that_take_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"backbone.kind is 'condenser'; it must be one of torchvision's trunks"):
        with_frozen_norms(find_preset("fast"))
    with pytest.raises(ConfigError, match=r"backbone.kind is 'CondenserBackbone'"):
        load_backbone_weights(build_network(TINY), tmp_path / "any.safetensors")
    grouped = replace(TINY, backbone=TorchvisionBackboneConfig(trunk="mobilenet_v3_large"))
    with pytest.raises(ConfigError, match=r"backbone.norm is 'group'; it must be 'frozen_batch'"):
        load_backbone_weights(build_network(grouped), tmp_path / "any.safetensors")


def test_the_preset_is_switched_to_frozen_norms_alone() -> None:
    before = find_preset("resnet50")
    after = with_frozen_norms(before)
    assert isinstance(after.backbone, TorchvisionBackboneConfig)
    assert after.backbone == replace(before.backbone, norm="frozen_batch")
    assert replace(after, backbone=before.backbone) == before
    assert NetworkConfig.from_dict(after.to_dict()) == after


def test_files_that_are_no_safetensors_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"there is no such file; .*never fetched"):
        load_backbone_weights(small("mobilenet_v3_large"), tmp_path / "nowhere.safetensors")
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(WeightsError, match=r"not a safetensors file.*graspnext weights .*model.pth --out"):
        load_backbone_weights(small("mobilenet_v3_large"), tmp_path / "model.pth")
    save_file(state, tmp_path / "cut.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "cut.safetensors").read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="damaged"):
        load_backbone_weights(small("mobilenet_v3_large"), tmp_path / "cut.safetensors")
