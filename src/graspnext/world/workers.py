"""Worker processes for long jobs: renewed after a number of tasks, never orphaned, not fighting over cores."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from graspnext.errors import GraspNextError, SceneError

Task = TypeVar("Task")
Result = TypeVar("Result")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LP_NUM_THREADS")
"""Read by numeric libraries and by Mesa's software rasteriser when they load."""
_PR_SET_PDEATHSIG = 1


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    left: int
    """Tasks until it is renewed."""


def run_tasks(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int, renew_after: int
) -> Iterator[Result]:
    """Run a function on each task in child processes; results come as they are ready, in any order.

    Args:
        function: Importable by name; called in the child, once a task.
        tasks: Picklable.
        workers: Number of processes at a time.
        renew_after: Tasks after which a process is replaced, since native libraries keep some memory each time.

    Raises:
        SceneError: A task raised a named error, whose message is kept, or its process died.
        RuntimeError: A task failed otherwise.
    """
    waiting = list(reversed(tasks))
    pool: list[_Worker] = []
    threads = max(1, len(os.sched_getaffinity(0)) // workers)
    try:
        for _ in range(min(workers, len(tasks))):
            pool.append(_start(function, threads, renew_after))
            _send(pool[-1], waiting.pop())
        while pool:
            ready = wait([worker.pipe for worker in pool])
            for index, worker in enumerate(list(pool)):
                if worker.pipe not in ready:
                    continue
                result = _receive(worker)
                worker.left -= 1
                if not waiting:
                    _stop(pool.pop(index))
                else:
                    if worker.left <= 0:
                        _stop(worker)
                        pool[index] = _start(function, threads, renew_after)
                    _send(pool[index], waiting.pop())
                yield result
                break  # the pool may have changed
    finally:
        for worker in pool:
            worker.process.terminate()
        for worker in pool:
            worker.process.join()


def _start(function: Callable[[Any], Any], threads: int, renew_after: int) -> _Worker:
    context = multiprocessing.get_context("spawn")  # a fork would copy native threads' locks
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(function, theirs, os.getpid()), daemon=True)
    with _thread_limits(threads):
        process.start()
    theirs.close()
    return _Worker(process, ours, renew_after)


@contextmanager
def _thread_limits(threads: int) -> Iterator[None]:
    """Environment that a process started here inherits."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _send(worker: _Worker, task: Any) -> None:
    with suppress(ConnectionError):  # it died: `_receive` finds its pipe ended, and says so
        worker.pipe.send(task)


def _stop(worker: _Worker) -> None:
    _send(worker, None)
    worker.process.join()
    worker.pipe.close()


def _receive(worker: _Worker) -> Any:
    try:
        kind, content = worker.pipe.recv()
    except (EOFError, ConnectionError) as error:
        worker.process.join()
        raise SceneError(
            f"a worker process ended with code {worker.process.exitcode}; "
            "if the machine ran out of memory, use fewer workers"
        ) from error
    if kind == "named error":
        raise SceneError(content)
    if kind == "error":
        raise RuntimeError(f"a worker process failed:\n{content}")
    return content


def _work(function: Callable[[Any], Any], pipe: Connection, parent: int) -> None:
    """Body of a worker: tasks in, results out, until None arrives or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    while os.getppid() == parent:
        try:
            task = pipe.recv()
        except EOFError:
            return
        if task is None:
            return
        try:
            answer = ("result", function(task))
        except GraspNextError as error:
            answer = ("named error", str(error))
        except Exception:  # noqa: BLE001 - handed to the parent, which raises it
            answer = ("error", traceback.format_exc())
        pipe.send(answer)
