"""Disks that are full, read-only or forbidden: one line, exit code 2, nothing lost, and the run goes on later.

The file systems are real: a small tmpfs where mounting is allowed.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.disks import fill, needs_mount, small_disk
from tests.world import runs

from graspnext.data.reader import read_info
from graspnext.world.generate import GenerateConfig, generate
from graspnext.world.render.renderer import renderer_problems

needs_renderer = pytest.mark.skipif(
    all(problem is not None for problem in renderer_problems().values()), reason=f"no renderer: {renderer_problems()}"
)
SCENES = 6
WORDS = ("--scenes", str(SCENES), "--seed", "2", "--workers", "2", "--resume")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run with room enough writes. Do not change it."""
    out = tmp_path_factory.mktemp("untouched") / "out"
    generate(out, recipe=runs.QUICK, config=GenerateConfig(SCENES, seed=2, workers=1))
    return out


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    with small_disk(tmp_path / "disk", megabytes=64) as folder:
        yield folder


def _make(out: Path, *words: str) -> tuple[int, str, str]:
    return runs.finish(runs.start(out, *WORDS, *words))


@needs_mount
@needs_renderer
def test_a_full_disk_loses_nothing(untouched: Path, disk: Path) -> None:
    """Room for some scenes only; for none; and then for all."""
    out, filler = disk / "out", disk / "filler"
    size = sum(path.stat().st_size for path in untouched.rglob("*") if path.is_file())
    with filler.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, 64 * 2**20 - size // 2 - 2**16)
    code, _, complaint = _make(out)
    last = complaint.splitlines()[-1]
    assert (code, complaint.count("error: "), complaint.count("Traceback")) == (2, 1, 0)
    assert last.startswith(f"error: {out}") and last.endswith(
        "no space left on the device; free some space and run again"
    )
    made = runs.scenes_listed(out)
    assert 0 < len(made) < SCENES
    assert read_info(out).num_scenes == SCENES
    fill(disk, leave_bytes=0)
    code, _, complaint = _make(out)
    assert (code, complaint.count("\n"), complaint.count("no space left")) == (2, 1, 1)
    assert runs.scenes_listed(out) == made
    filler.unlink()
    code, said, complaint = _make(out)
    assert code == 0, complaint
    assert f", {len(made)} kept" in said
    assert runs.reproducible(out) == runs.reproducible(untouched)


@needs_mount
def test_a_read_only_disk_is_named(disk: Path) -> None:
    (disk / "empty").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for out in (disk / "empty", disk / "new" / "deep"):
        code, _, complaint = _make(out)
        assert (code, complaint.count("\n")) == (2, 1)
        assert complaint.startswith(f"error: {out}")
        assert complaint.endswith("read-only file system; choose a folder that you may write to\n")


def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    plain = [sys.executable, "-m", "graspnext", "world", "make", "--out", str(locked / "out"), *runs.QUICK_WORDS]
    powers = "-dac_override,-dac_read_search"
    as_others = ["setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}"] if os.geteuid() == 0 else []
    if as_others and shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and there is no setpriv")
    run = subprocess.run([*as_others, *plain], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert run.stderr.endswith("permission denied; choose a folder that you may write to\n")
    assert not list(locked.iterdir())


@pytest.mark.parametrize("what", ["out", "out/scenes", "out/dataset.json", "out/manifest.jsonl", "out/log.jsonl"])
def test_a_thing_of_the_wrong_kind_in_the_way_is_named(what: str, tmp_path: Path) -> None:
    path = tmp_path / what
    path.parent.mkdir(exist_ok=True)
    if path.suffix:
        path.mkdir()
    else:
        path.write_text("in the way")
    code, _, complaint = _make(tmp_path / "out")
    assert (code, complaint.count("\n")) == (2, 1)
    assert complaint.startswith(f"error: {tmp_path}")
    assert path.exists()


@needs_renderer
@pytest.mark.slow
def test_a_limit_on_the_size_of_files(untouched: Path, tmp_path: Path) -> None:
    """As a quota does, it lets a part of a file through and refuses the rest."""
    out = tmp_path / "out"
    largest = max(path.stat().st_size for path in untouched.glob("scenes/*/*"))
    run = subprocess.run(
        [sys.executable, "-m", "graspnext", "world", "make", "--out", str(out), *runs.QUICK_WORDS, *WORDS],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 100,) * 2),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr.count("error: "), run.stderr.count("Traceback")) == (2, 1, 0)
    assert "too large" in run.stderr
    assert len(runs.scenes_listed(out)) < SCENES
    assert not list(out.rglob("*.part"))
    code, _, complaint = _make(out)
    assert code == 0, complaint
    assert runs.reproducible(out) == runs.reproducible(untouched)
