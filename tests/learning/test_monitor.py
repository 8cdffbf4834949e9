"""Watching a run leaves no trace in its weights; its files follow from log and weights, however often it starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.disks import fill, needs_mount, small_disk

from graspnext.data.augmentation import AugmentationConfig
from graspnext.data.loader import LoaderConfig
from graspnext.data.reader import Dataset
from graspnext.errors import OutputError
from graspnext.learning import monitor as module
from graspnext.learning.checkpoint import load_tensors
from graspnext.learning.monitor import Monitor
from graspnext.learning.recipes import Recipe
from graspnext.learning.run import Log
from graspnext.learning.scalars import Scalars
from graspnext.learning.train import train
from graspnext.network.build import build_network
from graspnext.network.network import Network
from graspnext.network.presets import find_preset

TINY = find_preset("tiny")
RECIPE = Recipe(
    steps=4,
    device="cpu",
    log_every=1,
    checkpoint_every=2,
    overlays_every=2,
    augmentation=AugmentationConfig(size=64),
    loader=LoaderConfig(batch_size=2, workers=0),
)


def line(step: int, **changes: Any) -> dict[str, Any]:
    own = {"step": step, "losses": {"box": 1.0 / step, "total": 1.0 / step}, "lr": 1e-3, "grad_norm": 2.0}
    return own | {"images_per_s": 10.0, "data_wait_share": 0.1, "memory_mb": 500} | changes


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return build_network(TINY).train()


def test_a_run_with_pictures_ends_in_the_bits_of_one_without(tiny_dataset: Path, tmp_path: Path) -> None:
    watched, alone = tmp_path / "watched", tmp_path / "alone"
    train(TINY, data=tiny_dataset, out=watched, recipe=RECIPE, resume=False)
    train(TINY, data=tiny_dataset, out=alone, recipe=replace(RECIPE, overlays_every=0), resume=False)
    assert (watched / "weights.safetensors").read_bytes() == (alone / "weights.safetensors").read_bytes()
    first, second = (load_tensors(run / "checkpoint/last.safetensors")[0] for run in (watched, alone))
    assert first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())
    assert sorted(path.name for path in (watched / "overlays").iterdir()) == ["step_0000002.jpg", "step_0000004.jpg"]
    assert not (alone / "overlays").exists()
    for run in (watched, alone):
        assert Image.open(run / "curves.png").size == (1280, 900)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp64"])
def test_pictures_leave_modes_weights_and_random_states(
    precision: Any, network: Network, tiny_dataset: Path, tmp_path: Path
) -> None:
    network.backbone.eval()  # as frozen norms would be
    network = network.double() if precision == "fp64" else network
    modes = [one.training for one in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    Monitor(tmp_path, replace(RECIPE, precision=precision), Dataset(tiny_dataset)).pictures(network, 7)
    assert [one.training for one in network.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # type: ignore[index]
    picture = np.asarray(Image.open(tmp_path / "overlays/step_0000007.jpg"))
    assert picture.std() > 20


def test_a_dataset_without_val_has_no_pictures(network: Network, tiny_dataset: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(tiny_dataset, data)
    manifest = data / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"val"', '"train"'))
    Monitor(tmp_path / "run", RECIPE, Dataset(data)).pictures(network, 1)
    assert not (tmp_path / "run").exists()


def test_curves_are_drawn_now_and_then_and_at_the_end(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    watching = Monitor(tmp_path, RECIPE, Dataset(tiny_dataset))
    drawn = []
    for step in range(1, 8):
        now[0] += 11
        watching.line(line(step))
        drawn.append((tmp_path / "curves.png").exists())
        (tmp_path / "curves.png").unlink(missing_ok=True)
    assert drawn == [False, False, True, False, False, True, False]
    watching.close()
    assert (tmp_path / "curves.png").exists()


def test_a_resumed_run_draws_the_same_curves(tiny_dataset: Path, tmp_path: Path) -> None:
    """Lines that an earlier start wrote after its checkpoint are not drawn twice, whichever is opened first."""
    pictures = []
    for name, late in (("once", 0), ("resumed", 2)):
        run = tmp_path / name / "run"
        run.mkdir(parents=True)
        log = Log(run, start_step=0)
        for step in range(1, 4 + late):
            log.append(line(step, losses={"box": 5.0 if step > 3 else 1.0 / step}))
        watching = Monitor(run, RECIPE, Dataset(tiny_dataset))
        watching.line(line(4))
        watching.close()
        pictures.append((run / "curves.png").read_bytes())
    assert pictures[0] == pictures[1]


def test_scalars_hold_each_step_once_after_many_starts(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    lines = [line(step) for step in range(1, 31)]
    sizes = []
    for start in (10, 20, 30):  # each start gets the log so far, then one more line, as the monitor does
        scalars = Scalars(tmp_path)
        scalars.add(lines[: start - 1])
        scalars.add(lines[:start])
        scalars.close()
        (events,) = (tmp_path / "tensorboard").iterdir()
        sizes.append(events.stat().st_size)
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert {"loss/box", "loss/total", "run/lr", "run/images_per_s", "run/memory_mb"} <= set(read.Tags()["scalars"])
    found = [(event.step, event.value) for event in read.Scalars("loss/box")]
    assert found == [(step, pytest.approx(1 / step)) for step in range(1, 31)]
    assert sizes[2] - sizes[1] == pytest.approx(sizes[1] - sizes[0], rel=0.1)


@needs_mount
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's own writer
def test_scalars_that_find_no_space_at_the_end_say_so(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with small_disk(tmp_path / "disk", megabytes=4) as disk:
        fill(disk, leave_bytes=2**14)
        scalars = Scalars(disk)
        with pytest.raises(OutputError, match="no space left on the device"):
            scalars.add([{"step": step, "losses": {"b" * 2**12: 1.0}} for step in range(8)])  # waits in memory
            scalars.close()


def test_without_tensorboard_nothing_is_written_and_nothing_said(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "from pathlib import Path; from graspnext.learning.scalars import Scalars\n"
        "scalars = Scalars(Path(sys.argv[1]))\n"
        "scalars.add([{'step': 1, 'losses': {'box': 1.0}}]); scalars.add([]); scalars.close()\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())
