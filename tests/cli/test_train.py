"""`graspnext train` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graspnext.cli.main import main
from graspnext.learning.recipes import RECIPES

SHORT = ["--recipe", "smoke", "--recipe.steps", "2", "--recipe.augmentation.size", "64"]
SHORT += ["--recipe.loader.workers", "0", "--recipe.device", "cpu"]


def test_trains_with_overrides(tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", "tiny", "--data", str(tiny_dataset), "--out", str(out), *SHORT]) == 0
    assert capsys.readouterr().out.strip() == str(out / "weights.safetensors")
    recipe = json.loads((out / "config.json").read_text())["recipe"]
    assert recipe["steps"] == 2 and recipe["augmentation"]["size"] == 64 and recipe["loader"]["batch_size"] == 2
    assert main(["train", "tiny", "--data", str(tiny_dataset), "--out", str(out), *SHORT]) == 2
    error = capsys.readouterr().err
    assert "add --resume" in error and error.count("\n") == 1
    assert main(["train", "tiny", "--data", str(tiny_dataset), "--out", str(out), *SHORT, "--resume"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tinny", "--data", "DATA", "--out", "o"], "unknown preset 'tinny'"),
        (["tiny", "--data", "nowhere", "--out", "o"], "nowhere"),
        (
            ["tiny", "--data", "DATA", "--out", "o", "--recipe", "quick"],
            "unknown recipe 'quick'; choose one of: modern",
        ),
    ],
)
def test_bad_input_is_one_clear_line(
    words: list[str],
    message: str,
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *(str(tiny_dataset) if word == "DATA" else word for word in words)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recipe.steps", "0"], "steps is 0; it must be an integer >= 1"),
        (["--recipe.optimizer.lr", "-1"], "optimizer.lr is -1.0; it must be a finite number > 0"),
        (["--recipe.optimizer.decay-at", "0.9", "0.5"], "rising fractions between 0 and 1"),
        (["--recipe.accumulate", "3"], "accumulate is 3; it must be a divisor of the batch size, 8"),
        (["--recipe.loader.batch-size", "0"], "batch_size is 0"),
        (["--recipe.augmentation.size", "100"], "augmentation.size is 100; it must be a multiple of 32"),
        (["--backbone-weights", "w.safetensors"], "one of torchvision's trunks"),
    ],
)
def test_a_bad_number_is_one_clear_line(
    words: list[str], message: str, tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    assert main(["train", "tiny", "--data", str(tiny_dataset), "--out", str(out), *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert not out.exists()


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "graspnext train fast --data bins --out runs/fast --resume" in text
    assert "--recipe.optimizer.lr" in text
    assert "torchrun --nproc-per-node 4 -m graspnext train fast" in text
    for name in RECIPES:
        assert f"\n  {name} " in text  # each with a line that says what it is
