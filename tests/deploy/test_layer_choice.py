"""Layers go back into floating point until a gate holds, and no further."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.deploy import tiny_run

from graspnext.cli.main import main
from graspnext.deploy.frames import Frames, drawn_frames
from graspnext.deploy.model.layer_choice import ChoiceConfig, choose_layers
from graspnext.deploy.model.quantise import quantised_layers
from graspnext.errors import ConfigError
from graspnext.runtime.bundle import open_bundle
from graspnext.runtime.onnxruntime_backend import OnnxRuntimeBackend

pytest.importorskip("nncf")


@dataclass(frozen=True)
class Outcome:
    """Of one choice."""

    error: float
    """Of the suction heatmap."""
    limit: float
    about: dict[str, Any]
    layers: int
    """That are quantised."""

    @property
    def broken(self) -> bool:
        return self.error > self.limit


@pytest.fixture(scope="module")
def calibration() -> Frames:
    return drawn_frames(2, rng=np.random.default_rng(0))


def choices(model: bytes, calibration: Frames, limit: float, config: ChoiceConfig) -> list[Outcome]:
    """All that were measured, the chosen one last."""
    image, _ = calibration.read(1)
    exact = OnnxRuntimeBackend(model, num_threads=1).run(image)["suction"]
    tried: list[Outcome] = []

    def measure(content: bytes, about: dict[str, Any]) -> Outcome:
        gap = np.abs(OnnxRuntimeBackend(content, num_threads=1).run(image)["suction"] - exact)
        count = len(quantised_layers(onnx.load_model_from_string(content)))
        tried.append(Outcome(float(gap.mean()), limit, about, count))
        return tried[-1]

    assert choose_layers(model, calibration, measure, config=config) is tried[-1]
    return tried


def test_layers_leave_until_the_gate_holds(model: bytes, calibration: Frames) -> None:
    first = choices(model, calibration, 1.0, ChoiceConfig())
    assert len(first) == 1 and first[0].error > 0
    assert first[0].about == {"data": calibration.about, "frames": 2, "float_layers": [], "attempts": 1}
    tried = choices(model, calibration, 0.6 * first[0].error, ChoiceConfig(layers=15))
    assert tried[0] == Outcome(first[0].error, 0.6 * first[0].error, first[0].about, first[0].layers)
    assert not tried[-1].broken and all(one.broken for one in tried[:-1])
    for number, one in enumerate(tried):
        assert len(one.about["float_layers"]) == first[0].layers - one.layers >= 15 * number
        assert one.about["attempts"] == number + 1


def test_choices_end(model: bytes, calibration: Frames) -> None:
    tried = choices(model, calibration, -1.0, ChoiceConfig(attempts=2, layers=10_000))
    assert [one.layers > 0 for one in tried] == [True, False]
    assert tried[-1].broken and tried[-1].error < 1e-6


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match=r"choice\.layers is 0"):
        ChoiceConfig(layers=0)


@pytest.mark.slow
def test_a_bundle_in_8_bits(tmp_path: Path, tiny_dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run, out = tiny_run.write_run(tmp_path / "run"), tmp_path / "out"
    words = ["export", run, "--out", out, "--data", tiny_dataset, "--precision", "int8", "--ir", "--json", "-"]
    code = main([str(word) for word in [*words, "--input-size", 64, "--frames", 3, "--accept-faults"]])
    assert code == 0
    card = open_bundle(out).card
    assert json.loads(capfd.readouterr().out) == card.model_dump(mode="json")
    assert card.precision == "int8" and card.quantisation["data"].endswith("split train")
    assert set(card.verification["results"]) == {"onnxruntime int8", "openvino int8"}
    assert card.verification["ok"] == (not card.verification["faults"]) and card.verification["labelled"]
