"""`graspnext evaluate`: a training run or a bundle, measured on a dataset."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from graspnext.cli.model_card import model_card
from graspnext.cli.options import read_options
from graspnext.cli.output import check_target, emit_json, progress
from graspnext.errors import ConfigError, RunError
from graspnext.types import Prediction, UInt8Array

Predict = Callable[[UInt8Array], Prediction]
TABLE = (
    ("amodal box AP", "amodal_box_ap"),
    ("  at IoU 0.50", "amodal_box_ap50"),
    ("visible mask AP", "visible_mask_ap"),
    ("  at IoU 0.50", "visible_mask_ap50"),
    ("amodal mask AP", "amodal_mask_ap"),
    ("  at IoU 0.50", "amodal_mask_ap50"),
    ("occlusion accuracy", "occlusion_accuracy"),
    ("  F1", "occlusion_f1"),
    ("  instances asked (matched)", "matched_share"),
    ("centre-of-mass AP", "center_of_mass_ap"),
    ("  median error, px", "center_of_mass_median_px"),
    ("heatmap MSE", "heatmap_mse"),
    ("suction precision at 1", "suction_precision_at_1"),
    ("  at 5", "suction_precision_at_5"),
)
"""What is printed, and the metric's name."""


@dataclass(frozen=True)
class Command:
    """Measure a training run or a bundle on a dataset.

    Examples:
      graspnext evaluate runs/fast --data bins
      graspnext evaluate runs/fast --data bins --split novel --size 1184 --json novel.json
      graspnext evaluate runs/resnet50 --data bins --precision bf16 --html report.html
      graspnext evaluate bundles/fast --data bins --runtime onnxruntime --limit 100

    AP, accuracy, F1 and precision are fractions. Box and mask AP: COCO 0.50:0.95, 100 detections, without classes.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|BUNDLE")]
    """Folder of a training run or of a bundle."""
    data: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Dataset folder."""
    split: Literal["train", "val", "test", "novel"] = "test"
    """Which views."""
    size: Annotated[int | None, tyro.conf.arg(metavar="S")] = None
    """Side of the network's input, px, for a run; the dataset's own size, rounded up to 32, when not given."""
    runtime: Literal["openvino", "onnxruntime"] = "openvino"
    """What executes a bundle."""
    precision: Literal["fp32", "bf16", "int8"] | None = None
    """Of the arithmetic, a bundle's own and fp32 for a run when not given. Not for onnxruntime."""
    trust: bool = False
    """The bundle is your own: open it without its trial in a process with limits."""
    limit: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """At most so many views, spread evenly over the split."""
    html: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write a page there: curves, breakdowns, the worst views and suction heatmaps as pictures. It holds all it shows
    and needs no network."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the measurements there; - is standard output."""

    def __post_init__(self) -> None:
        if self.html is not None and self.html.suffix.lower() not in {".html", ".htm"}:
            raise ConfigError("html", str(self.html), "a file ending in .html")


def main(arguments: Sequence[str]) -> int:
    """Run the command; the arguments are those after `evaluate`."""
    command = read_options(Command, arguments, prog="graspnext evaluate")
    from graspnext.data.reader import Dataset
    from graspnext.learning.evaluate import evaluate

    check_target(command.html)
    check_target(command.json)
    dataset = Dataset(command.data)
    predict, about = open_model(command, max(dataset.info.image_size))
    result = evaluate(
        predict,
        dataset,
        command.split,
        limit=command.limit,
        track=lambda entries, total: progress(entries, total=total, label=f"evaluating on {command.split}"),
    )
    result = {"model": str(command.model), **about, "data": str(command.data), **result}
    if str(command.json) != "-":
        sys.stdout.write(table(result))
    emit_json(result, command.json)
    if command.html is not None:  # after the numbers: they may have taken hours
        from graspnext.cli.evaluate_page import make_page
        from graspnext.files import write_text

        write_text(command.html, make_page(result, predict, dataset, command.limit))
    return 0


def open_model(command: Command, view_size: int) -> tuple[Predict, dict[str, Any]]:
    """What predicts, and what the report says about it.

    Args:
        command: Its model, size and runtime count.
        view_size: Longer side of the dataset's views, px.

    Raises:
        RunError: The folder is neither a run nor a bundle, or the run is damaged.
        BundleError: The bundle is damaged.
        ConfigError: A size was given for a bundle, or one that the network cannot take.
    """
    if (command.model / "config.json").is_file():
        return _open_run(command, view_size)
    if (command.model / "card.json").is_file():
        return _open_bundle(command)
    if not command.model.exists():
        raise RunError(command.model, "there is no such folder", "give that of graspnext train or graspnext export")
    raise RunError(
        command.model,
        "neither a training run (config.json) nor a bundle (card.json)",
        "give the folder of graspnext train or graspnext export",
    )


def _open_run(command: Command, view_size: int) -> tuple[Predict, dict[str, Any]]:
    import torch

    from graspnext.cli.model_card import preset_name
    from graspnext.learning.checkpoint import load_run
    from graspnext.learning.run import read_summary
    from graspnext.network.cost import profile_network
    from graspnext.network.pipeline import Pipeline, fitting_input_size

    network, config, record = load_run(command.model)
    network = network.to("cuda" if torch.cuda.is_available() else "cpu").to(memory_format=torch.channels_last)
    size = fitting_input_size(view_size) if command.size is None else command.size
    precision = command.precision or "fp32"
    predict = Pipeline(network, size, precision).predict
    cost = profile_network(config, size, proposals=config.rpn.proposals, detections=config.max_detections).total
    training = {**record, **read_summary(command.model)}
    card = model_card(preset_name(record["preset"]), training, params_m=cost.params_m, gmacs=cost.gmacs)
    return predict, {
        "input_size": size,
        "precision": precision,
        "step": record["step"],
        "finished": record["finished"],
        "model_card": card,
    }


def _open_bundle(command: Command) -> tuple[Predict, dict[str, Any]]:
    from graspnext.geometry.predictions import EVALUATION_MIN_SCORE
    from graspnext.runtime.predictor import Predictor

    if command.size is not None:
        raise ConfigError("--size", command.size, "left out for a bundle, whose input size is fixed")
    options: dict[str, Any] = {} if command.precision is None else {"precision": command.precision}
    if options and command.runtime != "openvino":
        raise ConfigError("--precision", command.precision, f"left out for {command.runtime}, which has no choice")
    predictor = Predictor(command.model, runtime=command.runtime, trusted=command.trust, **options)
    card = predictor.card
    facts = model_card(card.name, card.training, params_m=card.cost.params_m, gmacs=card.cost.gmacs)
    return lambda image: predictor.predict(image, min_score=EVALUATION_MIN_SCORE), {
        "input_size": card.input_size,
        "runtime": command.runtime,
        "precision": predictor.precision,
        "model_card": facts,
    }


def table(result: dict[str, Any]) -> str:
    """The measurements for people."""
    metrics = result["metrics"]
    lines = [
        f"{result['model']} on {result['split']} of {result['data']}: "
        f"{metrics['num_views']} views, {metrics['num_instances']} instances"
    ]
    if result.get("finished") is False:
        lines.append(f"  not finished: the averaged weights of step {result['step']}")
    for label, name in TABLE:
        value = metrics[name]
        lines.append(f"  {label:<28} {'-' if value is None else f'{value:.4f}'}")
    lines.append(f"  {'time per view, ms (median)':<28} {result['predict_ms_p50']:.1f}")
    return "\n".join(lines) + "\n"
