"""`predictions.json` written frame by frame: memory does not grow with a stream, and the file is whole or absent."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from graspnext.files import output_errors
from graspnext.runtime.report import SCHEMA_VERSION


class ReportFile:
    """One report being written. Leaving it without `finish` leaves no file, or the one that was there before.

    Example:
        >>> with ReportFile(Path("predictions.json"), model="fast") as report:
        ...     report.add(frame_record(prediction))
        ...     report.finish(errors=[])
    """

    def __init__(self, path: Path, **about: Any) -> None:
        """Begin the file.

        Args:
            path: Where it will be.
            **about: What stands before the frames: the model, the runtime, ...

        Raises:
            OutputError: The file cannot be written.
        """
        self._path = path
        self._aside = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._is_first = True
        with output_errors(path):
            self._stream: IO[str] = self._aside.open("w", encoding="utf-8")
        head = json.dumps({"schema_version": SCHEMA_VERSION, **about}, indent=2, allow_nan=False)
        self._write(head.removesuffix("\n}") + ',\n  "frames": [')

    def __enter__(self) -> ReportFile:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a full disk has been named already
            self._stream.close()
        self._aside.unlink(missing_ok=True)  # not there once finished

    def add(self, record: dict[str, Any]) -> None:
        """Write one frame, on a line of its own.

        Raises:
            OutputError: The file cannot be written.
        """
        self._write(("\n    " if self._is_first else ",\n    ") + json.dumps(record, allow_nan=False))
        self._is_first = False

    def finish(self, **after: Any) -> None:
        """Write what stands after the frames, wait for the disk, and give the file its name.

        Raises:
            OutputError: The file cannot be written.
        """
        tail = json.dumps(after, indent=2, allow_nan=False).removeprefix("{")
        self._write(("]," if self._is_first else "\n  ],") + tail + "\n")
        with output_errors(self._path):
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            self._aside.replace(self._path)

    def _write(self, text: str) -> None:
        with output_errors(self._path):
            self._stream.write(text)
