"""Random fields over a picture: noise whose neighbours are alike."""

from __future__ import annotations

from functools import cache

import numpy as np

from graspnext.types import Float32Array

_COARSE_FROM_PX = 2.0
"""Fields smoother than this are drawn on a coarser grid, then enlarged."""
_QUANTILES = 65536
_NODE_RADIUS = 1.25
"""Radius of such a field in cells of its grid."""


def white_noise(shape: tuple[int, ...], *, rng: np.random.Generator) -> Float32Array:
    """Independent Gaussian numbers of mean 0 and variance 1, float32, cut at 4.3 standard deviations.

    One of 65,536 quantiles for each random 16-bit number: a quarter of the time of the generator's own.
    """
    noise: Float32Array = _quantiles().take(rng.integers(0, _QUANTILES, shape, dtype=np.uint16))
    return noise


@cache
def _quantiles() -> Float32Array:
    from scipy.special import ndtri

    values = ndtri((np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    table: Float32Array = (values / values.std()).astype(np.float32)
    return table


def smooth_noise(shape: tuple[int, int], radius_px: float, *, rng: np.random.Generator) -> Float32Array:
    """Gaussian noise of mean 0 and variance 1, smoothed by a Gaussian.

    Args:
        shape: (height, width).
        radius_px: Standard deviation of the Gaussian; below 0.3 neighbours are independent.
        rng: Source of randomness.

    Returns:
        (height, width) float32; its variance is 1 at every pixel.
    """
    if radius_px < 0.3:
        return white_noise(shape, rng=rng)
    if radius_px < _COARSE_FROM_PX:
        return _smooth(shape, radius_px, rng=rng)
    step = radius_px / _NODE_RADIUS
    rows, columns = (int(np.ceil(size / step)) + 1 for size in shape)
    nodes = _smooth((rows, columns), _NODE_RADIUS, rng=rng)
    return _enlarge(nodes, shape, step)


def mixed(fine: Float32Array, wide: Float32Array, wide_share: float) -> Float32Array:
    """Two independent noises of variance 1 as one, of whose variance `wide_share` comes from the second."""
    return fine * np.float32(np.sqrt(1 - wide_share)) + wide * np.float32(np.sqrt(wide_share))


def _smooth(shape: tuple[int, int], radius: float, *, rng: np.random.Generator) -> Float32Array:
    """White noise on a larger grid, smoothed and cut: no border effect on the variance."""
    from scipy.ndimage import correlate1d

    reach = int(np.ceil(2.5 * radius))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    kernel /= np.sqrt((kernel**2).sum())  # keeps the variance of independent values
    noise = white_noise((shape[0] + 2 * reach, shape[1] + 2 * reach), rng=rng)
    noise = correlate1d(noise, kernel, axis=0)[reach:-reach]
    result: Float32Array = correlate1d(noise, kernel, axis=1)[:, reach:-reach]
    return result


def _enlarge(nodes: Float32Array, shape: tuple[int, int], step: float) -> Float32Array:
    """Bilinear between nodes that lie `step` px apart, divided by what that takes from the variance."""
    apart = np.float32(1 - np.exp(-0.25 / _NODE_RADIUS**2))  # 1 - correlation of neighbouring nodes
    for axis, size in enumerate(shape):
        place = np.arange(size) / step
        left = place.astype(np.int64)
        right_share = (place - left).astype(np.float32)
        a, b = nodes.take(left, axis=axis), nodes.take(left + 1, axis=axis)
        spread = np.sqrt(1 - 2 * right_share * (1 - right_share) * apart)
        weight_a, weight_b = ((1 - right_share) / spread, right_share / spread)
        nodes = a * np.expand_dims(weight_a, 1 - axis) + b * np.expand_dims(weight_b, 1 - axis)
    return nodes
