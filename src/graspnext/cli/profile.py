"""`graspnext profile PRESET`: parameters and multiply-accumulates, in total and by part."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from graspnext.cli.output import emit_json

DESCRIPTION = """Count a network's parameters and multiply-accumulates (MACs) for one square image.

Examples:
  graspnext profile fast
  graspnext profile fast --size 512 --json cost.json"""


@dataclass(frozen=True)
class ProfileOptions:
    """What to count."""

    preset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PRESET")]
    """Name of the network."""
    size: int = 1200
    """Side of the image, px; padded to a multiple of 32 as the network's input is."""
    proposals: int = 300
    """RoIs that the box head reads."""
    detections: int = 100
    """RoIs that the mask heads read."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the numbers here; - is standard output."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when done."""
    options = tyro.cli(ProfileOptions, args=arguments, prog="graspnext profile", description=DESCRIPTION)
    report = run_profile(options)
    if str(options.json) != "-":
        sys.stdout.write(table(report) + "\n")
    emit_json(report, options.json)
    return 0


def run_profile(options: ProfileOptions) -> dict[str, Any]:
    """The report as plain values: {preset, size, input_size, proposals, detections, total, parts}."""
    from graspnext.network.cost import profile_network
    from graspnext.network.presets import find_preset

    report = profile_network(
        find_preset(options.preset), options.size, proposals=options.proposals, detections=options.detections
    )
    return {"preset": options.preset, **report.to_dict()}


def table(report: dict[str, Any]) -> str:
    """The report for people: one line a part and the total."""
    rows = [*report["parts"], {"name": "total", **report["total"]}]
    side, input_side = report["size"], report["input_size"]
    padded = f" (padded to {input_side})" if input_side != side else ""
    head = (
        f"{report['preset']} at {side}x{side}{padded}, batch 1, "
        f"{report['proposals']} proposals, {report['detections']} detections"
    )
    lines = [f"{row['name']:<12} {row['params_m']:>9.3f} {row['gmacs']:>9.3f}" for row in rows]
    return "\n".join([head, f"{'part':<12} {'params M':>9} {'GMACs':>9}", *lines])
