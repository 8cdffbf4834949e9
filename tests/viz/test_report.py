"""The report page: well-formed, self-contained, complete, and safe against what names may hold."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from graspnext.data.reader import Dataset
from graspnext.data.statistics import gather
from graspnext.types import View
from graspnext.viz.report import Sample, report
from graspnext.viz.report_charts import bars, histogram, number, scatter, stack, ticks

HOSTILE = '</title><script>alert("x")</script>&amp;\x00\x1b<img src=x onerror=y>'
VOID = {"meta", "img"}


class Structure(HTMLParser):
    """Fails on a tag that is closed wrongly; keeps tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)


def parsed(html: str) -> Structure:
    structure = Structure()
    structure.feed(html)
    structure.close()
    assert not structure.open
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(svg)
    return structure


@pytest.fixture(scope="module")
def numbers(tiny_dataset: Path) -> dict[str, Any]:
    found = gather(Dataset(tiny_dataset), sample=4)
    found["failures"] |= {
        "failed_scenes": [{"scene": "000077", "problems": ["unstable", HOSTILE]}],
        "logged_scenes": 12,
        "attempts": 345,
        "refused_attempts": 23,
        "refused_share": 23 / 345,
        "reasons": {"nothing stayed": 20, HOSTILE: 3},
    }
    found["time"] |= {
        "stages": {"physics": {"total_s": 12.3, "s_per_view": 0.615}, "render": {"total_s": 45.6, "s_per_view": 2.28}},
        "total_s": 57.9,
        "s_per_view": 2.895,
        "logged_views": 20,
    }
    found["memory_mb"] = [[0, 500.0], [1, 510.0]]
    found["scenes_by_container"] = {"tote": 6, HOSTILE: 4}
    return found


@pytest.fixture(scope="module")
def samples(tiny_dataset: Path) -> list[Sample]:
    dataset = Dataset(tiny_dataset)
    return [Sample(dataset.read(entry), entry.split, 1 + index % 5) for index, entry in enumerate(dataset.entries)]


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(
    numbers: dict[str, Any], samples: list[Sample]
) -> None:
    structure = parsed(report("bins", numbers, samples))
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in structure.tags}
    for tag, attributes in structure.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in {"src", "href"}:
                assert str(value).startswith("data:image/jpeg;base64,")
    pictures = [attributes["src"] for tag, attributes in structure.tags if tag == "img"]
    assert len(pictures) == 4 + 5 * 4  # a sheet for each split, four views of each level
    for source in pictures:
        Image.open(io.BytesIO(base64.b64decode(str(source).partition(",")[2]))).load()


def test_all_numbers_are_on_the_page(numbers: dict[str, Any], samples: list[Sample]) -> None:
    text = " ".join(parsed(report("bins", numbers, samples)).words)
    for value in numbers["counts"].values():
        assert number(value) in text
    for split, counts in numbers["by_split"].items():
        assert split in text
        assert number(counts["instances"]) in text
    for one in numbers["distributions"].values():
        assert f"mean {one['mean']:.3g}" in text
        assert f"median {number(one['median'])}" in text
    for word in ("tote", "sheet", "345", "23 (6.7% of the attempts)", "nothing stayed", "000077", "physics", "2.895"):
        assert word in text
    assert "seed 7" in text
    assert "radius_m" in text


def test_hostile_names_are_text(numbers: dict[str, Any], tiny_view: Callable[..., View]) -> None:
    view = tiny_view("000000", 0, size=64, num_parts=3, rng=np.random.default_rng(0))
    html = report(HOSTILE, numbers, [Sample(view, HOSTILE, 1)])
    structure = parsed(html)
    assert not {"script"} & {tag for tag, _ in structure.tags}
    assert all(attributes.get("src") != "x" for _, attributes in structure.tags)
    assert "\x00" not in html
    assert "\x1b" not in html
    assert any("<script>" in word for word in structure.words)  # it is still told


def test_a_dataset_without_log_depth_or_suction_has_a_page(numbers: dict[str, Any]) -> None:
    bare = numbers | {
        "distributions": {"occluded_rate": numbers["distributions"]["occluded_rate"]},
        "failures": {
            "failed_scenes": [], "logged_scenes": 0, "attempts": 0, "refused_attempts": 0, "refused_share": None,
            "reasons": {},
        },
        "time": {"logged_views": 0, "total_s": 0, "s_per_view": None, "stages": {}, "per_scene_s": None},
        "memory_mb": [],
    }  # fmt: skip
    text = " ".join(parsed(report("bins", bare, [])).words)
    assert "There is no log" in text


def heights(svg: str) -> list[float]:
    found = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect")
    return [float(rect.attrib["height"]) for rect in found]


def test_bars_of_a_histogram_are_as_high_as_their_counts() -> None:
    counts = [3, 0, 12, 6]
    found = heights(histogram([0, 1, 2, 3, 4], counts, median=2.5, unit="m"))
    np.testing.assert_allclose(np.array(found) / max(found), np.array(counts) / 12, atol=0.01)


def test_shares_fill_the_bar_and_nothing_is_left_out() -> None:
    svg = ElementTree.fromstring(stack({"a": 1, "b": 0, "c": 3}, width=400))
    widths = [float(rect.attrib["width"]) for rect in svg.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths == [100.0, 300.0]
    ElementTree.fromstring(stack({"a": 0}))


@pytest.mark.parametrize(
    "svg",
    [bars({}), bars({HOSTILE: 3}), scatter([], x_name="x", y_name="y"), scatter([[0, 0]], x_name="x", y_name="y")],
)
def test_charts_of_little_are_well_formed(svg: str) -> None:
    ElementTree.fromstring(svg)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 24), (-0.5, 10.5), (0.2, 0.21), (0, 1e6), (3, 3)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    assert all(low - 1e-9 <= one <= high + 1e-9 for one in found)
    assert all(len(f"{one:g}") <= 6 for one in found)


def test_numbers_are_short() -> None:
    assert [number(one) for one in (0, 7, 1234567, 0.12345, 12345.6)] == [
        "0",
        "7",
        "1\u2009234\u2009567",
        "0.123",
        "12\u2009346",
    ]


def test_a_bar_for_each_whole_number_has_no_ticks_between_them() -> None:
    chart = ElementTree.fromstring(histogram([-0.5, 0.5, 1.5], [83, 3], median=0, unit=""))
    ticks_shown = [one.text for one in chart.iter() if one.get("class") == "tick middle"]
    assert ticks_shown == ["0", "1"]
