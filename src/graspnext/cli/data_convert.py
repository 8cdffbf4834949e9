"""`graspnext data convert`: a dataset of ours from a set of others."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from graspnext.cli.output import check_target, emit_json, progress
from graspnext.errors import ConfigError

if TYPE_CHECKING:
    from graspnext.data.foreign.source import Source

NOTES_SHOWN = 20


@dataclass(frozen=True)
class Convert:
    """Turn a data set of others into one of ours; nothing is written to the source.

    Views that cannot be read, or whose labels contradict one another, are listed at the end, and the exit code is 2;
    all others are there. Labels that a set lacks are marked as missing: they are neither learnt from nor measured.

    Examples:
      graspnext data convert metagraspnet_sim --from metagraspnet --out mgn --workers 2
      graspnext data convert metagraspnet_real --from metagraspnet --out mgn-real --real-crop --models models_ifl
      graspnext data convert uoais/annotations/train.json --from coco-amodal --images uoais --out uoais-ours
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
    """A folder with scene<N> folders at any depth; for coco-amodal an annotation file, or a folder of some."""
    kind: Annotated[Literal["metagraspnet", "coco-amodal"], tyro.conf.arg(name="from")]
    """What SRC is."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder of the dataset; new or empty, unless resumed."""
    workers: int = 1
    """Processes at a time."""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Keep the whole scenes in DIR and convert the rest."""
    limit: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """At most so many scenes, the first ones."""
    real_crop: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """metagraspnet: cut the middle 1200 x 1200 px out of real pictures (columns 372 to 1571)."""
    suction_splat: Literal["disc", "point", "gaussian"] = "disc"
    """metagraspnet: how scattered suction points become a dense map."""
    suction_radius_m: float = 0.007
    """metagraspnet: how far a point reaches in the dense map; 0.007 is the set's cup, less blurs less."""
    models: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """metagraspnet: folder of the object models, for true centres of mass."""
    splits: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """metagraspnet: JSON lists of scenes under train, val and test; 60/20/20 by scene when left out."""
    images: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """coco-amodal: where file names start; looked for beside the annotation file when left out."""
    depth_unit_m: Annotated[float | None, tyro.conf.arg(metavar="M")] = None
    """coco-amodal: metres a count of the depth pictures; depth is left out without it."""
    scene_pattern: Annotated[str | None, tyro.conf.arg(metavar="REGEX")] = None
    """coco-amodal: its first group names the scene of a picture; a scene never spreads over two splits."""
    shift_px: int = 3
    """Views whose visible pixels lie farther than this outside the amodal masks are refused."""
    min_visible_px: int = 64
    """Instances with fewer visible pixels are neither asked for nor counted as mistakes."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write counts, refusals and notes to this file; - is standard output."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError("workers", self.workers, "at least 1")


def run_convert(command: Convert) -> int:
    """Convert: 0 when all views were taken over, 2 otherwise."""
    from graspnext.data.foreign.convert import SceneOutcome, convert
    from graspnext.world.workers import run_tasks

    def watch(outcomes: Iterable[SceneOutcome], total: int) -> Iterable[SceneOutcome]:
        return progress(outcomes, total=total, label="scenes converted")

    check_target(command.json)
    report = convert(
        open_source(command),
        command.out,
        limit=command.limit,
        resume=command.resume,
        run=map if command.workers == 1 else partial(run_tasks, workers=command.workers, renew_after=1000),
        watch=watch,
    )
    counts = {
        "scenes": report.scenes,
        "views": report.views,
        "kept_scenes": report.kept,
        "unlabelled_views": report.unlabelled_views,
        "refused_views": report.refused_views,
    }
    faults = {"refused": [vars(one) for one in report.refused], "notes": [vars(one) for one in report.notes]}
    emit_json(counts | faults, command.json)
    lines = [f"refused: {fault}" for fault in report.refused]
    lines += [f"note: {note}" for note in report.notes[:NOTES_SHOWN]]
    if len(report.notes) > NOTES_SHOWN:
        lines.append(f"note: ... and {len(report.notes) - NOTES_SHOWN} more, all in --json and in scene.json")
    left = f"{report.unlabelled_views} without labels left out, {report.refused_views} refused"
    lines.append(f"{command.out}: {report.scenes} scenes ({report.kept} kept), {report.views} views; {left}")
    (sys.stderr if str(command.json) == "-" else sys.stdout).write("\n".join(lines) + "\n")
    return 2 if report.refused else 0


def open_source(command: Convert) -> Source:
    """The set that the command names."""
    if command.kind == "metagraspnet":
        from graspnext.data.foreign.metagraspnet_reader import MetaGraspNet, MetaGraspNetOptions

        return MetaGraspNet(
            command.source,
            MetaGraspNetOptions(
                real_crop=command.real_crop,
                suction_splat=command.suction_splat,
                suction_radius_m=command.suction_radius_m,
                models=command.models,
                splits=command.splits,
                shift_px=command.shift_px,
                min_visible_px=command.min_visible_px,
            ),
        )
    from graspnext.data.foreign.coco_amodal import CocoAmodal, CocoAmodalOptions

    return CocoAmodal(
        command.source,
        CocoAmodalOptions(
            images=command.images,
            depth_unit_m=command.depth_unit_m,
            scene_pattern=command.scene_pattern,
            shift_px=command.shift_px,
            min_visible_px=command.min_visible_px,
        ),
    )
