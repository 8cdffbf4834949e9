from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.world import runs

from graspnext.errors import SceneError, WorkerError
from graspnext.world import workers
from graspnext.world.workers import MAX_DEATHS, run_tasks, usable_cores


def square(number: int) -> tuple[int, int, tuple[str, ...]]:
    return number * number, os.getpid(), tuple(os.environ[f"{name}_NUM_THREADS"] for name in ("OPENBLAS", "LP"))


def fail(number: int) -> int:
    if number == 1:
        raise SceneError("the third wheel")
    raise ValueError(f"number {number}")


def die(_number: int) -> int:
    os._exit(9)


def die_once(marker: Path) -> tuple[str, bytes]:
    """Killed in the middle of its answer's way back, the first time."""
    if not marker.exists() and not marker.name.startswith("calm"):
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return marker.name, bytes(3_000_000)


def die_always_at_seven(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def test_workers_are_renewed_and_share_the_cores() -> None:
    results = list(run_tasks(square, range(5), workers=2, renew_after=2))
    assert sorted(value for value, _, _ in results) == [n * n for n in range(5)]
    assert len({pid for _, pid, _ in results}) >= 3  # at most two tasks each
    assert {threads for _, _, threads in results} == {("1", str(max(1, usable_cores() // 2)))}
    assert os.getpid() not in {pid for _, pid, _ in results}


def test_a_dead_worker_is_replaced_and_its_task_done_again(tmp_path: Path) -> None:
    names = ["calm-0", "wild-1", "calm-2", "wild-3", "calm-4"]
    results = list(run_tasks(die_once, [tmp_path / name for name in names], workers=2, renew_after=9))
    assert sorted(name for name, _ in results) == sorted(names)
    assert all(len(content) == 3_000_000 for _, content in results)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wild-1", "wild-3"]


def test_a_task_that_always_kills_its_worker_is_named_after_all_others() -> None:
    done = []
    with pytest.raises(WorkerError, match=rf"7: its worker process died {MAX_DEATHS} times.*SIGSEGV.*fewer workers"):
        done += list(run_tasks(die_always_at_seven, range(12), workers=2, renew_after=9))
    for result in (it := run_tasks(die_always_at_seven, range(12), workers=2, renew_after=9)):
        done.append(result)
        if len(done) == 11:
            break
    it.close()  # type: ignore[attr-defined]
    assert sorted(done) == [n for n in range(12) if n != 7]


def test_workers_that_all_die_end_the_run_at_once() -> None:
    start = time.monotonic()
    with pytest.raises(WorkerError, match="exit code 9"):
        list(run_tasks(die, range(1000), workers=2, renew_after=5))
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [(1, WorkerError, "^the third wheel$"), (2, RuntimeError, r"(?s)failed at 2\n.*ValueError: number 2")],
)
def test_failures_of_tasks_reach_the_caller(number: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        list(run_tasks(fail, [number], workers=1, renew_after=5))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_parent(how: signal.Signals) -> None:
    code = (
        f"{runs.HEAR_SIGINT}; import time; from graspnext.world.workers import run_tasks\n"
        "if __name__ == '__main__': list(run_tasks(time.sleep, [60, 60], workers=2, renew_after=9))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(children := runs.descendants(parent.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)  # two workers and the resource tracker of multiprocessing
    time.sleep(1.0)  # let them begin
    os.kill(parent.pid, how)
    parent.wait(timeout=30)
    assert len(children) == 3
    assert not runs.wait_until_gone(children)


@pytest.mark.parametrize(
    ("content", "most"), [("max 100000\n", 10**6), ("150000 100000\n", 2), ("20000 100000\n", 1), ("?", 10**6)]
)
def test_usable_cores_heed_the_limit_of_a_container(
    content: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(workers, "_CGROUP_QUOTA", quota)
    all_cores = usable_cores()
    assert all_cores == len(os.sched_getaffinity(0))
    quota.write_text(content)
    assert usable_cores() == min(all_cores, most)
