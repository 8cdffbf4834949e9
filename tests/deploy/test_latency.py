"""Latency side by side: fair order, honest ratios."""

from __future__ import annotations

import runpy
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from graspnext.deploy.latency import compare
from graspnext.deploy.side_by_side import can_do, time_runs
from graspnext.deploy.verify import check_frames
from graspnext.errors import ConfigError
from graspnext.learning.table.protocols import FORMS, SpeedConfig

tiny_run = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("tiny_run.py"))))


def wait(milliseconds: float) -> Callable[[int], None]:
    return lambda _number: time.sleep(milliseconds / 1e3)


def test_ratios_are_those_of_the_waits() -> None:
    measured = compare({"slow": wait(12), "quick": wait(3)}, rounds=9, warmups=1, rng=np.random.default_rng(0))
    assert all(times.shape == (9,) for times in measured.times_ms.values())
    assert measured.times_ms["slow"].min() >= 12 and measured.times_ms["quick"].min() >= 3
    assert measured.speedup("slow", "slow").median == 1
    found = measured.speedup("quick", "slow")
    assert 1.5 < found.median < 4.2 and found.p25 <= found.median <= found.p75
    found_back = measured.speedup("slow", "quick")
    assert found_back.median == pytest.approx(1 / found.median, rel=0.05)


def test_statistics_of_known_times() -> None:
    measured = compare({"a": wait(0), "b": wait(0)}, rounds=4, warmups=0, rng=np.random.default_rng(0))
    known = type(measured)({"a": np.array([1.0, 2, 3, 4]), "b": np.array([2.0, 8, 6, 4])}, None, None)
    assert known.latency("a").p50_ms == 2.5 and known.latency("a").min_ms == 1
    assert known.latency("a").p95_ms == pytest.approx(3.85)
    assert known.speedup("a", "b").median == 2  # of 2, 4, 2, 1
    assert known.to_dict()["rounds"] == 4 and known.to_dict()["load_before"] is None


def test_every_round_calls_each_once_in_changing_order() -> None:
    calls: list[tuple[int, str]] = []
    names = ["a", "b", "c"]
    compare(
        {name: lambda number, name=name: calls.append((number, name)) for name in names},  # type: ignore[misc]
        rounds=40,
        warmups=3,
        rng=np.random.default_rng(0),
    )
    assert [number for number, _ in calls] == [number for number in range(43) for _ in names]
    orders = Counter(tuple(name for _, name in calls[3 * number : 3 * number + 3]) for number in range(43))
    assert all(sorted(order) == names for order in orders) and len(orders) == 6
    first = Counter(name for _, name in calls[::3])
    assert min(first.values()) >= 6


def test_nothing_to_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one network"):
        compare({}, rounds=3, warmups=0, rng=np.random.default_rng(0))
    with pytest.raises(ConfigError, match="rounds"):
        compare({"a": wait(0)}, rounds=0, warmups=0, rng=np.random.default_rng(0))


def test_runs_are_timed_in_every_form(tmp_path: Path) -> None:
    run = tiny_run.write_run(tmp_path / "run")
    frames = check_frames(rng=np.random.default_rng(0))[:2]
    config = SpeedConfig(size=100, rounds=3, warmups=1, forms=FORMS)
    result = time_runs({"one": run}, frames, config=config, reference="one")
    assert result["size_px"] == 100 and result["input_size_px"] == 128 and result["rounds"] == 3
    done = [form for form in FORMS if can_do(*form)]
    assert result["left_out"] == [list(form) for form in FORMS if form not in done]
    assert [(one["name"], one["runtime"], one["precision"]) for one in result["results"]] == [
        ("one", *form) for form in done
    ]
    assert all(one["p50_ms"] > 0 for one in result["results"])
    assert result["agreement"]["one"]["faults"] == [] and result["agreement"]["one"]["detections"] > 0


def test_runs_are_compared_with_the_reference(tmp_path: Path) -> None:
    run = tiny_run.write_run(tmp_path / "run")
    frames = check_frames(rng=np.random.default_rng(0))[:1]
    config = SpeedConfig(size=96, rounds=3, forms=(("torch", "fp32"),))
    one, two = time_runs({"one": run, "two": run}, frames, config=config, reference="one")["results"]
    assert one["speedup"] == {"median": 1, "p25": 1, "p75": 1}
    assert 0.1 < two["speedup"]["median"] < 10  # the same network: near 1, whatever the machine does
    alone = time_runs({"two": run}, frames, config=config, reference="one")
    assert alone["reference"] is None and alone["results"][0]["speedup"] is None and alone["agreement"] == {}
