"""Smooth noise: variance 1 everywhere, the correlation of a Gaussian of its radius, the same for the same seed."""

import numpy as np
import pytest
from scipy.stats import kstest

from graspnext.types import Float32Array
from graspnext.world.sensors.fields import mixed, smooth_noise, white_noise


def stack(radius: float, shape: tuple[int, int] = (40, 56), count: int = 400) -> Float32Array:
    rng = np.random.default_rng(1)
    return np.stack([smooth_noise(shape, radius, rng=rng) for _ in range(count)])


@pytest.mark.parametrize("radius", [0.0, 0.7, 1.5, 2.0, 3.3, 8.0, 40.0])
def test_variance_is_one_at_every_pixel(radius: float) -> None:
    fields = stack(radius)
    assert fields.shape == (400, 40, 56) and fields.dtype == np.float32
    variance = fields.var(axis=0)
    assert variance.mean() == pytest.approx(1, abs=0.1 if radius > 5 else 0.03)
    assert variance.min() > 0.65 and variance.max() < 1.45  # 400 samples: 0.07 standard error, 2,240 pixels
    assert abs(fields.mean()) < 0.06


@pytest.mark.parametrize("radius", [0.7, 1.5, 3.3, 8.0])
def test_neighbours_are_alike_as_under_a_gaussian(radius: float) -> None:
    """White noise under a Gaussian of radius s has the correlation exp(-d^2 / (4 s^2))."""
    fields = stack(radius, count=200)
    for distance in (1, 2, round(2 * radius) + 1):
        expected = np.exp(-(distance**2) / (4 * radius**2))
        for a, b in (
            (fields[:, distance:], fields[:, :-distance]),
            (fields[..., distance:], fields[..., :-distance]),
        ):
            assert (a * b).mean() == pytest.approx(expected, abs=0.08)


def test_below_a_third_of_a_pixel_neighbours_are_independent() -> None:
    fields = stack(0.2)
    assert abs((fields[..., 1:] * fields[..., :-1]).mean()) < 0.01


def test_white_noise_is_gaussian() -> None:
    noise = white_noise((1000, 1000), rng=np.random.default_rng(0)).ravel()
    assert noise.mean() == pytest.approx(0, abs=0.004) and noise.var() == pytest.approx(1, abs=0.005)
    assert kstest(noise[:100_000], "norm").pvalue > 0.01
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.004


def test_mixed_keeps_the_variance() -> None:
    rng = np.random.default_rng(0)
    fine, wide = (rng.standard_normal(100_000, dtype=np.float32) for _ in range(2))
    both = mixed(fine, wide, 0.7)
    assert both.var() == pytest.approx(1, abs=0.02)
    assert np.corrcoef(both, wide)[0, 1] ** 2 == pytest.approx(0.7, abs=0.02)


def test_same_seed_same_field() -> None:
    for radius in (0.0, 1.0, 5.0):
        a, b, c = (smooth_noise((30, 20), radius, rng=np.random.default_rng(seed)) for seed in (4, 4, 5))
        assert a.tobytes() == b.tobytes() != c.tobytes()
