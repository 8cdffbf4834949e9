"""`graspnext weights`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torchvision.models import mobilenet_v3_large

from graspnext.cli.main import main


def test_a_pth_file_becomes_weights_for_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = mobilenet_v3_large(weights=None).state_dict()
    source, target = tmp_path / "model.pth", tmp_path / "new" / "trunk.safetensors"
    torch.save(state, source)
    assert main(["weights", str(source), "--out", str(target)]) == 0
    assert capsys.readouterr().out.startswith(f"{target}: mobilenet_v3_large, 262 tensors taken; left out: classifier")
    with safe_open(target, framework="pt") as file:
        assert json.loads(file.metadata()["header"])["source"] == "model.pth"
        names = list(file.keys())
        assert len(names) == 262
        assert all(torch.equal(file.get_tensor(name), state[name]) for name in names)


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "model.pth", tmp_path / "trunk.safetensors"
    torch.save({"conv1.weight": torch.zeros(2), "fc.weight": torch.zeros(2)}, source)
    for path, message in ((source, "not the weights of"), (tmp_path / "nowhere.pth", "there is no such file")):
        assert main(["weights", str(path), "--out", str(target)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not target.exists()
