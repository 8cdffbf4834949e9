"""Worker processes for long jobs: replaced when they die, renewed now and then, never orphaned, each on its cores."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, TypeVar

from graspnext.errors import GraspNextError, WorkerError

Task = TypeVar("Task")
Result = TypeVar("Result")

MAX_DEATHS = 3
"""Worker processes that a task may take with it."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Read by numeric libraries when they load. More threads slow our many small products down, and may round otherwise."""
_DRAWING_THREADS = "LP_NUM_THREADS"
"""Read by Mesa's software rasteriser: this many draw the same picture as one."""
_MEMORY = {"MALLOC_ARENA_MAX": "1"}
"""The renderer's threads come and go; with heaps of their own, what they free would stay with the process."""
_PR_SET_PDEATHSIG = 1
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass
class _Worker(Generic[Task]):
    process: BaseProcess
    pipe: Connection
    task: Task
    left: int
    """Tasks until it is renewed."""


def usable_cores() -> int:
    """Cores that this process may use: those of its affinity, or fewer where its container is given less."""
    cores = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        quota, period = _CGROUP_QUOTA.read_text().split()
        cores = min(cores, max(1, round(int(quota) / int(period))))  # "max" is no number: no limit
    return cores


def run_tasks(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int, renew_after: int
) -> Iterator[Result]:
    """Run a function on each task in child processes; results come as they are ready, in any order.

    A task whose process dies, killed by the system or by a fault in a native library, is done again at the end, when
    memory may be free again; the last time alone, when all others are done.

    Args:
        function: Importable by name; called in the child, once a task.
        tasks: Picklable.
        workers: Number of processes at a time.
        renew_after: Tasks after which a process is replaced, since native libraries keep some memory each time.

    Raises:
        WorkerError: A task raised a named error, whose message is kept; or its process died `MAX_DEATHS` times; or
            processes die one after the other whatever their task.
        RuntimeError: A task failed otherwise.
    """
    pool = _Pool(function, tasks, workers, renew_after)
    try:
        yield from pool.results()
    finally:
        pool.kill()


class _Pool(Generic[Task, Result]):
    def __init__(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], workers: int, renew_after: int
    ) -> None:
        self._function = function
        self._waiting = deque(enumerate(tasks))
        self._last_chance: list[tuple[int, Task]] = []
        self._size = workers
        self._renew_after = renew_after
        self._workers: list[_Worker[tuple[int, Task]]] = []
        self._deaths: dict[int, int] = {}
        self._deaths_in_a_row = 0

    def results(self) -> Iterator[Result]:
        while self._waiting or self._last_chance or self._workers:
            while len(self._workers) < self._size and (task := self._next(len(self._workers))) is not None:
                self._workers.append(self._start(task))
            ready = wait([worker.pipe for worker in self._workers])
            for worker in [one for one in self._workers if one.pipe in ready]:
                try:
                    kind, content = worker.pipe.recv()
                except (EOFError, OSError, pickle.UnpicklingError):
                    self._bury(worker)
                    continue
                self._deaths_in_a_row = 0
                self._go_on(worker)
                yield unwrap(kind, content)

    def kill(self) -> None:
        """End all processes at once; they hold nothing that could be lost."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()

    def _start(self, task: tuple[int, Task]) -> _Worker[tuple[int, Task]]:
        context = multiprocessing.get_context("spawn")  # a fork would copy native threads' locks
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(self._function, theirs, os.getpid()), daemon=True)
        drawing = {_DRAWING_THREADS: str(max(1, usable_cores() // self._size))}
        with _environment({**_ONE_THREAD, **drawing, **_MEMORY}):
            process.start()
        theirs.close()
        worker = _Worker(process, ours, task, self._renew_after)
        _send(worker, task[1])
        return worker

    def _next(self, others: int) -> tuple[int, Task] | None:
        """The next task, beside `others` that are under way."""
        if self._waiting:
            return self._waiting.popleft()
        return self._last_chance.pop(0) if self._last_chance and not others else None

    def _go_on(self, worker: _Worker[tuple[int, Task]]) -> None:
        """Give a worker its next task, or end it."""
        worker.left -= 1
        if worker.left > 0 and (task := self._next(len(self._workers) - 1)) is not None:
            worker.task = task
            _send(worker, task[1])
            return
        self._workers.remove(worker)
        _send(worker, None)
        worker.process.join()
        worker.pipe.close()

    def _bury(self, worker: _Worker[tuple[int, Task]]) -> None:
        """Put the task of a dead worker at the end.

        Raises:
            WorkerError: There have been too many.
        """
        self._workers.remove(worker)
        worker.process.join()
        worker.pipe.close()
        number, task = worker.task
        self._deaths[number] = self._deaths.get(number, 0) + 1
        self._deaths_in_a_row += 1
        if self._deaths[number] >= MAX_DEATHS or self._deaths_in_a_row >= MAX_DEATHS * self._size:
            raise WorkerError(
                f"{task}: its worker process died {self._deaths[number]} times, of {self._deaths_in_a_row} deaths in a "
                f"row ({_ending(worker.process.exitcode)}); if the machine ran out of memory, use fewer workers"
            )
        (self._last_chance if self._deaths[number] == MAX_DEATHS - 1 else self._waiting).append((number, task))


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def answer(function: Callable[[Task], Any], task: Task) -> tuple[str, Any]:
    """What a worker sends back: its result, or an error in a form that any process can read."""
    try:
        return "result", function(task)
    except GraspNextError as error:
        return "named error", str(error)
    except Exception:  # noqa: BLE001 - handed to the parent, which raises it
        return "error", f"{task}\n{traceback.format_exc()}"


def unwrap(kind: str, content: Any) -> Any:
    """The result in an `answer`.

    Raises:
        WorkerError: The task raised a named error.
        RuntimeError: It failed otherwise.
    """
    if kind == "named error":
        raise WorkerError(content)
    if kind == "error":
        raise RuntimeError(f"a worker process failed at {content}")
    return content


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment that a process started here inherits."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _send(worker: _Worker[Any], task: Any) -> None:
    with suppress(ConnectionError):  # it died: its pipe has ended, which is found when its answer is read
        worker.pipe.send(task)


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
        pipe.send(answer(function, task))
