"""Runs a function where a crash, a hang or too much memory ends only itself."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from graspnext.errors import MeshFileError

CPU_S = 120
WALL_S = 600.0
"""More than the CPU limit: other processes may have the cores."""
MEMORY_BYTES = 4 * 2**30
"""Beyond what the process uses already."""
_PR_SET_PDEATHSIG = 1
_SIMPLER = "simplify the part, or export it in another format"


class LimitError(MeshFileError):
    """A crash, a limit or an error that nobody foresaw, which another time or machine may not meet."""


def isolated(function: Callable[[], bytes], *, cpu_s: int = CPU_S, wall_s: float = WALL_S) -> bytes:
    """The function's answer, found by a forked child with limits on time and memory.

    Call it from a process without threads of its own.

    Raises:
        MeshFileError: The function raised it.
        LimitError: The child crashed, went over a limit of time or memory, or raised anything else.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(function, writing, cpu_s)
    os.close(writing)
    try:
        answer = _read_all(reading, time.monotonic() + wall_s)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)  # done already, or too late
        _, status = os.waitpid(child, 0)
    if answer is None:
        raise LimitError(f"not ready after {wall_s:.0f} s", _SIMPLER)
    if answer[:1] == b"R":
        return answer[1:]
    if answer[:1] in (b"E", b"L"):
        problem, advice = json.loads(answer[1:])
        raise (MeshFileError if answer[:1] == b"E" else LimitError)(problem, advice)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number == signal.SIGXCPU:
        raise LimitError(f"not ready after {cpu_s} s of computing", _SIMPLER)
    raise LimitError(f"the program that reads it crashed (signal {number})", _SIMPLER)


def _answer(function: Callable[[], bytes], writing: int, cpu_s: int) -> NoReturn:
    """Body of the child: one byte for the kind, then the content; nothing after a crash."""
    try:
        _limit(cpu_s)
        try:
            answer = b"R" + function()
        except MeshFileError as error:
            answer = b"E" + json.dumps([error.problem, error.advice]).encode()
        except MemoryError:
            answer = b"L" + json.dumps([f"it needs more than {MEMORY_BYTES >> 30} GB of memory", _SIMPLER]).encode()
        except Exception as error:  # noqa: BLE001 - a bad file never stops the others
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
            answer = b"L" + json.dumps([f"it could not be prepared ({reason})", _SIMPLER]).encode()
        view = memoryview(answer)
        while view:
            view = view[os.write(writing, view) :]
    finally:
        os._exit(0)


def _limit(cpu_s: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # never outlives who asked
    silent = os.open(os.devnull, os.O_WRONLY)  # native libraries write their last words there
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    used = 0
    with open("/proc/self/statm") as stream:  # noqa: PTH123 - no need of more in a child about to be limited
        used = int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    spent = int(time.process_time()) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (spent + cpu_s, spent + cpu_s + 5))


def _read_all(reading: int, deadline: float) -> bytes | None:
    """Everything until the other end closes; None when that takes too long."""
    pieces: list[bytes] = []
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        piece = os.read(reading, 2**20)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
