"""How hard a view is: five levels by measured occlusion."""

from __future__ import annotations

from collections.abc import Iterable

from graspnext.types import Instance

LEVEL_STARTS = (0.0, 0.02, 0.10, 0.20, 0.35)
"""Mean occluded rate from which a view is of level 1, 2, ..., 5."""
LEVELS = tuple(range(1, len(LEVEL_STARTS) + 1))


def difficulty_of_rate(mean_occluded_rate: float) -> int:
    """The level, 1 to 5, of a view whose parts are hidden by this share on average.

    Raises:
        ValueError: The rate is outside [0, 1].
    """
    if not 0 <= mean_occluded_rate <= 1:
        raise ValueError(f"the mean occluded rate is {mean_occluded_rate}; it must be in [0, 1]")
    return sum(mean_occluded_rate >= start for start in LEVEL_STARTS)


def difficulty_of(instances: Iterable[Instance]) -> int:
    """The level, 1 to 5, of a view: by the mean occluded rate over all parts in it, hidden ones included.

    A view without parts is of level 1.
    """
    rates = [instance.occluded_rate for instance in instances]
    return difficulty_of_rate(sum(rates) / len(rates)) if rates else LEVELS[0]
