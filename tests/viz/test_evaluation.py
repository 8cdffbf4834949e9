"""The page of a measurement: well-formed, self-contained, no number but those measured, safe against hostile names."""

from __future__ import annotations

import base64
import io
import json
import re
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from tests.viz.test_report import HOSTILE, parsed

from graspnext.data.reader import Dataset
from graspnext.types import Prediction, View
from graspnext.viz.evaluation import TASKS, evaluation_page
from graspnext.viz.evaluation_charts import CURVE_COLOURS, curves, grouped, reliability
from graspnext.viz.evaluation_pictures import FALSE_ALARM, FOUND, MISSED, Case, heatmaps, mistakes
from graspnext.viz.report_charts import number

RNG = np.random.default_rng(3)
AP_TASKS = ("amodal_box", "visible_mask", "amodal_mask", "center_of_mass")
SVG = "{http://www.w3.org/2000/svg}"


def random_result() -> dict[str, Any]:
    """A measurement whose every number is another one."""

    def share() -> float:
        return float(RNG.uniform(0.11, 1))

    metrics = {name: share() for named in TASKS.values() for name, _ in named}
    metrics |= {"heatmap_mse": 0.0123456, "num_views": 17, "num_instances": 2345, "center_of_mass_ap50": share()}
    bins = {"size": ("small", "large"), "occlusion": ("free", "half"), "difficulty": ("1", "5"), "layer": ("0", "1+")}
    return {
        "model": "runs/fast",
        "input_size": 96,
        "precision": "bf16",
        "step": 4321,
        "finished": False,
        "model_card": {"preset": "tiny", "params_m": 7.654, "gmacs": 21.987, "steps": 8000, "trained_on": "3000 views"},
        "data": "bins",
        "metrics": metrics,
        "split": "novel",
        "num_views": 17,
        "label_gaps": {"missing suction": 3},
        "predict_ms_p50": 12.34,
        "predict_ms_p95": 56.78,
        "definitions": {"amodal_box_ap": "COCO"},
        "breakdown": {
            group: {
                name: {"num_instances": int(RNG.integers(1000, 9999))} | {f"{task}_ap": share() for task in AP_TASKS}
                for name in names
            }
            for group, names in bins.items()
        },
        "curves": {
            task: {line: sorted(RNG.uniform(0, 1, 101).tolist(), reverse=True) for line in ("0.50", "0.75", "mean")}
            for task in AP_TASKS
        },
        "reliability": {
            "bins": [
                {"low": k / 10, "high": (k + 1) / 10, "number": int(RNG.integers(10, 999))}
                | {"mean_score": share(), "right_share": share(), "mean_iou": share()}
                for k in range(10)
            ],
            "expected_calibration_error": share(),
        },
        "mistakes": {
            "missed_low_score": 11,
            "missed_misplaced": 22,
            "missed_unseen": 33,
            "false_double": 44,
            "false_misplaced": 55,
            "false_nothing": 66,
        },
        "views": [],
    }


def saying(view: View, kept: list[int], *, extra: bool = False) -> Prediction:
    """A prediction that says the truth about some parts of a view, and, with `extra`, sees one in a corner."""
    ones = [view.labels.instances[index] for index in kept]
    boxes = [one.amodal_box for one in ones] + [np.array([0, 0, 20, 20])] * extra
    count = len(boxes)
    height, width = view.image.shape[:2]
    return Prediction(
        width=width,
        height=height,
        scores=np.full(count, 0.9, dtype=np.float32),
        amodal_boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        visible_masks=np.ones((count, 8, 8), dtype=np.float32),
        amodal_masks=np.ones((count, 8, 8), dtype=np.float32),
        occluded_probability=np.zeros(count, dtype=np.float32),
        center_of_mass=np.zeros((count, 2), dtype=np.float32),
        suction=np.ascontiguousarray(view.labels.suction[::4, ::4]),
    )


def case_of(view: View, caption: str = "scenes/0/0_rgb.png: F1") -> Case:
    missed = [index for index, one in enumerate(view.labels.instances) if not one.ignore][:2]
    kept = [index for index, one in enumerate(view.labels.instances) if not one.ignore and index not in missed]
    return Case(
        view,
        saying(view, kept, extra=True),
        missed=frozenset(missed),
        right=frozenset(range(len(kept))),
        false_alarms=frozenset({len(kept)}),
        caption=caption,
    )


@pytest.fixture(scope="module")
def case(tiny_dataset: Path) -> Case:
    dataset = Dataset(tiny_dataset)
    return case_of(dataset.read(dataset.entries[0]))


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(case: Case) -> None:
    html = evaluation_page(random_result(), worst=[case] * 3, suction=[case] * 2)
    structure = parsed(html)
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in structure.tags}
    sources = []
    for tag, attributes in structure.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in {"src", "href"}:
                sources.append(str(value))
    assert len(sources) == 5
    for source in sources:
        assert source.startswith("data:image/jpeg;base64,")
        Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).load()
    assert "@import" not in html and "url(" not in html


def leaves(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from leaves(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def test_every_number_on_the_page_is_one_of_the_measurement() -> None:
    result = random_result()
    words = parsed(evaluation_page(result, worst=[], suction=[])).words
    known = {f"{value:.{digits}f}" for value in leaves(result) for digits in (3, 4, 5)}
    known |= {f"{value:g}" for value in leaves(result)}
    fixed = {"0.50", "0.05", "0.95", "0.75", "0.5", "0.0", "1.0", *(f"{k / 10:.1f}" for k in range(10)), "0.8"}
    text = " ".join(words).replace("\u2009", "")
    text = text[: text.rindex("All that the model says")] + text[text.rindex("Labels") :]  # the card is JSON itself
    strange = {one for one in re.findall(r"\d+\.\d+", text) if one not in known | fixed}
    assert not strange
    for value in [*result["metrics"].values(), *leaves(result["breakdown"]), *leaves(result["mistakes"])]:
        said = number(value).replace("\u2009", "") if isinstance(value, int) else f"{value:.4f}"
        assert said in text or f"{value:.5f}" in text, value
    for value in leaves(result["reliability"]):
        assert f"{value:.4f}" in text or f"{value:g}" in text or f"{value:.1f}" in text, value
    for said in ("7.654 M", "21.987 G", "4321 of 8000; not finished", "12.34 ms", "56.78 ms", "bf16", "novel", "tiny"):
        assert said in text, said
    assert f"{sum(result['mistakes'].values())} in all" in text


def test_a_changed_number_changes_the_page() -> None:
    result = random_result()
    before = evaluation_page(result, worst=[], suction=[])
    for path in (("metrics", "occlusion_f1"), ("reliability", "expected_calibration_error"), ("label_gaps", HOSTILE)):
        other = json.loads(json.dumps(result))
        other[path[0]][path[1]] = 0.98765
        assert evaluation_page(other, worst=[], suction=[]) != before
    other = json.loads(json.dumps(result))
    other["curves"]["center_of_mass"]["0.75"][50] = 0.0
    assert evaluation_page(other, worst=[], suction=[]) != before


def test_hostile_names_are_text(case: Case, tiny_view: Callable[..., View]) -> None:
    result = random_result()
    result |= {"model": HOSTILE, "data": HOSTILE, "split": HOSTILE, "label_gaps": {HOSTILE: 1}}
    result["model_card"] |= {"preset": HOSTILE, "trained_on": HOSTILE}
    result["breakdown"] |= {HOSTILE: {HOSTILE: {"num_instances": 3, HOSTILE: 0.5}}}
    result["metrics"][HOSTILE] = 0.5
    shown = case_of(tiny_view("0", 0, size=64, num_parts=3, rng=np.random.default_rng(0)), HOSTILE)
    html = evaluation_page(result, worst=[shown], suction=[shown])
    structure = parsed(html)
    assert "script" not in {tag for tag, _ in structure.tags}
    assert all(attributes.get("src") != "x" for _, attributes in structure.tags)
    assert "\x00" not in html and "\x1b" not in html
    assert any("<script>" in word for word in structure.words)  # it is still told


def test_where_nothing_could_be_measured_the_page_says_so() -> None:
    result = random_result()

    def emptied(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: emptied(one) for name, one in value.items()}
        if isinstance(value, list):
            return [emptied(one) for one in value]
        return None if isinstance(value, float) else value

    for name in ("metrics", "breakdown", "curves"):
        result[name] = emptied(result[name])
    for one in result["reliability"]["bins"]:
        one |= {"number": 0, "mean_score": None, "right_share": None, "mean_iou": None}
    result["reliability"]["expected_calibration_error"] = None
    result |= {"model_card": {}, "label_gaps": {}, "predict_ms_p50": 1.0}
    text = " ".join(parsed(evaluation_page(result, worst=[], suction=[])).words)
    assert "AP -" in text and "not measured" in text
    assert "nan" not in text.lower().split() and "None" not in text
    assert "Worst views" not in text and "Every view has every label" in text
    bare = {name: result[name] for name in ("model", "data", "split", "metrics", "num_views", "label_gaps")}
    bare |= {"definitions": {}, "predict_ms_p50": 1.0, "breakdown": {}, "curves": {}, "mistakes": {}, "views": []}
    parsed(evaluation_page(bare, worst=[], suction=[]))


def test_pictures_are_made_one_at_a_time(tiny_view: Callable[..., View]) -> None:
    alive: list[weakref.ref[Any]] = []

    def cases() -> Iterator[Case]:
        for index in range(4):
            assert sum(one() is not None for one in alive) <= 1, "more views than the last one are held"
            shown = case_of(tiny_view("0", index, size=64, num_parts=3, rng=np.random.default_rng(index)))
            alive.append(weakref.ref(shown.view.labels))
            yield shown
            del shown

    evaluation_page(random_result(), worst=cases(), suction=[])
    assert len(alive) == 4


def close_to(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(image.astype(int) - np.array(colour)).max(axis=-1) < 40


def test_mistakes_have_their_colours_on_their_side(case: Case) -> None:
    image = mistakes(case)
    middle = image.shape[1] // 2
    left, right = image[:, :middle], image[:, middle:]
    assert close_to(left, MISSED).sum() > 50 and not close_to(left, FALSE_ALARM).any()
    assert close_to(right, FALSE_ALARM).sum() > 50 and not close_to(right, MISSED).any()
    assert close_to(left, FOUND).any() and close_to(right, FOUND).any()
    rows, columns = np.nonzero(close_to(right, FALSE_ALARM))  # the false part is in the upper left corner
    limit = 20 / case.view.image.shape[0] * image.shape[0] + 6
    assert rows.max() < limit and columns.max() < limit + 8


def test_a_heatmap_that_says_the_truth_looks_like_the_label(case: Case) -> None:
    image = heatmaps(case).astype(int)
    width = (image.shape[1] - 16) // 3
    truth, said = image[:, width + 8 : 2 * width + 8], image[:, 2 * width + 16 :]
    assert np.median(np.abs(truth - said)) < 12 and np.abs(truth - said).mean() < 16


def points(svg: str) -> list[list[tuple[float, float]]]:
    found = ElementTree.fromstring(svg).iter(f"{SVG}polyline")
    return [[tuple(map(float, pair.split(","))) for pair in one.attrib["points"].split()] for one in found]  # type: ignore[misc]


def test_a_curve_goes_through_its_values() -> None:
    values = [1.0, 0.8, 0.8, 0.3, 0.0]
    (line,) = points(curves({"a": values}, CURVE_COLOURS[:1]))
    x, y = np.array(line).T
    np.testing.assert_allclose((x - x[0]) / (x[-1] - x[0]), np.linspace(0, 1, 5), atol=0.001)
    np.testing.assert_allclose((y[-1] - y) / (y[-1] - y[0]), values, atol=0.001)
    broken = points(curves({"a": [1.0, None, -1.0, 0.5, 0.4], "b": []}, CURVE_COLOURS[:2]))
    assert [len(piece) for piece in broken] == [1, 2]


def test_bars_are_as_long_as_their_values() -> None:
    svg = grouped({"small\n3 parts": [0.2, 0.8], "large": [None, 0.4]}, ("#111", "#222"), ("a", "b"))
    widths = [float(one.attrib["width"]) for one in ElementTree.fromstring(svg).iter(f"{SVG}rect")]
    np.testing.assert_allclose(np.array(widths) / widths[1], [0.25, 1, 0.5], atol=0.01)
    text = "".join(ElementTree.fromstring(svg).itertext())
    assert "0.200" in text and "not measured" in text and "3 parts" in text
    ElementTree.fromstring(grouped({}, (), ()))


def test_reliability_bars_are_shares_and_empty_bins_have_none() -> None:
    bins = [
        {"low": 0.0, "high": 0.5, "number": 4, "mean_score": 0.2, "right_share": 0.25, "mean_iou": 0.1},
        {"low": 0.5, "high": 0.6, "number": 0, "mean_score": None, "right_share": None, "mean_iou": None},
        {"low": 0.6, "high": 1.0, "number": 9, "mean_score": 0.8, "right_share": 0.75, "mean_iou": 0.1},
    ]
    found = [float(one.attrib["height"]) for one in ElementTree.fromstring(reliability(bins)).iter(f"{SVG}rect")]
    assert len(found) == 2 and found[1] == pytest.approx(3 * found[0], rel=0.01)
    ElementTree.fromstring(reliability([]))
