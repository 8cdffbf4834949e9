"""The program of the process that tries a foreign bundle: limits first, then everything else.

`quarantine.py` starts it; standard input holds the task, standard output takes the answer: `{"error": null}` or the
text of one.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graspnext.runtime.bundle import Bundle

NOT_ITS_FAULT = 3
"""Exit code for errors of the caller: a runtime that is not installed, an option that does not exist."""
FRAME_SHAPE = (48, 64, 3)
"""Of the frame; the network inside the model sees its full input size all the same."""
MAX_WRITTEN_BYTES = 1 << 20
_CORES = 2
"""That it may use: native libraries reserve memory for every core they see."""
_GRACE_S = 5


def main() -> int:
    """Do the task: 0, 2 with an error, or NOT_ITS_FAULT."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever native code prints goes to the log
    task = sys.stdin.buffer
    about = json.loads(task.readline())
    set_limits(about["limits"])
    from graspnext.errors import GraspNextError

    try:
        error = attempt(_read(about, task), about["runtime"], about["options"])
    except GraspNextError:
        return NOT_ITS_FAULT
    answer.write(json.dumps({"error": error}) + "\n")
    answer.flush()
    return 2 if error else 0


def set_limits(limits: Mapping[str, float]) -> None:
    """Bound this process for good, as far as the system can (Windows: not at all, macOS: not its memory).

    Args:
        limits: `memory_bytes` of address space, `cpu_s`.
    """
    try:
        import resource
    except ImportError:
        return
    cpu_s = int(limits["cpu_s"])
    bounds = {
        "RLIMIT_AS": (int(limits["memory_bytes"]),) * 2,
        "RLIMIT_CPU": (cpu_s, cpu_s + _GRACE_S),
        "RLIMIT_FSIZE": (MAX_WRITTEN_BYTES,) * 2,
        "RLIMIT_CORE": (0, 0),
    }
    for name, (soft, hard) in bounds.items():
        with suppress(AttributeError, OSError, ValueError):
            kind = getattr(resource, name)
            top = resource.getrlimit(kind)[1]
            most = hard if top == resource.RLIM_INFINITY else min(hard, top)
            resource.setrlimit(kind, (min(soft, most), most))
    with suppress(AttributeError, OSError):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])


def run_once(bundle: Bundle, runtime: str, options: Mapping[str, Any]) -> None:
    """Compile a bundle and run it on one small frame.

    Raises:
        BundleError: It cannot be compiled or run, or gives arrays that are no prediction.
    """
    import numpy as np

    from graspnext.errors import BundleError
    from graspnext.geometry.predictions import wrap
    from graspnext.runtime.backend import open_backend
    from graspnext.runtime.safety.checked_run import checked_run

    frame = np.random.default_rng(0).integers(0, 256, FRAME_SHAPE, dtype=np.uint8)
    backend = open_backend(runtime, bundle, **options)
    outputs = checked_run(backend, bundle.path, frame)
    for name, record in bundle.card.outputs.items():
        if name in outputs and (found := list(outputs[name].shape)) != record.shape:
            problem = f"output {name} has the shape {found}, but the card says {record.shape}"
            raise BundleError(bundle.path, problem, "export the run again")
    wrap(outputs, width=FRAME_SHAPE[1], height=FRAME_SHAPE[0], min_score=0.0)


def attempt(bundle: Bundle, runtime: str, options: Mapping[str, Any]) -> str | None:
    """What goes wrong when a bundle is compiled and run, on one line; None when nothing does.

    Raises:
        GraspNextError: It is not the bundle's fault: no such runtime or option, or a library is missing.
    """
    from graspnext.errors import BundleError, GraspNextError

    try:
        run_once(bundle, runtime, options)
    except BundleError as error:
        return str(error).removeprefix(f"{bundle.path}: ").rpartition("; ")[0]
    except GraspNextError:
        raise
    except MemoryError:
        return "it needs more memory than it may have"
    except Exception as error:  # noqa: BLE001 - native modules raise classes of their own
        return " ".join(str(error).split())[:300] or type(error).__name__
    return None


def _read(about: Mapping[str, Any], task: IO[bytes]) -> Bundle:
    from graspnext.runtime.bundle import Bundle
    from graspnext.runtime.card import Card

    model, *ir = (task.read(size) for size in about["sizes"])
    return Bundle(Path(about["path"]), Card.model_validate(about["card"]), model, (ir[0], ir[1]) if ir else None)


if __name__ == "__main__":
    sys.exit(main())
