"""Training that starts from a pretrained backbone: what it starts with, what it keeps, what is on record."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import mobilenet_v3_large

from graspnext.cli.main import main
from graspnext.data.augmentation import AugmentationConfig
from graspnext.data.loader import LoaderConfig
from graspnext.errors import RunError
from graspnext.learning.checkpoint import load_run
from graspnext.learning.recipes import Recipe
from graspnext.learning.train import start_network, train
from graspnext.network.backbones.pretrained import with_frozen_norms
from graspnext.network.backbones.torchvision_trunk import TorchvisionBackbone, TorchvisionBackboneConfig
from graspnext.network.presets import TINY

PRESET = with_frozen_norms(replace(TINY, backbone=TorchvisionBackboneConfig(trunk="mobilenet_v3_large")))
RECIPE = Recipe(
    steps=2,
    device="cpu",
    overlays_every=0,
    augmentation=AugmentationConfig(size=64),
    loader=LoaderConfig(batch_size=2, workers=0),
)


@pytest.fixture(name="state", scope="module")
def state_fixture() -> dict[str, Tensor]:
    torch.manual_seed(0)
    state = mobilenet_v3_large(weights=None).state_dict()
    return {k: v + 0.5 * torch.rand_like(v) if k.endswith("running_var") else v for k, v in state.items()}


@pytest.fixture(name="file", scope="module")
def file_fixture(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "trunk.safetensors"
    save_file(state, path)
    return path


def test_training_starts_there_and_keeps_the_statistics(
    state: dict[str, Tensor], file: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    fresh, started = (start_network(PRESET, RECIPE, weights).state_dict() for weights in (None, file))
    differing = {name for name in fresh if not torch.equal(fresh[name], started[name])}
    assert differing and all(name.startswith("backbone.") for name in differing)

    out = tmp_path / "run"
    train(PRESET, data=tiny_dataset, out=out, recipe=RECIPE, resume=False, weights=file)
    record = json.loads((out / "config.json").read_text())
    assert record["weights"] == str(file)
    assert record["weights_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    network, config, _ = load_run(out)
    assert config == PRESET
    backbone = network.backbone
    assert isinstance(backbone, TorchvisionBackbone)
    trained = backbone.state_dict()
    kinds = ("running_mean", "running_var")
    for own, name in backbone.source_names().items():
        if name.endswith(kinds):
            assert torch.equal(trained[own], state[name])
    assert any(not torch.equal(trained[own], state[name]) for own, name in backbone.source_names().items())

    other = tmp_path / "other.safetensors"
    save_file({name: value.clone() + (name == "features.0.1.bias") for name, value in state.items()}, other)
    with pytest.raises(RunError, match="weights_sha256"):
        train(PRESET, data=tiny_dataset, out=out, recipe=RECIPE, resume=True, weights=other)


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("fast", "backbone.kind is 'condenser'; it must be one of torchvision's trunks"),
        ("resnet50", "not the weights of resnet50 (no conv1.weight"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(
    preset: str, message: str, file: Path, tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "train",
        preset,
        "--data",
        str(tiny_dataset),
        "--out",
        str(tmp_path / "o"),
        "--backbone-weights",
        str(file),
    ]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "o").exists()
