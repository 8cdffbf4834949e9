"""Random fields over a picture: noise whose neighbours are alike."""

from __future__ import annotations

import numpy as np

from graspnext.types import Float32Array

_COARSE_FROM_PX = 4.0
"""Fields smoother than this are drawn on a grid coarser by half their radius, then enlarged."""


def smooth_noise(shape: tuple[int, int], radius_px: float, *, rng: np.random.Generator) -> Float32Array:
    """Gaussian noise of mean 0 and variance 1, smoothed by a Gaussian.

    Args:
        shape: (height, width).
        radius_px: Standard deviation of the Gaussian; below 0.3 neighbours are independent.
        rng: Source of randomness.

    Returns:
        (height, width) float32; its variance is 1 at every pixel, up to a few percent between the nodes of the
        coarse grid of a wide field.
    """
    if radius_px < 0.3:
        return rng.standard_normal(shape, dtype=np.float32)
    if radius_px < _COARSE_FROM_PX:
        return _smooth(shape, radius_px, rng=rng)
    step = radius_px / 2
    rows, columns = (int(np.ceil(size / step)) + 1 for size in shape)
    nodes = _smooth((rows, columns), 2.0, rng=rng)
    return _enlarge(nodes, shape, step)


def rough_noise(
    shape: tuple[int, int], radii_px: tuple[float, float], wide_share: float, *, rng: np.random.Generator
) -> Float32Array:
    """A fine and a wide `smooth_noise` together, variance 1.

    Args:
        shape: (height, width).
        radii_px: Of the fine and of the wide one.
        wide_share: [0, 1]: share of the variance in the wide one.
        rng: Source of randomness.
    """
    fine, wide = (smooth_noise(shape, radius, rng=rng) for radius in radii_px)
    return fine * np.float32(np.sqrt(1 - wide_share)) + wide * np.float32(np.sqrt(wide_share))


def _smooth(shape: tuple[int, int], radius: float, *, rng: np.random.Generator) -> Float32Array:
    """White noise on a larger grid, smoothed and cut: no border effect on the variance."""
    from scipy.ndimage import correlate1d

    reach = int(np.ceil(2.5 * radius))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    kernel /= np.sqrt((kernel**2).sum())  # keeps the variance of independent values
    noise = rng.standard_normal((shape[0] + 2 * reach, shape[1] + 2 * reach), dtype=np.float32)
    noise = correlate1d(noise, kernel, axis=0)[reach:-reach]
    result: Float32Array = correlate1d(noise, kernel, axis=1)[:, reach:-reach]
    return result


def _enlarge(nodes: Float32Array, shape: tuple[int, int], step: float) -> Float32Array:
    """Bilinear between nodes that lie `step` px apart, divided by what that takes from the variance."""
    for axis, size in enumerate(shape):
        place = np.arange(size) / step
        left = place.astype(np.int64)
        right_share = (place - left).astype(np.float32)
        a, b = nodes.take(left, axis=axis), nodes.take(left + 1, axis=axis)
        # Neighbouring nodes of a field of radius 2 have correlation exp(-1 / 16).
        spread = np.sqrt(1 - 2 * right_share * (1 - right_share) * np.float32(1 - np.exp(-1 / 16)))
        weight_a, weight_b = ((1 - right_share) / spread, right_share / spread)
        nodes = a * np.expand_dims(weight_a, 1 - axis) + b * np.expand_dims(weight_b, 1 - axis)
    return nodes
