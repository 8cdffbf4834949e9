"""`graspnext data check`: every fault of a dataset."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from graspnext.cli.output import check_target, emit_json, progress
from graspnext.errors import ConfigError

if TYPE_CHECKING:
    from graspnext.data.checks.scene import CheckedScene


@dataclass(frozen=True)
class Check:
    """List every fault of a dataset: missing, damaged or swapped files, and labels that contradict one another.

    Masks are held against depth and picture too: labels that were shifted by a few pixels, or are of another view, are
    found. Exit code 0 when there is no fault, 2 otherwise, one line for each on standard output.

    Examples:
      graspnext data check bins
      graspnext data check bins --workers 2 --json faults.json
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder of the dataset."""
    workers: int = 1
    """Processes at a time; about 10 views a second each, at 512 x 512 px."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the counts and the faults to this file; `-` is standard output."""

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= 256:
            raise ConfigError("workers", self.workers, "in 1 ... 256")


def run_check(command: Check) -> int:
    """Print the faults of a dataset: 0 when there is none, 2 otherwise."""
    from graspnext.data.check import check_dataset

    check_target(command.json)
    views: list[int] = []

    def watch(scenes: Iterable[CheckedScene], total: int) -> Iterable[CheckedScene]:
        for scene in progress(scenes, total=total, label="scenes checked"):
            views.append(scene.views)
            yield scene

    faults = check_dataset(command.folder, workers=command.workers, progress=watch)
    emit_json(
        {"scenes": len(views), "views": sum(views), "faults": [vars(fault) for fault in faults]},
        command.json,
    )
    report = sys.stderr if str(command.json) == "-" else sys.stdout  # standard output holds JSON or lines, never both
    for fault in faults:
        report.write(f"{fault}\n")
    number = f"{len(faults)} fault{'' if len(faults) == 1 else 's'}" if faults else "no faults"
    report.write(f"{len(views)} scenes, {sum(views)} views: {number}\n")
    return 2 if faults else 0
