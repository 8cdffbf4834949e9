"""`graspnext benchmark`: files that it writes, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from graspnext.cli.main import main

QUICK = ["benchmark", "tiny", "--size", "64", "--precision", "fp32", "--rounds", "2", "--starts", "1", "--threads", "1"]


def test_all_files_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"json": "a.json", "markdown": "a.md", "chart": "a.png", "operators": "layers.md", "roofline": "roof.json"}
    files = {option: tmp_path / name for option, name in names.items()}
    words = [word for option, path in files.items() for word in (f"--{option}", str(path))]
    assert main([*QUICK, *words]) == 0
    printed = capsys.readouterr().out
    content = json.loads(files["json"].read_text())
    (one,) = content["results"]
    assert (one["model"], one["runtime"], one["precision"]) == ("tiny", "openvino", "fp32")
    assert one["network_ms_p50"] > 0 and one["end_to_end_ms_p99"] >= one["end_to_end_ms_p50"]
    assert content["machine"]["cpu"] and "graspnext benchmark tiny" in content["provenance"]["command"]
    assert files["markdown"].read_text() == printed and "## openvino, fp32" in printed
    with Image.open(files["chart"]) as picture:
        assert picture.format == "PNG" and min(picture.size) > 150
    assert "## tiny: openvino, fp32" in files["operators"].read_text()
    (roofed,) = json.loads(files["roofline"].read_text())["rooflines"]
    peak = roofed["peaks"]["fp32"]["gmacs_per_s"]["best"]
    assert 1 < peak < 100_000
    heaviest = max(roofed["layers"], key=lambda layer: layer["gmacs"])
    expected = heaviest["gmacs"] / peak * 1e3
    rounding = 0.5e-4 + 0.5e-4 / peak * 1e3 + 0.05 / peak * expected  # of the time, the multiply-accumulates, the peak
    assert heaviest["compute_ms"] == pytest.approx(expected, abs=1.1 * rounding)
    assert roofed["total"]["gmacs"] == pytest.approx(sum(layer["gmacs"] for layer in roofed["layers"]), abs=0.002)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--runtime", "tensorrt"], "runtime is ('tensorrt',)"),
        (["--precision", "fp16"], "precision is ('fp16',)"),
        (["--rounds", "0"], "rounds is 0"),
        (["--pin", "100000"], "pin is [100000]"),
        (["--reference", "resnet50"], "reference is 'resnet50'; it must be one of tiny"),
        (["--frames", "nowhere.png"], "nowhere.png"),
        (["vit"], "unknown bundle, run or preset 'vit'"),
    ],
)
def test_bad_input_is_one_line(more: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK[:1], *([] if more == ["vit"] else QUICK[1:2]), *more]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
