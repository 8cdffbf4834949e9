"""Frames of video files and cameras, read by OpenCV."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from graspnext.errors import InputImageError
from graspnext.runtime.frames import SourceFrame
from graspnext.runtime.images import read_head
from graspnext.runtime.opencv import import_opencv

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".flv"})
"""What a folder is searched for."""
HEAD_BYTES = 16
_ATOMS = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_MAGIC = (b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"G@", b"FLV\x01", b"0&\xb2u", b"OggS")
"""Matroska and WebM, MPEG program and elementary streams, MPEG transport streams, FLV, ASF (WMV), Ogg."""
_WHOLE_SHARE = 0.9
"""A file whose frames end before this share of its claimed length is cut. Claims are rough where the rate varies."""


def has_video_head(head: bytes) -> bool:
    """Whether a file's first `HEAD_BYTES` are those of a container of videos.

    FFmpeg also opens pictures, subtitles and lists of other addresses; nothing but these containers is given to it.
    """
    return head[4:8] in _ATOMS or head.startswith(_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")


def read_video(path: str | Path, *, every: int = 1, paced: bool = False) -> Generator[SourceFrame, None, None]:
    """Frames of a video file, upright, RGB.

    Args:
        path: MP4, MOV, AVI, Matroska, WebM, MPEG, WMV or FLV.
        every: Give each `every`-th frame, the first one first.
        paced: Give no frame before its time has come, counted from the first, as a camera would.

    Raises:
        InputImageError: The file is missing, empty, no video, or cannot be decoded; after its last frame, if it is cut.
        MissingDependencyError: OpenCV is not installed.
    """
    path = Path(path)
    _check_head(path)
    cv2 = import_opencv("videos")
    # Absolute: a name with a colon would be taken for an address.
    capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise InputImageError(path, "the video cannot be decoded", "record or copy it again, or convert it to MP4")
        rate_hz = _rate(cv2, capture)
        start, index, end_s = time.monotonic(), -1, 0.0
        for index, image in _images(cv2, capture, every):
            at_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
            time_s = at_ms / 1e3 if at_ms > 0 or not rate_hz else index / rate_hz  # some containers know no times
            end_s = max(end_s, time_s)
            if paced:
                time.sleep(max(0.0, start + time_s - time.monotonic()))
            yield SourceFrame(image, None, None, f"{path}#{index}", str(path), index, time_s, rate_hz)
        if index < 0:
            raise InputImageError(path, "the video has no frame", "record or copy it again, or convert it to MP4")
        _check_end(path, capture.get(cv2.CAP_PROP_FRAME_COUNT), rate_hz, index + every, end_s + every / (rate_hz or 1))
    finally:
        capture.release()


def read_camera(device: int | str | Path, *, every: int = 1) -> Generator[SourceFrame, None, None]:
    """Frames of a camera, RGB, as fast as it gives them, until it gives no more.

    Args:
        device: Index of a camera, path of one (/dev/video0), or path of a FIFO into which another program writes.
        every: Give each `every`-th frame.

    Raises:
        InputImageError: The camera cannot be opened, or stops.
        MissingDependencyError: OpenCV is not installed.
    """
    cv2 = import_opencv("cameras")
    is_pipe = not isinstance(device, int) and Path(device).is_fifo()
    name = f"camera {device}" if isinstance(device, int) else str(device)
    address = device if isinstance(device, int) else str(Path(device).absolute())
    capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG if is_pipe else cv2.CAP_ANY)
    try:
        if not capture.isOpened():
            what = "no video comes out of it" if is_pipe else "no such camera, or another program uses it"
            raise InputImageError(name, what, "check the cable, the number (0 is the first) and who may use it")
        rate_hz, start = _rate(cv2, capture), 0.0
        for index, image in _images(cv2, capture, every):
            now = time.monotonic()
            start = start or now
            yield SourceFrame(image, None, None, f"{name}#{index}", name, index, now - start, rate_hz)
        if not is_pipe:
            raise InputImageError(name, "the camera gives no more frames", "check its cable and start again")
    finally:
        capture.release()


def _check_head(path: Path) -> None:
    head = read_head(path, HEAD_BYTES)
    if not has_video_head(head):
        raise InputImageError(path, "not a video", "give MP4, MOV, AVI, Matroska, WebM, MPEG, WMV or FLV")


def _check_end(path: Path, frames_claimed: float, rate_hz: float, frames: int, end_s: float) -> None:
    """Both by count and by time: either alone is wrong for some whole file of a varying rate."""
    if not 0 < rate_hz < 1e4 or frames_claimed <= 0:
        return
    whole_s = frames_claimed / rate_hz
    if frames < _WHOLE_SHARE * frames_claimed and end_s < _WHOLE_SHARE * whole_s:
        what = f"the video is cut: it ends at {end_s:.1f} s of {whole_s:.1f} s"
        raise InputImageError(path, what, "what was read is kept; record or copy it again for the rest")


def _rate(cv2: Any, capture: Any) -> float:
    rate_hz = float(capture.get(cv2.CAP_PROP_FPS))
    return rate_hz if 0 < rate_hz < 1e4 else 0.0  # what is not known reads as -1, 0, NaN or a clock's rate


def _images(cv2: Any, capture: Any, every: int) -> Iterator[tuple[int, Any]]:
    """(index, (H, W, 3) uint8 RGB) of each `every`-th frame; those between are not converted."""
    index = 0
    while capture.grab():
        if index % every == 0:
            done, image = capture.retrieve()
            if not done:
                return
            code = cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB
            yield index, cv2.cvtColor(image, code)
        index += 1
