"""Latency of several networks, side by side in one run: each round calls every one of them, in a new random order.

What a machine does at the moment (its clock, its other work) then falls on all of them alike, and the ratio of two
networks in the same round says more than the ratio of two separate measurements.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from graspnext.deploy.timing.machine import LoadMeter
from graspnext.errors import ConfigError
from graspnext.types import Float64Array

Call = Callable[[int], Mapping[str, float]]
"""One inference on the frame of that number: part of it -> how long it took, ms."""
TOTAL = "total"
"""The part that `timed` gives."""


@dataclass(frozen=True)
class Plan:
    """How often everything is called."""

    rounds: int | None = None
    """As many rounds; as many as fit into `seconds` when None."""
    seconds: float = 30.0
    """Of timed calls, where `rounds` is None; the least number of rounds can take longer."""
    least_rounds: int = 2
    most_rounds: int = 200
    warmups: int = 2
    """Calls of each before the rounds, which are not counted."""
    most_repeats: int = 1
    """Calls of one network in a round: quick ones are called so often beside slow ones, for the sake of percentiles."""
    gap_ms: float = 0.0
    """Rest before each call, in which threads of the one before stop to spin."""

    def __post_init__(self) -> None:
        for name in ("rounds", "least_rounds", "most_rounds", "most_repeats"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(name, value, "at least 1")
        for name in ("seconds", "warmups", "gap_ms"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(name, getattr(self, name), "at least 0")

    def repeats(self, cost_ms: Mapping[str, float]) -> dict[str, int]:
        """Calls of each in a round, given what one costs: together as long as half a call of the slowest."""
        slowest = max(cost_ms.values())
        return {
            name: int(min(max(slowest / 2 / max(cost, 1e-3), 1), self.most_repeats)) for name, cost in cost_ms.items()
        }

    def number(self, round_ms: float) -> int:
        """Rounds, given what one costs."""
        if self.rounds is not None:
            return self.rounds
        return int(min(max(self.seconds * 1e3 / max(round_ms, 1e-3), self.least_rounds), self.most_rounds))


@dataclass(frozen=True)
class Latency:
    """One part of one network over all its calls, milliseconds."""

    p50_ms: float
    p25_ms: float
    p75_ms: float
    p95_ms: float
    p99_ms: float
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

    times_ms: Mapping[str, Mapping[str, Float64Array]]
    """Name -> part -> (rounds, repeats)."""
    load_before: float | None
    """Processes that ran or waited, on average over the last minute; None where the system does not say."""
    load_after: float | None
    other_cores: float | None
    """Cores that other programs kept busy during the rounds, on average; None where the system does not say."""

    @property
    def rounds(self) -> int:
        """How many there were."""
        return len(next(iter(next(iter(self.times_ms.values())).values())))

    def latency(self, name: str, part: str = TOTAL) -> Latency:
        """Of one part of one network."""
        times = self.times_ms[name][part]
        values = (*np.percentile(times, (50, 25, 75, 95, 99)), times.min())
        return Latency(*(round(float(value), 3) for value in values))

    def speedup(self, name: str, reference: str, part: str = TOTAL) -> Speedup:
        """Of one network over another: the medians of each round are compared."""
        ours, theirs = (np.median(self.times_ms[one][part], axis=1) for one in (name, reference))  # (rounds,) each
        return Speedup(*(round(float(value), 3) for value in np.percentile(theirs / ours, (50, 25, 75))))

    def conditions(self) -> dict[str, Any]:
        """{rounds, load_before, load_after, other_cores}."""
        names = ("load_before", "load_after", "other_cores")
        return {"rounds": self.rounds, **{name: getattr(self, name) for name in names}}

    def to_dict(self) -> dict[str, Any]:
        """`conditions`, and `latency`: name -> part -> values."""
        found = {
            name: {part: asdict(self.latency(name, part)) for part in parts} for name, parts in self.times_ms.items()
        }
        return {**self.conditions(), "latency": found}


def compare(
    calls: Mapping[str, Call],
    *,
    plan: Plan,
    rng: np.random.Generator,
    watch: Callable[[Iterable[int], int], Iterable[int]] = lambda numbers, _total: numbers,
    warm: Mapping[str, float] | None = None,
) -> Comparison:
    """Time calls round by round.

    Args:
        calls: Name -> what is timed; each gives the same parts every time.
        plan: How often.
        rng: Draws the order of each round.
        watch: Passes the rounds on, given them and their number: the place for a progress bar.
        warm: Names that have run already and are not called before the rounds -> what a call costs, ms.

    Raises:
        ConfigError: There is nothing to time.
    """
    if not calls:
        raise ConfigError("calls", list(calls), "at least one network")
    meter = LoadMeter()
    known = warm or {}
    cost = {name: known[name] if name in known else _cost_ms(call, plan.warmups) for name, call in calls.items()}
    repeats = plan.repeats(cost)
    rounds = plan.number(sum(repeats[name] * (cost[name] + plan.gap_ms) for name in calls))
    names = [name for name in calls for _ in range(repeats[name])]
    taken: dict[str, list[Mapping[str, float]]] = {name: [] for name in calls}
    meter.start()
    for _ in watch(range(rounds), rounds):
        for index in rng.permutation(len(names)):
            name = names[int(index)]
            time.sleep(plan.gap_ms / 1e3)
            taken[name].append(calls[name](len(taken[name])))
    times = {
        name: {
            part: np.array([one[part] for one in every], dtype=np.float64).reshape(rounds, repeats[name])
            for part in every[0]
        }
        for name, every in taken.items()
    }
    return Comparison(times, meter.load_before, meter.load_now(), meter.other_cores())


def timed(function: Callable[[int], object]) -> Call:
    """A call of this process as one part, `total`; it must return when its result is there."""

    def call(number: int) -> Mapping[str, float]:
        begin = time.perf_counter()
        function(number)
        return {TOTAL: (time.perf_counter() - begin) * 1e3}

    return call


def _cost_ms(call: Call, warmups: int) -> float:
    """What a call costs, by the quickest of the warm-ups; one unit for all when there are none."""
    costs = []
    for number in range(warmups):
        begin = time.perf_counter()
        call(number)
        costs.append((time.perf_counter() - begin) * 1e3)
    return min(costs, default=1.0)
