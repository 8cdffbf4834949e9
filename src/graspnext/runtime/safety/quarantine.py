"""The trial of a foreign bundle: a process with limits compiles it and runs it once, before this one does.

Checks of our own (`bundle.py`) see that a file is well formed, but what a native parser and a compiler make of it only
they can show. What crashes, hangs or eats memory does so in the process of the trial (`trial.py`), and is a named error
here. The bytes on trial are the bytes that are loaded afterwards: they are handed over, not read again.

The trial is no sandbox: a model that takes over the process of the trial has the rights of its user.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import IO, Any

from graspnext.errors import BundleError, ConfigError
from graspnext.runtime.bundle import Bundle
from graspnext.runtime.safety.model_limits import quoted
from graspnext.runtime.safety.trial import NOT_ITS_FAULT

PROGRAM = "graspnext.runtime.safety.trial"
MAX_OUTPUT_BYTES = 1 << 20
"""What the process may write, to its answer and to its log; it can write no file beyond that size."""
_ADVICE = "do not use it; if it is your own, open it as trusted (trusted=True, --trust)"


@dataclass(frozen=True)
class Limits:
    """Of the process of a trial."""

    memory_bytes: int = 4 << 30
    """Address space. The largest networks here take a quarter of it."""
    cpu_s: int = 60
    """Time on all cores together. A large network takes 2 to 15."""
    wall_s: float = 120.0
    """Time from the start of the process."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value <= 0:
                raise ConfigError(name, value, "above 0")


def try_bundle(bundle: Bundle, runtime: str, options: Mapping[str, Any], *, limits: Limits | None = None) -> None:
    """Compile a bundle and run it on one small frame, in a process of its own.

    Args:
        bundle: Checked by `open_bundle`.
        runtime: What it will be used with.
        options: Of the runtime.
        limits: Of the process; `Limits()` when None.

    Raises:
        BundleError: The process reported an error, crashed, or went beyond its limits; or none can be started here.
    """
    limits = limits or Limits()
    with ExitStack() as stack:
        try:
            task, answer, log = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
            _write_task(task, bundle, {"runtime": runtime, "options": dict(options), "limits": asdict(limits)})
        except OSError as full:
            problem = f"there is no place for files to try it with ({full.strerror or full})"
            raise BundleError(bundle.path, problem, "give TMPDIR, or open it as trusted if it is your own") from full
        code = _run(bundle, limits, (task, answer, log))
        said, last = _read(answer), _read(log)
    if code == NOT_ITS_FAULT:
        return  # the caller meets the same error, by its own name
    try:
        error = json.loads(said.splitlines()[-1])["error"]
    except (ValueError, LookupError, TypeError):
        error = _end(code, limits) + (f", saying {quoted(last[-80:])}" if last else "")
    if code or error:
        raise BundleError(bundle.path, f"it failed on trial: {error}", _ADVICE)


def _write_task(task: IO[bytes], bundle: Bundle, about: dict[str, Any]) -> None:
    """A line of JSON, then the contents of the files."""
    files = (bundle.model, *(bundle.ir or ()))
    about |= {"path": str(bundle.path), "card": bundle.card.model_dump(mode="json"), "sizes": [*map(len, files)]}
    task.write(json.dumps(about, default=int).encode() + b"\n")  # whole numbers of numpy among the options
    task.writelines(files)
    task.seek(0)


def _run(bundle: Bundle, limits: Limits, streams: tuple[IO[bytes], IO[bytes], IO[bytes]]) -> int | None:
    """The process's exit code; None when it had to be ended."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MALLOC_ARENA_MAX": "2",  # each arena of glibc reserves 64 MB
    }
    command = [sys.executable or "python3", "-P", "-m", PROGRAM]
    task, answer, log = streams
    try:
        process = subprocess.Popen(
            command, stdin=task, stdout=answer, stderr=log, env=environment, start_new_session=True
        )
    except OSError as error:
        problem = f"no process can be started to try it ({error.strerror or error})"
        raise BundleError(bundle.path, problem, "open it as trusted if it is your own") from error
    try:
        return process.wait(limits.wall_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _read(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read(MAX_OUTPUT_BYTES).decode(errors="replace").strip()


def _end(code: int | None, limits: Limits) -> str:
    """What an exit code means, where the process could not say it."""
    if code is None:
        return f"more than {limits.wall_s:g} s"
    if code in {-getattr(signal, "SIGXCPU", 0), -getattr(signal, "SIGKILL", 0)}:
        return f"ended by the system, most likely after {limits.cpu_s} s of processor time"
    if code < 0:
        return f"a crash ({signal.Signals(-code).name})"
    return f"its process ended with code {code}"
