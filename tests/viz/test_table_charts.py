"""Charts of a table: every network is where its numbers say."""

from __future__ import annotations

import numpy as np
import pytest

from graspnext.types import UInt8Array
from graspnext.viz.axes import Scale, number, smooth, thin
from graspnext.viz.table_charts import COLOURS, TASKS, Point, accuracy_over_latency, learning_curves


def centre(picture: UInt8Array, colour: tuple[int, int, int], box: tuple[int, int, int, int]) -> tuple[float, float]:
    """Mean place (x, y) of a colour's pixels inside a box."""
    left, top, right, bottom = box
    rows, columns = np.nonzero((picture[top:bottom, left:right] == colour).all(axis=2))
    assert len(rows), f"{colour} is not there"
    return float(columns.mean()) + left, float(rows.mean()) + top


def point(name: str, ms: float, score: float | None) -> Point:
    return Point(name, ms, ms * 0.99, ms * 1.01, dict.fromkeys(TASKS, score))


FIRST_PANEL = (66, 118, 396, 358)


def test_dots_lie_by_latency_and_score() -> None:
    points = [point("slow", 1000, 0.5), point("middle", 100, 0.25), point("quick", 10, 1.0)]
    picture = accuracy_over_latency(points, title="t", unit="ms")
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    slow, middle, quick = (centre(picture, colour, FIRST_PANEL) for colour in COLOURS[:3])
    assert quick[0] < middle[0] < slow[0] and quick[1] < slow[1] < middle[1]  # y grows downwards
    assert middle[0] == pytest.approx((quick[0] + slow[0]) / 2, abs=1.5)  # logarithmic
    zero = FIRST_PANEL[3]
    assert zero - quick[1] == pytest.approx(4 * (zero - middle[1]), abs=4)  # linear from 0


def test_what_was_not_measured_has_no_dot() -> None:
    picture = accuracy_over_latency([point("a", 10, None), point("b", 20, 0.5)], title="t", unit="ms")
    with pytest.raises(AssertionError, match="not there"):
        centre(picture, COLOURS[0], FIRST_PANEL)
    centre(picture, COLOURS[1], FIRST_PANEL)
    accuracy_over_latency([point("a", 10, None)], title="t", unit="ms")
    accuracy_over_latency([point("a", 10, 0.0)], title="t", unit="ms")


def test_learning_curves_fall_where_losses_fall() -> None:
    def log(start: float) -> list[dict[str, object]]:
        return [{"step": step, "losses": {"total": start / step, "box": 0.0}} for step in range(1, 101)]

    picture = learning_curves({"a": log(10), "b": log(30)}, images_per_step=8, title="t")
    first, last = (66, 118, 100, 278), (240, 118, 272, 278)
    for colour in COLOURS[:2]:
        assert centre(picture, colour, first)[1] < centre(picture, colour, last)[1] - 50
    assert centre(picture, COLOURS[1], last)[1] < centre(picture, COLOURS[0], last)[1]
    learning_curves({"a": [{"step": 1, "losses": {"total": 3.0}}], "b": []}, images_per_step=1, title="t")


def test_ticks_are_round_and_in_place() -> None:
    for low, high in ((0.0, 1.12), (0.0, 0.0437), (0.0, 12000.0), (0.0, 1.0)):
        ticks = Scale(low, high).ticks()
        assert 2 <= len(ticks) <= 6
        for share, text in ticks:
            assert float(text.replace(" ", "")) == pytest.approx(low + share * (high - low), rel=1e-2, abs=1e-12)
    ticks = Scale(1.0, 3.0, logarithmic=True).ticks()
    assert [text for _, text in ticks] == ["10", "20", "50", "100", "200", "500", "1 000"]
    assert ticks[0][0] == 0 and ticks[3][0] == pytest.approx(0.5)
    assert number(0.00123456) == "0.00123" and number(-2500) == "-2 500"


def test_smoothing_keeps_constants_and_thinning_keeps_the_ends() -> None:
    values = np.full(300, 4.0)
    assert smooth(values, logarithmic=True) == pytest.approx(values)
    noisy = 4 + np.random.default_rng(0).normal(0, 1, 300)
    assert smooth(noisy, logarithmic=False, parts=10).std() < 0.5 * smooth(noisy, logarithmic=False).std()
    points = np.stack([np.arange(5000.0), np.zeros(5000)], axis=1)
    kept = thin(points)
    assert len(kept) == 800 and kept[0, 0] == 0 and kept[-1, 0] == 4999
