"""Random numbers as part families draw them."""

from __future__ import annotations

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
