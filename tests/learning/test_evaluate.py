"""The whole measurement with a predictor that knows the answer, and its limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graspnext.data.reader import Dataset
from graspnext.errors import ConfigError, UnknownNameError
from graspnext.learning.evaluate import choose, evaluate
from graspnext.learning.metrics.accumulator import MetricAccumulator
from graspnext.network.build import build_network
from graspnext.network.pipeline import Pipeline
from graspnext.network.presets import find_preset


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
