"""Sources of frames: pictures, folders, glob patterns, videos, cameras, and pictures with depth.

Example:
    >>> for frame in read_source("clip.mp4", SourceConfig(every=5)):
    ...     prediction = predictor.predict(frame)
"""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from graspnext.errors import ConfigError, GraspNextError, InputImageError, NoSourcesError
from graspnext.runtime.depth import read_depth
from graspnext.runtime.frames import SourceFrame
from graspnext.runtime.images import SUFFIXES, is_turned, read_head, read_image
from graspnext.runtime.live import LiveQueue
from graspnext.runtime.pairs import DepthNames
from graspnext.runtime.video import HEAD_BYTES, VIDEO_SUFFIXES, has_video_head, read_camera, read_video
from graspnext.types import Camera

Kind = Literal["picture", "video", "camera"]
Intrinsics = tuple[float, float, float, float]
"""fx, fy, cx, cy in px as OpenCV and the programs of cameras give them: the first pixel's centre is at 0, 0."""


@dataclass(frozen=True)
class SourceConfig:
    """How sources are read."""

    every: int = 1
    """Of each stream, and of the pictures of each folder or pattern, only every n-th is taken."""
    live: bool = False
    """Play videos at their own rate and drop what comes too fast, as with a camera; else no frame is lost."""
    queue: int = 2
    """Most frames of a camera or live video that wait; the oldest is dropped for a newer one."""
    depth: DepthNames | None = None
    """How depth files are named after pictures; None = pictures have no depth."""
    camera: Intrinsics | None = None
    """Of the camera that took all frames; None = unknown."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ConfigError("--every", self.every, "at least 1")
        if self.camera is not None:
            _check_intrinsics(self.camera)
        if not 1 <= self.queue <= 1000:
            raise ConfigError("--queue", self.queue, "in 1 to 1000: each waiting frame takes memory")


@dataclass(eq=False)
class Source:
    """One picture, one video, or one camera."""

    kind: Kind
    address: Path | int
    """A file, or a camera's index."""
    config: SourceConfig
    dropped: int = field(default=0, init=False)
    """Frames that were read and thrown away so far because nobody had time for them."""

    @property
    def label(self) -> str:
        """Its name for messages."""
        return f"camera {self.address}" if isinstance(self.address, int) else str(self.address)

    @property
    def stem(self) -> str:
        """Its name for files made of it; that of another source may be equal."""
        return f"camera_{self.address}" if isinstance(self.address, int) else self.address.stem

    @property
    def is_stream(self) -> bool:
        """Whether it gives more than one frame."""
        return self.kind != "picture"

    @property
    def is_live(self) -> bool:
        """Whether frames come in their own time and are dropped when nobody is ready for them."""
        return self.kind == "camera" or (self.kind == "video" and self.config.live)

    def frames(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[SourceFrame]:
        """Its frames, until there are no more or `stopped` says so.

        Raises:
            InputImageError: The source, or its depth file, cannot be read; a stream may have given frames before.
            MissingDependencyError: It is a stream and OpenCV is not installed.
        """
        for frame in self._read(stopped):
            yield frame if self.config.camera is None else replace(frame, camera=_camera(frame, self.config.camera))

    def _read(self, stopped: Callable[[], bool]) -> Iterator[SourceFrame]:
        if self.kind == "picture":
            yield _read_picture(Path(str(self.address)), self.config.depth)
            return
        if self.config.depth:
            raise InputImageError(self.label, "a stream has no depth files", "leave --depth out, or give pictures")
        if self.kind == "camera":
            frames = read_camera(self.address, every=self.config.every)
        else:
            frames = read_video(str(self.address), every=self.config.every, paced=self.is_live)
        if not self.is_live:
            with closing(frames):
                for frame in frames:
                    yield frame
                    if stopped():
                        return
            return
        with LiveQueue(frames, size=self.config.queue) as queue:
            for frame in queue.until(stopped):
                self.dropped = queue.dropped
                yield frame
            self.dropped = queue.dropped


@dataclass(frozen=True)
class Problem:
    """A source that gives no result, and why."""

    source: str
    problem: str
    """One line, with what to do."""


@dataclass(frozen=True)
class Sources:
    """What the words came to."""

    found: tuple[Source, ...]
    """What to read, in the order of the words, sorted within a folder or pattern, each once."""
    problems: tuple[Problem, ...]
    """Words that name nothing."""


def describe(source: str | Path, error: GraspNextError) -> Problem:
    """The problem that an error tells of, on one line and without the source's name in front of it."""
    text = " ".join(str(error).split())
    return Problem(str(source), text.removeprefix(f"{source}: "))


def find_sources(words: Sequence[str | Path | int], config: SourceConfig | None = None) -> Sources:
    """All sources that words name.

    A folder (not searched below its first level) or glob pattern gives its pictures and videos by their suffixes. A
    file is taken at its word; whether it is what it seems shows when it is read. A whole number that is no file is a
    camera's index; a device (/dev/video0) and a FIFO are cameras.
    """
    config = config or SourceConfig()
    found: dict[Path | int, Source] = {}
    problems: list[Problem] = []
    for word in words:
        try:
            for source in _expand(str(word), config):
                key = source.address if isinstance(source.address, int) else source.address.resolve()
                found.setdefault(key, source)
        except GraspNextError as error:
            problems.append(describe(str(word), error))
    return Sources(tuple(found.values()), tuple(problems))


def read_source(word: str | Path | int, config: SourceConfig | None = None) -> Iterator[SourceFrame]:
    """The frames of all that one word names; the first problem ends them.

    Raises:
        InputImageError: Something cannot be read.
        NoSourcesError: A folder or pattern holds no picture and no video.
        MissingDependencyError: There is a stream and OpenCV is not installed.
    """
    for source in _expand(str(word), config or SourceConfig()):
        yield from source.frames()


def _expand(word: str, config: SourceConfig) -> list[Source]:
    path = Path(word)
    try:
        if path.is_dir():
            return _search(word, path.iterdir(), config)
        if path.is_char_device() or path.is_fifo():
            return [Source("camera", path, config)]
        if path.exists():
            return [Source(_kind(path), path, config)]
        if word.isascii() and word.isdigit():
            return [Source("camera", int(word), config)]
        if glob.has_magic(word):
            return _search(word, map(Path, glob.glob(word, recursive=True)), config)  # noqa: PTH207 - absolute too
    except GraspNextError:
        raise
    except PermissionError as error:
        raise InputImageError(word, "permission denied", "make it readable") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputImageError(word, f"cannot be read ({error})", "check the path") from error
    raise InputImageError(word, "no such file or folder", "check the path")


def _search(word: str, paths: Iterable[Path], config: SourceConfig) -> list[Source]:
    suffixes = SUFFIXES if config.depth else SUFFIXES | VIDEO_SUFFIXES
    files = sorted(path for path in paths if path.suffix.lower() in suffixes and path.is_file())
    if not files:
        raise NoSourcesError(word, suffixes)
    if config.depth:
        files = [path for path in files if config.depth.is_picture(path)]
        if not files:
            what = (
                f"no picture is named as --rgb '{config.depth.rgb}'" if config.depth.rgb else "nothing but depth files"
            )
            raise InputImageError(word, what, "check --rgb and --depth against the names of the files")
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    left_out = set(pictures) - set(pictures[:: config.every])
    return [Source(_kind(path), path, config) for path in files if path not in left_out]


def _kind(path: Path) -> Kind:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return "picture"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    try:
        return "video" if has_video_head(read_head(path, HEAD_BYTES)) else "picture"
    except InputImageError:
        return "picture"  # says the same when it is read


def _check_intrinsics(camera: Intrinsics) -> None:
    if not (all(math.isfinite(value) for value in camera) and min(camera[:2]) > 0):
        raise ConfigError("--camera", camera, "four numbers FX FY CX CY in px, the focal lengths above 0")


def _camera(frame: SourceFrame, intrinsics: Intrinsics) -> Camera:
    """With pixel centres at halves, as everywhere here (docs/conventions.md)."""
    height, width = frame.image.shape[:2]
    fx, fy, cx, cy = intrinsics
    return Camera(width, height, fx, fy, cx + 0.5, cy + 0.5)


def _read_picture(path: Path, names: DepthNames | None) -> SourceFrame:
    image = read_image(path)
    if names is None:
        return SourceFrame(image, source=str(path), file=str(path))
    depth_path = names.depth_of(path)
    if depth_path is None:
        raise InputImageError(path, f"the name does not fit --rgb '{names.rgb}'", "rename it or change --rgb")
    if not depth_path.exists():
        what = f"its depth file {depth_path} is not there ({{stem}} is '{names.stem_of(path)}')"
        raise InputImageError(path, what, "record it, or check --depth and --rgb against the names of the files")
    if is_turned(path):
        what = "its EXIF data ask for it to be turned, and its depth cannot say the same"
        raise InputImageError(path, what, "save both as the camera stores them, without EXIF orientation")
    depth_m = read_depth(depth_path, unit_m=names.unit_m)
    if depth_m.shape != image.shape[:2]:
        (rows, columns), (height, width) = depth_m.shape, image.shape[:2]
        what = f"the depth is {columns} x {rows} px and its picture {width} x {height}"
        raise InputImageError(depth_path, what, "align depth to the colour camera when recording, pixel for pixel")
    return SourceFrame(image, depth_m, source=str(path), file=str(path), depth_file=str(depth_path))
