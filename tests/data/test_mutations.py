"""Damage of every kind gives a list of faults: never a traceback, a hang, or the machine's memory."""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.damage import bless
from tests.data.mutations import mutate

from graspnext.data.check import check_dataset
from graspnext.data.reader import Dataset
from graspnext.errors import DatasetError
from graspnext.types import View

SECONDS = 20
MEMORY_BYTES = 3 << 30
"""More than the process has when a mutation is read: an allocation beyond it fails instead of filling the machine."""
CHUNK = 25


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, tiny_writer: Callable[..., Path]) -> Path:
    """Two scenes, with everything that a dataset may have: further cups, sensors, an account, a log."""
    root = tiny_writer(tmp_path_factory.mktemp("mutations") / "small", size=40, scenes=2, parts=4)
    info = json.loads((root / "dataset.json").read_text())
    info |= {"num_scenes": 3, "failed_scenes": [{"scene": "000002", "problems": ["nothing stayed"] * 2}]}
    info["more_cups"] = {"small": info["cup"]}
    (root / "dataset.json").write_text(json.dumps(info))
    for path in root.glob("scenes/*/*_depth.png"):
        shutil.copy(path, path.with_name(path.name.replace("depth", "sensor_depth")))
        shutil.copy(
            path.with_name(path.name.replace("depth", "suction")), path.with_name(path.name[0] + "_suction_small.png")
        )
    lines = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    for line in lines:
        line["sha256"] |= {"sensor_depth": "", "more_suction": {"small": ""}}
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    seconds = {"physics": 0.5, "render": 1.0}
    log = [
        {"scene": "000000", "attempts": 1, "problems": [], "seconds": seconds, "memory_mb": 100.0},
        {"scene": "000001", "attempts": 2, "problems": ["unstable"], "seconds": seconds, "memory_mb": 101.0},
        {"scene": "000002", "attempts": 2, "problems": ["nothing stayed"] * 2, "seconds": seconds, "memory_mb": 102.0},
    ]
    (root / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    for path in root.glob("scenes/*/scene.json"):
        scene = json.loads(path.read_text())
        labels = json.loads((path.parent / "0_labels.json").read_text())
        scene["info"]["parts"] = [{"name": one["part"], "center_of_mass_m": [0, 0, 0]} for one in labels["instances"]]
        path.write_text(json.dumps(scene))
    bless(root)
    assert check_dataset(root) == []
    return root


@contextmanager
def limits() -> Iterator[None]:
    """A hang ends in a failure, and so does a claim to much memory."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"longer than {SECONDS} s")

    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


def read_all(root: Path) -> bool:
    """Whether every view that is listed can be read; whatever cannot is a `DatasetError`."""
    try:
        dataset = Dataset(root)
    except DatasetError:
        return False
    whole = True
    for entry in dataset.entries:
        for depth in (True, False):  # as `evaluate` reads, and as the loader does
            try:
                assert isinstance(dataset.read(entry, depth=depth), View)
            except DatasetError:
                whole = False
    return whole


def plain(root: Path) -> bool:
    """Whether there are no pipes, links or huge files, on which hashing would hang."""
    found = [path.lstat() for path in root.rglob("*")]
    return all(stat.S_ISDIR(one.st_mode) or (stat.S_ISREG(one.st_mode) and one.st_size < 10**7) for one in found)


def try_mutation(small: Path, folder: Path, seed: tuple[int, int]) -> bool:
    """Damage a copy; whether the check found a fault."""
    rng = np.random.default_rng(seed)
    root = Path(shutil.copytree(small, folder / "copy"))
    what = mutate(root, rng)
    if rng.random() < 0.5 and plain(root):  # half of them with right hashes: damage then reaches what lies behind them
        with contextlib.suppress(Exception):  # there are no hashes of what is missing
            bless(root)
    try:
        with limits():
            faults = check_dataset(root)
            readable = read_all(root)
    except Exception as error:
        raise AssertionError(f"seed {seed}, {what}") from error
    finally:
        for path in (root, *root.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(root)
    assert faults or readable, f"seed {seed}, {what}: whatever stops the reader, the check has told"
    assert all(fault.problem and fault.advice and "\n" not in str(fault)[:20] for fault in faults)
    return bool(faults)


@pytest.mark.parametrize("chunk", range(6))
def test_damage_gives_faults_and_nothing_else(small: Path, tmp_path: Path, chunk: int) -> None:
    found = [try_mutation(small, tmp_path, (chunk, number)) for number in range(CHUNK)]
    assert np.mean(found) > 0.6  # blanks, or a change of what nothing contradicts, are no fault


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(100, 140))
def test_a_thousand_damages_give_faults_and_nothing_else(small: Path, tmp_path: Path, chunk: int) -> None:
    found = [try_mutation(small, tmp_path, (chunk, number)) for number in range(CHUNK)]
    assert np.mean(found) > 0.5
