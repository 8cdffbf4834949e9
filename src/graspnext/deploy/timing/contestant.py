"""One network in one runtime, in a process of its own: started, asked, ended.

A process of its own gives three things that one program holding all networks cannot: the time from its start to the
first result, its own peak memory, and thread pools that do not meet those of another runtime.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from graspnext.deploy.timing.latency import Call
from graspnext.errors import WorkerError

PROGRAM = "graspnext.deploy.timing.timed_process"


@dataclass(frozen=True)
class ColdStart:
    """From the start of the process to its first result, seconds."""

    total_s: float
    imports_s: float
    """Python and the libraries that are loaded first."""
    open_s: float
    """Reading, checking and compiling the model, with the runtime's own library."""
    first_s: float
    """The first picture, from its file to the prediction."""

    def to_dict(self) -> dict[str, float]:
        """By field, to the millisecond."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


class Contestant:
    """A process that runs one network in one form and times it, until it is closed."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        """Start, and wait for the first result.

        Args:
            spec: What `timed_process` reads: `runtime` and `precision`, `threads` (0: the runtime's choice), `frames`
                (paths of pictures), and `bundle` (a folder), or, for torch, `source` and `input_size`.

        Raises:
            WorkerError: The process failed; the message holds what it said.
        """
        self.name = str(spec.get("bundle", spec.get("source")))
        self._process = _Process({**spec, "job": "time"})
        try:
            said = self._process.read()
        except BaseException:
            self._process.end()
            raise
        total = time.monotonic() - self._process.begun
        self.cold_start = ColdStart(
            total_s=total,
            imports_s=said["imported"] - self._process.begun,
            open_s=said["opened"] - said["imported"],
            first_s=said["first"] - said["opened"],
        )
        self.precision: str = said["precision"]
        """The arithmetic that really runs."""
        self.detections: int = said["detections"]
        """Rows with a score above 0 on the first frame."""

    def close(self) -> None:
        """End the process."""
        self._process.end()

    def peak_memory_mb(self) -> float:
        """Most memory that the process held so far, 1e6 bytes."""
        return float(self._process.ask({"do": "memory"})["peak_memory_mb"])

    def open_parts(self, files: Mapping[str, str]) -> None:
        """Load the sub-models `pre`, `network` and `post` (name -> ONNX file), which can then be timed."""
        self._process.ask({"do": "open", "files": dict(files)})

    def call(self, what: str) -> Call:
        """What times `whole`, or one of the opened parts."""
        return lambda number: self._process.ask({"do": what, "number": number})


def run_job(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a job that is done with one: `prepare`, `layers` or `peaks`.

    Raises:
        WorkerError: The process failed; the message holds what it said.
    """
    process = _Process(spec)
    try:
        return process.read()
    finally:
        process.end()


class _Process:
    """The program at the other end of two pipes; what it writes as errors is kept aside for messages."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._what = " ".join(str(spec[name]) for name in ("job", "runtime", "precision") if name in spec)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `end`
        self.begun = time.monotonic()
        self._child = subprocess.Popen(
            [sys.executable, "-m", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._write(spec)

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        self._write(order)
        return self.read()

    def read(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise self._failed()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self._what}: {answer['error']}")
        return answer

    def end(self) -> None:
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            _quietly(pipe.close)
        try:
            self._child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._errors.close()

    def _write(self, order: Mapping[str, Any]) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(order) + "\n")
            self._child.stdin.flush()
        except BrokenPipeError as error:
            raise self._failed() from error

    def _failed(self) -> WorkerError:
        code = self._child.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        last = said[-1] if said else "nothing was said"
        return WorkerError(f"{self._what}: the process ended with code {code}: {last}; free memory, or leave it out")


def _quietly(close: Callable[[], None]) -> None:
    try:
        close()
    except BrokenPipeError:  # the other end is gone already
        return
