"""Roofs: arithmetic on known layers, and peaks that no layer of the same machine beats by much."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from graspnext.deploy.timing.benchmark_report import MOST_LAYERS, roofline_markdown
from graspnext.deploy.timing.compiled import CompiledModel
from graspnext.deploy.timing.peaks import convolutions, product, scaling
from graspnext.deploy.timing.roofline import roofline


def layer(name: str, **values: Any) -> dict[str, Any]:
    fixed = {"part": "network", "kind": "conv 3x3", "implementation": "brgconv", "precision": "bf16", "inputs": []}
    return {"name": name, **fixed, "output": (1, 8, 4, 4), "gmacs": 0.0, "mb": 0.0, "ms": 1.0, **values}


PEAKS = {
    "bf16": {"gmacs_per_s": {"best": 1000.0}, "gb_per_s": {"best": 8.0}},
    "fp32": {"gmacs_per_s": {"best": 100.0}, "gb_per_s": {"best": 10.0}},
}


def test_roofs_of_known_layers() -> None:
    layers = [
        layer("heavy", gmacs=2.0, mb=5.0, ms=5.0),  # 2 ms of operations, 0.5 of bytes
        layer("same in fp32", gmacs=0.2, mb=5.0, ms=5.0, precision="f32"),
        layer("thin", gmacs=0.1, mb=20.0, ms=2.5),  # 0.1 and 2
        layer("moved", kind="Reorder", mb=10.0, ms=4.0, precision="f32", part="post"),
        layer("cached", kind="Add", mb=30.0, ms=1.0),
    ]
    found = roofline({"layers": layers, "wall_ms": 18.0}, PEAKS, precision="bf16")
    rows = {row["name"]: row for row in found["layers"]}
    assert [row["name"] for row in found["layers"]] == ["heavy", "same in fp32", "moved", "thin", "cached"]
    assert (rows["heavy"]["roof_ms"], rows["heavy"]["lost_ms"], rows["heavy"]["bound"]) == (2.0, 3.0, "compute")
    assert rows["same in fp32"]["compute_ms"] == 2.0
    assert (rows["thin"]["roof_ms"], rows["thin"]["bound"]) == (2.0, "memory")
    assert rows["moved"]["cause"] == "layout and precision changes" and rows["moved"]["roof_ms"] == 1.0
    assert rows["cached"]["lost_ms"] == -2.0
    assert found["total"]["measured_ms"] == 17.5 and found["between_ms"] == 0.5
    assert found["total"]["lost_ms"] == pytest.approx(sum(row["lost_ms"] for row in rows.values()))
    for sums in ("parts", "kinds", "causes"):
        assert sum(one["lost_ms"] for one in found[sums]) == pytest.approx(found["total"]["lost_ms"])
        assert sum(one["layers"] for one in found[sums]) == 5
    assert {one["name"] for one in found["parts"]} == {"network", "post"}


def test_the_table_holds_every_millisecond() -> None:
    layers = [layer(f"n{index}", gmacs=0.1, ms=1.0 + index / 100) for index in range(MOST_LAYERS + 5)]
    found = roofline({"layers": layers, "wall_ms": 200.0}, PEAKS, precision="bf16")
    text = roofline_markdown([{"model": "m", "runtime": "openvino", "precision": "bf16", **found}])
    assert "## m: openvino, bf16" in text and "| 5 more |" in text
    assert "1000 GMACs/s in bf16" in text and "10.0 GB/s" in text
    table = text.rpartition("| lost ms |")[2].splitlines()[2:]
    assert sum(float(line.split("|")[2]) for line in table if line) == pytest.approx(
        found["total"]["measured_ms"], abs=0.05
    )


@pytest.mark.parametrize("quantised", [False, True])
def test_models_of_the_peaks_compute_what_they_say(quantised: bool) -> None:
    rng = np.random.default_rng(0)
    model, shape, gmacs = product(quantised=quantised, rng=rng)
    assert gmacs == pytest.approx(2048**3 / 1e9) and shape == (2048, 2048)
    for content, counted in ((model, gmacs), (convolutions(1, quantised=quantised, rng=rng)[0], None)):
        loaded = onnx.load_model_from_string(content)
        onnx.checker.check_model(loaded, full_check=True)
        kinds = [node.op_type for node in loaded.graph.node]
        assert ("QuantizeLinear" in kinds) is quantised
        assert counted is None or kinds.count("MatMul") == 1


def test_scaling_reads_and_writes_every_value() -> None:
    model = scaling((1, 64, 10, 10))
    values = np.random.default_rng(0).normal(size=(1, 64, 10, 10)).astype(np.float32)
    (expected,) = ReferenceEvaluator(model).run(None, {"x": values})
    compiled = CompiledModel(model, runtime="openvino", precision="fp32", threads=1)
    assert compiled.run({"x": values})["y"] == pytest.approx(expected)
    assert compiled.time({"x": values}) > 0
