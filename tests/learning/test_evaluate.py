"""The whole measurement with a predictor that knows the answer, and its limits."""

from __future__ import annotations

import dataclasses
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graspnext.data.format import ManifestEntry
from graspnext.data.reader import Dataset
from graspnext.data.writer import write_dataset_info, write_manifest, write_scene
from graspnext.errors import ConfigError, DatasetError, UnknownNameError
from graspnext.learning.evaluate import choose, evaluate, heatmap_views, plain, worst_views
from graspnext.learning.metrics.accumulator import MetricAccumulator
from graspnext.network.build import build_network
from graspnext.network.pipeline import Pipeline
from graspnext.network.presets import find_preset
from graspnext.types import Prediction, UInt8Array, View


def test_evaluates_a_real_network_and_json_can_hold_it(tiny_dataset: Path) -> None:
    dataset = Dataset(tiny_dataset)
    predict = Pipeline(build_network(find_preset("tiny")), 96).predict
    result = evaluate(predict, dataset, "test", limit=None)
    accumulator = MetricAccumulator()
    for entry in dataset.split("test"):
        view = dataset.read(entry)
        accumulator.add(view, predict(view.image))
    for name, value in accumulator.result().items():
        expected = None if np.isnan(value) else pytest.approx(value)
        assert result["metrics"][name] == expected, name
    assert result["split"] == "test" and result["num_views"] == len(dataset.split("test"))
    assert result["predict_ms_p50"] > 0


def test_limits(tiny_dataset: Path) -> None:
    dataset = Dataset(tiny_dataset)
    predict = Pipeline(build_network(find_preset("tiny")), 96).predict
    assert evaluate(predict, dataset, "train", limit=1)["metrics"]["num_views"] == 1
    with pytest.raises(ConfigError, match="limit is 0"):
        evaluate(predict, dataset, "train", limit=0)
    with pytest.raises(UnknownNameError, match="unknown split 'tset'"):
        evaluate(predict, dataset, "tset", limit=None)


def test_a_limit_spreads_over_the_split(tiny_dataset: Path) -> None:
    entries = Dataset(tiny_dataset).split("train")
    assert choose(entries, len(entries) + 5) == choose(entries, None) == entries
    half = choose(entries, len(entries) // 2)
    assert len(half) == len(entries) // 2
    assert len({entry.scene for entry in half}) == len(half)  # two views a scene: one of each


def telling(dataset: Dataset, found: Callable[[int, int], int]) -> Callable[[UInt8Array], Prediction]:
    """A predictor that knows the views by their pictures and gives the true boxes of the first `found(view, parts)`."""
    views = [dataset.read(entry) for entry in dataset.split("train")]
    known = {view.image.tobytes(): (number, view) for number, view in enumerate(views)}

    def predict(image: UInt8Array) -> Prediction:
        number, view = known[image.tobytes()]
        asked = [one for one in view.labels.instances if not one.ignore]
        said = asked[: found(number, len(asked))]
        boxes = np.array([one.amodal_box for one in said], dtype=np.float32).reshape(-1, 4)
        ones = np.ones((len(said), 8, 8), dtype=np.float32)
        return Prediction(
            width=image.shape[1],
            height=image.shape[0],
            scores=np.full(len(said), 0.95, dtype=np.float32),
            amodal_boxes=boxes,
            visible_masks=ones,
            amodal_masks=ones,
            occluded_probability=np.array([one.occluded for one in said], dtype=np.float32),
            center_of_mass=np.array([one.center_of_mass[:2] for one in said], dtype=np.float32).reshape(-1, 2),
            suction=np.full((24, 24), number / 100, dtype=np.float32),
        )

    return predict


def test_the_worst_views_are_those_with_the_most_missed(tiny_dataset: Path) -> None:
    dataset = Dataset(tiny_dataset)
    predict = telling(dataset, lambda number, parts: number * 5 % (parts + 1))
    result = evaluate(predict, dataset, "train", limit=None)
    expected = []
    for number, entry in enumerate(dataset.split("train")):
        parts = sum(not one.ignore for one in dataset.read(entry).labels.instances)
        kept = number * 5 % (parts + 1)
        view = result["views"][number]
        assert view["file"] == f"scenes/{entry.scene}/{entry.view}_rgb.png"
        assert view["misses"] == parts - kept and view["false_alarms"] == 0
        assert view["amodal_box_f1"] == pytest.approx(2 * kept / (kept + parts))  # precision is 1
        expected.append((2 * kept / (kept + parts), kept - parts, number))
    order = [number for *_, number in sorted(expected)]
    found = worst_views(result["views"], len(order))
    assert [expected[number][0] for number in found] == pytest.approx([expected[number][0] for number in order])
    assert worst_views(result["views"], 3) == found[:3]
    errors = [view["heatmap_mse"] for view in result["views"]]
    for number, entry in enumerate(dataset.split("train")):
        label = dataset.read(entry).labels.suction.reshape(24, 4, 24, 4).mean(axis=(1, 3))
        assert errors[number] == pytest.approx(np.square(label - number / 100).mean(), rel=1e-4)


def test_ties_and_views_without_scores() -> None:
    views: list[dict[str, Any]] = [
        {"amodal_box_f1": 0.5, "misses": 1, "false_alarms": 0, "heatmap_mse": 0.1},
        {"amodal_box_f1": None, "misses": 0, "false_alarms": 0, "heatmap_mse": 0.2},
        {"amodal_box_f1": 0.5, "misses": 2, "false_alarms": 3, "heatmap_mse": None},
        {"amodal_box_f1": 0.5, "misses": 1, "false_alarms": 0, "heatmap_mse": 0.3},
        {"amodal_box_f1": 0.1, "misses": 1, "false_alarms": 0, "heatmap_mse": 0.0},
    ]
    views = [{**one, "suction_precision_at_1": 0.0} for one in views]
    assert worst_views(views, 12) == [4, 2, 3, 0]
    assert heatmap_views(views) == [3, 1, 0, 4]
    assert worst_views([], 12) == [] and heatmap_views([]) == []


def test_heatmaps_are_the_worst_the_middle_and_the_best() -> None:
    values = np.random.default_rng(0).permutation(21).tolist()  # those of 0 and 10 have no good place
    views = [{"heatmap_mse": value, "suction_precision_at_1": None if value in {0, 10} else 1.0} for value in values]
    chosen = [values[place] for place in heatmap_views(views)]
    assert chosen == [20, 19, 18, 17, 9, 8, 7, 1]  # 1 to 9 and 11 to 16 are left: 15, whose middle is 8


def test_the_parts_of_a_measurement_agree(tiny_dataset: Path) -> None:
    dataset = Dataset(tiny_dataset)
    result = evaluate(telling(dataset, lambda number, parts: parts - number % 3), dataset, "train", limit=None)
    metrics = result["metrics"]
    for task, lines in result["curves"].items():
        assert set(lines) == {"0.50", "0.75", "mean"} and all(len(line) == 101 for line in lines.values())
        assert np.mean(lines["mean"]) == pytest.approx(metrics[f"{task}_ap"], abs=1e-9)
        assert np.mean(lines["0.50"]) == pytest.approx(metrics[f"{task}_ap50"], abs=1e-9)
    assert set(result["breakdown"]) == {"size", "occlusion", "difficulty", "layer"}
    for bins in result["breakdown"].values():
        assert sum(one["num_instances"] for one in bins.values()) == metrics["num_instances"]
    missed = sum(number for kind, number in result["mistakes"].items() if kind.startswith("missed"))
    alarms = sum(number for kind, number in result["mistakes"].items() if kind.startswith("false"))
    assert missed == sum(view["misses"] for view in result["views"])
    assert alarms == sum(view["false_alarms"] for view in result["views"])
    for view in result["views"]:  # the kinds of a view add up as well
        assert view["misses"] == sum(view[kind] for kind in result["mistakes"] if kind.startswith("missed"))
    last = result["reliability"]["bins"][9]  # 0.95 is in the last bin, and all of it is right
    assert last["number"] == metrics["num_instances"] - missed and last["right_share"] == 1
    json.dumps(result, allow_nan=False)


def test_no_prediction_is_kept(tiny_dataset: Path) -> None:
    dataset = Dataset(tiny_dataset)
    inner = telling(dataset, lambda number, parts: parts)
    given: list[weakref.ref[Prediction]] = []

    def predict(image: UInt8Array) -> Prediction:
        assert sum(one() is not None for one in given) <= 1  # the last one may still be named
        prediction = inner(image)
        given.append(weakref.ref(prediction))
        return prediction

    evaluate(predict, dataset, "train", limit=None)
    assert len(given) == len(dataset.split("train")) and not [one for one in given if one() is not None]


def refuse(image: UInt8Array) -> Prediction:
    raise AssertionError("nothing may be predicted")


def test_a_split_without_views_is_refused_and_the_others_are_named(
    tiny_writer: Callable[..., Path], tmp_path: Path
) -> None:
    tiny_writer(tmp_path, scenes=4)
    dataset = Dataset(tmp_path)
    write_manifest(tmp_path, [entry for entry in dataset.entries if entry.split in {"train", "novel"}])
    left = Dataset(tmp_path)
    counts = f"train ({len(left.split('train'))} views), novel ({len(left.split('novel'))} views)"
    with pytest.raises(DatasetError, match="no views in the split 'test'") as caught:
        evaluate(refuse, left, "test", limit=None)
    assert counts in str(caught.value)


def test_a_split_without_labels_is_refused_before_anything_is_predicted(
    tiny_dataset: Path, tiny_view: Callable[..., View], tmp_path: Path
) -> None:
    view = tiny_view("a", 0, size=64, num_parts=3, rng=np.random.default_rng(0))
    bare = dataclasses.replace(
        view.labels,
        instances=(),
        instance_ids=np.zeros_like(view.labels.instance_ids),
        suction=np.zeros_like(view.labels.suction),
        missing=frozenset({"suction"}),
    )
    files = write_scene(tmp_path, "a", scene_info={}, views=iter([dataclasses.replace(view, labels=bare)]))
    write_manifest(tmp_path, [ManifestEntry(scene="a", split="test", **dict(one)) for one in files])
    info = Dataset(tiny_dataset).info.model_copy(update={"image_size": (64, 64), "num_scenes": 1})
    write_dataset_info(tmp_path, info)
    with pytest.raises(DatasetError, match="no view of the split 'test' has labels"):
        evaluate(refuse, Dataset(tmp_path), "test", limit=None)


def test_plain_values_have_no_nan() -> None:
    assert plain({"a": [1.0, float("nan")], "b": {"c": float("nan")}, "d": 3}) == {
        "a": [1.0, None],
        "b": {"c": None},
        "d": 3,
    }
