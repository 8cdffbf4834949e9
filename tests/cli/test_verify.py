"""`graspnext verify` from folders to an exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.deploy import tiny_run

from graspnext.cli.main import main
from graspnext.cli.verify import verdict


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Bundle and run."""
    base = tmp_path_factory.getbasetemp()
    return Path(tiny_run.tiny_bundle(base)), base / "tiny_run"


def test_a_sound_bundle(
    folders: tuple[Path, Path], tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, run = folders
    report = tmp_path / "report.json"
    words = ["verify", bundle, "--run", run, "--data", tiny_dataset, "--frames", 2, "--threads", 1, "--json", report]
    assert main([*map(str, words), "--precision", "fp32"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "2 views of dataset, split test: 2 frames compared"
    assert printed[-1] == "all gates hold"
    content = json.loads(report.read_text())
    assert content["ok"] is True and content["frames"] == 2
    assert set(content["results"]) == {"onnxruntime fp32", "openvino fp32"}
    assert set(content["results"]["openvino fp32"]["metrics"]) == set(content["reference"])


def test_a_bundle_of_another_run_fails(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from graspnext.learning.checkpoint import WEIGHTS_FILE, load_tensors, save_tensors

    bundle, _ = folders
    run = tiny_run.write_run(tmp_path / "run")
    tensors, header = load_tensors(run / WEIGHTS_FILE)
    tensors[next(name for name in tensors if "occluded" in name and name.endswith("bias"))] += 1
    save_tensors(run / WEIGHTS_FILE, tensors, header)
    words = ["verify", bundle, "--run", run, "--frames", 1, "--threads", 1, "--precision", "fp32"]
    assert main(list(map(str, words))) == 1
    printed = capsys.readouterr().out
    assert "no labels: metrics were not measured" in printed and "all gates hold" not in printed
    assert "openvino fp32: occlusion: occlusion is 0." in printed and "first layer of the file" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--frames", "0"), "frames is 0"),
        (("--data", "/nowhere"), "/nowhere"),
        (("--precision", "int8", "--frames", "1"), "precisions is 'int8'"),
    ],
)
def test_mistakes_are_one_line(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    bundle, run = folders
    assert main(["verify", str(bundle), "--run", str(run), *words]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and said in errors[0]


def test_a_run_of_another_network_is_refused(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, run = folders
    other = tmp_path / "bundle"
    other.mkdir()
    (other / "model.onnx").write_bytes((bundle / "model.onnx").read_bytes())
    card = json.loads((bundle / "card.json").read_text())
    card["architecture"]["max_detections"] = 7
    (other / "card.json").write_text(json.dumps(card))
    assert main(["verify", str(other), "--run", str(run), "--frames", "1"]) == 2
    assert "not the network of" in capsys.readouterr().err


def test_nobody_is_told_that_gates_hold_which_were_not_checked() -> None:
    assert verdict([]) == "all gates hold"
    said = verdict(["openvino bf16"])
    assert "openvino bf16 none could be checked" in said and "--data" in said and "hold" not in said
