"""`graspnext data show`: a contact sheet on which labels can be judged by eye."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from graspnext.cli.output import progress
from graspnext.errors import ConfigError, DatasetError


@dataclass(frozen=True)
class Show:
    """Draw a contact sheet on which every kind of label can be judged by eye.

    Each view is a strip: picture; boxes, outlines and centres of mass (red free, blue occluded); instances with layer
    and hidden share; depth; suction.

    Examples:
      graspnext data show bins --out sheet.png
      graspnext data show bins --out novel.png --split novel --views 4 --seed 1
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder of the dataset."""
    out: Path
    """Picture to write (.png, .jpg or .webp)."""
    views: int = 6
    """Number of views, drawn at random."""
    split: Literal["all", "train", "val", "test", "novel"] = "all"
    """Where to draw them from."""
    seed: int = 0
    """Another seed shows other views."""
    columns: int = 1
    """Strips side by side."""
    panel_px: int = 340
    """Width of a panel."""

    def __post_init__(self) -> None:
        if not 1 <= self.views <= 200:
            raise ConfigError("views", self.views, "in 1 ... 200")
        if self.seed < 0:
            raise ConfigError("seed", self.seed, "0 or more")
        if not 1 <= self.columns <= 10:
            raise ConfigError("columns", self.columns, "in 1 ... 10")
        if not 64 <= self.panel_px <= 2000:
            raise ConfigError("panel_px", self.panel_px, "in 64 ... 2000")
        if self.out.suffix.lower() not in {".png", ".jpg", ".jpeg", ".webp"}:
            raise ConfigError("out", str(self.out), "a file ending in .png, .jpg or .webp")


def run_show(command: Show) -> int:
    """Write a contact sheet of some views of a dataset."""
    import io

    import numpy as np
    from PIL import Image

    from graspnext.data.reader import Dataset
    from graspnext.files import write_bytes
    from graspnext.viz.contact_sheet import contact_sheet

    dataset = Dataset(command.folder)
    entries = list(dataset.entries) if command.split == "all" else dataset.split(command.split)
    if not entries:
        raise DatasetError(command.folder, f"split '{command.split}' holds no view", "choose another --split")
    rng = np.random.default_rng(command.seed)
    chosen = sorted(rng.permutation(len(entries))[: command.views].tolist())
    picked = [entries[index] for index in chosen]
    views = [dataset.read(entry) for entry in progress(picked, total=len(picked), label="views read")]
    sheet = contact_sheet(
        views, columns=command.columns, panel_px=command.panel_px, notes=[entry.split for entry in picked]
    )
    stream = io.BytesIO()
    kind = {".png": "PNG", ".webp": "WEBP"}.get(command.out.suffix.lower(), "JPEG")
    Image.fromarray(sheet).save(stream, format=kind, quality=92)
    write_bytes(command.out, stream.getvalue())
    sys.stdout.write(f"{command.out}: {len(views)} views\n")
    return 0
