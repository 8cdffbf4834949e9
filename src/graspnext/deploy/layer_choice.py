"""int8: layers are put back into floating point until no task loses more than it may.

A quantised model is measured on a few labelled views. Where a task loses too much, the layers that add most to the
error of their outputs by their own doing (`quantise.rank_layers`) stay in floating point, and all is measured again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from graspnext.deploy.bundle_files import Extras, write_files
from graspnext.deploy.frames import dataset_frames
from graspnext.deploy.quantise import QuantiseConfig, quantise, rank_layers
from graspnext.deploy.verify import VerifyConfig, verify_bundle
from graspnext.errors import ConfigError
from graspnext.network.pipeline import Pipeline
from graspnext.runtime.card import Card

logger = logging.getLogger(__name__)

CALIBRATION_SPLIT, TRIAL_SPLIT = "train", "val"
_RANKING_FRAMES = 3


@dataclass(frozen=True)
class ChoiceConfig:
    """How layers are chosen that stay in floating point."""

    calibration_frames: int = 64
    """Views of `train` that ranges are taken from."""
    trial_frames: int = 60
    """Views of `val` that each choice is measured on."""
    attempts: int = 4
    """Choices that are measured at most."""
    layers: int = 4
    """Layers that go back into floating point after each."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ConfigError(f"choice.{name}", value, "at least 1")


def choose_layers(
    model: bytes, pipeline: Pipeline, card: Card, folder: Path, *, data: Path, config: ChoiceConfig
) -> tuple[bytes, dict[str, Any]]:
    """Quantise a frozen pipeline, with as many layers in floating point as its tasks need.

    Args:
        model: ONNX, as `export.freeze` writes it.
        pipeline: What it was frozen from.
        card: Of the bundle.
        folder: Where bundles are tried; files in it are overwritten.
        data: Dataset.
        config: How.

    Returns:
        The last model that was tried, and for the card: `data`, `frames`, `float_layers`, `attempts`, and `drops`,
        the points that each task lost on the views of the trial.
    """
    calibration = dataset_frames(data, CALIBRATION_SPLIT, limit=config.calibration_frames)
    pictures = [calibration.read(index)[0] for index in range(len(calibration))]
    trial = dataset_frames(data, TRIAL_SPLIT, limit=config.trial_frames)
    verify = VerifyConfig(precisions=("int8",), num_threads=torch.get_num_threads())
    ranked: list[str] = []
    kept = 0
    for attempt in range(1, config.attempts + 1):
        logger.info("int8: attempt %d, %d layers in floating point", attempt, kept)
        content, about = quantise(model, pictures, config=QuantiseConfig(float_layers=tuple(ranked[:kept])))
        write_files(folder, card, content, Extras())
        found = verify_bundle(folder, pipeline, trial, config=verify)
        drops = found.results["openvino int8"]["drops"]
        for fault in found.faults:
            logger.info("int8: %s", fault)
        if not found.faults:
            break
        ranked = ranked or list(rank_layers(model, content, pictures[:_RANKING_FRAMES]))
        kept = min(kept + config.layers, len(ranked))
    return content, {"data": calibration.about, **about, "attempts": attempt, "drops": dict(drops)}
