"""`graspnext doctor` tells the truth about this machine."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from graspnext.cli.doctor import packages
from graspnext.cli.main import main


def test_doctor_reports_versions_and_runtimes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json", str(tmp_path / "doctor.json")])
    findings = {finding["name"]: finding for finding in json.loads((tmp_path / "doctor.json").read_text())}
    assert findings["numpy"]["detail"] == version("numpy")
    assert findings["openvino"]["ok"]
    assert {"filament", "classic"} <= set(findings)
    assert code == 0
    assert "runtimes" in capsys.readouterr().out


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graspnext.cli.doctor.EXTRAS", {"train": ("no-such-library",)})
    (finding,) = packages()
    assert not finding.ok
    assert "pip install 'graspnext[train]'" in finding.detail
