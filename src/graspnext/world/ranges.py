"""Checks that the recipes' dataclasses share."""

from __future__ import annotations

import math
from collections.abc import Iterable

from graspnext.errors import ConfigError, UnknownNameError


def check_range(name: str, value: tuple[float, float], low: float, high: float) -> None:
    """Refuse a pair that does not rise, or leaves [low, high].

    Raises:
        ConfigError: It does.
    """
    if not low <= value[0] <= value[1] <= high:
        raise ConfigError(name, value, f"a pair (low, high) with {low} <= low <= high <= {high}")


def check_share(name: str, value: float) -> None:
    """Refuse a probability outside [0, 1].

    Raises:
        ConfigError: It is.
    """
    if not 0 <= value <= 1:
        raise ConfigError(name, value, "in [0, 1]")


def check_weights(name: str, thing: str, weights: dict[str, float], known: Iterable[str]) -> None:
    """Refuse weights of unknown names, negative or infinite ones, or none that is positive.

    Raises:
        UnknownNameError: A name is unknown.
        ConfigError: A weight is negative or not finite, or all are 0.
    """
    for kind, weight in weights.items():
        if kind not in known:
            raise UnknownNameError(thing, kind, known)
        if not 0 <= weight < math.inf:
            raise ConfigError(f"{name}.{kind}", weight, "a finite number, at least 0")
    if not sum(weights.values()) > 0:
        raise ConfigError(name, weights, "weights of which one is positive")
