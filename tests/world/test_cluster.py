"""`--workers ray` on real clusters of two processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.world import runs

from graspnext.errors import MissingDependencyError, WorkerError
from graspnext.world.cluster import check_cluster, run_on_ray
from graspnext.world.generate import GenerateConfig, generate
from graspnext.world.render.renderer import renderer_problems

pytest.importorskip("ray")
needs_renderer = pytest.mark.skipif(
    all(problem is not None for problem in renderer_problems().values()), reason=f"no renderer: {renderer_problems()}"
)
SCENES = 5


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process here writes. Do not change it."""
    out = tmp_path_factory.mktemp("local") / "out"
    generate(out, recipe=runs.QUICK, config=GenerateConfig(SCENES, seed=3, workers=1))
    return out


def words(cluster: str = "ray", scenes: int = SCENES) -> tuple[str, ...]:
    return ("--scenes", str(scenes), "--seed", "3", "--workers", cluster, "--resume")


@needs_renderer
def test_a_cluster_started_here_makes_the_same_files_and_ends(local: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = runs.start(out, *words(), "--json", "-")
    runs.wait_for_scenes(out, 1, run)
    family = runs.descendants(run.pid)
    code, said, complaint = runs.finish(run)
    assert code == 0, complaint
    assert said.startswith("{") and said.rstrip().endswith("}")  # Ray prints nothing there
    assert len(family) > 3
    assert not runs.wait_until_gone(family)
    assert runs.reproducible(out) == runs.reproducible(local)


@needs_renderer
@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_of_ray_outlives_a_run_that_is_stopped(how: signal.Signals, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = runs.start(out, *words(scenes=500))
    runs.wait_for_scenes(out, 2, run)
    family = runs.descendants(run.pid)
    os.kill(run.pid, how)
    code, _, _ = runs.finish(run)
    assert code == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[how]
    assert len(family) > 3
    assert not runs.wait_until_gone(family, timeout_s=60)
    runs.scenes_listed(out)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a cluster of two cores that is there before and after the runs."""
    code = (
        "import ray, time; context = ray.init(num_cpus=2, include_dashboard=False)\n"
        "print(context.address_info['gcs_address'], flush=True); time.sleep(600)"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")  # otherwise it is closed to all but its own children
        head = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert head.stdout is not None
        address = head.stdout.readline().decode().strip()
        family = runs.descendants(head.pid)
        yield address
        head.terminate()
        head.wait(timeout=60)
        assert not runs.wait_until_gone(family, timeout_s=60)


@needs_renderer
@pytest.mark.slow
def test_a_running_cluster_loses_a_process_and_makes_the_same_files(cluster: str, local: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = runs.start(out, *words(f"ray:{cluster}"))
    runs.wait_for_scenes(out, 1, run)
    actors = [pid for pid in _all_processes() if "ray::PoolActor" in _title(pid)]
    assert len(actors) >= 2
    runs.kill(actors[0])
    code, _, complaint = runs.finish(run)
    assert code == 0, complaint
    assert runs.reproducible(out) == runs.reproducible(local)
    assert not runs.wait_until_gone(actors, timeout_s=60)  # the cluster is there, the run's processes are not


def _all_processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    start = time.monotonic()
    code, _, complaint = runs.finish(runs.start(tmp_path / "out", *words("ray:127.0.0.1:1")))
    assert (code, complaint.count("\n")) == (2, 1), complaint
    assert complaint.startswith("error: the Ray cluster at 127.0.0.1:1 cannot be used: ")
    assert time.monotonic() - start < 120
    assert not (tmp_path / "out").exists()  # the right address may be tried at once


@pytest.mark.parametrize("address", ["nonsense", ":6379", "localhost:", "localhost:ray", "localhost:99999"])
def test_what_is_no_address_is_named(address: str) -> None:
    with pytest.raises(WorkerError, match=f"the Ray cluster at {address} cannot be used: "):
        check_cluster(address)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'graspnext\[cluster\]'"):
        list(run_on_ray(abs, [1], address="", workers=2, renew_after=1))
