"""The machine that a time was measured on: what it is, and what else it did meanwhile."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from graspnext.errors import ConfigError
from graspnext.runtime.openvino_backend import openvino_core
from graspnext.runtime.processor import Precision, computes_bf16, read_processor

LIBRARIES = ("openvino", "onnxruntime", "torch", "numpy", "Pillow")


def describe_machine() -> dict[str, Any]:
    """{cpu, instructions, cores, allowed_cores, governors, memory_gb, system, python, libraries}; None: not known."""
    processor = read_processor()
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", _read("/proc/meminfo"), re.MULTILINE)
    precisions: tuple[Precision, ...] = ("fp32", "bf16", "int8")
    return {
        "cpu": processor.name if processor.board is None else f"{processor.board} ({processor.name})",
        "instructions": {precision: processor.instructions(precision) for precision in precisions},
        "cores": len(processor.online),
        "allowed_cores": list(processor.allowed),
        "governors": list(processor.governors),
        "memory_gb": round(int(memory[1]) * 1024 / 1e9, 1) if memory else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {library: found for library in LIBRARIES if (found := _version(library))},
    }


def can_do(runtime: str, precision: str) -> bool:
    """Whether the processor has what a form needs: without it, bf16 in OpenVINO runs as fp32."""
    if (runtime, precision) != ("openvino", "bf16"):
        return True
    listed = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in listed and computes_bf16(read_processor())


def allowed_cores() -> list[int]:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """Keep this thread, and the processes that it starts, on some cores; on all that it had when there are none.

    Raises:
        ConfigError: A core does not exist or is not ours, or the system cannot pin.
    """
    if not cores:
        yield
        return
    before = allowed_cores()
    if not hasattr(os, "sched_setaffinity") or not set(cores) <= set(before):
        raise ConfigError("pin", list(cores), f"some of the cores {before}, on a system that can pin")
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def peak_memory_mb() -> float:
    """Most memory that this process ever held (1e6 bytes).

    `VmHWM` rather than `getrusage`, which on Linux starts a program at the peak of the one that started it.
    """
    peak = re.search(r"^VmHWM:\s*(\d+) kB$", _read("/proc/self/status"), re.MULTILINE)
    if peak:
        return round(int(peak[1]) * 1024 / 1e6, 1)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most * (1 if platform.system() == "Darwin" else 1024) / 1e6, 1)


class LoadMeter:
    """How busy the machine was, and how much of that was not us."""

    def __init__(self) -> None:
        self.load_before = self.load_now()
        self.start()

    def start(self) -> None:
        """Begin to count the work of others."""
        self._since, self._busy, self._own = time.monotonic(), _busy_s(), _own_s()

    def load_now(self) -> float | None:
        """Load of the machine over the last minute; None where the system does not say."""
        try:
            return round(os.getloadavg()[0], 2)
        except OSError:
            return None

    def other_cores(self) -> float | None:
        """Cores that were busy with something else than this process and those it started, on average since `start`."""
        busy = _busy_s()
        if busy is None or self._busy is None:
            return None
        passed = max(time.monotonic() - self._since, 1e-3)
        return round(max(0.0, (busy - self._busy) - (_own_s() - self._own)) / passed, 2)


def _busy_s() -> float | None:
    """Seconds that all cores together were not idle since the machine started, time taken by its host included."""
    words = _read("/proc/stat").split("\n", 1)[0].split()
    if not words or words[0] != "cpu":
        return None
    user, nice, system, _idle, _wait, interrupts, soft, stolen = (int(word) for word in words[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    """Seconds of processor time of this process and all it started, living ones included."""
    total, waiting = 0.0, [os.getpid()]
    while waiting:
        process = waiting.pop()
        fields = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
        if len(fields) > 14:
            total += sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
        waiting += [int(word) for word in _read(f"/proc/{process}/task/{process}/children").split()]
    return total


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
