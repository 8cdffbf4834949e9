"""`graspnext export` from a run's folder to a bundle that predicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.deploy import tiny_run

from graspnext.cli.main import main
from graspnext.runtime.bundle import open_bundle


def test_a_run_becomes_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = tiny_run.write_run(tmp_path / "run"), tmp_path / "bundles" / "mine"
    metrics = tmp_path / "test.json"
    metrics.write_text(json.dumps({"split": "test", "metrics": {"amodal_box_ap": 0.25}}))
    words = ["export", run, "--out", out, "--input-size", 64, "--metrics", metrics, "--json", "-"]
    assert main([str(word) for word in words]) == 0
    captured = capsys.readouterr()
    card = open_bundle(out).card
    assert (card.name, card.input_size, card.weights) == ("mine", 64, "fp16")
    assert card.metrics == {"test": {"amodal_box_ap": 0.25}}
    assert json.loads(captured.out) == json.loads((out / "card.json").read_text())
    assert captured.err.splitlines()[-1].startswith(f"{out}: 0.27 M parameters")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--input-size", "100"), "input_size is 100; it must be a positive multiple of 32"),
        (("--precision", "int3"), "precision is 'int3'; it must be one of fp32, bf16, int8"),
        (("--name", "a/b"), "--name is 'a/b'"),
        ((), "not a training run"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "out"), *words]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert said in errors[0]
    assert not (tmp_path / "out").exists()
