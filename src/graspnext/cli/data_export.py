"""`graspnext data export`: a dataset of ours in the layout of others."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from graspnext.cli.output import progress
from graspnext.data.format import ManifestEntry


@dataclass(frozen=True)
class Export:
    """Write a dataset in the layout of another project, for tools that were made for that.

    metagraspnet: scene<N> folders with pictures, masks, depth in centimetres, poses, suction grasps and key points,
    and splits.json. coco-amodal: annotations/<split>.json, images/ and depth/ (16-bit, 0.1 mm).

    Examples:
      graspnext data export bins --to metagraspnet --out bins-mgn
      graspnext data export bins --to metagraspnet --out bins-mgn --mask-key occlusion_objects
      graspnext data export bins --to coco-amodal --out bins-coco
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder of the dataset."""
    to: Literal["metagraspnet", "coco-amodal"]
    """Which layout."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR2")]
    """Folder to write; new or empty."""
    mask_key: Literal["seg_masks_single", "occlusion_objects"] = "seg_masks_single"
    """metagraspnet: under which key the isolated masks stand; releases of that set differ."""
    suction_spacing_px: int = 4
    """metagraspnet: one suction grasp for each square of so many pixels on a part."""


def run_export(command: Export) -> int:
    """Export; 0."""
    from graspnext.data.foreign.coco_writer import export_coco_amodal
    from graspnext.data.foreign.metagraspnet_writer import MetaGraspNetExport, export_metagraspnet
    from graspnext.data.reader import Dataset

    def watch(entries: Iterable[ManifestEntry], total: int) -> Iterable[ManifestEntry]:
        return progress(entries, total=total, label="views exported")

    dataset = Dataset(command.folder)
    if command.to == "metagraspnet":
        config = MetaGraspNetExport(mask_key=command.mask_key, suction_spacing_px=command.suction_spacing_px)
        views = export_metagraspnet(dataset, command.out, config, watch=watch)
    else:
        views = export_coco_amodal(dataset, command.out, watch=watch)
    sys.stdout.write(f"{command.out}: {views} views in the layout of {command.to}\n")
    return 0
