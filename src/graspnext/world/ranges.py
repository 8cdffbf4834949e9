"""Checks that the recipes' dataclasses share."""

from __future__ import annotations

from graspnext.errors import ConfigError


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
