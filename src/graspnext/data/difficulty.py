"""How hard a view is: five levels by measured occlusion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graspnext.types import Instance

LEVEL_STARTS = (0.0, 0.02, 0.10, 0.20, 0.35)
"""Mean occluded rate from which a view is of level 1, 2, ..., 5."""
LEVELS = tuple(range(1, len(LEVEL_STARTS) + 1))


def difficulty_of_rates(rates: Sequence[float]) -> int:
    """The level, 1 to 5, of a view with parts of these occluded rates, hidden ones included; 1 of one without parts.

    Rates count as files hold them, to 6 digits, so that a file says the same as what it was written from.

    Raises:
        ValueError: A rate is outside [0, 1].
    """
    for rate in rates:
        if not 0 <= rate <= 1:
            raise ValueError(f"an occluded rate is {rate}; it must be in [0, 1]")
    mean = round(sum(round(rate, 6) for rate in rates) / max(len(rates), 1), 6)
    return sum(mean >= start for start in LEVEL_STARTS)


def difficulty_of(instances: Iterable[Instance]) -> int:
    """The level, 1 to 5, of a view of these parts."""
    return difficulty_of_rates([instance.occluded_rate for instance in instances])
