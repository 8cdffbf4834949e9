"""The benchmark as a whole, on the smallest network."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.deploy import tiny_run

from graspnext.deploy.benchmark import run_benchmark
from graspnext.deploy.timing.benchmark_report import benchmark_markdown
from graspnext.deploy.timing.contenders import find_sources, random_network
from graspnext.deploy.timing.latency import Plan
from graspnext.deploy.timing.layers import profile_all
from graspnext.deploy.timing.lineup import BenchmarkConfig, draw_frame, set_up
from graspnext.errors import ConfigError, UnknownNameError
from graspnext.network.pipeline import Pipeline
from graspnext.network.presets import find_preset

QUICK = BenchmarkConfig(
    size=100, precisions=("fp32",), threads=1, starts=1, plan=Plan(rounds=4, warmups=1, most_repeats=2)
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    bundle = tiny_run.tiny_bundle(tmp_path_factory.getbasetemp())
    config = dataclasses.replace(QUICK, runtimes=("openvino", "onnxruntime", "torch"))
    with set_up(["tiny", str(bundle)], config) as lineup:
        found = run_benchmark(lineup)
        profiles = profile_all(dataclasses.replace(lineup, contenders=lineup.contenders[:1]), runs=2)
        return {**found, "profiles": profiles}


def test_every_network_is_timed_in_every_form(result: dict[str, Any]) -> None:
    rows = [(one["model"], one["runtime"], one["precision"]) for one in result["results"]]
    names = ("tiny", "tiny_bundle")
    assert rows == [
        *((name, runtime, "fp32") for runtime in ("openvino", "onnxruntime") for name in names),
        ("tiny", "torch", "fp32"),
    ]
    assert result["left_out"] == [["tiny_bundle", "torch", "fp32"]]
    for one in result["results"]:
        assert one["ran_precision"] == "fp32" and one["detections"] > 0
        for part in ("decode", "pre", "network", "post", "wrap", "model", "end_to_end"):
            p50, p95, p99 = (one[f"{part}_ms_{level}"] for level in ("p50", "p95", "p99"))
            assert 0 < p50 <= p95 <= p99
        assert one["cold_start_s"] > 0 and one["peak_memory_mb"] > 20
        assert one["calls"] >= 4
    assert [form["rounds"] for form in result["forms"]] == [4, 4, 4]


def test_the_first_network_is_what_others_are_compared_with(result: dict[str, Any]) -> None:
    assert result["conditions"]["reference"] == "tiny"
    first, second = result["results"][:2]
    assert first["network_speedup"] == first["end_to_end_speedup"] == {"median": 1, "p25": 1, "p75": 1}
    assert 0.05 < second["network_speedup"]["median"] < 20


def test_networks_are_described(result: dict[str, Any]) -> None:
    preset, bundle = result["models"]
    assert (preset["kind"], preset["weights"], preset["input_size"]) == ("preset", "random, seed 0", 128)
    assert (bundle["kind"], bundle["weights"], bundle["input_size"]) == ("bundle", "trained", tiny_run.INPUT_SIZE)
    assert preset["gmacs"] == bundle["gmacs"] and preset["proposals"] == find_preset("tiny").rpn.proposals


def test_layers_belong_to_parts_and_their_times_fit_the_whole(result: dict[str, Any]) -> None:
    assert [one["runtime"] for one in result["profiles"]] == ["openvino", "onnxruntime"]
    for profile in result["profiles"]:
        parts = {layer["part"] for layer in profile["layers"]}
        assert {"pre", "network", "post"} <= parts
        computing = [layer for layer in profile["layers"] if layer["gmacs"]]
        assert {layer["part"] for layer in computing} == {"pre", "network"}
        assert all("/" in layer["name"] for layer in computing)
        assert 0 < sum(layer["ms"] for layer in profile["layers"]) < 3 * profile["wall_ms"]


def test_tables_hold_every_result(result: dict[str, Any]) -> None:
    text = benchmark_markdown(result)
    for words in (
        "## openvino, fp32",
        "## onnxruntime, fp32",
        "## torch, fp32",
        "random, seed 0",
        "not pinned",
        "1 thread,",
    ):
        assert words in text
    assert text.count("| tiny_bundle |") == 2 * 2 + 1
    for line in text.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_torch_is_split_by_its_own_calls(result: dict[str, Any]) -> None:
    (one,) = [one for one in result["results"] if one["runtime"] == "torch"]
    parts = sum(one[f"{part}_ms_p50"] for part in ("pre", "network", "post"))
    assert parts == pytest.approx(one["model_ms_p50"], rel=0.6)


def test_words_that_name_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"'vit'.*fast"):
        find_sources(["vit"], seed=0)
    with (
        pytest.raises(ConfigError, match=r"reference is 'b'; it must be one of tiny"),
        set_up(["tiny"], dataclasses.replace(QUICK, reference="b")),
    ):
        pass
    for values in ({"runtimes": ("tensorrt",)}, {"precisions": ("fp64",)}, {"starts": 0}, {"threads": -1}):
        with pytest.raises(ConfigError):
            dataclasses.replace(QUICK, **values)


def test_forms_are_products_and_single_ones() -> None:
    config = dataclasses.replace(QUICK, runtimes=("openvino", "torch:fp32"), precisions=("bf16", "int8"))
    assert config.forms == [("openvino", "bf16"), ("openvino", "int8"), ("torch", "fp32")]
    with pytest.raises(ConfigError, match="onnxruntime:bf16"):
        dataclasses.replace(QUICK, runtimes=("onnxruntime:bf16",))


def test_networks_of_the_same_name_are_told_apart(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    bundle = tiny_run.tiny_bundle(tmp_path_factory.getbasetemp())
    names = [one.name for one in find_sources(["tiny", str(bundle), str(bundle), "tiny"], seed=0)]
    assert len(set(names)) == 4 and names[:2] == ["tiny", "tiny_bundle"]


def test_random_weights_fill_the_result_and_repeat_by_seed() -> None:
    frame = draw_frame(160, rng=np.random.default_rng(0))
    found = [
        Pipeline(random_network(find_preset("tiny"), seed=seed), 160).predict(frame, min_score=0.0)
        for seed in (3, 3, 4)
    ]
    assert np.array_equal(found[0].scores, found[1].scores)
    assert not np.array_equal(found[0].scores, found[2].scores)
    sides = found[0].amodal_boxes[:, 2:] - found[0].amodal_boxes[:, :2]
    assert len(found[0].scores) > 20 and sides.std() > 1, "boxes differ"


def test_drawn_pictures_cost_a_decoder_what_pictures_cost() -> None:
    picture = draw_frame(200, rng=np.random.default_rng(0))
    assert picture.shape == (200, 200, 3) and picture.dtype == np.uint8
    assert 20 < picture.std() < 100
    assert np.array_equal(picture, draw_frame(200, rng=np.random.default_rng(0)))


def test_a_precision_that_no_runtime_has_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="one that a runtime here has"):
        BenchmarkConfig(runtimes=("onnxruntime",), precisions=("bf16",))
