"""OpenCV, which reads and writes videos here and nothing else: imported when the first video or camera is opened."""

from __future__ import annotations

import os
from typing import Any

from graspnext.errors import MissingDependencyError

QUIET = {"OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}
"""Their own words on standard error would stand between our lines; what matters becomes an error of ours. A user's own
setting wins."""


def import_opencv(needed_for: str) -> Any:
    """The module `cv2`.

    Raises:
        MissingDependencyError: It is not installed, or a system library that it needs is missing.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import cv2
    except ImportError as error:
        missing = "opencv" if isinstance(error, ModuleNotFoundError) else f"opencv ({error})"
        raise MissingDependencyError(missing, needed_for, "pip install 'graspnext[video]'") from error
    return cv2
