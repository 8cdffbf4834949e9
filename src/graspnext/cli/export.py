"""`graspnext export RUN --out BUNDLE`: freeze a training run into a bundle that needs no training software."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from graspnext.cli.options import read_options
from graspnext.cli.output import check_target, emit_json, progress
from graspnext.cli.verify import verdict
from graspnext.errors import ConfigError
from graspnext.runtime.bundle import open_bundle


@dataclass(frozen=True)
class Export:
    """Freeze a training run into a bundle: model.onnx and card.json, verified in every runtime before it is written.

    Examples:
      graspnext export runs/fast --out bundles/fast --data bins
      graspnext export runs/fast --out bundles/fast --data bins --precision bf16 --input-size 1184 --metrics test.json
      graspnext export runs/fast --out bundles/fast_int8 --data bins --precision int8 --ir
      graspnext export runs/fast --out bundles/jetson --data bins --tensorrt

    With --data no task may lose more than 0.1 points of its metric in fp32, 0.3 in bf16, 1.0 in int8, on views of
    `val`; without it, single detections are compared on a few drawn pictures. Where a gate is broken nothing is
    written, and the task, the frame and the first layer that diverges are named.
    """

    run: tyro.conf.Positional[Path]
    """Folder of graspnext train."""
    out: Path
    """Folder of the bundle; a bundle that is already there is replaced."""
    input_size: int = 640
    """Side px of the square that images are resized into, inside the model; a multiple of 32."""
    precision: str = "fp32"
    """Arithmetic that the bundle is made and verified for, and that predict uses: fp32, bf16 or int8."""
    weights: str = "fp16"
    """How weights are stored: fp16 or fp32."""
    data: Path | None = None
    """Dataset folder: int8 takes ranges from its `train`, gates are measured on its `val`."""
    frames: int = 200
    """Views of `val` at most."""
    ir: bool = False
    """Also OpenVINO's own form, model.xml and model.bin."""
    opset13: bool = False
    """Also ONNX of opset 13, for readers that know no newer one."""
    tensorrt: bool = False
    """Also a script that builds a TensorRT engine with NVIDIA's trtexec."""
    accept_faults: bool = False
    """Write the bundle even where a gate is broken, with the faults in its card."""
    name: str | None = None
    """Of the network, for the card; the name of the bundle's folder when not given."""
    metrics: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = ()
    """A file of graspnext evaluate --json for the card; may be given several times, one a split."""
    json: Path | None = None
    """Also write the card here; - is standard output."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = read_options(Export, arguments, prog="graspnext export")
    check_target(options.json)
    name = options.name or options.out.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ConfigError("--name", name, "up to 100 letters, digits, dots, dashes and underscores")
    from graspnext.deploy.export import ExportConfig, export_bundle
    from graspnext.deploy.model.bundle_files import Extras

    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("graspnext").setLevel(logging.INFO)
    config = ExportConfig(
        input_size=options.input_size,
        precision=options.precision,
        weights=options.weights,
        name=name,
        metrics=options.metrics,
        extras=Extras(ir=options.ir, opset13=options.opset13, tensorrt=options.tensorrt),
        data=options.data,
        frames=options.frames,
        accept_faults=options.accept_faults,
    )

    def watch(numbers: Iterable[int], total: int) -> Iterable[int]:
        return progress(numbers, total=total, label="frames compared")

    out = export_bundle(options.run, options.out, config=config, watch=watch)
    card = open_bundle(out).card
    emit_json(card.model_dump(mode="json"), options.json)
    size_mb = sum(record.size_bytes for record in card.files.values()) / 1e6
    faults = len(card.verification["faults"])
    gates = f"{faults} gates are broken" if faults else verdict(card.verification["ungated"])
    sys.stderr.write(
        f"{out}: {card.cost.params_m:.2f} M parameters, {size_mb:.1f} MB, input {card.input_size} px, "
        f"{card.precision}; {card.verification['about']}: {gates}\n"
    )
    return 0
