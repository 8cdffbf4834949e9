"""Kills at any instant, polite signals, full disks: the last checkpoint is whole, and resuming gives the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.disks import fill, needs_mount, small_disk

from graspnext.data.augmentation import AugmentationConfig
from graspnext.data.loader import LoaderConfig
from graspnext.errors import OutputError, RunError
from graspnext.learning.checkpoint import load_checkpoint, load_tensors
from graspnext.learning.interruption import heed_signals
from graspnext.learning.recipes import Recipe
from graspnext.learning.run import only_writer, read_log
from graspnext.learning.train import train
from graspnext.network.presets import find_preset

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
RECIPE = Recipe(
    steps=8,
    device="cpu",
    log_every=1,
    checkpoint_every=2,
    overlays_every=0,
    augmentation=AugmentationConfig(size=64),
    loader=LoaderConfig(batch_size=1, workers=0),
)
WORDS = (
    *("--recipe", "smoke", "--recipe.device", "cpu", "--recipe.overlays-every", "0"),
    *("--recipe.log-every", "1", "--recipe.augmentation.size", "64"),
    *("--recipe.loader.batch-size", "1", "--recipe.loader.workers", "0"),
)
"""RECIPE but for its steps and checkpoints, in words. The smoke recipe has the same numbers elsewhere."""
MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background process may ignore it
    "import sys; from graspnext.cli.main import main; sys.exit(main())"
)


@pytest.fixture(scope="module")
def straight(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run in one go."""
    out = tmp_path_factory.mktemp("straight") / "run"
    train(find_preset("tiny"), data=tiny_dataset, out=out, recipe=RECIPE, resume=False)
    return out


def same_end(a: Path, b: Path) -> bool:
    """Whether two finished runs agree in their weights, their whole state and the losses of their logs, bit for bit."""
    first, second = (load_tensors(run / "checkpoint/last.safetensors")[0] for run in (a, b))
    return (
        (a / "weights.safetensors").read_bytes() == (b / "weights.safetensors").read_bytes()
        and first.keys() == second.keys()
        and all(torch.equal(value, second[name]) for name, value in first.items())
        and [(line["step"], line["losses"]) for line in read_log(a)]
        == [(line["step"], line["losses"]) for line in read_log(b)]
    )


def storm(data: Path, work: Path, *, kills: int, seed: int, workers: int) -> dict[str, int]:
    driver = Path(__file__).with_name("kill_driver.py")
    words = [str(data), str(work), str(kills), str(seed), str(workers)]
    done = subprocess.run(
        [sys.executable, str(driver), *words], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    result = json.loads(done.stdout.splitlines()[-1])
    for run in range(result["runs"]):
        assert same_end(work / "straight", work / f"killed_{run}")
    assert not list(work.rglob("*.part")), "a start left what an earlier one had half written"
    struck: dict[str, int] = result["struck"]
    return struck


def test_twenty_kills_half_of_them_while_saving(tiny_dataset: Path, tmp_path: Path) -> None:
    assert storm(tiny_dataset, tmp_path, kills=20, seed=1, workers=0) == {"any": 10, "saving": 10}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_sixty_kills_with_a_loader_process(seed: int, tiny_dataset: Path, tmp_path: Path) -> None:
    assert storm(tiny_dataset, tmp_path, kills=60, seed=seed, workers=1) == {"any": 30, "saving": 30}


def start(data: Path, out: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAIN, "train", "tiny", "--data", str(data), "--out", str(out), *WORDS, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_signal_saves_and_says_so_in_one_line(
    number: signal.Signals, straight: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ("--recipe.steps", str(RECIPE.steps), "--recipe.checkpoint-every", "100")  # none is due before the end
    run = start(tiny_dataset, out, *words)
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith("step 3/"):
            run.send_signal(number)
            break
    said, rest = run.communicate(timeout=120)
    checkpoint = load_checkpoint(out)
    assert checkpoint is not None and 3 <= checkpoint.step < RECIPE.steps, rest
    *steps, last = rest.splitlines()
    assert (run.returncode, said) == (130, "")
    assert last == f"{out}: stopped and saved after step {checkpoint.step}; go on with --resume"
    assert all(line.startswith("step ") for line in steps)
    train(find_preset("tiny"), data=tiny_dataset, out=out, recipe=replace(RECIPE, checkpoint_every=3), resume=True)
    assert same_end(straight, out)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_another_ctrl_c_stops_at_once_and_the_old_handlers_return(
    first: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(one) for one in signals]
    with heed_signals() as interruption:
        assert not interruption.asked
        signal.raise_signal(first)
        assert interruption.asked
        for echo in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):  # what a launcher passes on
            signal.raise_signal(echo)
        monkeypatch.setattr("graspnext.learning.interruption.PATIENCE_S", -1.0)  # that much later
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(one) for one in signals] == before


def test_a_training_outlives_those_who_read_its_lines(tiny_dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = start(tiny_dataset, out, "--recipe.steps", str(RECIPE.steps))
    assert run.stderr is not None and run.stderr.readline().startswith("step 1/")
    run.stderr.close()
    assert run.wait(timeout=120) == 0
    assert (out / "weights.safetensors").exists() and len(read_log(out)) == RECIPE.steps


def test_ctrl_c_after_the_readers_have_gone_says_by_its_exit_code_what_happened(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    """As in `graspnext train ... | tee log`, where Ctrl-C ends tee first."""
    out = tmp_path / "run"
    run = start(tiny_dataset, out, "--recipe.steps", "5000")
    assert run.stderr is not None and run.stderr.readline().startswith("step 1/")
    run.stderr.close()
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=120) == 130
    assert load_checkpoint(out) is not None


@needs_mount
def test_a_full_disk_is_one_line_and_the_last_checkpoint_loads(
    straight: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    """Room for one checkpoint and not for the next beside it; for nothing at all; and then for everything."""
    words = ("--recipe.steps", str(RECIPE.steps), "--recipe.checkpoint-every", "2", "--resume")
    with small_disk(tmp_path / "disk", megabytes=32) as disk:
        size = (straight / "checkpoint/last.safetensors").stat().st_size
        filler = fill(disk, leave_bytes=size * 3 // 2)
        out = disk / "run"
        for full, step in (("at the second save", 2), ("from the start", 2)):
            run = start(tiny_dataset, out, *words)
            said, complaint = run.communicate(timeout=120)
            assert (run.returncode, said, complaint.count("Traceback")) == (2, "", 0), (full, complaint)
            assert complaint.count("error: ") == 1
            last = complaint.splitlines()[-1]
            assert last.startswith(f"error: {out}") and last.endswith(
                "no space left on the device; free some space and run again"
            )
            checkpoint = load_checkpoint(out)
            assert checkpoint is not None and checkpoint.step == step
            assert not list(out.rglob("*.part"))
            fill(disk, leave_bytes=0)
        filler.unlink()
        train(find_preset("tiny"), data=tiny_dataset, out=out, recipe=RECIPE, resume=True)
        assert same_end(straight, out)


def test_two_processes_do_not_train_into_one_folder(straight: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code = (
        "import sys; from pathlib import Path; from graspnext.learning.run import only_writer\n"
        "with only_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    with pytest.raises(RunError, match="another process trains into it; wait for its end, or choose another folder"):
        train(find_preset("tiny"), data=tiny_dataset, out=out, recipe=RECIPE, resume=True)
    assert [path.name for path in out.iterdir()] == [".lock"]
    other.kill()  # the lock ends with its holder, however that ends
    other.communicate()
    with only_writer(out), pytest.raises(RunError, match="another process"), only_writer(out):
        pass
    train(find_preset("tiny"), data=tiny_dataset, out=out, recipe=RECIPE, resume=True)
    assert same_end(straight, out)


def test_a_folder_that_may_not_be_written_is_an_output_error(tiny_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a file stands where a folder must be"):
        train(find_preset("tiny"), data=tiny_dataset, out=tmp_path / "file", recipe=RECIPE, resume=True)
