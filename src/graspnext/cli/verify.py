"""`graspnext verify`: does a bundle say what the trained network says, in every runtime and precision?"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from graspnext.cli.options import read_options
from graspnext.cli.output import check_target, emit_json, progress
from graspnext.errors import ConfigError, RunError
from graspnext.runtime.bundle import open_bundle

if TYPE_CHECKING:
    from graspnext.deploy.verify import Verification
    from graspnext.network.pipeline import Pipeline

ENOUGH_FRAMES = 200
QUANTITIES = (
    ("score", "score", "{:.1e}"),
    ("box px", "box_px", "{:.1e}"),
    ("visible IoU", "visible_mask_iou", "{:.5f}"),
    ("amodal IoU", "amodal_mask_iou", "{:.5f}"),
    ("occlusion", "occlusion", "{:.1e}"),
    ("centre px", "center_px", "{:.1e}"),
    ("suction", "suction", "{:.1e}"),
    ("unmatched", "unmatched", "{:.0f}"),
)
"""Column, quantity of `agreement.differences`, and how it is printed."""


@dataclass(frozen=True)
class Command:
    """Compare a bundle with the training run it comes from: torch, ONNX Runtime and OpenVINO on the same frames.

    Examples:
      graspnext verify bundles/fast --run runs/fast --data bins
      graspnext verify bundles/fast --run runs/fast --data bins --precision bf16 --json bf16.json
      graspnext verify bundles/fast --run runs/fast --frames 20

    In fp32 scores must agree within 1e-3, boxes within 0.5 px, masks to an IoU of 0.999, detection by detection; frames
    where suppression fell otherwise between near equals are counted apart. No task may lose more than 0.1 points of its
    metric (fp32), 0.3 (bf16), 1.0 (int8). Exit code 0 when all gates hold, 1 when one is broken: then the task, the
    frame and the first layer that diverges are named.
    """

    bundle: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BUNDLE")]
    """Folder of graspnext export."""
    run: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """Folder of graspnext train that the bundle was exported from."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Dataset folder. Without it pictures are drawn, and no metrics can be measured."""
    split: Literal["train", "val", "test", "novel"] = "test"
    """Which views of the dataset."""
    frames: Annotated[int, tyro.conf.arg(metavar="N")] = ENOUGH_FRAMES
    """At most so many, spread evenly over the split."""
    precision: Annotated[
        tuple[Literal["fp32", "bf16", "int8"], ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="P")
    ] = ()
    """fp32, bf16 or int8; may be given several times; all that the bundle and this machine can do when left out."""
    threads: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Of each runtime; as many as it likes when 0."""
    seed: int = 0
    """Of drawn pictures."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the measurements there; - is standard output."""

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ConfigError("frames", self.frames, "at least 1")


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0 when all gates hold, 1 when one is broken."""
    command = read_options(Command, arguments, prog="graspnext verify")
    check_target(command.json)
    import numpy as np

    from graspnext.deploy.frames import dataset_frames, drawn_frames
    from graspnext.deploy.verify import VerifyConfig, verify_bundle

    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("graspnext").setLevel(logging.INFO)
    config = VerifyConfig(precisions=command.precision, num_threads=command.threads)
    if command.data is not None:
        frames = dataset_frames(command.data, command.split, limit=command.frames)
    else:
        frames = drawn_frames(command.frames, rng=np.random.default_rng(command.seed))

    def watch(numbers: Iterable[int], total: int) -> Iterable[int]:
        return progress(numbers, total=total, label="frames compared")

    found = verify_bundle(command.bundle, open_reference(command), frames, config=config, watch=watch)
    emit_json({"bundle": str(command.bundle), "run": str(command.run), **found.to_dict()}, command.json)
    (sys.stderr if str(command.json) == "-" else sys.stdout).write(table(found))
    return 1 if found.faults else 0


def open_reference(command: Command) -> Pipeline:
    """The trained network with the weights that the bundle stores.

    Raises:
        BundleError: The bundle is damaged.
        RunError: The run is damaged, or of another network than the bundle.
    """
    from graspnext.deploy.model.onnx_file import round_weights
    from graspnext.learning.checkpoint import load_run
    from graspnext.network.config import NetworkConfig
    from graspnext.network.pipeline import Pipeline

    card = open_bundle(command.bundle).card
    network, architecture, _ = load_run(command.run)
    if architecture != NetworkConfig.from_dict(card.architecture):
        raise RunError(command.run, f"not the network of {command.bundle}", "give the run that it was exported from")
    pipeline = Pipeline(network, card.input_size)
    if card.weights == "fp16":
        round_weights(pipeline)
    return pipeline


def table(found: Verification) -> str:
    """Differences of single detections, what each task loses, and the broken gates, in plain lines."""
    lines = [f"{found.about}: {found.frames} frames compared", ""]
    rows = [["largest difference", *(title for title, _, _ in QUANTITIES), "near-ties"]]
    for label, result in found.results.items():
        values = result["differences"]
        cells = [form.format(values[name]) if name in values else "-" for _, name, form in QUANTITIES]
        rows.append([label, *cells, f"{result['near_ties']}"])
    lines += _aligned(rows)
    if found.labelled:
        tasks = list(found.reference)
        rows = [["metric, and points lost (with standard error)", *tasks]]
        rows.append(["torch fp32", *(f"{value:.4f}" for value in found.reference.values())])
        for label, result in found.results.items():
            rows.append([label, *(_drop(result, task) for task in tasks)])
        lines += ["", *_aligned(rows)]
        if found.frames < ENOUGH_FRAMES:
            lines += [f"fewer than {ENOUGH_FRAMES} frames: chance may move a metric by more than the limits"]
    else:
        lines += ["", "no labels: metrics were not measured"]
    lines += ["", *map(str, found.faults)] if found.faults else ["", verdict(found.ungated)]
    return "\n".join(lines) + "\n"


def verdict(ungated: Sequence[str]) -> str:
    """What can be said where no gate is broken."""
    if not ungated:
        return "all gates hold"
    return f"no gate is broken, but for {', '.join(ungated)} none could be checked: that takes labels (--data)"


def _drop(result: dict[str, Any], task: str) -> str:
    drop, error = result["drops"].get(task), result["drop_errors"].get(task)
    if drop is None:
        return "-"
    return f"{drop:+.3f}" + (f" ({error:.3f})" if error is not None else "")


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
