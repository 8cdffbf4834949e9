"""Random numbers and names as the whole world draws them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def between(low: float, high: float, *, rng: np.random.Generator) -> float:
    """Evenly in [low, high)."""
    return float(rng.uniform(low, high))


def size_between(low: float, high: float, *, rng: np.random.Generator) -> float:
    """Evenly in the logarithm: as many parts between 3 and 6 cm as between 6 and 12."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def chance(probability: float, *, rng: np.random.Generator) -> bool:
    """True so often."""
    return bool(rng.random() < probability)


def weighted(weights: Mapping[str, float], *, rng: np.random.Generator) -> str:
    """A name, as often as its weight says; at least one is positive. Their order does not matter."""
    names = sorted(weights)
    shares = np.array([weights[name] for name in names], dtype=np.float64)
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]
