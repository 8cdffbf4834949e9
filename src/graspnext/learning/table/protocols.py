"""Protocols of the table: everything that all rows share, so that their numbers can stand side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from graspnext.data.augmentation import AugmentationConfig
from graspnext.data.loader import LoaderConfig
from graspnext.errors import ConfigError, UnknownNameError
from graspnext.learning.recipes import RECIPES, Recipe
from graspnext.network.config import NetworkConfig
from graspnext.network.pipeline import INPUT_SIZE_STEP, fitting_input_size
from graspnext.network.presets import find_preset

ROWS = ("resnet50", "efficientnet_b0", "mobilenet_v3_large", "fast")
"""Presets, in the order of the paper's table."""
REFERENCE_ROW = "resnet50"
"""What latencies are compared with, where it is among the rows."""
FORMS = (("openvino", "bf16"), ("openvino", "fp32"), ("onnxruntime", "fp32"), ("torch", "bf16"), ("torch", "fp32"))
"""Runtimes and the precisions that they can be timed in."""


@dataclass(frozen=True)
class WorldConfig:
    """The dataset that is made where none is given."""

    recipe: str
    """Name of a recipe of the world."""
    seed: int = 1
    scenes: int | None = None
    """The recipe's number when None, as for the next two."""
    views: int | None = None
    """Of each scene."""
    size: int | None = None
    """Height and width of the views, px."""


@dataclass(frozen=True)
class EvaluationConfig:
    """How trained rows are measured."""

    input_size: int
    """Side of the square that views are resized into, px."""
    splits: tuple[str, ...] = ("test", "novel")
    views: int | None = None
    """At most so many of each split, spread evenly; all when None."""
    precision: Literal["bf16", "fp32"] = "bf16"

    def __post_init__(self) -> None:
        if self.input_size <= 0 or self.input_size % INPUT_SIZE_STEP:
            raise ConfigError("evaluation.input_size", self.input_size, f"a positive multiple of {INPUT_SIZE_STEP}")
        if self.views is not None and self.views < 1:
            raise ConfigError("evaluation.views", self.views, "at least 1")
        if not self.splits or not set(self.splits) <= {"train", "val", "test", "novel"}:
            raise ConfigError("evaluation.splits", self.splits, "some of train, val, test and novel")


@dataclass(frozen=True)
class SpeedConfig:
    """How cost and latency are taken, batch 1."""

    size: int = 1200
    """Side of the image, px; the network's input is the next multiple of 32."""
    rounds: int = 20
    """In each, every network runs once in every form, in a new random order."""
    warmups: int = 2
    """Rounds before them that are not counted."""
    forms: tuple[tuple[str, str], ...] = (("openvino", "bf16"), ("openvino", "fp32"))
    """(runtime, precision); bf16 is left out where the processor cannot do it."""
    seed: int = 0
    """Of the order."""

    def __post_init__(self) -> None:
        for name in ("size", "rounds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"speed.{name}", getattr(self, name), "at least 1")
        if self.warmups < 0:
            raise ConfigError("speed.warmups", self.warmups, "at least 0")
        if not self.forms or not set(self.forms) <= set(FORMS):
            known = ", ".join(f"{runtime} {precision}" for runtime, precision in FORMS)
            raise ConfigError("speed.forms", self.forms, f"some of: {known}")

    @property
    def input_size(self) -> int:
        """`size`, rounded up to what networks take."""
        return fitting_input_size(self.size)


@dataclass(frozen=True)
class Protocol:
    """How the table is made. Every row gets the same data, recipe, number of images, and way of measuring."""

    name: str
    summary: str
    """What it is for, in a line."""
    budget: str
    """Expected time, and on which hardware."""
    expected: str
    """Expected scores, and where they are known from."""
    world: WorldConfig
    recipe_name: str
    """Which of `RECIPES` the recipe was made from."""
    recipe: Recipe
    evaluation: EvaluationConfig
    speed: SpeedConfig = field(default_factory=SpeedConfig)
    rows: tuple[str, ...] = ROWS
    network: Mapping[str, Any] = field(default_factory=dict)
    """What all rows have different from their presets: a part of `NetworkConfig.to_dict()`."""

    def __post_init__(self) -> None:
        if not self.rows or len(set(self.rows)) < len(self.rows):
            raise ConfigError("rows", self.rows, "different presets, at least one")
        if self.recipe_name not in RECIPES:
            raise UnknownNameError("recipe", self.recipe_name, RECIPES)
        for row in self.rows:
            self.config(row)

    def config(self, row: str) -> NetworkConfig:
        """The network of a row.

        Raises:
            UnknownNameError: There is no such preset.
            ConfigError: What all rows share does not fit it.
        """
        return NetworkConfig.from_dict(_merged(find_preset(row).to_dict(), self.network))

    @property
    def images(self) -> int:
        """Training images that each row sees."""
        return self.recipe.steps * self.recipe.loader.batch_size

    def changed(self, *, steps: int | None = None, workers: int | None = None) -> Protocol:
        """The same protocol with another number of updates for every row, or of processes that make batches."""
        recipe = self.recipe
        if workers is not None:
            recipe = dataclasses.replace(recipe, loader=dataclasses.replace(recipe.loader, workers=workers))
        if steps is not None:
            recipe = dataclasses.replace(recipe, steps=steps)
        return dataclasses.replace(self, recipe=recipe)

    def to_dict(self) -> dict[str, Any]:
        """As nested plain values, for JSON."""
        return dataclasses.asdict(self)


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries, the second over the first."""
    return {
        **base,
        **{
            name: _merged(base.get(name, {}), value) if isinstance(value, Mapping) else value
            for name, value in change.items()
        },
    }


_MODERN, _PAPER = RECIPES["modern"], RECIPES["paper"]

PROTOCOLS: dict[str, Protocol] = {
    "smoke": Protocol(
        name="smoke",
        summary="every stage in minutes, to see that all of it works; its scores mean nothing",
        budget="about 3 minutes on 2 cores, data included",
        expected="0 in all tasks but the heatmap",
        world=WorldConfig("smoke", scenes=10, views=1),
        recipe_name="modern",
        recipe=dataclasses.replace(
            _MODERN,
            steps=2,
            log_every=1,
            checkpoint_every=2,
            overlays_every=0,
            augmentation=AugmentationConfig(size=64),
            loader=LoaderConfig(batch_size=2, workers=0),
        ),
        network={
            "sampling": {"mask_rois": 2, "box_rois": 16, "box_positives": 8},
            "rpn": {"proposals": 50},
            "max_detections": 10,
        },
        evaluation=EvaluationConfig(input_size=128, views=1, precision="fp32"),
        speed=SpeedConfig(size=128, rounds=3, warmups=1, forms=(("openvino", "fp32"),)),
    ),
    "cpu": Protocol(
        name="cpu",
        summary="all rows with equal, small budgets at half resolution, on an ordinary machine in an evening",
        budget="2 and a half hours on 2 cores without matrix units, data included; fast takes 5 minutes of them",
        expected="weak (box AP on test 5.7 to 13.5): each row sees 4 800 small crops, under a hundredth of the usual",
        world=WorldConfig("bench", scenes=600),
        recipe_name="modern",
        recipe=dataclasses.replace(
            _MODERN,
            steps=600,
            checkpoint_every=100,
            overlays_every=300,
            augmentation=dataclasses.replace(
                _MODERN.augmentation, size=192, scale_range=(0.3, 0.75), blur_radius_px=0.8, min_visible_px=14
            ),
        ),
        network={"sampling": {"mask_rois": 1}},
        evaluation=EvaluationConfig(input_size=288, views=50),
        speed=SpeedConfig(rounds=10),
    ),
    "gpu": Protocol(
        name="gpu",
        summary="all rows with equal budgets on one data-centre GPU",
        budget="planned as under 25 minutes a row on one H100 with 16 cores; not measured yet",
        expected="not measured yet",
        world=WorldConfig("bench"),
        recipe_name="modern",
        recipe=dataclasses.replace(
            _MODERN,
            steps=4000,
            augmentation=dataclasses.replace(_MODERN.augmentation, size=448),
            loader=LoaderConfig(batch_size=16, workers=12),
        ),
        evaluation=EvaluationConfig(input_size=512),
        speed=SpeedConfig(forms=(("torch", "bf16"), ("openvino", "bf16"), ("openvino", "fp32"))),
    ),
    "paper": Protocol(
        name="paper",
        summary="the paper's training in full: its recipe, pictures of 1200 px, 37 views of each scene",
        budget="days a row on one data-centre GPU; not measured",
        expected="the paper's own numbers are of another dataset; not measured here",
        world=WorldConfig("paper"),
        recipe_name="paper",
        recipe=dataclasses.replace(_PAPER, loader=LoaderConfig(batch_size=2, workers=8)),
        evaluation=EvaluationConfig(input_size=1216),
        speed=SpeedConfig(forms=(("torch", "bf16"), ("openvino", "bf16"), ("openvino", "fp32"))),
    ),
}


def find_protocol(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
