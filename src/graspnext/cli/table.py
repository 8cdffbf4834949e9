"""`graspnext table`: the paper's table, all rows trained and measured under one protocol."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from graspnext.cli.options import read_options
from graspnext.cli.output import outlive_readers, progress, say

if TYPE_CHECKING:
    from graspnext.data.reader import Dataset
    from graspnext.learning.table.protocols import SpeedConfig, WorldConfig
    from graspnext.types import UInt8Array

DESCRIPTION = """Rebuild the paper's table: train every row under one protocol, measure all of them side by side.

Examples:
  graspnext table --protocol smoke --out smoke
  graspnext table --protocol cpu --data bench --out table --resume
  graspnext table --protocol cpu --data bench --out table --resume --rows fast resnet50
  graspnext table --protocol gpu --out table --resume

DIR then holds table.md, table.json and two charts: accuracy against latency, and the learning curves. Every row gets
the same data, recipe and number of images. A table that was stopped anywhere goes on with the same command and
--resume, which also starts one; --rows does it in pieces. Latency is measured in one run, when all rows are there.

Protocols:
PROTOCOLS"""
FRAMES = 4
"""Different views that latency is measured on."""


@dataclass(frozen=True)
class TableOptions:
    """Options of `table`."""

    protocol: Annotated[str, tyro.conf.arg(metavar="NAME")]
    """smoke, cpu, gpu or paper: see above."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder of the table."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Dataset with train, test and novel views; the protocol's own is made in the table's folder when left out."""
    rows: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ROW...")] = ()
    """Work on these rows alone for now; all when left out."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Updates of each row, the same for all; the protocol's number when left out. It is part of the result."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Processes that make batches; the protocol's number when left out. It changes nothing but speed."""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on with the table in DIR, or start it where there is none."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; the arguments are those after `table`."""
    options = read_options(TableOptions, arguments, prog="graspnext table", description=_description())
    from graspnext.learning.table.protocols import find_protocol
    from graspnext.learning.table.provenance import command_line, provenance
    from graspnext.learning.table.run import make_table
    from graspnext.learning.table.stages import Tools

    protocol = find_protocol(options.protocol).changed(steps=options.steps, workers=options.workers)
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    logging.getLogger("graspnext").setLevel(logging.INFO)  # libraries say what they do at that level, too
    command = command_line("table", arguments)
    tools = Tools(
        provenance=lambda: provenance(command),
        make_data=_make_data,
        measure_latency=_measure_latency,
        track=lambda label: lambda items, total: progress(items, total=total, label=label),
    )
    outlive_readers()
    table = make_table(
        protocol, options.out, data=options.data, rows=options.rows or None, resume=options.resume, tools=tools
    )
    say(sys.stdout, f"{table}\n")
    return 0


def _description() -> str:
    """The help's text with the protocols and their budgets."""
    from graspnext.learning.table.protocols import PROTOCOLS

    lines = [
        line
        for one in PROTOCOLS.values()
        for line in (
            f"  {one.name:<6} {one.summary}",
            f"         time: {one.budget}",
            f"         scores: {one.expected}",
        )
    ]
    return DESCRIPTION.replace("PROTOCOLS", "\n".join(lines))


def _make_data(world: WorldConfig, folder: Path) -> None:
    """The protocol's dataset, made or gone on with."""
    import dataclasses

    from graspnext.world.generate import GenerateConfig, generate
    from graspnext.world.recipes import find_recipe

    recipe = find_recipe(world.recipe)
    recipe = dataclasses.replace(
        recipe,
        scenes=world.scenes or recipe.scenes,
        views=world.views or recipe.views,
        image_size=(world.size, world.size) if world.size else recipe.image_size,
    )
    generate(
        folder,
        recipe=recipe,
        config=GenerateConfig(seed=world.seed, resume=True),
        watch=lambda scenes, total: progress(scenes, total=total, label="scenes"),
    )


def _measure_latency(runs: Mapping[str, Path], speed: SpeedConfig, dataset: Dataset) -> dict[str, Any]:
    """All rows, timed on a few views of `test`."""
    from graspnext.deploy.timing.side_by_side import time_runs
    from graspnext.learning.evaluate import choose
    from graspnext.learning.table.protocols import REFERENCE_ROW

    def watch(rounds: Iterable[int], total: int) -> Iterable[int]:
        return progress(rounds, total=total, label="rounds")

    entries = choose(dataset.split("test"), FRAMES)
    frames = [_resized(dataset.read(entry, depth=False).image, speed.size) for entry in entries]
    return time_runs(runs, frames, config=speed, reference=REFERENCE_ROW, watch=watch)


def _resized(image: UInt8Array, size: int) -> UInt8Array:
    """A view as a square picture of the size that is timed."""
    from graspnext.viz.draw import resize

    return resize(image, size, size)
