"""What a report says about the network that it measured: the same of a training run and of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def model_card(name: str, training: Mapping[str, Any], *, params_m: float, gmacs: float | None) -> dict[str, Any]:
    """The facts in the order of the report; what nothing is known of is left out.

    Args:
        name: Of the network.
        training: What the run recorded: `config.json` with the summary, or the `training` of a bundle's card.
        params_m: Millions of parameters.
        gmacs: Billions of multiply-accumulates a view at the input size.
    """
    recipe = training.get("recipe") or {}
    facts = {
        "preset": name,
        "params_m": round(params_m, 3),
        "gmacs": None if gmacs is None else round(gmacs, 3),
        "steps": recipe.get("steps"),
        "step": training.get("step"),
        "trained_on": _dataset_words(training),
        "wall_time_s": training.get("wall_time_s"),
        "hardware": training.get("hardware"),
        "versions": training.get("versions"),
        "recipe": recipe or None,
    }
    return {field: value for field, value in facts.items() if value is not None}


def _dataset_words(training: Mapping[str, Any]) -> str | None:
    about = training.get("dataset")
    if not isinstance(about, Mapping):
        return None
    views = (about.get("views") or {}).get("train")
    counted = f"{views} views, " if views is not None else ""
    return f"{counted}recipe {about.get('recipe')}, seed {about.get('seed')}, {about.get('scenes')} scenes in all"


def preset_name(architecture: Mapping[str, Any]) -> str:
    """The preset that has exactly this architecture; "own" when there is none. Needs the training extra."""
    from graspnext.network.config import NetworkConfig
    from graspnext.network.presets import PRESETS

    config = NetworkConfig.from_dict(architecture)
    return next((name for name, preset in PRESETS.items() if preset == config), "own")
