"""A process for each network: what it says is measured, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.deploy import tiny_run

from graspnext.deploy.timing.contestant import Contestant, run_job
from graspnext.errors import WorkerError
from graspnext.runtime.predictor import Predictor


@pytest.fixture
def spec(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    frame = tmp_path / "frame.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)).save(frame)
    bundle = tiny_run.tiny_bundle(tmp_path_factory.getbasetemp())
    return {
        "runtime": "openvino",
        "precision": "fp32",
        "threads": 1,
        "frames": [str(frame)],
        "bundle": str(bundle),
    }


def test_a_process_says_its_start_memory_and_times(spec: dict[str, Any]) -> None:
    contestant = Contestant(spec)
    try:
        start = contestant.cold_start
        assert 0.1 < start.total_s < 60
        stages = (start.imports_s, start.open_s, start.first_s)
        assert min(stages) > 0 and sum(stages) <= start.total_s
        assert 40 < contestant.peak_memory_mb() < 2000
        parts = dict(contestant.call("whole")(7))
        assert parts["decode"] + parts["model"] + parts["wrap"] == pytest.approx(parts["end_to_end"], rel=1e-6)
        expected = Predictor(spec["bundle"], num_threads=1).predict(spec["frames"][0], min_score=0.0)
        assert contestant.detections == len(expected.scores) > 0
        assert contestant.precision == "fp32"
    finally:
        contestant.close()


def test_errors_of_the_process_become_one_line(spec: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"openvino fp32: .*no such folder"):
        Contestant({**spec, "bundle": str(tmp_path / "nowhere")})
    with pytest.raises(WorkerError, match=r"ended with code 1: KeyError"):
        Contestant({name: value for name, value in spec.items() if name != "threads"})
    card = json.loads((Path(spec["bundle"]) / "card.json").read_text())
    assert card["name"] == "tiny"


def test_a_process_that_is_killed_is_named(spec: dict[str, Any]) -> None:
    contestant = Contestant(spec)
    contestant._process._child.kill()
    with pytest.raises(WorkerError, match="code -9"):
        contestant.call("whole")(0)
    contestant.close()


def test_a_job_answers_once(spec: dict[str, Any]) -> None:
    model = str(Path(spec["bundle"]) / "model.onnx")
    found = run_job({**spec, "job": "layers", "model": model, "runs": 2})
    assert found["wall_ms"] > 0 and any(layer["kind"] == "conv 3x3" for layer in found["layers"])
