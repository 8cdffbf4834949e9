"""Pictures one after the other into an MP4 file, which is whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from graspnext.errors import OutputError
from graspnext.files import output_errors
from graspnext.runtime.opencv import import_opencv
from graspnext.types import UInt8Array

CODEC = "mp4v"
"""MPEG-4 part 2: what every build of OpenCV writes and every player reads (browsers do not)."""
DEFAULT_RATE_HZ = 25.0
"""For streams that do not say how many frames a second they have."""
LONGEST_HOLD_S = 10.0
"""Longest time that one picture stays where frames are missing."""


class VideoWriter:
    """An MP4 file being written.

    Example:
        >>> with VideoWriter(Path("found.mp4"), rate_hz=25) as writer:
        ...     writer.add(picture)
        ...     writer.finish()
    """

    def __init__(self, path: Path, *, rate_hz: float = 0.0) -> None:
        """Begin a video; the first picture gives its size.

        Args:
            path: Where it will be; ends in .mp4.
            rate_hz: Pictures a second; 0 = unknown, 25 then.

        Raises:
            MissingDependencyError: OpenCV is not installed.
        """
        self._path, self._rate_hz = path, round(rate_hz, 3) or DEFAULT_RATE_HZ
        self._aside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        self._cv2 = import_opencv("overlay videos")
        self._writer: Any = None
        self._shape = (0, 0)
        self._written = 0
        self._last: UInt8Array | None = None
        self._last_s, self._due = 0.0, 0.0

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.release()
        self._aside.unlink(missing_ok=True)  # not there once finished

    def add(self, picture: UInt8Array, *, time_s: float | None = None) -> None:
        """Write one picture.

        Args:
            picture: (H, W, 3) uint8, RGB; of another size than the first it is scaled to that.
            time_s: When it is seen, in the stream's time; the picture before stays until then, at most 10 s. None: it
                comes right after the one before.

        Raises:
            OutputError: The video cannot be written.
        """
        if self._writer is None:
            self._open(*picture.shape[:2])
        height, width = self._shape
        if picture.shape[0] // 2 * 2 != height or picture.shape[1] // 2 * 2 != width:
            picture = self._cv2.resize(picture, (width, height), interpolation=self._cv2.INTER_AREA)
        image = self._cv2.cvtColor(np.ascontiguousarray(picture[:height, :width]), self._cv2.COLOR_RGB2BGR)
        if time_s is not None and self._last is not None:
            self._due += min(time_s - self._last_s, LONGEST_HOLD_S) * self._rate_hz  # never rounded: no drift
            while self._written < round(self._due):
                self._write(self._last)
        self._last, self._last_s = image, time_s or 0.0
        self._write(image)

    def finish(self) -> None:
        """Close the file, look whether all of it is there, and give it its name. Without pictures there is no file.

        Raises:
            OutputError: The video is not whole: OpenCV does not say so when a disk is full.
        """
        if self._writer is None:
            return
        self._writer.release()
        capture = self._cv2.VideoCapture(str(self._aside.absolute()), self._cv2.CAP_FFMPEG)
        there = round(capture.get(self._cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        if there != self._written:
            what = f"{there} of {self._written} pictures were written"
            raise OutputError(self._path, what, "free some space and run again")
        with output_errors(self._path):
            self._aside.replace(self._path)

    def _write(self, image: UInt8Array) -> None:
        self._writer.write(image)
        self._written += 1

    def _open(self, height: int, width: int) -> None:
        self._shape = (height // 2 * 2, width // 2 * 2)  # the codec wants even sizes
        with output_errors(self._path):
            self._aside.touch()
        code = self._cv2.VideoWriter_fourcc(*CODEC)
        address = str(self._aside.absolute())
        self._writer = self._cv2.VideoWriter(address, self._cv2.CAP_FFMPEG, code, self._rate_hz, self._shape[::-1])
        if not self._writer.isOpened():
            raise OutputError(self._path, "OpenCV cannot write an MP4 video", "leave --overlay-video out")
