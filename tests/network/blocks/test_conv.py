import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graspnext.network.blocks.conv import RELU_SCALE, ConvAct, ResidualBlock, StandardisedConv2d


@given(
    groups=st.sampled_from([1, 2]),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2]),
    seed=st.integers(0, 99),
)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_weights_have_mean_zero_and_the_variance_that_relu_asks_for(
    groups: int, kernel: int, stride: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = StandardisedConv2d(8, 6, kernel, stride=stride, groups=groups).double()
    with torch.no_grad():
        layer.weight.mul_(7).add_(3)  # whatever the raw weights are
        layer.gain.uniform_(0.1, 2.0)
    weight = layer.standardised()
    assert weight.sum(dim=(1, 2, 3)).abs().max() < 1e-9
    expected = layer.gain**2 / (0.5 - 0.5 / math.pi)  # 1 / Var(ReLU(z)) of a standard normal z
    assert torch.allclose(weight.square().sum(dim=(1, 2, 3)), expected, rtol=1e-6)
    x = torch.randn(2, 8, 9, 12, dtype=torch.float64)
    want = torch.nn.functional.conv2d(x, weight, layer.bias, stride, kernel // 2, 1, groups)
    assert torch.equal(layer(x), want)
    plain = layer.folded()
    assert type(plain) is torch.nn.Conv2d
    assert torch.equal(plain(x), want)


@pytest.mark.parametrize("centered", [True, False])
def test_gradients_are_those_of_the_formula(centered: bool) -> None:
    torch.manual_seed(0)
    layer = StandardisedConv2d(4, 6, 3, groups=2, centered=centered).double()
    with torch.no_grad():
        layer.weight.add_(0.3)
        layer.gain.uniform_(-1.0, 2.0)
    weight, gain = (parameter.detach().clone().requires_grad_() for parameter in (layer.weight, layer.gain))
    if centered:
        variance, mean = torch.var_mean(weight, dim=(1, 2, 3), keepdim=True, correction=0)
        unit = (weight - mean) / variance.sqrt() * RELU_SCALE
    else:
        unit = weight / weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() * math.sqrt(2)
    wanted = unit / math.sqrt(18) * gain[:, None, None, None]
    found = layer.standardised()
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-8)
    toward = torch.randn_like(wanted)
    (wanted * toward).sum().backward()
    (found * toward).sum().backward()
    torch.testing.assert_close(layer.weight.grad, weight.grad, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(layer.gain.grad, gain.grad, rtol=1e-6, atol=1e-8)


def test_signals_keep_their_scale_through_many_layers() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 64, 48, 48)
    layers = torch.nn.Sequential(*[ConvAct(64, 64) for _ in range(12)])
    with torch.no_grad():
        before = [x := layer.conv(torch.relu(x)) for layer in layers]  # type: ignore[operator,union-attr]
    for out in before:
        middle = out[..., 12:-12, 12:-12]  # away from what padding does
        assert 0.6 < middle.std().item() < 1.5
        assert abs(middle.mean().item()) < 0.15


def test_gradients_keep_their_scale_through_a_long_chain_of_filters_that_are_not_centered() -> None:
    """Thirty layers, as in the baselines' mask heads; centered ones multiply the gradient's size by about 200."""
    torch.manual_seed(0)
    convs = [StandardisedConv2d(128, 128, 3, centered=False) for _ in range(30)]
    layers = torch.nn.Sequential(*[layer for conv in convs for layer in (conv, torch.nn.ReLU())])
    x = torch.randn(2, 128, 12, 12).relu().requires_grad_()
    out = layers(x)
    toward = torch.randn_like(out)
    (out * toward).sum().backward()
    assert x.grad is not None
    for after, before in ((out, x), (x.grad, toward * (out > 0))):
        assert 0.2 < (after.square().mean() / before.square().mean()).sqrt().item() < 3


def test_wide_filters_turn_as_fast_as_narrow_ones() -> None:
    """A step of AdamW, a hundredth on every weight, all inputs agreeing: how far outputs move."""
    moved = []
    for channels in (128, 768):
        torch.manual_seed(0)
        layer = StandardisedConv2d(channels, 64, 3)
        toward = torch.randn_like(layer.weight[0]).sign()
        before = layer.standardised().detach()
        with torch.no_grad():
            layer.weight.add_(0.01 * toward)
        moved.append(((layer.standardised() - before) * toward).sum(dim=(1, 2, 3)).mean().item())
    assert moved[0] > 1
    assert moved[1] == pytest.approx(moved[0], rel=0.05)


def test_scale_of_the_raw_weights_does_not_matter() -> None:
    torch.manual_seed(0)
    layer, x = ConvAct(8, 8), torch.randn(2, 8, 6, 6)
    before = layer(x)
    with torch.no_grad():
        layer.conv.weight.mul_(100)
    assert torch.allclose(layer(x), before, atol=1e-5)


def test_one_image_says_nothing_about_another() -> None:
    torch.manual_seed(0)
    layer, x = ConvAct(8, 8), torch.randn(3, 8, 6, 6)
    assert torch.allclose(layer(x)[1], layer(x[1:2])[0], atol=1e-6)


def test_a_residual_block_starts_as_the_identity_and_learns() -> None:
    torch.manual_seed(0)
    block, x = ResidualBlock(8), torch.rand(1, 8, 6, 6)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    gradient = block.second.conv.gain.grad
    assert gradient is not None
    assert gradient.abs().min() > 0


@pytest.mark.parametrize("act", [True, False])
def test_relu_is_left_out_on_demand(act: bool) -> None:
    torch.manual_seed(0)
    assert (ConvAct(4, 4, act=act)(torch.randn(1, 4, 5, 5)).min() >= 0) == act
