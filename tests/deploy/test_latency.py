"""Latency side by side: fair order, honest ratios."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from graspnext.deploy.timing.latency import Call, Comparison, Plan, compare, timed
from graspnext.errors import ConfigError


def wait(milliseconds: float) -> Call:
    return timed(lambda _number: time.sleep(milliseconds / 1e3))


def told(milliseconds: float) -> Call:
    """A call that says how long it took, and takes no time."""
    return lambda _number: {"total": milliseconds}


def known(**times: list[list[float]]) -> Comparison:
    return Comparison({name: {"total": np.array(values)} for name, values in times.items()}, None, None, None)


def test_ratios_are_those_of_the_waits() -> None:
    plan = Plan(rounds=9, warmups=1)
    measured = compare({"slow": wait(12), "quick": wait(3)}, plan=plan, rng=np.random.default_rng(0))
    assert all(times["total"].shape == (9, 1) for times in measured.times_ms.values())
    assert measured.times_ms["slow"]["total"].min() >= 12 and measured.times_ms["quick"]["total"].min() >= 3
    assert measured.speedup("slow", "slow").median == 1
    found = measured.speedup("quick", "slow")
    assert 1.5 < found.median < 4.2 and found.p25 <= found.median <= found.p75
    found_back = measured.speedup("slow", "quick")
    assert found_back.median == pytest.approx(1 / found.median, rel=0.05)


def test_statistics_of_known_times() -> None:
    measured = known(a=[[1.0], [2.0], [3.0], [4.0]], b=[[2.0], [8.0], [6.0], [4.0]])
    latency = measured.latency("a")
    assert latency.p50_ms == 2.5 and latency.min_ms == 1
    assert latency.p95_ms == pytest.approx(3.85) and latency.p99_ms == pytest.approx(3.97)
    assert measured.speedup("a", "b").median == 2  # of 2, 4, 2, 1
    content = measured.to_dict()
    assert content["rounds"] == 4 and content["load_before"] is None
    assert content["latency"]["b"]["total"]["p50_ms"] == 5


def test_a_round_counts_by_its_median_and_percentiles_by_all_calls() -> None:
    measured = known(quick=[[1.0, 1.0, 7.0], [2.0, 2.0, 2.0]], slow=[[10.0], [10.0]])
    assert measured.latency("quick").p50_ms == 2
    found = measured.speedup("quick", "slow")  # 10 in the first round, 5 in the second
    assert (found.p25, found.median, found.p75) == (6.25, 7.5, 8.75)


def test_every_round_calls_each_once_in_changing_order() -> None:
    calls: list[tuple[int, str]] = []
    names = ["a", "b", "c"]

    def noted(name: str) -> Callable[[int], Mapping[str, float]]:
        def call(number: int) -> Mapping[str, float]:
            calls.append((number, name))
            return {"total": 1.0}

        return call

    compare({name: noted(name) for name in names}, plan=Plan(rounds=40, warmups=3), rng=np.random.default_rng(0))
    timed_calls = calls[9:]
    assert [number for number, _ in timed_calls] == [number for number in range(40) for _ in names]
    orders = Counter(tuple(name for _, name in timed_calls[3 * number : 3 * number + 3]) for number in range(40))
    assert all(sorted(order) == names for order in orders) and len(orders) == 6
    first = Counter(name for _, name in timed_calls[::3])
    assert min(first.values()) >= 6


def test_quick_calls_are_repeated_beside_slow_ones() -> None:
    plan = Plan(rounds=3, warmups=1, most_repeats=4)
    measured = compare({"slow": wait(40), "quick": wait(1)}, plan=plan, rng=np.random.default_rng(0))
    assert measured.times_ms["slow"]["total"].shape == (3, 1)
    assert measured.times_ms["quick"]["total"].shape == (3, 4)
    assert Plan(most_repeats=10).repeats({"a": 100.0, "b": 30.0, "c": 10.0, "d": 0.0}) == {
        "a": 1,
        "b": 1,
        "c": 5,
        "d": 10,
    }
    assert set(Plan().repeats({"a": 100.0, "b": 0.1}).values()) == {1}


def test_rounds_fill_the_time_within_their_limits() -> None:
    plan = Plan(seconds=2.0, least_rounds=3, most_rounds=50)
    assert plan.number(100.0) == 20
    assert plan.number(10_000.0) == 3 and plan.number(0.0) == 50
    assert Plan(rounds=7, seconds=0.0).number(1e6) == 7


def test_parts_are_kept_apart() -> None:
    calls: dict[str, Call] = {
        "a": lambda number: {"decode": 1.0 + number, "network": 10.0},
        "b": lambda _number: {"network": 40.0},
    }
    measured = compare(calls, plan=Plan(rounds=3, warmups=0), rng=np.random.default_rng(0))
    assert measured.latency("a", "decode").p50_ms == 2
    assert measured.speedup("a", "b", "network").median == 4
    assert set(measured.times_ms["b"]) == {"network"}


def test_nothing_to_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one network"):
        compare({}, plan=Plan(rounds=3), rng=np.random.default_rng(0))
    for values in ({"rounds": 0}, {"warmups": -1}, {"seconds": float("inf")}, {"most_repeats": 0}):
        with pytest.raises(ConfigError, match=next(iter(values))):
            Plan(**values)


def test_rounds_are_passed_through_the_watch() -> None:
    seen: list[int] = []

    def watch(numbers: object, total: int) -> list[int]:
        seen.append(total)
        return list(numbers)  # type: ignore[call-overload, no-any-return]

    compare({"a": told(1)}, plan=Plan(rounds=5), rng=np.random.default_rng(0), watch=watch)
    assert seen == [5]


def test_what_has_run_already_is_not_warmed_again() -> None:
    calls: list[str] = []

    def noted(name: str) -> Call:
        return lambda _number: (calls.append(name), {"total": 1.0})[1]

    plan = Plan(rounds=2, warmups=3)
    compare({name: noted(name) for name in "ab"}, plan=plan, rng=np.random.default_rng(0), warm={"a": 7.0})
    assert Counter(calls) == {"a": 2, "b": 5}
