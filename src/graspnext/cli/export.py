"""`graspnext export RUN --out BUNDLE`: freeze a training run into a bundle that needs no training software."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from graspnext.cli.options import read_options
from graspnext.cli.output import emit_json
from graspnext.errors import ConfigError
from graspnext.runtime.bundle import open_bundle


@dataclass(frozen=True)
class Export:
    """Freeze a training run into a bundle: model.onnx and card.json, compared in every runtime before it is written.

    Examples:
      graspnext export runs/fast --out bundles/fast
      graspnext export runs/fast --out bundles/fast --input-size 1184 --metrics test.json --metrics novel.json
    """

    run: tyro.conf.Positional[Path]
    """Folder of graspnext train."""
    out: Path
    """Folder of the bundle; a bundle that is already there is replaced."""
    input_size: int = 640
    """Side px of the square that images are resized into, inside the model; a multiple of 32."""
    precision: str = "fp16"
    """How weights are stored: fp16 or fp32."""
    name: str | None = None
    """Of the network, for the card; the name of the bundle's folder when not given."""
    metrics: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = ()
    """A file of graspnext evaluate --json for the card; may be given several times, one a split."""
    json: Path | None = None
    """Also write the card here; - is standard output."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = read_options(Export, arguments, prog="graspnext export")
    name = options.name or options.out.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ConfigError("--name", name, "up to 100 letters, digits, dots, dashes and underscores")
    from graspnext.deploy.export import ExportConfig, export_bundle

    config = ExportConfig(options.input_size, options.precision, name, options.metrics)
    out = export_bundle(options.run, options.out, config=config)
    card = open_bundle(out).card
    emit_json(card.model_dump(mode="json"), options.json)
    size_mb = sum(record.size_bytes for record in card.files.values()) / 1e6
    worst_px = max(value for name, value in card.verified.items() if name.endswith("box_px"))
    worst_score = max(value for name, value in card.verified.items() if name.endswith("score"))
    sys.stderr.write(
        f"{out}: {card.cost.params_m:.2f} M parameters, {size_mb:.1f} MB, input {card.input_size} px; runtimes agree "
        f"with the trained network within {worst_score:.1g} in score and {worst_px:.1g} px\n"
    )
    return 0
