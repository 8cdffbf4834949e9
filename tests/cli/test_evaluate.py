"""`graspnext evaluate` as it is typed, on a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from graspnext.cli.main import main
from graspnext.files import write_json
from graspnext.learning.checkpoint import save_tensors
from graspnext.network.build import build_network
from graspnext.network.presets import find_preset


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with fresh weights."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    network = build_network(find_preset("tiny"))
    write_json(folder / "config.json", {"preset": find_preset("tiny").to_dict()})
    save_tensors(folder / "weights.safetensors", network.state_dict(), {"step": 0})
    return folder


def test_table_and_json(run: Path, tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "result.json"
    assert main(["evaluate", str(run), "--data", str(tiny_dataset), "--json", str(file), "--limit", "2"]) == 0
    printed = capsys.readouterr().out
    result = json.loads(file.read_text())
    assert result["input_size"] == 96 and result["split"] == "test" and result["metrics"]["num_views"] == 2
    for name in ("amodal_box_ap", "visible_mask_ap", "amodal_mask_ap", "center_of_mass_ap", "heatmap_mse"):
        assert f"{result['metrics'][name]:.4f}" in printed
    assert "occlusion accuracy" in printed and "centre-of-mass AP" in printed


def test_json_to_standard_output_is_json_alone(
    run: Path, tiny_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(run), "--data", str(tiny_dataset), "--split", "novel", "--limit", "1", "--json", "-"]
    assert main([*words, "--size", "64"]) == 0
    assert json.loads(capsys.readouterr().out)["input_size"] == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--size", "65"], "positive multiple of 32"),
        (["--limit", "0"], "limit is 0"),
    ],
)
def test_bad_numbers(
    run: Path, tiny_dataset: Path, change: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), "--data", str(tiny_dataset), *change]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_folder_that_is_neither(tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path), "--data", str(tiny_dataset)]) == 2
    assert "neither a training run" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path), "--data", str(tmp_path / "none")]) == 2
