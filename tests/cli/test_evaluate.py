"""`graspnext evaluate` as it is typed, on a run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from graspnext.cli.main import main
from graspnext.files import write_json
from graspnext.learning.checkpoint import save_tensors
from graspnext.network.build import build_network
from graspnext.network.pipeline import Pipeline
from graspnext.network.presets import find_preset
from graspnext.runtime.bundle import default_bundle
from graspnext.runtime.processor import computes_bf16, read_processor


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
        (["--html", "report.txt"], "a file ending in .html"),
        (["--html", "/dev/null/report.html"], "/dev/null"),
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
    assert "dataset.json: the file is missing" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "none"), "--data", str(tiny_dataset)]) == 2
    assert "none: there is no such folder" in capsys.readouterr().err


def test_a_run_before_its_first_checkpoint(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(tmp_path / "config.json", {"preset": find_preset("tiny").to_dict()})
    assert main(["evaluate", str(tmp_path), "--data", str(tiny_dataset)]) == 2
    error = capsys.readouterr().err
    assert "no weights yet" in error and error.count("\n") == 1


def test_a_run_that_is_not_finished_is_measured_and_said_to_be_so(
    run: Path, tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = build_network(find_preset("tiny"))
    folder, page = tmp_path / "run", tmp_path / "page.html"
    write_json(folder / "config.json", {"preset": find_preset("tiny").to_dict(), "recipe": {"steps": 900}})
    average = {f"average/{name}": value for name, value in network.state_dict().items()}
    save_tensors(folder / "checkpoint" / "last.safetensors", average, {"step": 123, "elapsed_s": 1.0})
    words = ["evaluate", str(folder), "--data", str(tiny_dataset), "--limit", "1", "--html", str(page)]
    assert main(words) == 0
    assert "not finished: the averaged weights of step 123" in capsys.readouterr().out
    assert "123 of 900; not finished" in page.read_text()


def measured(words: list[str], folder: Path) -> tuple[dict[str, Any], str]:
    """The JSON and the page that a command writes."""
    file, page = folder / "result.json", folder / "page.html"
    assert main(["evaluate", *words, "--json", str(file), "--html", str(page)]) == 0
    return json.loads(file.read_text()), page.read_text()


def test_a_run_has_a_page_with_the_numbers_of_its_json(run: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    result, page = measured([str(run), "--data", str(tiny_dataset)], tmp_path)
    for name, value in result["metrics"].items():
        assert f"<dt>{name}</dt>" in page
        if isinstance(value, float):
            assert f"{value:.4f}" in page or f"{value:.5f}" in page, name
    assert result["precision"] == "fp32" and result["model_card"]["preset"] == "tiny"
    assert f"{result['model_card']['params_m']:g} M" in page
    shown = re.findall(r'<img alt="(scenes/[^:]+):', page)
    views = {view["file"] for view in result["views"]}
    assert set(shown) <= views and len(shown) >= len(views)  # every view is among the twelve worst of so few
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)


def test_a_bundle_goes_through_the_same_code(tiny_dataset: Path, tmp_path: Path) -> None:
    result, page = measured([str(default_bundle()), "--data", str(tiny_dataset), "--limit", "1"], tmp_path)
    own = "bf16" if computes_bf16(read_processor()) else "fp32"  # that of the bundle, where the processor can
    assert result["runtime"] == "openvino" and result["precision"] == own and "finished" not in result
    assert result["model_card"]["preset"] == "fast" and "trained_on" in result["model_card"]
    assert {"metrics", "breakdown", "curves", "reliability", "mistakes", "views"} <= result.keys()
    assert "Executed by</dt><dd>openvino" in page


def test_precision(run: Path, tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(run), "--data", str(tiny_dataset), "--limit", "1"]
    rough, page = measured([*words, "--precision", "bf16"], tmp_path)
    assert rough["precision"] == "bf16" and "<dd>bf16</dd>" in page
    exact, _ = measured(words, tmp_path)
    assert rough["metrics"]["heatmap_mse"] == pytest.approx(exact["metrics"]["heatmap_mse"], rel=0.1)
    assert rough["metrics"]["heatmap_mse"] != exact["metrics"]["heatmap_mse"]
    bundle = ["evaluate", str(default_bundle()), "--data", str(tiny_dataset), "--precision", "bf16"]
    assert main([*bundle, "--runtime", "onnxruntime"]) == 2
    assert "left out for onnxruntime" in capsys.readouterr().err


def test_an_interrupt_leaves_nothing_half_written(
    run: Path, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    words = ["evaluate", str(run), "--data", str(tiny_dataset)]
    files = ["--json", str(folder / "result.json"), "--html", str(folder / "page.html")]
    predict, calls = Pipeline.predict, 0

    def interrupted(self: Pipeline, image: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt  # as Ctrl-C does; in the background the signal may be ignored
        return predict(self, image, **options)

    monkeypatch.setattr(Pipeline, "predict", interrupted)
    at = 2  # while two views are measured
    assert main([*words, *files, "--limit", "2"]) == 130
    assert not list(tmp_path.rglob("*.*"))
    at, calls = 4, 0  # while the page is made
    assert main([*words, *files, "--limit", "2"]) == 130
    assert [path.name for path in folder.iterdir()] == ["result.json"]
    assert json.loads((folder / "result.json").read_text())["num_views"] == 2
    at = 0
    assert main([*words, *files, "--limit", "2"]) == 0 and len(list(folder.iterdir())) == 2
