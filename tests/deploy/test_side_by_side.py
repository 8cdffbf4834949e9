"""Training runs side by side, for the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.deploy import tiny_run

from graspnext.deploy.timing.lineup import draw_frame
from graspnext.deploy.timing.machine import can_do
from graspnext.deploy.timing.side_by_side import time_runs
from graspnext.learning.table.protocols import FORMS, SpeedConfig


@pytest.mark.slow
def test_runs_are_timed_in_every_form(tmp_path: Path) -> None:
    check(tmp_path, FORMS)


def test_runs_are_timed_and_compared(tmp_path: Path) -> None:
    check(tmp_path, (("openvino", "fp32"), ("onnxruntime", "fp32")))


def check(folder: Path, forms: tuple[tuple[str, str], ...]) -> None:
    run = tiny_run.write_run(folder / "run")
    frames = [draw_frame(100, rng=np.random.default_rng(seed)) for seed in range(2)]
    config = SpeedConfig(size=100, rounds=3, warmups=1, forms=forms)
    result = time_runs({"one": run, "two": run}, frames, config=config, reference="one")
    assert result["size_px"] == 100 and result["input_size_px"] == 128 and result["rounds"] == 3
    done = [form for form in forms if can_do(*form)]
    assert result["left_out"] == [list(form) for form in forms if form not in done]
    assert [(one["name"], one["runtime"], one["precision"]) for one in result["results"]] == [
        (name, *form) for name in ("one", "two") for form in done
    ]
    assert all(one["p50_ms"] > 0 for one in result["results"])
    assert result["agreement"]["one"]["faults"] == [] and result["agreement"]["one"]["detections"] > 0
    for one in result["results"]:
        if one["name"] == "one":
            assert one["speedup"] == {"median": 1, "p25": 1, "p75": 1}
        else:
            assert 0.05 < one["speedup"]["median"] < 20  # the same network: near 1, whatever the machine does


@pytest.mark.slow
def test_a_reference_that_is_not_there_is_none(tmp_path: Path) -> None:
    run = tiny_run.write_run(tmp_path / "run")
    frames = [draw_frame(96, rng=np.random.default_rng(0))]
    config = SpeedConfig(size=96, rounds=2, forms=(("onnxruntime", "fp32"),))
    alone = time_runs({"two": run}, frames, config=config, reference="one")
    assert alone["reference"] is None and alone["results"][0]["speedup"] is None and alone["agreement"] == {}
