"""Several processes: they learn what one does, and none is left behind when another ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from graspnext.cli.main import main
from graspnext.data.reader import Dataset
from graspnext.learning.checkpoint import load_checkpoint, load_tensors
from graspnext.learning.distribution import Processes, join_processes
from graspnext.learning.failure import load_failure
from graspnext.learning.run import read_log

STEPS = 50
RECIPE = ["--recipe", "smoke", "--recipe.steps", str(STEPS), "--recipe.augmentation.size", "64"]
RECIPE += ["--recipe.device", "cpu", "--recipe.precision", "fp64", "--recipe.log-every", "1"]
RECIPE += ["--recipe.overlays-every", "0", "--recipe.loader.workers", "0", "--recipe.checkpoint-every", "25"]


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"} | more


def start_two(*words: list[str]) -> list[subprocess.Popen[str]]:
    """Two processes as any launcher would start them, with the same words or each its own; nobody watches over them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        subprocess.Popen(
            [sys.executable, "-m", "graspnext", "train", *words[rank % len(words)]],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE="2",
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=str(port),
            ),
        )
        for rank in (0, 1)
    ]


def errors(text: str) -> list[str]:
    assert "Traceback" not in text
    return [line for line in text.splitlines() if line.startswith("error: ")]


def test_two_processes_learn_what_one_does(tiny_dataset: Path, tmp_path: Path) -> None:
    """Over 50 steps, relative to each loss, in float64: what rounding may tip in float32 is not what is asked."""
    one, two = tmp_path / "one", tmp_path / "two"
    words = ["train", "tiny", "--data", str(tiny_dataset), *RECIPE]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    process = subprocess.Popen(
        [*launcher, "-m", "graspnext", *words, "--out", str(two)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert main([*words, "--out", str(one)]) == 0
    output, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    assert complaints.count(f"step {STEPS}/{STEPS} ") == 1  # one of them reports
    assert set(output.split()) == {str(two / "weights.safetensors")}

    alone, together = read_log(one), read_log(two)
    assert [line["step"] for line in alone] == [line["step"] for line in together] == list(range(1, STEPS + 1))
    for mine, theirs in zip(alone, together, strict=True):
        assert theirs["losses"] == pytest.approx(mine["losses"], rel=1e-6)
        assert theirs["grad_norm"] == pytest.approx(mine["grad_norm"], rel=1e-6, abs=1e-4)
    assert alone[-1]["losses"]["total"] < alone[0]["losses"]["total"]
    weights = [load_tensors(run / "weights.safetensors")[0] for run in (one, two)]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-6, atol=1e-9, msg=name)


def test_one_that_fails_ends_the_other_with_one_clear_line(tiny_dataset: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(tiny_dataset, data)
    entry = Dataset(data).split("train")[0]
    (broken,) = data.rglob(f"{entry.scene}/{entry.rgb}")
    broken.write_bytes(broken.read_bytes()[:50])
    processes = start_two(["tiny", "--data", str(data), "--out", str(tmp_path / "run"), *RECIPE])
    said = [process.communicate(timeout=90)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    lines = [errors(text) for text in said]
    assert [len(own) for own in lines] == [1, 1]
    both = sorted(line for own in lines for line in own)
    assert any(broken.name in line for line in both)
    assert any(re.search(r"process \d of 2 stops, for another one has ended", line) for line in both)


@pytest.mark.slow
def test_one_that_is_killed_ends_the_other_and_both_go_on_later(tiny_dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["tiny", "--data", str(tiny_dataset), "--out", str(run), *RECIPE]
    processes = start_two(words)
    while load_checkpoint(run) is None if run.exists() else True:
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGKILL)
    said = processes[0].communicate(timeout=90)[1]
    processes[1].communicate()
    assert processes[0].returncode == 2 and len(errors(said)) == 1 and "another one has ended" in said
    again = start_two([*words, "--resume"])
    assert [(process.communicate(timeout=90), process.returncode)[1] for process in again] == [0, 0]
    straight = tmp_path / "straight"
    fresh = start_two([straight if word == str(run) else word for word in map(str, words)])  # type: ignore[list-item]
    assert [(process.communicate(timeout=90), process.returncode)[1] for process in fresh] == [0, 0]
    ours, theirs = (load_tensors(folder / "weights.safetensors")[0] for folder in (run, straight))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.slow
def test_both_stop_after_the_same_step_when_one_is_asked_to(tiny_dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["tiny", "--data", str(tiny_dataset), "--out", str(run), *RECIPE, "--recipe.steps", "5000"]
    processes = start_two(words)
    while not (run / "checkpoint/last.json").exists():
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=90)[1] for process in processes]
    assert [process.returncode for process in processes] == [130, 130]
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None and checkpoint.step >= 25
    assert all(f"stopped and saved after step {checkpoint.step}" in text and not errors(text) for text in said)


@pytest.mark.slow
def test_a_launcher_that_repeats_a_signal_does_not_cut_the_saving_short(tiny_dataset: Path, tmp_path: Path) -> None:
    """A manager of machines signals every process; torchrun then passes its own signal on to the same ones."""
    run = tmp_path / "run"
    words = ["train", "tiny", "--data", str(tiny_dataset), "--out", str(run), *RECIPE, "--recipe.steps", "5000"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    process = subprocess.Popen(
        [*launcher, "-m", "graspnext", *words], stderr=subprocess.PIPE, text=True, env=environment()
    )
    while not (run / "checkpoint/last.json").exists():
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=90)[1]
    checkpoint = load_checkpoint(run)
    assert len(children) == 2 and checkpoint is not None
    assert said.count(f"stopped and saved after step {checkpoint.step}") == 2, said


@pytest.mark.slow
def test_processes_that_do_not_share_a_disk_are_told(tiny_dataset: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "one", tmp_path / "two"]
    words = ["train", "tiny", "--data", str(tiny_dataset), *RECIPE]
    first = [*words, "--out", str(runs[0])]
    assert main([*first[:-2], "--recipe.steps", "25", *first[-2:]]) == 0
    (runs[0] / "weights.safetensors").unlink()
    each = [["tiny", *words[2:], "--recipe.steps", "25", "--out", str(run), "--resume"] for run in runs]
    processes = start_two(*each)
    said = [process.communicate(timeout=90)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    assert all("not all processes see the same checkpoint" in errors(text)[0] for text in said)


@pytest.mark.slow
def test_a_bad_loss_stops_both_and_is_saved_once(tiny_dataset: Path, tmp_path: Path) -> None:
    words = ["tiny", "--data", str(tiny_dataset), "--out", str(tmp_path / "run"), *RECIPE]
    words += ["--recipe.optimizer.lr", "1e300", "--recipe.optimizer.warmup-fraction", "0"]
    processes = start_two(words)
    said = [process.communicate(timeout=90)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    assert all(len(errors(text)) == 1 and "at step" in text for text in said)
    assert len(load_failure(tmp_path / "run").batch.numbers) == 1  # the share of one process


@pytest.mark.slow
def test_a_batch_that_does_not_divide_is_refused(tiny_dataset: Path, tmp_path: Path) -> None:
    words = ["tiny", "--data", str(tiny_dataset), "--out", str(tmp_path / "run"), *RECIPE]
    words += ["--recipe.loader.batch-size", "3"]
    processes = start_two(words)
    said = [process.communicate(timeout=90)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    assert all("batch_size is 3; it must be a multiple of the 2 processes" in errors(text)[0] for text in said)
    assert not (tmp_path / "run").exists()


def test_alone_nothing_is_averaged_and_nobody_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with join_processes(torch.device("cpu")) as processes:
        assert processes == Processes() and processes.first
        values = torch.tensor([1.0, 2.0])
        processes.average([values])
        processes.wait()
        assert values.tolist() == [1.0, 2.0]
    assert not torch.distributed.is_initialized()
