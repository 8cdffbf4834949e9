"""Many hostile files in a child process with limits: pictures one after the other, bundles a few to each fork of it.

Where a fork dies its bundles are done again, each in a fork of its own: a damaged model can leave memory damaged behind
it, which the next would pay for. As a program this does the work: jobs as a line on standard input, answers as one on
standard output.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from graspnext.errors import InputImageError
from graspnext.runtime.bundle import open_bundle
from graspnext.runtime.onnxruntime_backend import import_onnxruntime
from graspnext.runtime.openvino_backend import import_openvino
from graspnext.runtime.predictor import Predictor
from graspnext.runtime.safety.trial import attempt, set_limits

GROUP = 16
"""Jobs to a line, and bundles to a fork."""
PATIENCE_S = 60.0
"""For one file: what takes longer hangs. Generous, since machines are busy."""
LIMITS = {"memory_bytes": 3 << 30, "cpu_s": 900}
FORK_LIMITS = {"memory_bytes": 3 << 30, "cpu_s": 120}


def run_jobs(jobs: Sequence[dict[str, Any]]) -> list[str]:
    """An answer for each job: "ran", "error: ...", "escaped: ...", and of bundles "crash: ..." or "hang"."""
    command = [sys.executable, __file__]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdin is not None
    assert child.stdout is not None
    answers: list[str] = []
    try:
        for start in range(0, len(jobs), GROUP):
            group = jobs[start : start + GROUP]
            child.stdin.write(json.dumps(group).encode() + b"\n")
            child.stdin.flush()
            line = child.stdout.readline()
            assert line, f"ended with {child.wait()} on {group}"
            answers += json.loads(line)
        return answers
    finally:
        child.kill()
        child.communicate()


def kinds(answers: Sequence[str]) -> Counter[str]:
    """First words."""
    return Counter(answer.partition(":")[0] for answer in answers)


def main() -> None:
    """Answer jobs until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import_openvino()  # before the forks, so that none of them has to
    import_onnxruntime()
    set_limits(LIMITS)
    predictors: dict[str, Any] = {}
    for line in sys.stdin:
        jobs = json.loads(line)
        said = _bundles(jobs) if "runtime" in jobs[0] else [_image(job, predictors) for job in jobs]
        answers.write(json.dumps(said) + "\n")
        answers.flush()


def _bundles(jobs: Sequence[dict[str, Any]]) -> list[str]:
    said = _fork(jobs)
    if len(said) < len(jobs) or {"crash", "hang"} & kinds(said).keys():
        said = [_fork([job])[0] for job in jobs]
    return said


def _fork(jobs: Sequence[dict[str, Any]]) -> list[str]:
    """Answers up to the first crash or hang, in a process that ends with them."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            set_limits(FORK_LIMITS)
            for job in jobs:
                os.write(writing, json.dumps(_bundle(job)).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(writing)
    said: list[str] = []
    with os.fdopen(reading) as stream:
        while len(said) < len(jobs):
            if not select.select([stream], [], [], PATIENCE_S)[0]:
                os.kill(child, signal.SIGKILL)
                said.append("hang")
                break
            line = stream.readline()
            if not line:
                break
            said.append(json.loads(line))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return said if len(said) == len(jobs) or said[-1:] == ["hang"] else [*said, f"crash: {status}"]


def _bundle(job: dict[str, Any]) -> str:
    try:
        error = attempt(open_bundle(job["path"]), job["runtime"], {"num_threads": 1})
    except Exception as escaped:  # noqa: BLE001 - that none gets here is what is tested
        return f"escaped: {type(escaped).__name__} {escaped}"
    return "ran" if error is None else f"error: {error}"


def _image(job: dict[str, Any], predictors: dict[str, Any]) -> str:
    """From the file to a prediction, as a robot's program does it."""
    if job["model"] not in predictors:
        predictors[job["model"]] = Predictor(job["model"], runtime="onnxruntime", trusted=True, num_threads=1)
    try:
        found = predictors[job["model"]].predict(job["path"], min_score=0.0)
    except InputImageError as error:
        return f"error: {error}"
    except Exception as error:  # noqa: BLE001 - that none gets here is what is tested
        return f"escaped: {type(error).__name__} {error}"
    return f"ran: {found.width} x {found.height}"


if __name__ == "__main__":
    main()
