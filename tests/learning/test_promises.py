"""The whole way on a toy dataset: training learns it, and a bundle measures like the run it came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graspnext.cli.main import main
from graspnext.deploy.export import ExportConfig, export_bundle


@pytest.mark.slow
def test_tiny_learns_the_sheets_and_its_bundle_measures_the_same(tiny_dataset: Path, tmp_path: Path) -> None:
    data, run, bundle = str(tiny_dataset), tmp_path / "run", tmp_path / "bundle"
    words = ["train", "tiny", "--data", data, "--out", str(run), "--recipe", "smoke", "--recipe.steps", "300"]
    assert main([*words, "--recipe.loader.batch-size", "4", "--recipe.device", "cpu"]) == 0
    results = {}
    export_bundle(run, bundle, config=ExportConfig(input_size=96, weights="fp32"))
    for name, folder in (("run", run), ("bundle", bundle)):
        file = tmp_path / f"{name}.json"
        assert main(["evaluate", str(folder), "--data", data, "--split", "train", "--json", str(file)]) == 0
        results[name] = json.loads(file.read_text())["metrics"]
    learnt = results["run"]
    assert learnt["amodal_box_ap50"] > 0.7 and learnt["amodal_mask_ap50"] > 0.7 and learnt["visible_mask_ap50"] > 0.5
    assert learnt["center_of_mass_median_px"] < 4 and learnt["heatmap_mse"] < 0.03
    assert learnt["suction_precision_at_1"] > 0.7
    for name, value in learnt.items():
        assert results["bundle"][name] == pytest.approx(value, abs=0.01), name
