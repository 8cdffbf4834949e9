"""`graspnext profile PRESET`: parameters, multiply-accumulates and activations, by part and by type of layer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from graspnext.cli.options import read_options
from graspnext.cli.output import emit_json

DESCRIPTION = """Count a network's parameters, multiply-accumulates (MACs) and activations for one square image.

By part and by type of layer. Activations are the maps that training in float32 keeps for the way back, by the type of
layer that wrote them; training takes fewer RoIs than prediction: --proposals 64 --detections 12 are those of fast.

Examples:
  graspnext profile fast
  graspnext profile resnet50 --size 512 --json cost.json"""


@dataclass(frozen=True)
class ProfileOptions:
    """What to count."""

    preset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PRESET")]
    """Name of the network."""
    size: int = 1200
    """Side of the image, px; padded to a multiple of 32 as the network's input is."""
    proposals: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """RoIs that the box head reads; the preset's own number when left out."""
    detections: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """RoIs that the mask heads read; the preset's own number when left out."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the numbers here; - is standard output."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when done."""
    options = read_options(ProfileOptions, arguments, prog="graspnext profile", description=DESCRIPTION)
    report = run_profile(options)
    if str(options.json) != "-":
        sys.stdout.write(table(report) + "\n")
    emit_json(report, options.json)
    return 0


def run_profile(options: ProfileOptions) -> dict[str, Any]:
    """The report as plain values: {preset, size, input_size, proposals, detections, total, parts, layers}."""
    from graspnext.network.cost import profile_network
    from graspnext.network.presets import find_preset

    config = find_preset(options.preset)
    report = profile_network(
        config,
        options.size,
        proposals=config.rpn.proposals if options.proposals is None else options.proposals,
        detections=config.max_detections if options.detections is None else options.detections,
    )
    return {"preset": options.preset, **report.to_dict()}


def table(report: dict[str, Any]) -> str:
    """The report for people: one line a part, the total, one line a type of layer that is more than zeros."""
    side, input_side = report["size"], report["input_size"]
    padded = f" (padded to {input_side})" if input_side != side else ""
    head = (
        f"{report['preset']} at {side}x{side}{padded}, batch 1, "
        f"{report['proposals']} proposals, {report['detections']} detections"
    )
    parts = [*report["parts"], {"name": "total", **report["total"]}]
    return "\n".join([head, *_rows("part", parts), "", *_rows("layers", report["layers"])])


def _rows(title: str, costs: Sequence[dict[str, Any]]) -> list[str]:
    lines = [f"{title:<23} {'params M':>9} {'GMACs':>9} {'activations MB':>15}"]
    for cost in costs:
        numbers = f"{cost['params_m']:>9.3f} {cost['gmacs']:>9.3f} {cost['activation_mb']:>15.1f}"
        if numbers.strip("0. "):
            lines.append(f"{cost['name']:<23} {numbers}")
    return lines
