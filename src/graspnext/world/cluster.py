"""The same tasks on a Ray cluster, through joblib. Results come back as bytes, so machines need share no disk."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from graspnext import __version__
from graspnext.errors import GraspNextError, MissingDependencyError, WorkerError
from graspnext.world.workers import MAX_DEATHS, answer, unwrap

Task = TypeVar("Task")
Result = TypeVar("Result")

INSTALL = "pip install 'graspnext[cluster]'"
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Nothing is reported to anyone; devices stay as they are set for a task that asks Ray for none."""
_SILENT = logging.CRITICAL + 1


def run_on_ray(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, address: str, workers: int, renew_after: int
) -> Generator[Result]:
    """Run a function on each task by the processes of a Ray cluster; results come as they are ready, in any order.

    A process that dies is replaced, and its task done again.

    Args:
        function: Importable by name on every machine.
        tasks: Picklable.
        address: Of a running cluster, host:port; all its cores are used. Empty = one started here, and ended.
        workers: Processes of a cluster that is started here.
        renew_after: Tasks a process, on average, after which all are replaced.

    Raises:
        MissingDependencyError: Ray or joblib is not installed.
        WorkerError: The cluster cannot be reached, a task raised a named error, or it took `MAX_DEATHS` processes with
            it.
        RuntimeError: A task failed otherwise.
    """
    os.environ.update(_SETTINGS)
    try:
        import joblib
        import ray
    except ImportError as error:
        raise MissingDependencyError(f"ray ({error})", "--workers ray", INSTALL) from error
    _register_backend()
    with _connected(address, workers):
        cores = int(ray.cluster_resources().get("CPU", 0))
        restarts = {"max_restarts": -1, "max_task_retries": MAX_DEATHS - 1, "num_cpus": 1}
        batch = cores * renew_after
        with joblib.parallel_config(backend="ray", n_jobs=cores, ray_remote_args=restarts):
            for start in range(0, len(tasks), batch):  # each batch has processes of its own
                parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
                calls = (joblib.delayed(_answer)(function, task, __version__) for task in tasks[start : start + batch])
                with closing(parallel(calls)) as answers:
                    yield from _results(answers)


def _results(answers: Iterator[tuple[str, Any]]) -> Iterator[Any]:
    from ray.exceptions import RayError

    try:
        for kind, content in answers:
            yield unwrap(kind, content)
    except RayError as error:
        problem = str(error).strip().splitlines()[0]
        raise WorkerError(
            f"a process of the cluster died {MAX_DEATHS} times at one scene ({problem}); "
            "if a machine ran out of memory, give it fewer cores"
        ) from error


def _answer(function: Callable[[Any], Any], task: Any, version: str) -> tuple[str, Any]:
    """Runs on the cluster."""
    os.environ.setdefault("LP_NUM_THREADS", "1")  # Mesa reads it when it loads; the others are set by Ray
    if version != __version__:
        return "named error", f"graspnext {__version__} runs on the cluster, {version} here; install the same"
    return answer(function, task)


def _register_backend() -> None:
    """The backend of Ray for joblib, with results as they get ready, which it can do but does not say."""
    import joblib
    from ray.util.joblib import register_ray
    from ray.util.joblib.ray_backend import RayBackend

    register_ray()

    class StreamingRayBackend(RayBackend):
        supports_return_generator = True

    joblib.register_parallel_backend("ray", StreamingRayBackend)


@contextmanager
def _connected(address: str, workers: int) -> Iterator[None]:
    """Join a cluster, or start one that only this machine can reach and that ends with this process.

    Raises:
        WorkerError: It does not answer.
    """
    import ray

    quiet: dict[str, Any] = {"logging_level": _SILENT, "log_to_driver": False}
    with tempfile.TemporaryDirectory(prefix="graspnext-ray-", ignore_cleanup_errors=True) as folder:
        try:
            if address:
                ray.init(address=address, **quiet)
            else:
                ray.init(
                    num_cpus=workers,
                    include_dashboard=False,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=folder,
                    **quiet,
                )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            problem = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            where = f"the Ray cluster at {address}" if address else "a local Ray cluster"
            raise WorkerError(f"{where} cannot be used: {problem}; check that it runs and can be reached") from error
        try:
            yield
        finally:
            ray.shutdown()
