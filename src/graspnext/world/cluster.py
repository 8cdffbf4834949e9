"""The same tasks on a Ray cluster, through joblib. Results come back as bytes, so machines need share no disk."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from typing import Any, TypeVar

from graspnext import __version__
from graspnext.errors import MissingDependencyError, WorkerError
from graspnext.world.guard import guarded
from graspnext.world.workers import MAX_DEATHS, answer, unwrap

Task = TypeVar("Task")
Result = TypeVar("Result")

INSTALL = "pip install 'graspnext[cluster]'"
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Nothing is reported to anyone; devices stay as they are set for a task that asks Ray for none."""
_PATIENCE_S = 10.0
_SILENT = logging.CRITICAL + 1


def run_on_ray(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, address: str, workers: int, renew_after: int
) -> Generator[Result]:
    """Run a function on each task by the processes of a Ray cluster; results come as they are ready, in any order.

    When a process dies, what was under way is done again by new ones.

    Args:
        function: Importable by name on every machine.
        tasks: Picklable.
        address: Of a running cluster, host:port; all its cores are used. Empty = one started here, and ended.
        workers: Processes of a cluster that is started here.
        renew_after: Tasks a process, on average, after which all are replaced.

    Raises:
        MissingDependencyError: Ray or joblib is not installed.
        WorkerError: The cluster cannot be reached, a task raised a named error, or processes die whatever they do.
        RuntimeError: A task failed otherwise.
    """
    check_cluster(address)
    import ray

    with _connected(address, workers):
        cores = int(ray.cluster_resources().get("CPU", 0))
        waiting, deaths = list(enumerate(tasks)), 0
        while waiting:
            batch, done = waiting[: cores * renew_after], set[int]()  # each batch has processes of its own
            try:
                for number, kind, content in _run(function, batch, cores):
                    done.add(number)
                    yield unwrap(kind, content)
            except ray.exceptions.RayError as error:
                deaths = 1 if done else deaths + 1
                if deaths >= MAX_DEATHS:
                    raise WorkerError(
                        f"processes of the cluster die one after the other, the last near {batch[0][1]} "
                        f"({_first_line(error)}); if a machine ran out of memory, let Ray use fewer of its cores"
                    ) from error
            waiting = [one for one in waiting if one[0] not in done]
            if len(done) < len(batch):  # what was under way goes to the end: one of it may have been the cause
                waiting = waiting[2 * cores :] + waiting[: 2 * cores]


def check_cluster(address: str) -> None:
    """Say what is missing before any work begins. Ray itself would wait for minutes where nothing answers.

    Args:
        address: As `run_on_ray` takes it.

    Raises:
        MissingDependencyError: Ray or joblib is not installed.
        WorkerError: It is no address, or nothing listens there.
    """
    os.environ.update(_SETTINGS)
    try:
        import joblib  # noqa: F401 - used on the way
        import ray  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"ray ({error})", "--workers ray", INSTALL) from error
    if not address:
        return
    host, _, port = address.rpartition(":")
    try:
        if not host or not port.isdecimal():
            raise ValueError("the address must be HOST:PORT")
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _unusable(address, error) from error


def _unusable(address: str, error: Exception) -> WorkerError:
    where = f"the Ray cluster at {address}" if address else "a local Ray cluster"
    return WorkerError(f"{where} cannot be used: {_first_line(error)}; check that it runs and can be reached")


def _run(function: Callable[[Any], Any], batch: list[tuple[int, Any]], cores: int) -> Iterator[tuple[int, str, Any]]:
    """Number and answer of each task, as they get ready."""
    import joblib
    from ray.util.joblib import register_ray
    from ray.util.joblib.ray_backend import RayBackend

    register_ray()
    RayBackend.supports_return_generator = True  # it is, but does not say so
    with joblib.parallel_config(backend="ray", n_jobs=cores, ray_remote_args={"num_cpus": 1}):
        parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
        calls = (joblib.delayed(_answer)(function, number, task, __version__) for number, task in batch)
        with closing(parallel(calls)) as answers:
            yield from answers


def _answer(function: Callable[[Any], Any], number: int, task: Any, version: str) -> tuple[int, str, Any]:
    """Runs on the cluster."""
    os.environ.setdefault("LP_NUM_THREADS", "1")  # Mesa reads it when it loads; the others are set by Ray
    if version != __version__:
        return number, "named error", f"graspnext {__version__} runs on the cluster, {version} here; install the same"
    return number, *answer(function, task)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextmanager
def _connected(address: str, workers: int) -> Iterator[None]:
    """Join a cluster, or start one that ends with this process and, by Ray's token, is closed to others.

    Raises:
        WorkerError: It does not answer.
    """
    import ray

    quiet: dict[str, Any] = {"logging_level": _SILENT, "log_to_driver": False}
    terminated = signal.getsignal(signal.SIGTERM)
    with (
        tempfile.TemporaryDirectory(prefix="graspnext-ray-", ignore_cleanup_errors=True) as folder,
        guarded() as guard,  # Ray's own guard forgets some of its processes
    ):
        try:
            if address:
                ray.init(address=address, **quiet)
            else:
                ray.init(
                    num_cpus=workers,
                    include_dashboard=False,
                    _temp_dir=folder,
                    **quiet,
                )
                guard.watch()
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise _unusable(address, error) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, terminated)  # Ray puts a handler of its own there
        try:
            with redirect_stdout(sys.stderr):  # Ray prints what happens to its processes
                yield
        finally:
            ray.shutdown()
