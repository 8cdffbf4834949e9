"""The part of `graspnext doctor` about the processor: which precisions it really has, and what holds it back."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from graspnext.cli.finding import Finding
from graspnext.errors import GraspNextError
from graspnext.runtime.processor import Processor, read_processor

TOPIC = "processor"
MIN_MEMORY_MB = 700
"""What a prediction takes at its peak, all libraries included."""
GLIBC_OF_OPENVINO = {"x86_64": (2, 28), "aarch64": (2, 35)}
"""The oldest C library that openvino's wheels take (`scripts/check_wheels.py` reads it off their names)."""
HOT_C = 80.0
THROTTLED = 0.01


def processor() -> list[Finding]:
    """Everything about this machine's processor."""
    about = read_processor()
    return [*precisions(about, openvino_capabilities()), *limits(about), c_library(about)]


def precisions(about: Processor, openvino: Sequence[str] | None) -> list[Finding]:
    """Which precisions run as what they are called, and which to take.

    Args:
        about: The processor.
        openvino: The capabilities that OpenVINO reports; None where it does not work.
    """
    fp32 = about.instructions("fp32")
    findings = [
        Finding(TOPIC, "name", True, False, f"{about.name} ({about.board})" if about.board else about.name),
        _finding("fp32", fp32 is not None, f"{fp32}" if fp32 else "no vector instructions known; expect it to be slow"),
        _bf16(about),
        _int8(about),
    ]
    if openvino is None:
        return findings
    said = ", ".join(one for one in ("FP32", "BF16", "FP16", "INT8") if one in openvino)
    unused = about.machine == "x86_64" and about.instructions("bf16") is not None and "BF16" not in openvino
    if unused:
        limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
        advice = f"unset ONEDNN_MAX_CPU_ISA ({limit})" if limit else "pip install --upgrade openvino"
        return [*findings, _finding("openvino takes", False, f"{said}, but not the BF16 that is there; {advice}")]
    return [*findings, _finding("openvino takes", True, said)]


def _bf16(about: Processor) -> Finding:
    found = about.instructions("bf16")
    if found is None:
        emulated = ", and asking OpenVINO itself for it would be slower" if "avx512f" in about.flags else ""
        return _finding("bf16", False, f"not on this processor; runs as fp32{emulated}")
    if about.machine == "aarch64":
        return _finding("bf16", False, f"{found} is there, but OpenVINO does not use it on Arm; runs as fp32")
    if found == "AMX":
        return _finding("bf16", True, f"{found}: matrix units; take it before fp32 (export --precision bf16)")
    return _finding("bf16", True, f"{found}; likely faster than fp32: compare with graspnext benchmark")


def _int8(about: Processor) -> Finding:
    found = about.instructions("int8")
    if found is None and about.machine == "x86_64":
        advice = "older instructions clip sums of 16 bits: run graspnext verify on this machine before trusting int8"
        return _finding("int8", False, f"no dot product instructions; {advice}")
    if found is None:
        return _finding("int8", False, "no dot product instructions; runs no faster than fp32")
    if about.machine == "aarch64":
        return _finding("int8", True, f"{found}; OpenVINO may still compute in floating point: compare before use")
    return _finding("int8", True, f"{found}; take it where the card's verification satisfies you")


def limits(about: Processor) -> list[Finding]:
    """Cores, clocks, containers, memory, heat."""
    return [*_cores(about), *_time(about), *_state(about)]


def _cores(about: Processor) -> Iterator[Finding]:
    count = len(about.allowed)
    where = f"{_ranges(about.allowed)} of {_ranges(about.online)}" if set(about.allowed) != set(about.online) else ""
    if count > about.cores:
        detail = f"{about.cores} cores seen as {count}: hyper-threads; try graspnext benchmark --threads {about.cores}"
        yield _finding("cores", True, f"{detail}{f'; may use {where}' if where else ''}")
    else:
        yield _finding("cores", True, f"{count}{f'; may use {where}: taskset or a container chose' if where else ''}")
    if about.offline:
        jetson = "sudo nvpmodel -q says the power mode, sudo nvpmodel -m 0 gives all cores on most boards"
        advice = jetson if _is_jetson(about) else "switch them on in /sys/devices/system/cpu/cpu*/online"
        yield _finding("cores off", False, f"{_ranges(about.offline)}; {advice}")


def _time(about: Processor) -> Iterator[Finding]:
    if about.quota is None:
        yield _finding("container limit", True, "no limit of processor time")
    else:
        share = about.throttled or 0.0
        stopped = f", and has stopped it in {share:.0%} of its periods" if share > THROTTLED else ""
        granted = f"{about.quota:g} of {len(about.allowed)} processors by time{stopped}"
        whole = max(1, int(about.quota))
        advice = (
            f"give whole processors instead (--cpuset-cpus), or run {whole} threads: Predictor(num_threads={whole})"
        )
        tight = about.quota < len(about.allowed) or share > THROTTLED
        yield _finding("container limit", not tight, f"{granted}; {advice}" if tight else granted)
    slow = [one for one in about.governors if one != "performance"]
    if not about.governors:
        yield _finding("governor", True, "hidden from us, as in virtual machines: the host chooses the clocks")
    elif slow:
        advice = "sudo jetson_clocks" if _is_jetson(about) else "sudo cpupower frequency-set --governor performance"
        yield _finding("governor", False, f"{', '.join(about.governors)}: clocks rise late; {advice}")
    else:
        yield _finding("governor", True, "performance")


def _state(about: Processor) -> Iterator[Finding]:
    if about.memory_mb is not None:
        enough = about.memory_mb >= MIN_MEMORY_MB
        advice = "" if enough else f"; a prediction takes up to {MIN_MEMORY_MB} MB: end other programs, or add memory"
        yield _finding("memory", enough, f"{about.memory_mb:.0f} MB free{advice}")
    if about.huge_pages is not None:
        yield _finding("huge pages", True, about.huge_pages)
    if about.hottest_c is not None:
        hot = about.hottest_c >= HOT_C
        advice = "; clocks fall soon, or have fallen: cool it better, or lower the power mode" if hot else ""
        yield _finding("temperature", not hot, f"{about.hottest_c:.0f} degrees Celsius{advice}")


def c_library(about: Processor) -> Finding:
    """Whether openvino has wheels for this C library."""
    name, found = platform.libc_ver()
    least = GLIBC_OF_OPENVINO.get(about.machine)
    release = re.match(r"(\d+)\.(\d+)", found)
    if name != "glibc" or release is None or least is None:
        return _finding("C library", True, f"{name or 'unknown'} {found}".strip())
    enough = (int(release[1]), int(release[2])) >= least
    wheels = f"openvino's wheels take glibc {least[0]}.{least[1]} or newer on {about.machine}"
    advice = f"; {wheels}: use a newer system, or --runtime onnxruntime"
    return _finding("C library", enough, f"glibc {found}{'' if enough else advice}")


def openvino_capabilities() -> tuple[str, ...] | None:
    """What OpenVINO says that it can do on this processor; None where it does not work (another line says why)."""
    from graspnext.runtime.openvino_backend import openvino_core

    try:
        return tuple(openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    except (GraspNextError, RuntimeError):
        return None


def _is_jetson(about: Processor) -> bool:
    return about.board is not None and "jetson" in about.board.lower()


def _ranges(numbers: Sequence[int]) -> str:
    """(0, 1, 2, 5) -> "0-2,5"."""
    runs = [[one for _, one in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _finding(name: str, ok: bool, detail: str) -> Finding:
    return Finding(TOPIC, name, ok, False, detail)
