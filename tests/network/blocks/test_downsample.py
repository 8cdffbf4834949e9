"""Blur against its definition by numpy, and what it is for: outputs that move with the input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graspnext.errors import ConfigError
from graspnext.network.blocks.downsample import TAPS, AntiAliasedDown, BlurPool

ROWS = {2: [1, 1], 3: [1, 2, 1], 4: [1, 3, 3, 1], 5: [1, 4, 6, 4, 1]}


def blur_by_hand(image: np.ndarray, taps: int) -> np.ndarray:
    row = np.array(ROWS[taps], dtype=float) / sum(ROWS[taps])
    pad = (taps - 1) // 2
    padded = np.pad(image, pad, mode="reflect")
    padded = np.pad(padded, ((0, taps), (0, taps)))  # room for the last window; never reached by a kept sample
    height, width = image.shape
    return np.array(
        [
            [(padded[2 * i : 2 * i + taps, 2 * j : 2 * j + taps] * np.outer(row, row)).sum() for j in range(width // 2)]
            for i in range(height // 2)
        ]
    )


@pytest.mark.parametrize("taps", TAPS)
def test_blur_is_the_binomial_filter(taps: int) -> None:
    image = np.random.default_rng(taps).normal(size=(12, 16))
    ours = BlurPool(taps)(torch.tensor(image)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(ours, blur_by_hand(image, taps), atol=1e-12)


@pytest.mark.parametrize("taps", TAPS)
def test_blur_removes_the_frequency_that_would_alias(taps: int) -> None:
    stripes = torch.tensor([1.0, -1.0]).repeat(16).expand(1, 1, 32, 32)
    assert BlurPool(taps)(stripes)[..., 2:-2, 2:-2].abs().max() < 1e-6
    assert stripes[..., ::2, ::2].abs().min() == 1


def shift_error(layer: torch.nn.Module, images: torch.Tensor) -> float:
    """How far shifting the input by two pixels in steps of one is from shifting the output by one: relative change
    between the output for the image and the mean-interpolated output for the image shifted by one pixel."""
    with torch.no_grad():
        still = layer(images)
        moved = layer(torch.roll(images, 1, dims=3))
        expected = (still + torch.roll(still, 1, dims=3)) / 2  # half an output pixel
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    return float((moved - expected)[inner].square().mean() / expected[inner].var())


@pytest.mark.parametrize("taps", TAPS)
@pytest.mark.parametrize("placement", ["before", "after"])
def test_anti_aliased_steps_follow_shifts_better_than_strides(taps: int, placement: str) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 8, 64, 64)
    layer = AntiAliasedDown(8, 16, taps=taps, placement=placement)  # type: ignore[arg-type]
    strided = torch.nn.Sequential(
        torch.nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False), torch.nn.GroupNorm(1, 16), torch.nn.ReLU()
    )
    assert layer(images).shape == (2, 16, 32, 32)
    assert shift_error(layer, images) < 0.75 * shift_error(strided, images)


def test_gradients_reach_the_input() -> None:
    x = torch.randn(1, 8, 16, 16, requires_grad=True)
    AntiAliasedDown(8, 8, taps=4)(x).square().sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).float().mean() > 0.9


def test_unknown_length_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"taps is 7; it must be one of \(2, 3, 4, 5\)"):
        BlurPool(7)
