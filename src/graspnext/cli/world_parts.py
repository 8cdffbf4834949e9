"""`graspnext world parts DIR`: what becomes of every mesh file of a folder."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from graspnext.cli.options import read_options
from graspnext.cli.output import check_target, emit_json, progress
from graspnext.errors import ConfigError
from graspnext.world.parts.imported.folder import FileOutcome, PartFolder, read_folder

DESCRIPTION = """Say what becomes of every mesh file of a folder: size, mass, what was repaired, why one is refused.

Examples:
  graspnext world parts cad
  graspnext world parts cad --units mm --out parts.png --json parts.json

The same folder is what `graspnext world make --parts` takes. Files are prepared once and kept in a cache. Exit code 0
when every file can be used, 2 otherwise. docs/parts.md says what parts.yaml may hold."""
_COLUMNS = 3
_PORTRAIT_PX = 180


@dataclass(frozen=True)
class PartsOptions:
    """Options of `world parts`."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder of OBJ, STL, PLY, GLB, glTF and OFF files, at any depth."""
    units: Annotated[Literal["mm", "m"] | None, tyro.conf.arg(metavar="mm|m")] = None
    """Unit of all files; found out from their size when left out."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Processes at a time; one for each core when left out."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="PNG")] = None
    """Picture to write: every part, and the convex pieces that physics uses."""
    renderer: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """filament or classic, for the picture; the best that works here when left out."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the outcomes here; - is standard output."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError("workers", self.workers, "at least 1")
        if self.out is not None and self.out.suffix.lower() != ".png":
            raise ConfigError("out", str(self.out), "a file ending in .png")


def main(words: Sequence[str]) -> int:
    """Run `world parts`: 0 when every file can be used, 2 otherwise."""
    options = read_options(PartsOptions, words, prog="graspnext world parts", description=DESCRIPTION)
    check_target(options.json)
    read = read_folder(options.folder, units=options.units, workers=options.workers, watch=watch)
    emit_json(
        {
            "folder": str(read.folder),
            "units": {"unit": read.unit.unit, "why": read.unit.why, "sure": read.unit.sure},
            "digest": read.digest,
            "prepared": read.prepared,
            "files": [outcome.to_dict() for outcome in read.outcomes],
        },
        options.json,
    )
    report = sys.stderr if str(options.json) == "-" else sys.stdout
    report.write(table(read) + "\n")
    if options.out is not None:
        _draw(read, options.out, options.renderer)
        report.write(f"{options.out}: every part, and its convex pieces beside it\n")
    return 2 if read.refused else 0


def watch(items: Iterable[Any], total: int) -> Iterable[Any]:
    """A progress bar for files being prepared."""
    return progress(items, total=total, label="parts prepared")


def table(read: PartFolder) -> str:
    """Every file on a line, what was repaired or is wrong below it, the unit and the counts at the end."""
    head = ("file", "status", "size mm", "unit", "faces", "pieces", "mass kg", "")
    rows = [head, *(_row(outcome) for outcome in read.outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = []
    for row, outcome in zip(rows, [None, *read.outcomes], strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if outcome is not None:
            lines += [f"    {note}" for note in outcome.notes]
            lines += [f"    {outcome.problem}; {outcome.advice}"] if outcome.problem else []
    return "\n".join([*lines, summary(read)])


def summary(read: PartFolder) -> str:
    """One line: the unit, how many files can be used, how many are held out."""
    counts = {status: sum(one.status == status for one in read.outcomes) for status in ("ok", "repaired", "refused")}
    novel = sum(one.part is not None and one.part.novel for one in read.outcomes)
    unsure = "" if read.unit.sure else ", unsure: say --units mm or --units m"
    return (
        f"{read.folder}: {counts['ok']} ok, {counts['repaired']} repaired, {counts['refused']} refused; "
        f"{novel} held out; unit {read.unit.unit} ({read.unit.why}{unsure})"
    )


def _row(outcome: FileOutcome) -> tuple[str, ...]:
    size = "" if outcome.size_mm is None else " x ".join(f"{side:.4g}" for side in outcome.size_mm)
    if outcome.part is None:
        return outcome.file, outcome.status, size, outcome.unit or "", "", "", "", ""
    mass = f"{outcome.part.mass_kg:.3g} {outcome.mass_from}"
    novel = "novel" if outcome.part.novel else ""
    counts = str(outcome.faces), str(outcome.pieces)
    return outcome.file, outcome.status, size, outcome.unit or "", *counts, mass, novel


def _draw(read: PartFolder, out: Path, renderer_name: str | None) -> None:
    """Write a sheet of all usable parts."""
    from PIL import Image

    from graspnext.files import write_bytes
    from graspnext.viz.gallery import gallery
    from graspnext.world.parts.imported.portraits import portrait
    from graspnext.world.parts.imported.records import load_part
    from graspnext.world.render.renderer import open_renderer

    usable = [(outcome, outcome.part) for outcome in read.outcomes if outcome.part is not None]
    read.parts()  # says so where there is none
    with open_renderer(renderer_name) as renderer:
        items = progress(usable, total=len(usable), label="parts drawn")
        pictures = [portrait(load_part(part), renderer, _PORTRAIT_PX) for _, part in items]
    captions = [f"{part.name}: {outcome.pieces} pieces, {part.mass_kg:.3g} kg" for outcome, part in usable]
    stream = io.BytesIO()
    Image.fromarray(gallery(pictures, captions, columns=_COLUMNS)).save(stream, format="PNG")
    write_bytes(out, stream.getvalue())
