"""The log's numbers as TensorBoard scalars, where TensorBoard is installed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graspnext.files import output_errors

SCALARS_DIR = "tensorboard"
_SINGLE = ("lr", "grad_norm", "images_per_s", "data_wait_share", "memory_mb")


class Scalars:
    """One file of events that holds what the log holds.

    The file is written anew from the log when a run goes on, so that it holds each step once, however often the run
    was killed and resumed.
    """

    def __init__(self, run: Path) -> None:
        self._folder = run / SCALARS_DIR
        self._writer: Any = None
        self._missing = False
        self._count = 0
        """Lines of the log that are in the file."""

    def add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Bring the file up to date with the log; does nothing where TensorBoard is missing.

        Args:
            lines: The whole log; what was there before is only followed by more.

        Raises:
            OutputError: The file cannot be written.
        """
        if self._missing:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:  # a convenience, not a need
            self._missing = True
            return
        with output_errors(self._folder):
            if self._writer is None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._writer = SummaryWriter(str(self._folder))
            for line in lines[self._count :]:
                for name, value in line["losses"].items():
                    self._writer.add_scalar(f"loss/{name}", value, line["step"])
                for name in _SINGLE:
                    if name in line:
                        self._writer.add_scalar(f"run/{name}", line[name], line["step"])
            self._count = len(lines)

    def close(self) -> None:
        """Write what is waiting.

        Raises:
            OutputError: The file cannot be written.
        """
        if self._writer is not None:
            with output_errors(self._folder):
                self._writer.close()
