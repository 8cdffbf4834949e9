"""A training run becomes a bundle: frozen, measured against itself in every runtime, and written in one piece."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from graspnext import __version__
from graspnext.deploy.frames import drawn_frames
from graspnext.deploy.layer_names import name_layers
from graspnext.deploy.onnx_file import keep_reduced_axes, round_weights, store_as_half, strip
from graspnext.deploy.translation import reference_outputs, translate
from graspnext.deploy.verify import VerifyConfig, verify_bundle
from graspnext.errors import BundleError, ConfigError, OutputError, RunError
from graspnext.files import make_folder, output_errors, write_bytes, write_json
from graspnext.learning.checkpoint import load_run
from graspnext.learning.run import read_summary
from graspnext.network.config import NetworkConfig
from graspnext.network.cost import profile_network
from graspnext.network.pipeline import Pipeline
from graspnext.runtime.bundle import open_bundle
from graspnext.runtime.card import CARD_FILE, MODEL_FILE, Card

PRECISIONS = ("fp16", "fp32")
_DRAWN_FRAMES = 5
_EXAMPLE_SHAPE = (96, 160, 3)
"""Of the image whose outputs the card describes; their shapes are the same for every image."""


@dataclass(frozen=True)
class ExportConfig:
    """How a run is frozen."""

    input_size: int = 640
    """Side px of the square that images are resized into, inside the model; a multiple of 32."""
    precision: str = "fp16"
    """How weights are stored: fp16 halves the file; arithmetic stays float32 unless the runtime is asked otherwise."""
    name: str = "graspnext"
    """Of the network, for the card."""
    metrics: tuple[Path, ...] = ()
    """Files that `graspnext evaluate --json` wrote, one a split, to go into the card."""
    seed: int = 0
    """Of the frames that the runtimes are compared on."""

    def __post_init__(self) -> None:
        if self.input_size <= 0 or self.input_size % 32:
            raise ConfigError("input_size", self.input_size, "a positive multiple of 32")
        if self.precision not in PRECISIONS:
            raise ConfigError("precision", self.precision, f"one of {', '.join(PRECISIONS)}")


def export_bundle(run: Path, out: Path, *, config: ExportConfig) -> Path:
    """Freeze a training run into a bundle, compare all runtimes with the trained network, and write it.

    Args:
        run: Folder of `graspnext train`.
        out: The bundle's folder. A bundle that is already there is replaced at the end, anything else is refused.
        config: How.

    Returns:
        `out`.

    Raises:
        RunError: The run cannot be read.
        BundleError: A runtime does not agree with the trained network; nothing is written.
        OutputError: `out` cannot be written, or holds something that is no bundle.
    """
    out = out.resolve()
    _refuse_other_content(out)
    network, architecture, record = load_run(run)
    record = {**record, **read_summary(run)}
    metrics = read_metrics(config.metrics, config.input_size)
    pipeline = Pipeline(network, config.input_size)
    if config.precision == "fp16":
        round_weights(pipeline)
    aside = out.with_name(f".{out.name}.{os.getpid()}.part")
    make_folder(aside)
    try:
        model = freeze(pipeline, half=config.precision == "fp16")
        write_bytes(aside / MODEL_FILE, model)
        card = _card(pipeline, architecture, record, model, config).model_copy(update={"metrics": metrics})
        write_json(aside / CARD_FILE, card.model_dump(mode="json"))
        verified = verify(aside, pipeline, seed=config.seed)
        write_json(aside / CARD_FILE, card.model_copy(update={"verified": verified}).model_dump(mode="json"))
        open_bundle(aside)
        _replace(aside, out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return out


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
    if half:
        store_as_half(model)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def verify(bundle: Path, pipeline: Pipeline, *, seed: int) -> dict[str, float]:
    """Compare a bundle in every runtime with the pipeline that it was frozen from, on a few drawn pictures.

    Returns:
        `<runtime>_<quantity>` -> worst difference over the frames (`agreement.differences`).

    Raises:
        BundleError: A difference is beyond the tolerance.
    """
    frames = drawn_frames(_DRAWN_FRAMES, rng=np.random.default_rng(seed))
    config = VerifyConfig(precisions=("fp32",), num_threads=torch.get_num_threads())
    found = verify_bundle(bundle, pipeline, frames, config=config)
    if found.faults:
        problem = f"a runtime does not give what the trained network gives: {'; '.join(map(str, found.faults))}"
        raise BundleError(bundle, problem, "nothing was written; report this with the run's config.json")
    return {
        f"{label.removesuffix(' fp32')}_{name}": float(f"{value:.3g}")
        for label, result in found.results.items()
        for name, value in result["differences"].items()
    }


def read_metrics(files: tuple[Path, ...], input_size: int) -> dict[str, Any]:
    """Split -> metrics, from files that `graspnext evaluate --json` wrote.

    Raises:
        RunError: A file is missing or not of that form, two are of the same split, or one was measured at another
            input size than the bundle's.
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
        metrics[split] = values | ({"num_views": content["num_views"]} if "num_views" in content else {})
    return metrics


def _card(
    pipeline: Pipeline, architecture: NetworkConfig, record: Mapping[str, Any], model: bytes, config: ExportConfig
) -> Card:
    found = reference_outputs(pipeline, np.zeros(_EXAMPLE_SHAPE, dtype=np.uint8))
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
            "max_detections": len(found["scores"]),
            "mask_size": found["visible_masks"].shape[-1],
            "outputs": {name: {"shape": list(value.shape), "dtype": str(value.dtype)} for name, value in found.items()},
            "weights": config.precision,
            "training": _training(record),
            "cost": {"params_m": round(cost.total.params_m, 6), "gmacs": round(cost.total.gmacs, 6)},
            "files": {MODEL_FILE: {"sha256": hashlib.sha256(model).hexdigest(), "size_bytes": len(model)}},
        }
    )


def _training(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the run recorded about itself, without the architecture and without paths of the machine."""
    kept = {name: value for name, value in record.items() if name not in {"preset", "schema_version"}}
    if isinstance(kept.get("data"), str):
        kept["data"] = Path(kept["data"]).name
    return kept


def _refuse_other_content(out: Path) -> None:
    if out.exists() and not (out.is_dir() and ((out / CARD_FILE).is_file() or not any(out.iterdir()))):
        raise OutputError(out, "something that is not a bundle is there", "choose another folder")


def _replace(aside: Path, out: Path) -> None:
    """Put the whole new folder in place of the old one, if any."""
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    with output_errors(out):
        if out.exists():
            out.replace(old)
        aside.replace(out)
        shutil.rmtree(old, ignore_errors=True)
