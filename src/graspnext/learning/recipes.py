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
    """The update rule, its learning rate over the run, and the averaged weights."""

    kind: Literal["adamw", "sgd"] = "adamw"
    """AdamW (Loshchilov & Hutter, ICLR 2019), or stochastic gradient descent with momentum."""
    lr: float = 1.5e-3
    """Peak learning rate."""
    schedule: Literal["cosine", "steps"] = "cosine"
    """After the warm-up: a half cosine (SGDR, ICLR 2017), or a factor at fixed points of the run."""
    final_lr_fraction: float = 0.01
    """Cosine: learning rate of the last step, as a fraction of the peak."""
    decay_at: tuple[float, ...] = (0.67, 0.92)
    """Steps: where the learning rate falls, as fractions of the run."""
    decay_factor: float = 0.1
    """Steps: by what it is multiplied at each of them."""
    warmup_fraction: float = 0.03
    """Fraction of the steps in which the learning rate rises from 0 to its peak."""
    weight_decay: float = 0.05
    """Decay of matrices and filters, decoupled with AdamW; norms and biases are not decayed."""
    momentum: float = 0.9
    """Memory of the gradient's mean: SGD's momentum, AdamW's first beta."""
    beta2: float = 0.99
    """AdamW's memory of its square; shorter than the usual 0.999, for runs of a few thousand steps."""
    clip_norm: float = 5.0
    """Gradients of a larger total norm are scaled down to it; 0 leaves them as they are."""
    ema_decay: float = 0.999
    """Decay of the averaged weights, which are the ones evaluated and exported; lower in the first steps. 0: none."""

    def __post_init__(self) -> None:
        _choice("optimizer.kind", self.kind, ("adamw", "sgd"))
        _choice("optimizer.schedule", self.schedule, ("cosine", "steps"))
        _positive("optimizer.lr", self.lr)
        for name in ("weight_decay", "clip_norm"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"optimizer.{name}", getattr(self, name), "a finite number >= 0")
        for name in ("final_lr_fraction", "decay_factor", "warmup_fraction", "momentum", "beta2", "ema_decay"):
            _fraction(f"optimizer.{name}", getattr(self, name))
        if list(self.decay_at) != sorted(set(self.decay_at)) or not all(0 < at < 1 for at in self.decay_at):
            raise ConfigError("optimizer.decay_at", self.decay_at, "rising fractions between 0 and 1")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The same recipe, preset and dataset give the same weights on the same CPU."""

    steps: int = 6_400
    """Length of the run in updates; the schedule is laid over it, so the number of steps is part of the result."""
    seed: int = 0
    """Of the initial weights, the order and augmentation of the views, and the sampling of proposals."""
    precision: Literal["bf16", "fp32", "fp64"] = "bf16"
    """bf16: convolutions and matrix products, while weights and losses stay float32. fp64 takes twice the memory, and
    is for comparing runs: rounding cannot tip a decision of one of them there."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a GPU where there is one."""
    accumulate: int = 1
    """Parts in which each process goes through its share of a batch before the update: less memory, and the same result
    but for batch norms, which see a part at a time."""
    balance: Literal["fixed", "uncertainty"] = "fixed"
    """Weights of the losses: the preset's own, or these times factors learnt along (Kendall et al., CVPR 2018)."""
    log_every: int = 20
    """Steps between two lines of the log."""
    checkpoint_every: int = 500
    """Steps between two checkpoints: what a crash can cost."""
    overlays_every: int = 1000
    """Steps between two pictures of what the network finds in a few views of `val`; 0 makes none."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Update rule, schedule and weight averaging."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """What is done to views before they are learnt from, the crop's size included."""
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    """Batch size, over all processes, and workers."""

    def __post_init__(self) -> None:
        for name in ("steps", "log_every", "checkpoint_every", "accumulate"):
            if getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), "an integer >= 1")
        if self.overlays_every < 0:
            raise ConfigError("overlays_every", self.overlays_every, "an integer >= 0")
        _choice("precision", self.precision, ("bf16", "fp32", "fp64"))
        _choice("device", self.device, ("auto", "cpu", "cuda"))
        _choice("balance", self.balance, ("fixed", "uncertainty"))
        if self.loader.batch_size % self.accumulate:
            raise ConfigError("accumulate", self.accumulate, f"a divisor of the batch size, {self.loader.batch_size}")
        if self.augmentation.size % 32:
            raise ConfigError("augmentation.size", self.augmentation.size, "a multiple of 32, the network's stride")
        if not 0 <= self.seed < 2**32:
            raise ConfigError("seed", self.seed, "an integer in [0, 2^32)")

    def learning_rate(self, step: int) -> float:
        """Learning rate of one step: a linear warm-up, then the schedule."""
        config = self.optimizer
        warmup = max(1, round(config.warmup_fraction * self.steps))
        if step < warmup:
            return config.lr * (step + 1) / warmup
        if config.schedule == "steps":
            return config.lr * config.decay_factor ** sum(step >= round(at * self.steps) for at in config.decay_at)
        progress = (step + 1 - warmup) / max(1, self.steps - warmup)  # 1 at the last step
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return config.lr * (config.final_lr_fraction + (1 - config.final_lr_fraction) * cosine)

    def to_dict(self) -> dict[str, Any]:
        """As nested plain values, for JSON."""
        return asdict(self)


def _choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(name, value, f"one of: {', '.join(choices)}")


def _positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ConfigError(name, value, "a finite number > 0")


def _fraction(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ConfigError(name, value, "in [0, 1)")


RECIPES: Mapping[str, Recipe] = {
    "modern": Recipe(),
    "paper": Recipe(
        steps=100_000,
        optimizer=OptimizerConfig(
            kind="sgd",
            lr=0.03,
            schedule="steps",
            decay_at=(0.67, 0.92),
            decay_factor=0.1,
            warmup_fraction=0.01,
            weight_decay=1e-4,
            momentum=0.9,
            clip_norm=0.0,
            ema_decay=0.0,
        ),
        augmentation=AugmentationConfig(
            size=1216,
            scale_range=(1.0, 1.0),
            rotate90=False,
            brightness=0.0,
            contrast=0.0,
            saturation=0.0,
            hue=0.0,
            white_balance=0.0,
            gamma=0.0,
            blur_probability=0.0,
            noise_probability=0.0,
        ),
        loader=LoaderConfig(batch_size=2),
    ),
    "smoke": Recipe(
        steps=30,
        log_every=5,
        checkpoint_every=10,
        overlays_every=20,
        augmentation=AugmentationConfig(size=96),
        loader=LoaderConfig(batch_size=2),
    ),
}
"""`modern`: 6 400 batches of eight 320-pixel crops, 76 minutes for `fast` on two cores with bf16 matrix units.
`paper`: what the paper says of its training; views of 1200 px lie in a frame of 1216, the next multiple of the stride.
`smoke`: 30 steps at 96 pixels in seconds, to see that everything works; with 300 steps `tiny` learns toy pictures."""


def find_recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]
