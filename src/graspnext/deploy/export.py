"""A training run becomes a bundle: frozen, measured against itself in every runtime, and written in one piece."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from graspnext import __version__
from graspnext.deploy.frames import Frames, dataset_frames, drawn_frames
from graspnext.deploy.model.bundle_files import Extras, write_card, write_files
from graspnext.deploy.model.layer_choice import ChoiceConfig, choose_layers
from graspnext.deploy.model.layer_names import name_layers
from graspnext.deploy.model.onnx_file import keep_boxes_exact, keep_reduced_axes, round_weights, store_as_half, strip
from graspnext.deploy.model.translation import OPSET, translate
from graspnext.deploy.timing.machine import can_do
from graspnext.deploy.verify import Verification, VerifyConfig, Watch, verify_bundle
from graspnext.errors import BundleError, ConfigError, OutputError, RunError
from graspnext.files import make_folder, output_errors
from graspnext.learning.checkpoint import load_run
from graspnext.learning.run import read_summary
from graspnext.network.config import NetworkConfig
from graspnext.network.cost import profile_network
from graspnext.network.pipeline import Pipeline
from graspnext.runtime.bundle import open_bundle
from graspnext.runtime.card import BUNDLE_FILES, CARD_FILE, PRECISIONS, Card

WEIGHTS = ("fp16", "fp32")
CALIBRATION_SPLIT, TRIAL_SPLIT = "train", "val"
_DRAWN_FRAMES = 5
_PARAMS_ROUNDING_M = 1e-3
"""Reports round to so many million parameters."""


@dataclass(frozen=True)
class ExportConfig:
    """How a run is frozen."""

    input_size: int = 640
    """Side px of the square that images are resized into, inside the model; a multiple of 32."""
    precision: str = "fp32"
    """Arithmetic that the bundle is made and verified for: fp32, bf16 or int8."""
    weights: str = "fp16"
    """How weights are stored: fp16 halves the file, whatever they are computed with."""
    name: str = "graspnext"
    """Of the network, for the card."""
    metrics: tuple[Path, ...] = ()
    """Files that `graspnext evaluate --json` wrote, one a split, to go into the card."""
    extras: Extras = field(default_factory=Extras)
    """Further forms of the model."""
    data: Path | None = None
    """Dataset to calibrate and verify on; without one a few pictures are drawn, which say nothing of metrics."""
    frames: int = 200
    """Views of the dataset that are verified on."""
    choice: ChoiceConfig = field(default_factory=ChoiceConfig)
    """int8: how layers are chosen that stay in floating point."""
    accept_faults: bool = False
    """Write the bundle even where a gate is broken, with the faults in its card."""
    seed: int = 0
    """Of drawn pictures."""

    def __post_init__(self) -> None:
        if self.input_size <= 0 or self.input_size % 32:
            raise ConfigError("input_size", self.input_size, "a positive multiple of 32")
        if self.precision not in PRECISIONS:
            raise ConfigError("precision", self.precision, f"one of {', '.join(PRECISIONS)}")
        if self.weights not in WEIGHTS:
            raise ConfigError("weights", self.weights, f"one of {', '.join(WEIGHTS)}")
        if self.frames < 1:
            raise ConfigError("frames", self.frames, "at least 1")
        if self.precision == "int8" and self.data is None:
            raise ConfigError("data", None, "a dataset for int8, since ranges are taken from its pictures")


def export_bundle(
    run: Path, out: Path, *, config: ExportConfig, watch: Watch = lambda numbers, _total: numbers
) -> Path:
    """Freeze a training run into a bundle, compare all runtimes with the trained network, and write it.

    Args:
        run: Folder of `graspnext train`.
        out: The bundle's folder. A bundle that is already there is replaced at the end, anything else is refused.
        config: How.
        watch: For a progress bar over the frames that are verified on.

    Returns:
        `out`.

    Raises:
        RunError: The run cannot be read.
        BundleError: A gate is broken, and faults are not accepted; nothing is written.
        ConfigError: This machine cannot compute in the precision asked for.
        DatasetError: The dataset cannot be read.
        MissingDependencyError: int8 without NNCF.
        OutputError: `out` cannot be written, or holds something that is no bundle.
    """
    out = out.resolve()
    _refuse_other_content(out)
    if not can_do("openvino", config.precision):
        raise ConfigError("precision", config.precision, "one that this machine can compute in, to verify it")
    network, architecture, record = load_run(run)
    pipeline = Pipeline(network, config.input_size)
    if config.weights == "fp16":
        round_weights(pipeline)
    model = freeze(pipeline, half=config.weights == "fp16")
    card = describe(model, architecture, {**record, **read_summary(run)}, config)
    aside = out.with_name(f".{out.name}.{os.getpid()}.part")
    make_folder(aside)
    try:
        tried = _try_forms(aside, model, pipeline, card, config=config, watch=watch)
        if tried.broken and not config.accept_faults:
            problem = f"a gate is broken: {'; '.join(map(str, tried.found.faults))}"
            raise BundleError(out, problem, "nothing was written; --accept-faults writes it with this in its card")
        write_card(aside, tried.card.model_copy(update={"verification": tried.found.to_dict()}))
        open_bundle(aside)
        _replace(aside, out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return out


@dataclass(frozen=True, eq=False)
class _Tried:
    """A bundle that was written aside, and how far it is from the trained network."""

    card: Card
    found: Verification

    @property
    def broken(self) -> bool:
        return bool(self.found.faults)


def _try_forms(
    folder: Path, model: bytes, pipeline: Pipeline, card: Card, *, config: ExportConfig, watch: Watch
) -> _Tried:
    """Write the bundle into a folder and measure it; in int8, until a choice of layers holds."""
    frames = _frames(config)

    def measure(content: bytes, about: dict[str, Any]) -> _Tried:
        written = write_files(folder, card.model_copy(update={"quantisation": about}), content, config.extras)
        return _Tried(written, verify_bundle(folder, pipeline, frames, config=gates(config.precision), watch=watch))

    if config.precision == "int8" and config.data is not None:
        calibration = dataset_frames(config.data, CALIBRATION_SPLIT, limit=config.choice.calibration_frames)
        return choose_layers(model, calibration, measure, config=config.choice)
    return measure(model, {})


def gates(precision: str) -> VerifyConfig:
    """What a bundle is verified in: the precision it was made for, and fp32 where the model is not quantised."""
    wanted = {"fp32": ("fp32",), "bf16": ("fp32", "bf16"), "int8": ("int8",)}[precision]
    return VerifyConfig(precisions=wanted, num_threads=torch.get_num_threads())


def _frames(config: ExportConfig) -> Frames:
    if config.data is None:
        return drawn_frames(_DRAWN_FRAMES, rng=np.random.default_rng(config.seed))
    return dataset_frames(config.data, TRIAL_SPLIT, limit=config.frames)


def freeze(pipeline: Pipeline, *, half: bool) -> bytes:
    """The pipeline as the bytes of an ONNX model: image (H, W, 3) uint8 of any size in, `OUTPUT_NAMES` out.

    Args:
        pipeline: In evaluation mode.
        half: Store weights that are float16 values as float16 (see `onnx_file.store_as_half`).
    """
    model: onnx.ModelProto = translate(pipeline).model_proto
    name_layers(model)
    strip(model)
    keep_reduced_axes(model)
    keep_boxes_exact(model)
    if half:
        store_as_half(model)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def read_metrics(files: tuple[Path, ...], input_size: int, *, params_m: float) -> dict[str, Any]:
    """Split -> metrics, from files that `graspnext evaluate --json` wrote.

    Args:
        files: Of any number of splits.
        input_size: The bundle's, px.
        params_m: Millions of parameters of its network.

    Raises:
        RunError: A file is missing or not of that form, two are of the same split, or one was measured at another
            input size than the bundle's, or on another network.
    """
    metrics: dict[str, Any] = {}
    for path in files:
        try:
            content = json.loads(path.read_text())
            split, values = str(content["split"]), dict(content["metrics"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(path, f"no metrics ({error})", "give a file of graspnext evaluate --json") from error
        if split in metrics:
            raise RunError(path, f"a second file for the split '{split}'", "give one a split")
        if content.get("input_size", input_size) != input_size:
            problem = f"measured at input size {content['input_size']}, but the bundle has {input_size}"
            raise RunError(path, problem, f"repeat graspnext evaluate with --size {input_size}")
        theirs = (content.get("model_card") or {}).get("params_m", params_m)
        if abs(theirs - params_m) > _PARAMS_ROUNDING_M:
            problem = f"measured on a network of {theirs:.3f} M parameters, this one has {params_m:.3f} M"
            raise RunError(path, problem, "give the metrics of this run")
        metrics[split] = values | ({"num_views": content["num_views"]} if "num_views" in content else {})
    return metrics


def describe(model: bytes, architecture: NetworkConfig, record: Mapping[str, Any], config: ExportConfig) -> Card:
    """The card of a bundle, but for its files.

    Args:
        model: ONNX, as `freeze` writes it.
        architecture: Of the network.
        record: What its training run says of itself.
        config: How the bundle is made.

    Raises:
        RunError: A file of metrics cannot be used.
    """
    outputs = {value.name: _output(value) for value in onnx.load_model_from_string(model).graph.output}
    cost = profile_network(
        architecture,
        config.input_size,
        proposals=architecture.rpn.proposals,
        detections=architecture.max_detections,
    )
    return Card.model_validate(
        {
            "name": config.name,
            "created_by": f"graspnext {__version__}",
            "architecture": architecture.to_dict(),
            "input_size": config.input_size,
            "max_detections": architecture.max_detections,
            "mask_size": architecture.mask_head.mask_size,
            "outputs": outputs,
            "weights": config.weights,
            "precision": config.precision,
            "opset": OPSET,
            "training": _training(record),
            "metrics": read_metrics(config.metrics, config.input_size, params_m=cost.total.params_m),
            "cost": {"params_m": round(cost.total.params_m, 6), "gmacs": round(cost.total.gmacs, 6)},
            "files": {},
        }
    )


def _output(value: onnx.ValueInfoProto) -> dict[str, Any]:
    kind = value.type.tensor_type
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)).name
    return {"shape": [dimension.dim_value for dimension in kind.shape.dim], "dtype": dtype}


def _training(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the run recorded about itself, without the architecture and without paths of the machine."""
    kept = {name: value for name, value in record.items() if name not in {"preset", "schema_version"}}
    return kept | {name: Path(kept[name]).name for name in ("data", "weights") if isinstance(kept.get(name), str)}


def _refuse_other_content(out: Path) -> None:
    """A bundle is replaced as a whole, so nothing else may lie in its folder."""
    if not out.exists():
        return
    found = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    if not out.is_dir() or (found and CARD_FILE not in found):
        raise OutputError(out, "something that is not a bundle is there", "choose another folder")
    if others := set(found) - {CARD_FILE, *BUNDLE_FILES}:
        raise OutputError(
            out, f"{', '.join(sorted(others)[:3])} lies beside the bundle", "move it away, or choose another folder"
        )


def _replace(aside: Path, out: Path) -> None:
    """Put the whole new folder in place of the old one, if any."""
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    with output_errors(out):
        if out.exists():
            out.replace(old)
        try:
            aside.replace(out)
        except BaseException:
            if old.exists():
                old.replace(out)
            raise
        shutil.rmtree(old, ignore_errors=True)
