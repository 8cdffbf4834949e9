"""Attention condensers: shapes, the published equation, gradients."""

from __future__ import annotations

import pytest
import torch

from graspnext.network.blocks.attention_condenser import (
    AttentionCondenser,
    DoubleCondensingBlock,
    VisualAttentionCondenser,
)


@pytest.mark.parametrize("side", [16, 17])
@pytest.mark.parametrize("kind", [AttentionCondenser, VisualAttentionCondenser])
def test_shape_is_kept_and_every_weight_learns(kind: type[torch.nn.Module], side: int) -> None:
    torch.manual_seed(0)
    block = kind(32)
    for parameter in block.parameters():  # away from the start, where the last norm is 0 on purpose
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 32, side, side)
    y = block(x)
    assert y.shape == x.shape
    y.square().sum().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_attention_scales_each_value_between_one_and_one_plus_s() -> None:
    torch.manual_seed(0)
    block = AttentionCondenser(16)
    x = torch.randn(1, 16, 8, 8)
    gain = block(x) / x
    assert gain.min() > 1
    assert gain.max() < 2
    with torch.no_grad():
        block.scale.fill_(3.0)
    torch.testing.assert_close(block(x) / x - 1, 3 * (gain - 1), atol=1e-4, rtol=1e-4)
    # one attention value serves 2x2 pixels: it is condensed
    blocks = gain.reshape(1, 16, 4, 2, 4, 2)
    torch.testing.assert_close(blocks, blocks[:, :, :, :1, :, :1].expand_as(blocks), atol=1e-5, rtol=1e-5)


def test_visual_condenser_starts_as_the_identity() -> None:
    x = torch.rand(1, 32, 8, 8)
    torch.testing.assert_close(VisualAttentionCondenser(32)(x), x)


def test_double_condensing_block_gates_a_halved_projection() -> None:
    torch.manual_seed(0)
    block = DoubleCondensingBlock(16, 32, taps=2, groups=4)
    x = torch.randn(2, 16, 12, 12, requires_grad=True)
    y = block(x)
    assert y.shape == (2, 32, 6, 6)
    halved = x.reshape(2, 16, 6, 2, 6, 2).mean(dim=(3, 5))
    logits = block.attention(halved)
    gate = torch.exp(logits) / torch.exp(logits).sum(dim=1, keepdim=True) * 32
    torch.testing.assert_close(y, torch.clamp(gate * block.value(halved), min=0), atol=1e-5, rtol=1e-5)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
