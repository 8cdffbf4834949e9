"""`graspnext train` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graspnext.cli.main import main

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
        (["tiny", "--data", "DATA", "--out", "o", "--recipe", "quick"], "unknown recipe 'quick'; choose one of: modern"),
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


def test_bad_number_is_refused(tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "tiny", "--data", str(tiny_dataset), "--out", str(tmp_path / "o"), "--recipe.steps", "0"]
    with pytest.raises(SystemExit) as stop:
        raise SystemExit(main(words))
    assert stop.value.code == 2
    assert "steps is 0" in " ".join(capsys.readouterr().err.split())


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "graspnext train fast --data bins --out runs/fast --resume" in text
    assert "--recipe.optimizer.lr" in text
