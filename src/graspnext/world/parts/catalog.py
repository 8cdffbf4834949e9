"""Which parts a scene may hold: drawn from our families, from the user's own parts, or from both."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graspnext.world.parts.draws import chance
from graspnext.world.parts.families import sample_part
from graspnext.world.parts.imported.records import load_part
from graspnext.world.recipes import Recipe
from graspnext.world.scene import Part

_ATTEMPTS = 60


def sample_parts(
    recipe: Recipe, distinct: int, *, novel: bool, suits: Callable[[Part], bool], rng: np.random.Generator
) -> list[Part]:
    """Different parts that suit, at most `distinct`; fewer, or none, where too few do.

    Args:
        recipe: Says which families and imported parts there are, and which share is imported.
        distinct: How many.
        novel: Whether to draw from what is held out for novel scenes instead of the rest.
        suits: Whether a part can be used.
        rng: Source of randomness.

    Raises:
        PartsError: An imported part is not in the cache.
    """
    families = recipe.novel_families if novel else recipe.families
    left = [] if recipe.imported is None else list(recipe.imported.of(novel=novel))
    share = recipe.imported_share if left else 0.0
    parts: list[Part] = []
    for _ in range(_ATTEMPTS + len(left)):
        if len(parts) == distinct:
            break
        if share == 1 and not left:
            break
        if left and (share == 1 or chance(share, rng=rng)):
            weights = np.array([about.count for about in left])
            part = load_part(left.pop(int(rng.choice(len(left), p=weights / weights.sum()))))
        else:
            family = families[int(rng.integers(len(families)))]
            part = sample_part(family, f"{family}-{len(parts):02d}", rng=rng)
        if suits(part):
            parts.append(part)
    return parts
