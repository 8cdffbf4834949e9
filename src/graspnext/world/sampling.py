"""What goes into a scene: container, ground and parts, drawn at random from a recipe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspnext.errors import SceneError
from graspnext.types import Float64Array
from graspnext.world.containers import sample_container
from graspnext.world.floors import sample_floor
from graspnext.world.parts.catalog import sample_parts
from graspnext.world.parts.draws import chance, size_between, weighted
from graspnext.world.recipes import Recipe
from graspnext.world.scene import Container, Floor, Part

_TABLE_LAYER_M = 0.07
"""Height to which things may be heaped on a table."""
_LOOSENESS = 1.6
"""Heaped room over the sum of the parts' bounding boxes."""
_EASE = 2 / 3
_LEAST_PILE = 4
_MOST_SCATTERED = 9
_MOST_PIECES = 400
"""Convex pieces of all placements together: what physics takes for 60 gears would make a hundred other scenes."""
_PILE_IN_TRAY = 0.25
_MOST_LANES = 3
"""Different parts that are packed side by side on one floor."""


@dataclass(frozen=True, eq=False)
class Contents:
    """What will be dropped into what, before physics."""

    parts: tuple[Part, ...]
    order: tuple[int, ...]
    """Index into `parts` of each placement, in the order of dropping."""
    container: Container
    floor: Floor
    fill: str = "pile"
    """One of `FILLS`."""


def extents(part: Part) -> Float64Array:
    """Sides (3,) of a part's bounding box in its own frame, metres."""
    return np.asarray(np.ptp(part.mesh.vertices.astype(np.float64), axis=0))


def fits(part: Part, container: Container) -> bool:
    """Whether a part can lie flat in a container, or in one of its compartments, with some room to spare."""
    rooms = [(x1 - x0, y1 - y0) for x0, y0, x1, y1 in container.cells] or [container.inner_size[:2]]
    sides, room = np.sort(extents(part))[::-1], np.sort(max(rooms, key=min))[::-1]
    return bool(sides[0] <= 0.9 * room[0] and sides[1] <= 0.85 * room[1])


def sample_contents(recipe: Recipe, *, novel: bool, ease: int = 0, rng: np.random.Generator) -> Contents:
    """Container, ground and parts that fit into it, at most as many as it has room for.

    Args:
        recipe: The recipe.
        novel: Whether to draw from the recipe's novel families instead of its ordinary ones.
        ease: How many tries at this scene have failed: each takes a third of the parts away.
        rng: Source of randomness.

    Raises:
        SceneError: "no room: ...": no part of the families fits into the container.
    """
    container = sample_container(weighted(recipe.containers, rng=rng), rng=rng)
    floor = sample_floor(container, rng=rng)
    fill = weighted(_fills(recipe, container), rng=rng)
    low, high = recipe.distinct_parts
    wanted = _draw_count(recipe, fill, container, rng=rng)
    distinct = max(low, min(int(rng.integers(low, high + 1)), wanted))
    if chance(recipe.single_part_probability, rng=rng):
        distinct = 1
    elif fill == "packed":
        distinct = max(1, min(distinct, len(container.cells) or _MOST_LANES))

    parts = sample_parts(recipe, distinct, novel=novel, suits=lambda part: fits(part, container), rng=rng)
    if not parts:
        raise SceneError(
            f"no room: no part fits into a {container.kind} of {container.inner_size} m; "
            "allow smaller parts or other containers in the recipe"
        )
    least = recipe.parts_per_scene[0]
    order = _limit(_draw_order(len(parts), wanted, rng=rng), parts, container, least=least)
    order = order[: max(least, round(len(order) * _EASE**ease))]
    used = sorted(set(order))
    renumbered = {old: new for new, old in enumerate(used)}
    return Contents(tuple(parts[i] for i in used), tuple(renumbered[i] for i in order), container, floor, fill)


def _fills(recipe: Recipe, container: Container) -> dict[str, float]:
    """The recipe's weights, with piles rare where compartments are meant for single parts."""
    if container.kind != "tray" or "pile" not in recipe.fills or len(recipe.fills) == 1:
        return recipe.fills
    return {**recipe.fills, "pile": _PILE_IN_TRAY * recipe.fills["pile"]}


def _draw_count(recipe: Recipe, fill: str, container: Container, *, rng: np.random.Generator) -> int:
    """How many parts to ask for: few scattered ones, evenly many in a layer or a packing, mostly small piles."""
    low, high = recipe.parts_per_scene
    if fill == "scattered":
        return int(rng.integers(low, max(low, min(high, _MOST_SCATTERED)) + 1))
    if fill == "pile":
        return round(size_between(min(max(low, _LEAST_PILE), high) - 0.49, high + 0.49, rng=rng))
    if container.cells and fill == "packed":
        high = max(low, min(high, 3 * len(container.cells)))
    return int(rng.integers(min(max(low, _LEAST_PILE), high), high + 1))


def _draw_order(num_parts: int, wanted: int, *, rng: np.random.Generator) -> list[int]:
    """Each part at least once where possible, the rest with uneven shares, shuffled."""
    order = list(range(min(num_parts, wanted)))
    share = rng.dirichlet(np.full(num_parts, 2.0))
    order += [int(i) for i in rng.choice(num_parts, size=wanted - len(order), p=share)]
    rng.shuffle(order)
    return order


def _limit(order: list[int], parts: list[Part], container: Container, *, least: int) -> list[int]:
    """The longest start of `order` that the container has room for; never fewer than `least` placements."""
    x, y, z = container.inner_size
    room = x * y * (max(z, 0.02) * 1.15 if z > 0 else _TABLE_LAYER_M)
    volumes = [_LOOSENESS * float(np.prod(np.maximum(extents(part), 0.006))) for part in parts]
    filled = np.cumsum([volumes[i] for i in order])
    pieces = np.cumsum([len(parts[i].hulls) for i in order])
    count = min(np.searchsorted(filled, room, side="right"), np.searchsorted(pieces, _MOST_PIECES, side="right"))
    return order[: max(least, int(count))]
