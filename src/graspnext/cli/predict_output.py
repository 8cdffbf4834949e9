"""What `graspnext predict` leaves behind: overlays, predictions.json, and a table."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from graspnext.files import make_folder, output_errors
from graspnext.runtime.frames import SourceFrame
from graspnext.runtime.prediction import Prediction
from graspnext.runtime.report_file import ReportFile
from graspnext.runtime.sources import Problem, Source
from graspnext.runtime.video_writer import VideoWriter
from graspnext.types import UInt8Array

REPORT_FILE = "predictions.json"

OverlayKind = Literal["pictures", "video", "none"]
"""How the frames of streams are drawn; pictures are drawn as pictures unless none are wanted."""


@dataclass
class Row:
    """One line of the table: a picture, or all frames of a stream."""

    source: str
    is_stream: bool
    is_live: bool
    frames: int = 0
    dropped: int = 0
    parts: int = 0
    occluded: int = 0
    best_suction: float = 0.0
    predict_ms: float = 0.0
    """Of all frames together."""

    def add(self, prediction: Prediction, predict_ms: float) -> None:
        """Count one frame."""
        self.frames += 1
        self.parts += len(prediction.scores)
        self.occluded += int((prediction.occluded_probability >= 0.5).sum())
        self.best_suction = max(self.best_suction, float(prediction.suction.max()))
        self.predict_ms += predict_ms


class Outputs:
    """The files of one call, written as frames come. Leaving it without `finish` leaves no report and no cut video."""

    problems: list[Problem]
    num_frames: int

    def __init__(self, folder: Path, about: dict[str, Any], *, overlays: OverlayKind) -> None:
        """Begin the report.

        Args:
            folder: Where all files go; it exists.
            about: What the report says of the call.
            overlays: How frames of streams are drawn.

        Raises:
            OutputError: The folder cannot be written.
        """
        self.problems, self.num_frames = [], 0
        self._folder, self._overlays = folder, overlays
        self._rows: list[Row] = []
        self._drawn = dict.fromkeys(("overlay", "overlay video"), 0)
        self._source: Source | None = None
        self._name = ""
        self._writer: VideoWriter | None = None
        self._open = ExitStack()
        self._report = self._open.enter_context(ReportFile(folder / REPORT_FILE, **about))

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def begin(self, source: Source, name: str) -> None:
        """What comes from now on is of that source; `name` is the beginning of the names of its files."""
        self._source, self._name = source, name
        self._rows.append(Row(source.label, source.is_stream, source.is_live))

    def add(self, frame: SourceFrame, prediction: Prediction, *, predict_ms: float) -> None:
        """Draw and write one frame of the present source.

        Raises:
            OutputError: A file cannot be written.
        """
        record = {**prediction.to_dict(), "file": frame.file}
        if frame.index is not None and frame.time_s is not None:
            record |= {"frame": frame.index, "time_s": round(frame.time_s, 4)}
        if frame.depth_m is not None:
            record["depth_file"] = frame.depth_file
        if self._overlays != "none":
            record["overlay"] = self._draw(frame, prediction)
        self._report.add({**record, "predict_ms": round(predict_ms, 2)})
        self._rows[-1].add(prediction, predict_ms)
        self.num_frames += 1

    def end(self) -> None:
        """The present source gives nothing more.

        Raises:
            OutputError: Its overlay video is not whole.
        """
        if self._source is not None:
            self._rows[-1].dropped = self._source.dropped
        if self._writer is not None:
            self._writer.finish()
            self._writer = None

    def finish(self, *, interrupted: bool) -> None:
        """Complete predictions.json.

        Raises:
            OutputError: It cannot be written.
        """
        streams = [
            {"source": row.source, "frames": row.frames, "dropped": row.dropped} for row in self._rows if row.is_stream
        ]
        errors = [{"source": problem.source, "problem": problem.problem} for problem in self.problems]
        self._report.finish(streams=streams, interrupted=interrupted, errors=errors)

    def copy_report(self, target: Path | None) -> None:
        """The finished report once more: `-` is standard output, None is nowhere.

        Raises:
            OutputError: The target cannot be written.
        """
        report = self._folder / REPORT_FILE
        if target is None:
            return
        if str(target) == "-":
            with report.open(encoding="utf-8") as stream:
                shutil.copyfileobj(stream, sys.stdout)
            return
        aside = target.with_name(f".{target.name}.{os.getpid()}.part")
        with output_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(report, aside)
                aside.replace(target)
            finally:
                aside.unlink(missing_ok=True)

    def say(self, stream: IO[str]) -> None:
        """The table on `stream`; what failed on standard error, one line each."""
        pictures = [row for row in self._rows if row.frames and not row.is_stream]
        if pictures:
            width = max(len("file"), *(len(printable(row.source)) for row in pictures))
            stream.write(f"{'file':<{width}}  parts  occluded  best suction       ms\n")
            for row in pictures:
                counts = f"{row.parts:>5}  {row.occluded:>8}"
                stream.write(
                    f"{printable(row.source):<{width}}  {counts}  {row.best_suction:>12.2f}  {row.predict_ms:>7.1f}\n"
                )
        for row in self._rows:
            if row.frames and row.is_stream:
                stream.write(_stream_line(row))
        for problem in self.problems:
            sys.stderr.write(printable(f"error: {problem.source}: {problem.problem}\n"))
        written = [_counted(count, noun) for noun, count in self._drawn.items() if count]
        stream.write(f"{' and '.join([', '.join(written), REPORT_FILE] if written else [REPORT_FILE])}: ")
        stream.write(f"see {self._folder}\n")

    def _draw(self, frame: SourceFrame, prediction: Prediction) -> str:
        """Draw a frame where it belongs; returns that file's path from the folder."""
        assert self._source is not None
        picture = prediction.overlay(frame.image)
        if self._source.is_stream and self._overlays == "video":
            name = overlay_name(self._name, self._source, self._overlays)
            if self._writer is None:
                rate_hz = frame.rate_hz / self._source.config.every
                self._writer = self._open.enter_context(VideoWriter(self._folder / name, rate_hz=rate_hz))
                self._drawn["overlay video"] += 1
            self._writer.add(picture, time_s=frame.time_s if self._source.is_live else None)
            return name
        name = overlay_name(self._name, self._source, self._overlays)
        if self._source.is_stream:
            make_folder(self._folder / name)
            name = f"{name}/{frame.index:06d}.png"
        _write_png(self._folder / name, picture)
        self._drawn["overlay"] += 1
        return name


def overlay_name(name: str, source: Source, overlays: OverlayKind) -> str:
    """File of a source's overlays, or folder of them, in the folder of a call; `name` is what its files begin with."""
    if not source.is_stream:
        return f"{name}_overlay.png"
    return f"{name}_overlay.mp4" if overlays == "video" else f"{name}_overlay"


def printable(text: str) -> str:
    """The text with question marks for the bytes of file names that are no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def unique_names(stems: Sequence[str]) -> list[str]:
    """The stems; of equal ones (compared without case) the later get `_2`, `_3`, ... behind them."""
    taken: set[str] = set()
    names = []
    for stem in stems:
        number, name = 1, stem
        while name.lower() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.lower())
        names.append(name)
    return names


def _write_png(path: Path, picture: UInt8Array) -> None:
    from PIL import Image

    aside = path.with_name(f".{path.name}.part")
    with output_errors(path):
        try:
            Image.fromarray(picture).save(aside, format="PNG")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


def _stream_line(row: Row) -> str:
    said = [
        _counted(row.frames, "frame"),
        f"{row.parts / row.frames:.1f} parts a frame",
        f"{row.predict_ms / row.frames:.1f} ms a frame",
    ]
    if row.is_live:
        said.append(f"{row.dropped} dropped")
    return printable(f"{row.source}: {', '.join(said)}\n")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
