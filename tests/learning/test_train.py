"""Promises of the loop: resumed equals straight, bad losses stop it, and what is in the run's folder."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from graspnext.data.augmentation import AugmentationConfig
from graspnext.data.loader import Batch, LoaderConfig
from graspnext.errors import ConfigError, RunError
from graspnext.learning.checkpoint import load_checkpoint, load_run, load_tensors
from graspnext.learning.failure import load_failure
from graspnext.learning.recipes import OptimizerConfig, Recipe
from graspnext.learning.run import read_log
from graspnext.learning.train import find_device, train
from graspnext.learning.update import Learner, Update, compute_losses
from graspnext.network.backbones.torchvision_trunk import TorchvisionBackboneConfig
from graspnext.network.build import build_network
from graspnext.network.presets import find_preset

TINY = find_preset("tiny")
RECIPE = Recipe(
    steps=6,
    device="cpu",
    log_every=1,
    checkpoint_every=3,
    augmentation=AugmentationConfig(size=64),
    loader=LoaderConfig(batch_size=2, workers=0),
)


@pytest.fixture(scope="module")
def straight(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps in one go."""
    out = tmp_path_factory.mktemp("straight") / "run"
    assert train(TINY, data=tiny_dataset, out=out, recipe=RECIPE, resume=False) == out / "weights.safetensors"
    return out


def states_equal(a: Path, b: Path) -> bool:
    """Whether two runs ended in the same weights, averages and moments, bit for bit."""
    first, second = load_checkpoint(a), load_checkpoint(b)
    assert first is not None and second is not None
    return first.step == second.step and all(
        getattr(first, group).keys() == getattr(second, group).keys()
        and all(torch.equal(value, getattr(second, group)[name]) for name, value in getattr(first, group).items())
        for group in ("model", "average", "optimizer")
    )


def test_run_folder(straight: Path, tiny_dataset: Path) -> None:
    config = json.loads((straight / "config.json").read_text())
    assert config["recipe"]["steps"] == 6
    assert config["preset"] == json.loads(json.dumps(TINY.to_dict()))
    assert config["data"] == str(tiny_dataset)
    assert config["versions"]["torch"] == torch.__version__
    log = read_log(straight)
    assert [line["step"] for line in log] == [1, 2, 3, 4, 5, 6]
    for line in log:
        parts = [value for name, value in line["losses"].items() if name != "total"]
        assert line["losses"]["total"] == pytest.approx(sum(parts), abs=1e-3)
        assert 0 <= line["data_wait_share"] <= 1
        assert line["images_per_s"] > 0 and line["memory_mb"] > 0
    assert [line["lr"] for line in log] == [RECIPE.learning_rate(step) for step in range(6)]
    summary = json.loads((straight / "run.json").read_text())
    assert summary["steps"] == 6 and summary["wall_time_s"] > 0
    assert not list(straight.rglob("*.part"))


def test_weights_are_the_average(straight: Path) -> None:
    checkpoint = load_checkpoint(straight)
    assert checkpoint is not None
    weights, header = load_tensors(straight / "weights.safetensors")
    assert header == {"step": 6}
    assert all(torch.equal(weights[name], value) for name, value in checkpoint.average.items())
    assert any(not torch.equal(weights[name], value) for name, value in checkpoint.model.items())
    network, config, record = load_run(straight)
    assert config == TINY and record["finished"] and not network.training


def test_killed_and_resumed_equals_straight(straight: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    """SIGKILL somewhere after the first checkpoint, then --resume with another number of workers."""
    out = tmp_path / "run"
    code = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from pathlib import Path; import logging; from dataclasses import replace; import torch\n"
        f"torch.set_num_threads({torch.get_num_threads()})\n"
        "from test_train import RECIPE, TINY; from graspnext.learning.train import train\n"
        "logging.basicConfig(level=logging.INFO)\n"
        "train(TINY, data=Path(sys.argv[1]), out=Path(sys.argv[2]), recipe=RECIPE, resume=False)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tiny_dataset), str(out), str(Path(__file__).parent)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "step 4/" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    checkpoint = load_checkpoint(out)
    assert checkpoint is not None and checkpoint.step == 3
    recipe = replace(RECIPE, loader=LoaderConfig(batch_size=2, workers=1))
    train(TINY, data=tiny_dataset, out=out, recipe=recipe, resume=True)
    assert states_equal(straight, out)
    assert [line["step"] for line in read_log(out)] == [1, 2, 3, 4, 5, 6]
    before, after = read_log(straight), read_log(out)
    assert [line["losses"] for line in before] == [line["losses"] for line in after]


def test_batch_norms_resume_to_the_same_statistics(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = replace(TINY, backbone=TorchvisionBackboneConfig(trunk="mobilenet_v3_large", norm="batch"))
    recipe = replace(RECIPE, loader=LoaderConfig(batch_size=4, workers=0))
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    train(preset, data=tiny_dataset, out=straight, recipe=recipe, resume=False)
    learn = Learner.learn

    def fails(self: Learner, batch: Batch, step: int, *, leaving: bool = False) -> Update:
        if step == 4:
            raise ArithmeticError
        return learn(self, batch, step, leaving=leaving)

    with monkeypatch.context() as patch, pytest.raises(ArithmeticError):
        patch.setattr(Learner, "learn", fails)
        train(preset, data=tiny_dataset, out=cut, recipe=recipe, resume=False)
    before = load_checkpoint(cut)
    train(preset, data=tiny_dataset, out=cut, recipe=recipe, resume=True)
    after = load_checkpoint(cut)
    assert states_equal(straight, cut) and before is not None and after is not None
    statistics = [name for name in after.average if name.endswith("running_var")]
    assert len(statistics) == 46
    assert all(not torch.equal(before.average[name], after.average[name]) for name in statistics)


def test_another_seed_gives_other_weights_and_progress_says_what_is_left(
    straight: Path, tiny_dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "run"
    with caplog.at_level(logging.INFO, logger="graspnext.learning.train"):
        train(TINY, data=tiny_dataset, out=out, recipe=replace(RECIPE, seed=1), resume=False)
    assert not states_equal(straight, out)
    assert "step 1/6" in caplog.text and "s left" in caplog.text and "waiting for data" in caplog.text


def test_an_existing_run_is_not_overwritten(straight: Path, tiny_dataset: Path) -> None:
    with pytest.raises(RunError, match="holds a training run already; add --resume"):
        train(TINY, data=tiny_dataset, out=straight, recipe=RECIPE, resume=False)
    with pytest.raises(RunError, match=r"other settings: recipe.seed \(0 then, 5 now\)"):
        train(TINY, data=tiny_dataset, out=straight, recipe=replace(RECIPE, seed=5), resume=True)


def test_a_finished_run_resumes_to_itself(straight: Path, tiny_dataset: Path) -> None:
    before = (straight / "weights.safetensors").read_bytes()
    began = time.monotonic()
    train(TINY, data=tiny_dataset, out=straight, recipe=replace(RECIPE, log_every=2), resume=True)
    assert time.monotonic() - began < 2
    assert (straight / "weights.safetensors").read_bytes() == before


def test_a_loss_beyond_numbers_stops_and_can_be_replayed(tiny_dataset: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, precision="fp32", optimizer=OptimizerConfig(lr=1e30, warmup_fraction=0))
    with pytest.raises(RunError, match=r"(is nan|is inf).* at step \d; the batch is in failure.safetensors"):
        train(TINY, data=tiny_dataset, out=tmp_path / "run", recipe=recipe, resume=True)
    failure = load_failure(tmp_path / "run")
    assert failure.step >= 1
    assert failure.batch.images.shape == (2, 3, 64, 64) and len(failure.batch.targets) == 2
    assert failure.batch.numbers == [2 * failure.step, 2 * failure.step + 1]
    network = build_network(TINY).train()
    network.load_state_dict(failure.weights)
    losses = compute_losses(network, failure.batch, recipe=recipe)
    assert not torch.isfinite(torch.stack(list(losses.values()))).all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said() -> None:
    with pytest.raises(ConfigError, match="torch sees no GPU"):
        find_device(replace(RECIPE, device="cuda"))
