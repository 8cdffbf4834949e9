"""Trunks of torchvision: the very maps that torchvision computes, at the strides they should have."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.ops import FrozenBatchNorm2d

from graspnext.network.backbones.torchvision_trunk import (
    FrozenNorm,
    TorchvisionBackbone,
    TorchvisionBackboneConfig,
    Trunk,
    group_norm,
)

NODES = {
    "resnet50": ["layer1", "layer2", "layer3", "layer4"],
    "efficientnet_b0": ["features.2", "features.3", "features.5", "features.8"],
    "mobilenet_v3_large": ["features.3", "features.6", "features.12", "features.16"],
}


@pytest.mark.parametrize("trunk", list(NODES))
def test_maps_are_those_of_torchvision(trunk: Trunk) -> None:
    torch.manual_seed(0)
    ours = TorchvisionBackbone(TorchvisionBackboneConfig(trunk=trunk)).eval()
    for parameter in ours.parameters():
        if parameter.ndim == 1:  # scales that start at 0 hide what is behind them
            nn.init.uniform_(parameter, 0.5, 1.5)
    theirs = getattr(models, trunk)(weights=None, norm_layer=group_norm)
    kept = [(k, v) for k, v in theirs.state_dict().items() if not k.startswith(("fc.", "classifier."))]
    theirs.load_state_dict({k: v for (k, _), v in zip(kept, ours.state_dict().values(), strict=True)}, strict=False)
    extractor = create_feature_extractor(theirs.eval(), return_nodes=NODES[trunk])
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        found, wanted = ours(image), list(extractor(image).values())
    for index, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert torch.equal(a, b)
        stride = 4 << index
        assert a.shape == (2, TorchvisionBackboneConfig(trunk=trunk).widths[index], 64 // stride, 96 // stride)


def test_norms() -> None:
    group, frozen = (TorchvisionBackbone(TorchvisionBackboneConfig(norm=norm)) for norm in ("group", "frozen_batch"))
    for backbone, kind in ((group, nn.GroupNorm), (frozen, FrozenBatchNorm2d)):
        assert any(isinstance(module, kind) for module in backbone.modules())
        assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        alone, together = group(image[:1]), group(image)
    torch.testing.assert_close(alone[-1], together[-1][:1], atol=1e-5, rtol=1e-4)  # no statistics across the batch


def test_batch_norms_are_those_of_the_trunk() -> None:
    backbone = TorchvisionBackbone(TorchvisionBackboneConfig(trunk="mobilenet_v3_large", norm="batch"))
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 46
    assert {norm.eps for norm in norms} == {1e-3}
    assert not any(isinstance(module, nn.GroupNorm) for module in backbone.modules())


def test_frozen_norm_is_torchvisions_and_keeps_the_precision() -> None:
    torch.manual_seed(0)
    ours, theirs = FrozenNorm(8, eps=1e-3), FrozenBatchNorm2d(8, eps=1e-3)
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(ours, name).uniform_(0.1, 2)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 8, 5, 4)
    torch.testing.assert_close(ours(x), theirs(x))
    assert theirs(x.bfloat16()).dtype == torch.float32
    half = ours(x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), theirs(x), atol=0.05, rtol=0.02)


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("trunk", list(NODES))
def test_residual_blocks_start_as_their_shortcuts_and_learn(trunk: Trunk, norm: Literal["batch", "group"]) -> None:
    """Where a block can hand its input on, it does: what else it computes is multiplied by 0."""
    torch.manual_seed(0)
    backbone = TorchvisionBackbone(TorchvisionBackboneConfig(trunk=trunk, norm=norm)).eval()
    at_rest = [p for n, p in backbone.named_parameters() if p.ndim == 1 and "bias" not in n and not p.any()]
    shortcuts = {"resnet50": 12, "efficientnet_b0": 9, "mobilenet_v3_large": 10}[trunk]
    handed_on = []
    for block in backbone.modules():
        if type(block).__name__ in {"Bottleneck", "MBConv", "InvertedResidual"}:
            block.register_forward_hook(lambda _, x, out: handed_on.append(torch.equal(x[0], out)))
    image = torch.rand(1, 3, 64, 64)
    backbone(image)[-1].square().sum().backward()
    assert sum(handed_on) == len(at_rest) == shortcuts
    assert all(p.grad is not None and p.grad.any() for p in at_rest)


@pytest.mark.parametrize("trunk", list(NODES))
def test_training_draws_no_random_numbers(trunk: Trunk) -> None:
    """All randomness of a step follows from its samples: dropped blocks would break that."""
    backbone = TorchvisionBackbone(TorchvisionBackboneConfig(trunk=trunk)).train()
    before = torch.get_rng_state()
    backbone(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), before)
