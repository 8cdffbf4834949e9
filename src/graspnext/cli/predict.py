"""`graspnext predict SOURCE... --out DIR`: find parts and suction points in pictures."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from graspnext.cli.options import read_options
from graspnext.cli.output import emit_json, progress
from graspnext.errors import ConfigError, InputImageError
from graspnext.files import make_folder, output_errors, write_json
from graspnext.runtime.images import read_image
from graspnext.runtime.sources import Problem, describe, expand_sources
from graspnext.types import Frame, Prediction, UInt8Array

REPORT_FILE = "predictions.json"


@dataclass(frozen=True)
class Predict:
    """Find parts and suction points in pictures: an overlay for each, and predictions.json for all.

    Examples:
      graspnext predict bin.png --out found
      graspnext predict pictures/ 'more/*.jpg' --out found --min-score 0.3 --runtime onnxruntime
    """

    sources: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE...")]
    """Pictures (PNG, JPEG, TIFF, BMP, WEBP), folders of them, or glob patterns in quotes."""
    out: Path
    """Folder for <name>_overlay.png and predictions.json."""
    model: Path | None = None
    """Folder of a bundle; the one that ships with graspnext when not given."""
    runtime: str = "openvino"
    """openvino or onnxruntime."""
    min_score: float = 0.5
    """Parts below this score, in [0, 1], are left out."""
    json: Path | None = None
    """Also write the content of predictions.json here; - is standard output."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    file: str
    parts: int
    occluded: int
    best_suction: float
    predict_ms: float


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0 when every source gave a result, 2 when any did not."""
    options = read_options(Predict, arguments, prog="graspnext predict")
    if not options.sources:
        raise ConfigError("SOURCE", "", "at least one picture, folder or glob pattern")
    from graspnext.runtime.predictor import Predictor
    from graspnext.runtime.report import frame_record, report

    if not 0 <= options.min_score <= 1:
        raise ConfigError("--min-score", options.min_score, "in [0, 1]")
    predictor = Predictor(options.model, runtime=options.runtime)
    make_folder(options.out)
    sources = expand_sources(options.sources)
    problems, rows, frames = list(sources.problems), list[Row](), list[dict[str, Any]]()
    names = overlay_names(sources.paths)
    for path, name in progress(zip(sources.paths, names, strict=True), total=len(names), label="predict"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what decoders say about odd tags; what matters is an error
                image = read_image(path)
        except InputImageError as error:
            problems.append(describe(path, error))
            continue
        begin = time.perf_counter()
        prediction = predictor.predict(Frame(image, source=str(path)), min_score=options.min_score)
        predict_ms = (time.perf_counter() - begin) * 1e3
        _write_overlay(options.out / name, image, prediction, options.min_score)
        frames.append({**frame_record(prediction), "overlay": name, "predict_ms": round(predict_ms, 2)})
        rows.append(_row(prediction, predict_ms))
    about = {"model": predictor.card.name, "runtime": options.runtime, "min_score": options.min_score}
    content = report(frames, problems, **about)
    write_json(options.out / REPORT_FILE, content)
    emit_json(content, options.json)
    stream = sys.stderr if str(options.json) == "-" else sys.stdout
    _say(rows, problems, stream)
    stream.write(f"{len(rows)} overlay{'s' * (len(rows) != 1)} and {REPORT_FILE}: see {options.out}\n")
    return 2 if problems else 0


def overlay_names(paths: Sequence[Path]) -> list[str]:
    """`<stem>_overlay.png` for each picture; equal stems (compared without case) get `_2`, `_3`, ... before it."""
    taken: set[str] = set()
    names = []
    for path in paths:
        number, stem = 1, path.stem
        while (name := f"{stem}{'' if number == 1 else f'_{number}'}_overlay.png").lower() in taken:
            number += 1
        taken.add(name.lower())
        names.append(name)
    return names


def _write_overlay(path: Path, image: UInt8Array, prediction: Prediction, min_score: float) -> None:
    from PIL import Image

    from graspnext.viz.overlay import overlay

    aside = path.with_name(f".{path.name}.part")
    with output_errors(path):
        try:
            Image.fromarray(overlay(image, prediction, min_score=min_score)).save(aside, format="PNG")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


def _row(prediction: Prediction, predict_ms: float) -> Row:
    return Row(
        file=prediction.source,
        parts=len(prediction.scores),
        occluded=int((prediction.occluded_probability >= 0.5).sum()),
        best_suction=float(prediction.suction.max()),
        predict_ms=predict_ms,
    )


def _say(rows: Sequence[Row], problems: Sequence[Problem], stream: Any) -> None:
    """The table on `stream`; what failed on standard error, one line each."""
    if rows:
        width = max(len("file"), *(len(row.file) for row in rows))
        stream.write(f"{'file':<{width}}  parts  occluded  best suction       ms\n")
        for row in rows:
            counts = f"{row.parts:>5}  {row.occluded:>8}"
            stream.write(f"{row.file:<{width}}  {counts}  {row.best_suction:>12.2f}  {row.predict_ms:>7.1f}\n")
    for problem in problems:
        sys.stderr.write(f"error: {problem.source}: {problem.problem}\n")
