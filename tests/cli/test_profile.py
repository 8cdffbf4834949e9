"""`graspnext profile`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graspnext.cli.main import main


def test_table_and_json_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "cost.json"
    assert main(["profile", "tiny", "--size", "100", "--proposals", "10", "--json", str(target)]) == 0
    report = json.loads(target.read_text())
    assert (report["preset"], report["size"], report["input_size"]) == ("tiny", 100, 128)
    assert (report["proposals"], report["detections"]) == (10, 100)  # what is left out is the preset's
    assert report["total"]["gmacs"] == pytest.approx(sum(part["gmacs"] for part in report["parts"]))
    lines = capsys.readouterr().out.splitlines()
    assert "100x100 (padded to 128)" in lines[0]
    gap = lines.index("")
    assert [line.split()[0] for line in lines[2:gap]] == [*[part["name"] for part in report["parts"]], "total"]
    assert float(lines[gap - 1].split()[2]) == pytest.approx(report["total"]["gmacs"], abs=1e-3)
    names = {
        layer["name"]: max(layer["params_m"], layer["gmacs"], layer["activation_mb"]) for layer in report["layers"]
    }
    shown = [line[:23].strip() for line in lines[gap + 2 :]]
    assert shown == [name for name in names if name in shown]  # in the same order
    assert all(size < 0.05 for name, size in names.items() if name not in shown)
    assert sum(float(line[23:].split()[0]) for line in lines[gap + 2 :]) == pytest.approx(
        report["total"]["params_m"], abs=0.01
    )


def test_json_on_standard_output_is_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "tiny", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["params_m"] > 0.1


@pytest.mark.parametrize(
    ("words", "message"),
    [(["nope"], "unknown preset 'nope'"), (["tiny", "--size", "-1"], "size is -1; it must be at least 1")],
)
def test_bad_input_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
