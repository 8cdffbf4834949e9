"""`graspnext predict SOURCE... --out DIR`: find parts and suction points in pictures, videos and camera streams."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from graspnext.cli.options import read_options
from graspnext.cli.output import check_target, progress
from graspnext.cli.predict_output import Outputs, OverlayKind, overlay_name, unique_names
from graspnext.errors import BundleError, ConfigError, InputImageError, MissingDependencyError, OutputError
from graspnext.files import make_folder
from graspnext.runtime.frames import SourceFrame
from graspnext.runtime.pairs import DepthNames
from graspnext.runtime.sources import Source, SourceConfig, describe, find_sources

if TYPE_CHECKING:
    from graspnext.runtime.predictor import Predictor


@dataclass(frozen=True)
class Predict:
    """Find parts and suction points in pictures, videos and camera streams: overlays, and predictions.json for all.

    Examples:
      graspnext predict bin.png --out found
      graspnext predict pictures/ 'more/*.jpg' --out found --min-score 0.3 --runtime onnxruntime
      graspnext predict clip.mp4 --out found --overlay-video --every 5
      graspnext predict 0 --out found --no-overlays --max-frames 1000
      graspnext predict scene/ --out found --rgb '{stem}_rgb.png' --depth '{stem}_depth.png'
    """

    sources: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE...")]
    """Pictures (PNG, JPEG, TIFF, BMP, WEBP), videos, folders of both, glob patterns in quotes, or a camera's number."""
    out: Path
    """Folder for overlays and predictions.json."""
    model: Path | None = None
    """Folder of a bundle; the one that ships with graspnext when not given."""
    trust: bool = False
    """The bundle is your own: open it without its trial in a process with limits, a second or two sooner."""
    runtime: str = "openvino"
    """openvino or onnxruntime."""
    min_score: float = 0.5
    """Parts below this score, in [0, 1], are left out."""
    json: Path | None = None
    """Also write the content of predictions.json here; - is standard output."""
    depth: str = ""
    """Depth file of a picture, from its folder, with {stem} for the picture's name: '{stem}_depth.png',
    '../depth/{stem}.png'. PNG of 16 bits, TIFF of floats, NPY."""
    rgb: str = ""
    """Name of a picture that has depth, when {stem} is less than its name: '{stem}_rgb.png'."""
    depth_unit_m: float | None = None
    """Metres of one unit in depth files; when not given 0.001 for whole numbers, 1 for floats."""
    camera: tuple[float, float, float, float] | None = None
    """FX FY CX CY of the camera, px, as OpenCV gives them: with depth, points become metres in its frame."""
    every: int = 1
    """Of each video, camera, folder or pattern take only every n-th frame."""
    max_frames: int = 0
    """Stop after so many frames in all; 0 is no limit."""
    live: bool = False
    """Play videos at their own rate and drop what the network has no time for; cameras always do."""
    queue: int = 2
    """Most frames of a camera or live video that wait; the oldest is dropped for a newer one."""
    overlays: bool = True
    """Draw what was found: a picture for each frame."""
    overlay_video: bool = False
    """Draw the frames of a video or camera into one MP4 file instead."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ConfigError("--min-score", self.min_score, "in [0, 1]")
        if self.max_frames < 0:
            raise ConfigError("--max-frames", self.max_frames, "at least 0 (no limit)")
        if self.rgb and not self.depth:
            raise ConfigError("--rgb", self.rgb, "given together with --depth")
        if self.depth_unit_m is not None and not self.depth:
            raise ConfigError("--depth-unit-m", self.depth_unit_m, "given together with --depth")

    @property
    def source_config(self) -> SourceConfig:
        """How sources are read."""
        depth = DepthNames(self.depth, self.rgb, self.depth_unit_m) if self.depth else None
        return SourceConfig(self.every, self.live, self.queue, depth, self.camera)

    @property
    def overlay_kind(self) -> OverlayKind:
        """How frames of streams are drawn."""
        return "none" if not self.overlays else "video" if self.overlay_video else "pictures"


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0 when every source gave a result, 2 when any did not."""
    options = read_options(Predict, arguments, prog="graspnext predict")
    if not options.sources:
        raise ConfigError("SOURCE", "", "at least one picture, video, folder, glob pattern or camera number")
    from graspnext.learning.interruption import heed_signals
    from graspnext.runtime.predictor import Predictor

    config = options.source_config
    check_target(options.json)
    predictor = Predictor(options.model, runtime=options.runtime, trusted=options.trust)
    sources = find_sources(options.sources, config)
    _refuse_overwriting(sources.found, options)
    make_folder(options.out)
    about: dict[str, Any] = {
        "model": predictor.card.name,
        "runtime": options.runtime,
        "precision": predictor.precision,
        "min_score": options.min_score,
    }
    with (
        heed_signals() as interruption,
        Outputs(options.out, about, overlays=options.overlay_kind) as outputs,
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", module="PIL")  # of odd tags; what matters is an error
        outputs.problems.extend(sources.problems)
        _predict_all(predictor, sources.found, outputs, options, lambda: interruption.asked)
        outputs.finish(interrupted=interruption.asked)
    outputs.say(sys.stderr if str(options.json) == "-" else sys.stdout)
    outputs.copy_report(options.json)
    if interruption.asked:
        raise KeyboardInterrupt(f"interrupted: what was found until then is in {options.out}")
    return 2 if outputs.problems else 0


def _refuse_overwriting(sources: Sequence[Source], options: Predict) -> None:
    """See to it that no overlay takes the place of a source.

    Raises:
        OutputError: One would.
    """
    if options.overlay_kind == "none":
        return
    files = {source.address.resolve() for source in sources if isinstance(source.address, Path)}
    for source, name in zip(sources, unique_names([source.stem for source in sources]), strict=True):
        target = (options.out / overlay_name(name, source, options.overlay_kind)).resolve()
        if target in files:
            raise OutputError(target, f"the overlay of {source.label} would take its place", "choose another --out")


def _predict_all(
    predictor: Predictor,
    sources: Sequence[Source],
    outputs: Outputs,
    options: Predict,
    interrupted: Callable[[], bool],
) -> None:
    """Predict on every frame until all are done, enough are, the user has enough, or the model fails."""
    failed = False

    def stopped() -> bool:
        return failed or interrupted() or 0 < options.max_frames <= outputs.num_frames

    total = _total(sources, options.max_frames)
    for frame in progress(_frames(sources, outputs, stopped), total=total, label="predict"):
        begin = time.perf_counter()
        try:
            prediction = predictor.predict(frame, min_score=options.min_score)
        except BundleError as error:  # what was found before is kept
            outputs.problems.append(describe(frame.source, error))
            failed = True
            continue
        outputs.add(frame, prediction, predict_ms=(time.perf_counter() - begin) * 1e3)


def _frames(sources: Sequence[Source], outputs: Outputs, stopped: Callable[[], bool]) -> Iterator[SourceFrame]:
    """The frames of all sources. A source that cannot be read is a problem, not the end."""
    for source, name in zip(sources, unique_names([source.stem for source in sources]), strict=True):
        if stopped():
            return
        outputs.begin(source, name)
        try:
            yield from source.frames(stopped)
        except (InputImageError, MissingDependencyError) as error:
            outputs.problems.append(describe(source.label, error))
        outputs.end()


def _total(sources: Sequence[Source], max_frames: int) -> int | None:
    """How many frames there will be, where that is known."""
    if any(source.is_stream for source in sources):
        return max_frames or None
    return min(len(sources), max_frames or len(sources))
