"""Schedules by their definition, and what recipes refuse."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

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
    ("field", "value"), [("steps", 0), ("log_every", 0), ("checkpoint_every", -1), ("seed", -1), ("seed", 2**32)]
)
def test_recipe_refuses(field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{field} is {value}; it must be"):
        replace(Recipe(), **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [("lr", 0.0), ("lr", math.nan), ("lr", math.inf), ("weight_decay", -0.1), ("ema_decay", 1.0), ("clip_norm", 0.0)],
)
def test_optimizer_config_refuses(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        OptimizerConfig(**{field: value})


def test_recipes_by_name() -> None:
    assert find_recipe("modern") == RECIPES["modern"]
    with pytest.raises(UnknownNameError, match="unknown recipe 'fats'; choose one of: cpu, smoke"):
        find_recipe("fats")
