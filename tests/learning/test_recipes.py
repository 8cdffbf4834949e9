"""Schedules by their definition, and what recipes refuse."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from graspnext.data.loader import LoaderConfig
from graspnext.errors import ConfigError, UnknownNameError
from graspnext.learning.recipes import RECIPES, OptimizerConfig, Recipe, find_recipe


def test_learning_rate_rises_linearly_then_follows_a_half_cosine() -> None:
    recipe = Recipe(steps=100, optimizer=OptimizerConfig(lr=2.0, warmup_fraction=0.1, final_lr_fraction=0.1))
    rates = [recipe.learning_rate(step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[9] == max(rates) == 2.0
    assert rates[54] == pytest.approx(0.1 * 2 + 0.9 * 2 * 0.5)  # half way down
    assert rates[-1] == pytest.approx(0.2)
    assert all(a > b for a, b in pairwise(rates[9:]))


def test_schedule_scales_with_the_steps() -> None:
    short, long = Recipe(steps=200), Recipe(steps=2000)
    for fraction in (0.25, 0.5, 0.75):
        here, there = short.learning_rate(int(200 * fraction)), long.learning_rate(int(2000 * fraction))
        assert here == pytest.approx(there, rel=0.05)


def test_one_step_is_a_run() -> None:
    rate = Recipe(steps=1).learning_rate(0)
    assert math.isfinite(rate) and rate > 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("log_every", 0),
        ("checkpoint_every", -1),
        ("seed", -1),
        ("seed", 2**32),
        ("accumulate", 0),
        ("overlays_every", -1),
    ],
)
def test_recipe_refuses(field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{field} is {value}; it must be"):
        replace(Recipe(), **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lr", 0.0),
        ("lr", math.nan),
        ("lr", math.inf),
        ("weight_decay", -0.1),
        ("ema_decay", 1.0),
        ("clip_norm", -1.0),
        ("clip_norm", math.inf),
        ("decay_factor", 1.0),
        ("momentum", 1.0),
        ("beta2", -0.1),
    ],
)
def test_optimizer_config_refuses(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"optimizer.{field} is"):
        OptimizerConfig(**{field: value})


@pytest.mark.parametrize("points", [(0.9, 0.5), (0.5, 0.5), (0.0,), (1.0,), (math.nan,)])
def test_optimizer_config_refuses_points_out_of_order(points: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="rising fractions between 0 and 1"):
        OptimizerConfig(decay_at=points)


@pytest.mark.parametrize(
    ("config", "field", "choices"),
    [
        (OptimizerConfig, "kind", "adamw, sgd"),
        (OptimizerConfig, "schedule", "cosine, steps"),
        (Recipe, "precision", "bf16, fp32, fp64"),
        (Recipe, "device", "auto, cpu, cuda"),
        (Recipe, "balance", "fixed, uncertainty"),
    ],
)
def test_only_the_choices_are_taken(config: type, field: str, choices: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} is 'other'; it must be one of: {choices}"):
        config(**{field: "other"})


def test_zero_switches_off_clipping_averaging_and_pictures() -> None:
    config = OptimizerConfig(clip_norm=0.0, ema_decay=0.0, momentum=0.0)
    assert Recipe(optimizer=config, overlays_every=0).optimizer == config


def test_parts_of_a_batch_divide_it() -> None:
    for parts in (1, 2, 3, 6):
        assert Recipe(loader=LoaderConfig(batch_size=6), accumulate=parts).accumulate == parts
    with pytest.raises(ConfigError, match="accumulate is 4; it must be a divisor of the batch size, 6"):
        Recipe(loader=LoaderConfig(batch_size=6), accumulate=4)


def test_steps_fall_by_the_factor_at_their_fractions_of_the_run() -> None:
    config = OptimizerConfig(lr=0.03, schedule="steps", decay_at=(0.67, 0.92), warmup_fraction=0.01)
    rates = [Recipe(steps=1000, optimizer=config).learning_rate(step) for step in range(1000)]
    assert rates[:10] == pytest.approx([0.003 * (step + 1) for step in range(10)])
    assert rates[10:670] == pytest.approx([0.03] * 660)
    assert rates[670:920] == pytest.approx([0.003] * 250)
    assert rates[920:] == pytest.approx([0.0003] * 80)


def test_the_papers_recipe_is_the_papers() -> None:
    recipe = find_recipe("paper")
    optimizer = recipe.optimizer
    assert (optimizer.kind, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.03, 0.9, 1e-4)
    assert (optimizer.schedule, optimizer.decay_at, optimizer.decay_factor) == ("steps", (0.67, 0.92), 0.1)
    assert optimizer.clip_norm == optimizer.ema_decay == 0
    assert recipe.loader.batch_size == 2 and recipe.augmentation.size == 1216


def test_recipes_by_name() -> None:
    assert find_recipe("modern") == RECIPES["modern"]
    with pytest.raises(UnknownNameError, match="unknown recipe 'fats'; choose one of: modern, paper, smoke"):
        find_recipe("fats")
