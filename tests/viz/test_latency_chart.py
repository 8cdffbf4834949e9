"""The chart of a benchmark: bars are as long as their times."""

from __future__ import annotations

import numpy as np
import pytest

from graspnext.types import UInt8Array
from graspnext.viz.latency_chart import COLOURS, Bar, latency_chart

PARTS = {"decode": 10.0, "pre": 10.0, "network": 60.0, "post": 10.0, "wrap": 10.0}


def widths(picture: UInt8Array, part: str) -> list[int]:
    """Pixels of a part's colour, row by row where there are any, without the legend."""
    hits = (picture[130:] == COLOURS[part]).all(axis=2).sum(axis=1)
    return [int(one) for one in hits if one]


def test_parts_are_as_long_as_their_times() -> None:
    picture = latency_chart({"openvino bf16": [Bar("a", PARTS, 100.0, 110.0)]}, title="t", below="m")
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    network, decode = max(widths(picture, "network")), max(widths(picture, "decode"))
    assert network == pytest.approx(6 * decode, abs=6)
    assert len(widths(picture, "network")) == pytest.approx(22, abs=2)


def test_each_form_has_its_own_axis_and_each_network_its_bar() -> None:
    half = {part: ms / 2 for part, ms in PARTS.items()}
    bars = [Bar("a", PARTS, 100.0, 110.0), Bar("b", half, 50.0, 55.0, speedup=2.0)]
    picture = latency_chart({"openvino bf16": bars, "torch fp32": [Bar("a", half, 50.0, 55.0)]}, title="t", below="m")
    lengths = sorted(set(widths(picture, "network")))
    assert max(lengths) == pytest.approx(2 * min(lengths), abs=6)  # the last panel's axis is half as long
    assert picture.shape[0] > latency_chart({"x": bars}, title="t", below="m").shape[0]


def test_parts_that_are_not_known_are_one() -> None:
    picture = latency_chart({"x": [Bar("a", {"decode": 5.0, "model": 95.0}, 100.0, 130.0)]}, title="t", below="m")
    assert not widths(picture, "network")
    assert max(widths(picture, "model")) > 10 * max(widths(picture, "decode"))
