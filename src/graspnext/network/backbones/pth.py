"""Reads torchvision's .pth files. They are pickles, which may hold programs: none is ever run.

Torch's weights-only reader builds nothing but tensors and plain values. It still is given a process of its own, with
limits on time, memory and output: a file that makes it hang, swell or crash ends that process alone. What comes back
is safetensors, which hold numbers only.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from graspnext.errors import WeightsError

MAX_FILE_BYTES = 512 * 2**20
"""Of the file, and of all tensors in it. ResNet-50's has 98 MiB."""
MEMORY_BYTES = 2 * 2**30
"""Beyond what the reading process uses before it begins."""
CPU_S = 60
WALL_S = 300.0
"""More than the CPU limit: other processes may have the cores."""
_STATE_DICT = "save a model's tensors alone: torch.save(model.state_dict(), FILE)"
_NOT_ALLOWED = re.compile(r"GLOBAL ([\w.]+)")


def read_pth(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that `torch.save(model.state_dict(), path)` wrote, by name, on the CPU.

    Raises:
        WeightsError: The file is missing, too large or damaged, or holds anything but named tensors.
    """
    if not path.is_file():  # neither a folder nor a pipe
        raise WeightsError(path, "there is no such file", "check the path; weights are never fetched")
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise WeightsError(path, f"has {size >> 20} MiB", f"give a file of at most {MAX_FILE_BYTES >> 20} MiB")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "weights.safetensors"
        # -P: a module of the working folder is not taken for one of ours.
        command = [sys.executable, "-P", "-m", __name__, str(path), str(target)]
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=WALL_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise WeightsError(path, f"not read after {WALL_S:.0f} s", _STATE_DICT) from error
        if done.returncode == 1:
            problem = done.stdout.decode(errors="replace").strip() or "the program that reads it failed"
            raise WeightsError(path, problem, _STATE_DICT)
        try:
            if done.returncode == 0:
                tensors: dict[str, Tensor] = load_file(target)
                return tensors
        except (OSError, SafetensorError):
            pass  # as if it had crashed
        reason = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit code {done.returncode}"
        raise WeightsError(path, f"the program that reads it crashed ({reason})", _STATE_DICT)


def _main(source: Path, target: Path) -> int:
    """Body of the reading process: 0 when the tensors are in `target`, 1 and one line on standard output otherwise."""
    _limit()
    problem = _transfer_safely(source, target)
    sys.stdout.write(problem)
    return 1 if problem else 0


def _transfer_safely(source: Path, target: Path) -> str:
    """`_transfer`, whatever the file does to its reader; printable, since names in the file may hold anything."""
    try:
        problem = _transfer(source, target)
    except Exception as error:  # noqa: BLE001 - anything is an answer
        foreign = _NOT_ALLOWED.search(str(error))
        problem = (
            f"holds more than tensors ({foreign[1]})" if foreign else f"not a file of torch.save ({_reason(error)})"
        )
    return ascii(problem)[1:-1]


def _reason(error: Exception) -> str:
    """The part of torch's long explanations that says what happened."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return f"it needs more than {MEMORY_BYTES >> 30} GiB of memory"
    text = " ".join(str(error).rpartition("WeightsUnpickler error:")[2].split())
    return f"{type(error).__name__}: {text[:120]}"


def _transfer(source: Path, target: Path) -> str:
    """Write the tensors of `source` to `target`; what is wrong when it holds anything else, "" when nothing is."""
    content = torch.load(source, map_location="cpu", weights_only=True, mmap=False)
    if not isinstance(content, Mapping):
        return f"holds a {type(content).__name__} where named tensors are expected"
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            return f"holds more than tensors ({str(name)[:80]}: {type(value).__name__})"
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            return f"{name[:80]} is not a plain tensor"
    if (size := sum(value.numel() * value.element_size() for value in content.values())) > MAX_FILE_BYTES:
        return f"holds tensors of {size >> 20} MiB, more than {MAX_FILE_BYTES >> 20}"
    # Copies: safetensors takes no two tensors that share memory.
    save_file(
        {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in content.items()}, target
    )
    return ""


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    used = pages * os.sysconf("SC_PAGE_SIZE")
    if used:
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MAX_FILE_BYTES, 2 * MAX_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    spent = int(time.process_time()) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (spent + CPU_S, spent + CPU_S + 5))


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), Path(sys.argv[2])))
