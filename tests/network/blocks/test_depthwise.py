"""Depthwise convolutions that train in float32: the same layer, the same numbers, better gradients."""

from __future__ import annotations

import torch
from torch import nn
from torchvision import models

from graspnext.network.blocks.depthwise import DepthwiseConv2d, swap_depthwise


def test_only_depthwise_layers_are_swapped_and_names_stay() -> None:
    torch.manual_seed(0)
    plain = models.mobilenet_v3_large(weights=None).features.eval()
    torch.manual_seed(0)
    swapped = models.mobilenet_v3_large(weights=None).features.eval()
    swap_depthwise(swapped)
    assert list(swapped.state_dict()) == list(plain.state_dict())
    depthwise = [m for m in swapped.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert len(depthwise) == 15
    assert all(isinstance(m, DepthwiseConv2d) for m in depthwise)
    assert sum(isinstance(m, DepthwiseConv2d) for m in swapped.modules()) == 15
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(swapped(image), plain(image))


def test_gradients_under_autocast_are_those_of_float32() -> None:
    torch.manual_seed(1)
    conv = nn.Conv2d(24, 24, 5, stride=2, padding=2, groups=24)
    layer = DepthwiseConv2d.of(conv).train()
    image = torch.rand(2, 24, 32, 32).bfloat16().contiguous(memory_format=torch.channels_last)
    expected = torch.autograd.grad(conv(image.float()).sum(), list(conv.parameters()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(image)
    assert out.dtype == torch.bfloat16
    assert out.is_contiguous(memory_format=torch.channels_last)
    out.sum().backward()  # type: ignore[no-untyped-call]
    for parameter, gradient in zip(layer.parameters(), expected, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient)


def test_inference_follows_the_precision_around_it() -> None:
    torch.manual_seed(2)
    conv = nn.Conv2d(16, 16, 3, padding=1, groups=16).eval()
    image = torch.rand(1, 16, 8, 8)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(DepthwiseConv2d.of(conv).eval()(image), conv(image))
