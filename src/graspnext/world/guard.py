"""Ends the processes that others started for us, even when we are killed and cannot: a small process that watches."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_EVERY_S = 1.0
"""How often the guard looks which processes have been added."""
_PATIENCE_S = 2.0
"""How long processes may take to end by themselves."""


@contextmanager
def guarded() -> Iterator[Guard]:
    """A guard for the block; when this process leaves it, or dies in it, what `Guard.watch` was given ends."""
    guard = Guard()
    try:
        yield guard
    finally:
        guard.close()


class Guard:
    """The watching process, seen from the process that is watched."""

    def __init__(self) -> None:
        self._before = _children(os.getpid())
        command = [sys.executable, "-c", "from graspnext.world.guard import main; main()"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def watch(self) -> None:
        """Watch the children that this process got since the guard was made, with all that they start."""
        new = _children(os.getpid()) - self._before - {self._process.pid}
        assert self._process.stdin is not None
        self._process.stdin.write(f"{' '.join(map(str, sorted(new)))}\n".encode())
        self._process.stdin.flush()

    def close(self) -> None:
        """End what still runs of it."""
        with suppress(BrokenPipeError):
            self._process.communicate(timeout=10 * _PATIENCE_S)


def main() -> None:
    """Body of the guard: process numbers on standard input, whose end is the end of all of them."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    watched = [int(word) for word in sys.stdin.readline().split()]
    known: dict[int, str] = {}
    while True:
        for pid in _with_descendants(watched):
            known.setdefault(pid, _started(pid))
        if select.select([sys.stdin], [], [], _EVERY_S)[0]:
            break
    deadline = time.monotonic() + _PATIENCE_S
    while (left := [pid for pid, start in known.items() if start and _started(pid) == start]) and (
        time.monotonic() < deadline
    ):
        time.sleep(_PATIENCE_S / 20)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _with_descendants(pids: list[int]) -> Iterator[int]:
    for pid in pids:
        yield pid
        yield from _with_descendants(sorted(_children(pid)))


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    with suppress(OSError):
        for file in Path(f"/proc/{pid}/task").glob("*/children"):  # a list for each thread
            found |= {int(word) for word in file.read_text().split()}
    return found


def _started(pid: int) -> str:
    """When a process started, which tells it from a later one of the same number; empty if it has ended."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if words[0] in "ZX" else words[19]
    return ""
