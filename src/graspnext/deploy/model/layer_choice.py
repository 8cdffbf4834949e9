"""int8: layers are put back into floating point until no task loses more than it may.

A quantised model is measured against its gates. Where one is broken, the layers that err most by their own doing
(`quantise.rank_layers`) stay in floating point, and all is measured again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from graspnext.deploy.frames import Frames
from graspnext.deploy.model.quantise import QuantiseConfig, quantise, rank_layers
from graspnext.errors import ConfigError

logger = logging.getLogger(__name__)

_RANKING_FRAMES = 3


@dataclass(frozen=True)
class ChoiceConfig:
    """How layers are chosen that stay in floating point."""

    calibration_frames: int = 64
    """Views that ranges are taken from."""
    attempts: int = 4
    """Choices that are measured at most."""
    layers: int = 4
    """Layers that go back into floating point after each."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ConfigError(f"choice.{name}", value, "at least 1")


class Measured(Protocol):
    """What came of a choice."""

    @property
    def broken(self) -> bool:
        """Whether it breaks a gate."""
        ...


M = TypeVar("M", bound=Measured)


def choose_layers(
    model: bytes,
    calibration: Frames,
    measure: Callable[[bytes, dict[str, Any]], M],
    *,
    config: ChoiceConfig,
) -> M:
    """Quantise a frozen pipeline, with as many layers in floating point as its gates need.

    Args:
        model: ONNX, as `export.freeze` writes it.
        calibration: Pictures that ranges are taken from.
        measure: Compares a quantised model with the trained network, given also what the card says of it: `data`,
            `frames`, `float_layers`, `attempts`.
        config: How.

    Returns:
        What was measured last: of the first choice that holds, or of the one with most layers in floating point.

    Raises:
        MissingDependencyError: NNCF is not installed.
    """
    pictures = [calibration.read(index)[0] for index in range(len(calibration))]
    ranked: list[str] = []
    kept = 0
    for attempt in range(1, config.attempts + 1):
        logger.info("int8: choice %d of at most %d, %d layers in floating point", attempt, config.attempts, kept)
        content, about = quantise(model, pictures, config=QuantiseConfig(float_layers=tuple(ranked[:kept])))
        measured = measure(content, {"data": calibration.about, **about, "attempts": attempt})
        if not measured.broken or attempt == config.attempts:
            break
        ranked = ranked or list(rank_layers(model, content, pictures[:_RANKING_FRAMES]))
        kept = min(kept + config.layers, len(ranked))
    return measured
