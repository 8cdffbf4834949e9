"""A frame with its place in the source that it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from graspnext.types import Frame


@dataclass(frozen=True, eq=False)
class SourceFrame(Frame):
    """A picture of its own, or one of a stream's frames. `source` names it: `bin.png`, `clip.mp4#12`, `camera 0#12`."""

    file: str = ""
    """The picture, the video or the camera."""
    index: int | None = None
    """Number of the frame in its stream, from 0, those left out counted; None = a picture."""
    time_s: float | None = None
    """Since the start of the stream; None = a picture."""
    rate_hz: float = 0.0
    """Frames a second that the stream claims to have; 0 = unknown."""
    depth_file: str = ""
    """Where `depth_m` was read; empty = nowhere."""
