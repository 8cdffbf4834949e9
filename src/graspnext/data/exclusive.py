"""One writer at a time in a dataset's folder, and none of what an earlier one left half written."""

from __future__ import annotations

import fcntl
import io
import shutil
from pathlib import Path

from graspnext.data.format import LOG_FILE, SCENES_DIR
from graspnext.errors import OutputError
from graspnext.files import output_errors


def lock(root: Path) -> io.FileIO:
    """Open the log for appending, and with it the folder's lock; the system frees it when this process ends.

    Raises:
        OutputError: Another run has it, or the folder cannot be written.
    """
    with output_errors(root / LOG_FILE):
        log = (root / LOG_FILE).open("a+b", buffering=0)
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            log.close()
            advice = "wait for its end, or choose another folder"
            raise OutputError(root, "another run is writing into it", advice) from error
    return log


def holds_something(root: Path) -> bool:
    """Whether a folder holds more than a run leaves that ended before it wrote anything.

    Raises:
        OutputError: It cannot be listed, or is no folder.
    """
    with output_errors(root):
        return root.exists() and any(name.name != LOG_FILE and name.suffix != ".part" for name in root.iterdir())


def sweep(root: Path) -> None:
    """Remove what an interrupted run left half written.

    Raises:
        OutputError: It cannot be removed.
    """
    with output_errors(root):
        for folder in (root / SCENES_DIR).glob(".*.part"):
            shutil.rmtree(folder)
        for file in root.glob(".*.part"):
            file.unlink(missing_ok=True)
