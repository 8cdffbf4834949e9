"""The processor that a network runs on: its instructions, its cores, and what holds it back.

Everything is read from Linux's own files; what it does not tell is None or empty, never guessed.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Precision = Literal["fp32", "bf16", "int8"]

INSTRUCTIONS: dict[str, dict[Precision, tuple[tuple[str, str], ...]]] = {
    "x86_64": {
        "fp32": (("avx512f", "AVX-512"), ("avx2", "AVX2")),
        "bf16": (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512-BF16")),
        "int8": (("amx_int8", "AMX"), ("avx512_vnni", "AVX512-VNNI"), ("avx_vnni", "AVX-VNNI")),
    },
    "aarch64": {
        "fp32": (("sve", "SVE"), ("asimd", "NEON")),
        "bf16": (("svebf16", "SVE BF16"), ("bf16", "NEON BF16")),
        "int8": (("i8mm", "NEON I8MM"), ("asimddp", "NEON dot product")),
    },
}
"""Machine -> precision -> flags of /proc/cpuinfo and names of the instructions, fastest first."""

ARM_CORES = {
    0xD03: "Cortex-A53",
    0xD05: "Cortex-A55",
    0xD08: "Cortex-A72",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse N1",
    0xD40: "Neoverse V1",
    0xD41: "Cortex-A78",
    0xD42: "Cortex-A78AE",
    0xD49: "Neoverse N2",
    0xD4F: "Neoverse V2",
}
"""Part numbers of Arm's own cores: on Arm, Linux gives no name of the processor."""

_CPUS = "sys/devices/system/cpu"


@dataclass(frozen=True)
class Processor:
    """What is there, and how much of it this process may use."""

    machine: str
    """x86_64, aarch64 or another."""
    name: str
    board: str | None
    """Of a small computer: what its device tree calls it."""
    flags: frozenset[str]
    """Instruction sets that every core has, as Linux names them."""
    online: tuple[int, ...]
    """Processors that Linux schedules on; two hyper-threads of a core count twice."""
    offline: tuple[int, ...]
    """Processors that are there but switched off."""
    allowed: tuple[int, ...]
    """Processors that this process may run on."""
    cores: int
    """Physical cores under `allowed`."""
    governors: tuple[str, ...]
    """How the clocks of `allowed` are chosen; empty where that is hidden, as in virtual machines."""
    quota: float | None
    """Processors' worth of time that a container grants; None: as much as there is."""
    throttled: float | None
    """Share of the periods in which that time ran out, 0 to 1."""
    memory_mb: float | None
    """Free for this process (1e6 bytes): the machine's or the container's, whichever is less."""
    huge_pages: str | None
    """always, madvise or never."""
    hottest_c: float | None
    """The highest of its thermometers, degrees Celsius."""

    def instructions(self, precision: Precision) -> str | None:
        """Name of the fastest instructions for a precision that every core has; None without any."""
        known = INSTRUCTIONS.get(self.machine, {}).get(precision, ())
        return next((name for flag, name in known if flag in self.flags), None)


def computes_bf16(about: Processor) -> bool:
    """Whether OpenVINO, asked for bf16, computes in it.

    On AVX-512 without these instructions it imitates them, several times slower than fp32, though it lists BF16 among
    its capabilities; on Arm it does not use them. Where the instructions are not known it is left to decide.
    """
    return not about.flags or (about.machine == "x86_64" and about.instructions("bf16") is not None)


def read_processor(*, root: Path = Path("/"), allowed: Iterable[int] | None = None) -> Processor:
    """Look at the processor.

    Args:
        root: Where /proc and /sys stand.
        allowed: Processors that this process may run on; asked of the system when None.
    """
    about = _read(root / "proc/cpuinfo")
    machine = _machine(about)
    online = _numbers(_read(root / _CPUS / "online")) or _numbers_of(about) or tuple(range(os.cpu_count() or 1))
    mine = tuple(sorted(_affinity(online) if allowed is None else allowed))
    quota, throttled = _quota(root)
    governors = {_read(root / _CPUS / f"cpu{one}/cpufreq/scaling_governor").strip() for one in mine}
    modes = re.search(r"\[(\w+)\]", _read(root / "sys/kernel/mm/transparent_hugepage/enabled"))
    heat = [one for path in root.glob("sys/class/thermal/thermal_zone*/temp") if (one := _number(path)) is not None]
    return Processor(
        machine=machine,
        name=_name(about) or machine,
        board=_read(root / "proc/device-tree/model").strip("\0 \n") or None,
        flags=_flags(about),
        online=online,
        offline=tuple(sorted(set(_numbers(_read(root / _CPUS / "present"))) - set(online))),
        allowed=mine,
        cores=_physical(root, mine),
        governors=tuple(sorted(governors - {""})),
        quota=quota,
        throttled=throttled,
        memory_mb=_memory_mb(root),
        huge_pages=modes[1] if modes else None,
        hottest_c=max(heat) / 1000 if heat else None,
    )


def _affinity(online: tuple[int, ...]) -> Iterable[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else online


def _machine(about: str) -> str:
    """Of the file itself, so that one of another machine can be read."""
    if re.search(r"^CPU implementer\s*:", about, re.MULTILINE):
        return "aarch64"
    return "x86_64" if re.search(r"^flags\s*:", about, re.MULTILINE) else platform.machine()


def _name(about: str) -> str:
    named = re.search(r"^model name\s*:\s*(\S.*)$", about, re.MULTILINE)
    if named:
        return named[1].strip()
    parts = {int(part, 16) for part in re.findall(r"^CPU part\s*:\s*(0x\w+)$", about, re.MULTILINE)}
    return " + ".join(ARM_CORES.get(part, f"Arm part {part:#x}") for part in sorted(parts))


def _flags(about: str) -> frozenset[str]:
    lines = re.findall(r"^(?:flags|Features)\s*:\s*(.*)$", about, re.MULTILINE)
    return frozenset.intersection(*(frozenset(line.split()) for line in lines)) if lines else frozenset()


def _physical(root: Path, allowed: tuple[int, ...]) -> int:
    siblings = {_read(root / _CPUS / f"cpu{one}/topology/thread_siblings_list").strip() or str(one) for one in allowed}
    return len(siblings)


def _quota(root: Path) -> tuple[float | None, float | None]:
    """Time that control groups grant, in processors, and the share of periods in which it ran out."""
    granted: list[tuple[float, float | None]] = []
    for folder in _groups(root, "cpu"):
        limit = _read(folder / "cpu.max").split()  # version 2: "QUOTA PERIOD", or "max PERIOD"
        if len(limit) != 2:
            limit = [_read(folder / f"cpu.cfs_{word}_us").strip() for word in ("quota", "period")]
        if limit[0].isdecimal() and limit[1].isdecimal() and int(limit[1]):
            counts = dict(re.findall(r"^nr_(\w+) (\d+)$", _read(folder / "cpu.stat"), re.MULTILINE))
            periods = int(counts.get("periods", 0))
            share = int(counts.get("throttled", 0)) / periods if periods else None
            granted.append((int(limit[0]) / int(limit[1]), share))
    return min(granted, key=lambda one: one[0], default=(None, None))


def _memory_mb(root: Path) -> float | None:
    free = re.search(r"^MemAvailable:\s*(\d+) kB$", _read(root / "proc/meminfo"), re.MULTILINE)
    found = [int(free[1]) * 1024] if free else []
    for folder in _groups(root, "memory"):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            most, now = _number(folder / limit), _number(folder / used)
            if most is not None and now is not None:
                found.append(max(0, most - now))
    return round(min(found) / 1e6, 1) if found else None


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, innermost first, of version 2 and version 1.

    Inside a container the path that the system gives may not exist: its own group is then mounted at the top.
    """
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, inside = rest.partition(":")
        if number == "0" and not controllers:
            top = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            top = root / "sys/fs/cgroup" / controller
        else:
            continue
        steps = [part for part in inside.split("/") if part not in {"", ".."}]
        for length in range(len(steps), -1, -1):
            yield top.joinpath(*steps[:length])


def _numbers(text: str) -> tuple[int, ...]:
    """`0-3,6` -> (0, 1, 2, 3, 6)."""
    found: list[int] = []
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def _numbers_of(about: str) -> tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"^processor\s*:\s*(\d+)$", about, re.MULTILINE))


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
