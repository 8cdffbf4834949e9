"""Latency of several networks, side by side in one run: each round calls every one once, in a new random order.

What a machine does at the moment (its clock, its other work) then falls on all of them alike, and the ratio of two
networks in the same round says more than the ratio of two separate measurements.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from graspnext.errors import ConfigError
from graspnext.types import Float64Array

Call = Callable[[int], object]
"""One whole inference in the round of that number; returns when its result is there."""


@dataclass(frozen=True)
class Latency:
    """One network over all rounds, milliseconds."""

    p50_ms: float
    p25_ms: float
    p75_ms: float
    p95_ms: float
    min_ms: float


@dataclass(frozen=True)
class Speedup:
    """How many times faster than another, by the ratios of the single rounds."""

    median: float
    p25: float
    p75: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Times of all networks in all rounds."""

    times_ms: Mapping[str, Float64Array]
    """Name -> (rounds,)."""
    load_before: float | None
    """Processes that ran or waited, on average over the last minute; None where the system does not say."""
    load_after: float | None

    def latency(self, name: str) -> Latency:
        """Of one network."""
        p25, p50, p75, p95 = np.percentile(self.times_ms[name], (25, 50, 75, 95))
        return Latency(*(round(float(one), 3) for one in (p50, p25, p75, p95, self.times_ms[name].min())))

    def speedup(self, name: str, reference: str) -> Speedup:
        """Of one network over another."""
        ratios = self.times_ms[reference] / self.times_ms[name]
        return Speedup(*(round(float(one), 3) for one in np.percentile(ratios, (50, 25, 75))))

    def to_dict(self) -> dict[str, Any]:
        """{rounds, load_before, load_after, latency: name -> values}."""
        return {
            "rounds": len(next(iter(self.times_ms.values()))),
            "load_before": self.load_before,
            "load_after": self.load_after,
            "latency": {name: asdict(self.latency(name)) for name in self.times_ms},
        }


def compare(
    calls: Mapping[str, Call],
    *,
    rounds: int,
    warmups: int,
    rng: np.random.Generator,
    watch: Callable[[Iterable[int], int], Iterable[int]] = lambda numbers, _total: numbers,
) -> Comparison:
    """Time calls round by round.

    Args:
        calls: Name -> what is timed.
        rounds: How often each is timed.
        warmups: Rounds before, whose times are dropped.
        rng: Draws the order of each round.
        watch: Passes the rounds on, given them and their number: the place for a progress bar.

    Raises:
        ConfigError: There is nothing to time, or no round.
    """
    if not calls:
        raise ConfigError("calls", list(calls), "at least one network")
    if rounds < 1 or warmups < 0:
        raise ConfigError("rounds", (warmups, rounds), "at least 1, after 0 or more warm-ups")
    names = list(calls)
    times: dict[str, list[float]] = {name: [] for name in names}
    before = load()
    for number in watch(range(warmups + rounds), warmups + rounds):
        for index in rng.permutation(len(names)):
            name = names[int(index)]
            begin = time.perf_counter()
            calls[name](number)
            times[name].append((time.perf_counter() - begin) * 1e3)
    kept = {name: np.array(values[warmups:], dtype=np.float64) for name, values in times.items()}
    return Comparison(kept, before, load())


def load() -> float | None:
    """Load of the machine over the last minute."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None
