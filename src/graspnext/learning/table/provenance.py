"""Where a number comes from: the command, the state of the source, the machine, and when."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import graspnext
from graspnext.learning.run import hardware

NAMED_VARIABLES = ("GLIBC_TUNABLES", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
"""Of the environment: what changes the speed, and is therefore said with the command."""


def command_line(verb: str, words: Sequence[str]) -> str:
    """A command as it could be typed again, with the variables set that matter."""
    variables = [f"{name}={shlex.quote(os.environ[name])}" for name in NAMED_VARIABLES if os.environ.get(name)]
    return " ".join([*variables, shlex.join(["graspnext", verb, *words])])


def provenance(command: str) -> dict[str, Any]:
    """What is noted with each measurement: date (UTC), command, version and commit, hardware."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "version": graspnext.__version__,
        "commit": commit(Path(graspnext.__file__).parent),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "hardware": hardware(),
    }


def commit(folder: Path) -> str | None:
    """The commit that a source folder is at, "+" behind it where tracked files of it differ; None outside git."""

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
        except OSError:  # no git here
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # An installed package may lie inside some other project's checkout, whose commit says nothing about it.
    if not ask("ls-files", "--", "__init__.py"):
        return None
    head = ask("rev-parse", "HEAD")
    changed = ask("status", "--porcelain", "--untracked-files=no", "--", ".")
    return None if head is None else head[:12] + ("+" if changed else "")
