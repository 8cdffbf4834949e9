"""Recipes: every number of a training run, and the named starting points of `graspnext train --recipe NAME`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from graspnext.data.augmentation import AugmentationConfig
from graspnext.data.loader import LoaderConfig
from graspnext.errors import ConfigError, UnknownNameError


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW (Loshchilov & Hutter, 2019) under a linear warm-up and a half cosine (SGDR, 2017)."""

    lr: float = 1.5e-3
    """Peak learning rate."""
    final_lr_fraction: float = 0.01
    """Learning rate of the last step, as a fraction of the peak."""
    warmup_fraction: float = 0.03
    """Fraction of the steps in which the learning rate rises from 0 to its peak."""
    weight_decay: float = 0.05
    """Decoupled decay of matrices and filters; norms and biases are not decayed."""
    beta1: float = 0.9
    """Memory of the gradient's mean."""
    beta2: float = 0.99
    """Memory of its square; shorter than the usual 0.999, for runs of a few thousand steps."""
    clip_norm: float = 5.0
    """Gradients of a larger total norm are scaled down to it."""
    ema_decay: float = 0.999
    """Decay of the averaged weights, which are the ones evaluated and exported; lower in the first steps."""

    def __post_init__(self) -> None:
        _positive("optimizer.lr", self.lr)
        _positive("optimizer.clip_norm", self.clip_norm)
        _fraction("optimizer.final_lr_fraction", self.final_lr_fraction)
        _fraction("optimizer.warmup_fraction", self.warmup_fraction)
        _fraction("optimizer.ema_decay", self.ema_decay)
        _fraction("optimizer.beta1", self.beta1)
        _fraction("optimizer.beta2", self.beta2)
        if not 0 <= self.weight_decay < math.inf:
            raise ConfigError("optimizer.weight_decay", self.weight_decay, "a finite number >= 0")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The same recipe, preset and dataset give the same weights on the same CPU."""

    steps: int = 12_000
    """Length of the run in batches; the schedule is laid over it, so the number of steps is part of the result."""
    seed: int = 0
    """Of the initial weights, the order and augmentation of the views, and the sampling of proposals."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """Arithmetic of convolutions and matrix products; weights and losses stay float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a GPU where there is one."""
    log_every: int = 20
    """Steps between two lines of the log."""
    checkpoint_every: int = 500
    """Steps between two checkpoints: what a crash can cost."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Update rule, schedule and weight averaging."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """What is done to views before they are learnt from, the crop's size included."""
    loader: LoaderConfig = field(default_factory=lambda: LoaderConfig(batch_size=4))
    """Batch size and worker processes."""

    def __post_init__(self) -> None:
        for name in ("steps", "log_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), "an integer >= 1")
        if self.augmentation.size % 32:
            raise ConfigError("augmentation.size", self.augmentation.size, "a multiple of 32, the network's stride")
        if not 0 <= self.seed < 2**32:
            raise ConfigError("seed", self.seed, "an integer in [0, 2^32)")

    def learning_rate(self, step: int) -> float:
        """Learning rate of one step: linear warm-up, then a half cosine down to its final fraction."""
        config = self.optimizer
        warmup = max(1, round(config.warmup_fraction * self.steps))
        if step < warmup:
            return config.lr * (step + 1) / warmup
        progress = (step + 1 - warmup) / max(1, self.steps - warmup)  # 1 at the last step
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return config.lr * (config.final_lr_fraction + (1 - config.final_lr_fraction) * cosine)

    def to_dict(self) -> dict[str, Any]:
        """As nested plain values, for JSON."""
        return asdict(self)


def _positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ConfigError(name, value, "a finite number > 0")


def _fraction(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ConfigError(name, value, "in [0, 1)")


RECIPES: Mapping[str, Recipe] = {
    "cpu": Recipe(),
    "smoke": Recipe(
        steps=30,
        log_every=5,
        checkpoint_every=10,
        augmentation=AugmentationConfig(size=96),
        loader=LoaderConfig(batch_size=2),
    ),
}
"""`cpu`: 12 000 batches of four 384-pixel crops; `fast` does 11 images/s on 2 cores with AVX-512 BF16: 75 minutes.
`smoke`: 30 steps at 96 pixels in seconds, to see that everything works; with 300 steps `tiny` learns toy pictures."""


def find_recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]
