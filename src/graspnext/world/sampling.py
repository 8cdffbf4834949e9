"""What goes into a scene: contents, light and cameras, drawn at random from a recipe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspnext.errors import SceneError
from graspnext.geometry.cameras import look_at
from graspnext.types import Camera, Float64Array
from graspnext.world.containers import sample_container, sample_floor
from graspnext.world.parts.draws import between, chance, size_between
from graspnext.world.parts.families import sample_part
from graspnext.world.recipes import Recipe
from graspnext.world.scene import Container, Floor, Light, Look, Part

_ATTEMPTS = 60
_TABLE_LAYER_M = 0.07
"""Height to which things may be heaped on a table."""
_LOOSENESS = 1.6
"""Heaped room over the sum of the parts' bounding boxes."""


@dataclass(frozen=True, eq=False)
class Contents:
    """What will be dropped into what, before physics."""

    parts: tuple[Part, ...]
    order: tuple[int, ...]
    """Index into `parts` of each placement, in the order of dropping."""
    container: Container
    floor: Floor


def extents(part: Part) -> Float64Array:
    """Sides (3,) of a part's bounding box in its own frame, metres."""
    return np.asarray(np.ptp(part.mesh.vertices.astype(np.float64), axis=0))


def fits(part: Part, container: Container) -> bool:
    """Whether a part can lie flat in a container with some room to spare."""
    sides, room = np.sort(extents(part))[::-1], np.sort(container.inner_size[:2])[::-1]
    return bool(sides[0] <= 0.9 * room[0] and sides[1] <= 0.85 * room[1])


def sample_contents(recipe: Recipe, *, novel: bool, rng: np.random.Generator) -> Contents:
    """Container, ground and parts that fit into it, at most as many as it has room for.

    Args:
        recipe: The recipe.
        novel: Whether to draw from the recipe's novel families instead of its ordinary ones.
        rng: Source of randomness.

    Raises:
        SceneError: No part of the families fits into the container.
    """
    kinds = sorted(recipe.containers)
    weights = np.array([recipe.containers[kind] for kind in kinds])
    container = sample_container(str(rng.choice(kinds, p=weights / weights.sum())), rng=rng)
    floor = sample_floor(container, rng=rng)
    families = recipe.novel_families if novel else recipe.families
    low, high = recipe.distinct_parts
    wanted = int(rng.integers(recipe.parts_per_scene[0], recipe.parts_per_scene[1] + 1))
    distinct = max(low, min(int(rng.integers(low, high + 1)), wanted))
    if chance(recipe.single_part_probability, rng=rng):
        distinct = 1

    parts: list[Part] = []
    for _ in range(_ATTEMPTS):
        family = families[int(rng.integers(len(families)))]
        part = sample_part(family, f"{family}-{len(parts):02d}", rng=rng)
        if fits(part, container):
            parts.append(part)
        if len(parts) == distinct:
            break
    if not parts:
        raise SceneError(
            f"no part of {', '.join(families)} fits into a {container.kind} of {container.inner_size} m; "
            "allow smaller families or other containers in the recipe"
        )
    order = _limit(_draw_order(len(parts), wanted, rng=rng), parts, container, least=recipe.parts_per_scene[0])
    used = sorted(set(order))
    renumbered = {old: new for new, old in enumerate(used)}
    return Contents(tuple(parts[i] for i in used), tuple(renumbered[i] for i in order), container, floor)


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
    return order[: max(least, int(np.searchsorted(filled, room, side="right")))]


def sample_look(recipe: Recipe, container: Container, *, rng: np.random.Generator) -> Look:
    """One directional light, a few lamps and a sky, from dim to bright, of differing warmth."""
    ranges = recipe.look
    zenith, azimuth = rng.uniform(0, np.radians(60)), rng.uniform(0, 2 * np.pi)
    direction = -np.array([np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth), np.cos(zenith)])
    lights = [
        Light(
            "directional",
            _triple(-3 * direction),
            _triple(direction),
            color_of_temperature(between(*ranges.temperature_k, rng=rng)),
            size_between(*ranges.directional_lux, rng=rng),
            shadows=not chance(ranges.no_shadow_probability, rng=rng),
        )
    ]
    reach = max(container.inner_size[:2])
    for _ in range(int(rng.integers(ranges.num_lamps[0], ranges.num_lamps[1] + 1))):
        place = np.array([*(rng.uniform(-1.2, 1.2, 2) * reach), between(0.6, 1.6, rng=rng)])
        distance = float(np.linalg.norm(place))
        lights.append(
            Light(
                "spot" if chance(0.5, rng=rng) else "point",
                _triple(place),
                _triple(-place / distance),
                color_of_temperature(between(*ranges.temperature_k, rng=rng)),
                size_between(*ranges.lamp_lux, rng=rng) * distance**2,
                shadows=chance(0.3, rng=rng),
            )
        )
    ambient = color_of_temperature(between(*ranges.temperature_k, rng=rng))
    lux = size_between(*ranges.ambient_lux, rng=rng)
    return Look(tuple(lights), ambient, lux, size_between(*ranges.exposure, rng=rng))


def color_of_temperature(kelvin: float) -> tuple[float, float, float]:
    """Linear RGB of a black body, brightest channel 1 (cubics of Kim et al. for the Planckian locus).

    US patent 7024034 gives the cubics, good from 1,667 K to 25,000 K; then XYZ to linear sRGB (IEC 61966-2-1).
    """
    t = 1e3 / float(np.clip(kelvin, 1667, 25000))
    if kelvin < 4000:
        x = np.polyval([-0.2661239, -0.2343589, 0.8776956, 0.179910], t)
    else:
        x = np.polyval([-3.0258469, 2.1070379, 0.2226347, 0.240390], t)
    if kelvin < 2222:
        y = np.polyval([-1.1063814, -1.34811020, 2.18555832, -0.20219683], x)
    elif kelvin < 4000:
        y = np.polyval([-0.9549476, -1.37418593, 2.09137015, -0.16748867], x)
    else:
        y = np.polyval([3.0817580, -5.87338670, 3.75112997, -0.37001483], x)
    xyz = np.array([x / y, 1.0, (1 - x - y) / y])
    to_rgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    rgb = np.clip(to_rgb @ xyz, 0, None)
    return _triple(rgb / rgb.max())


def _triple(values: Float64Array) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def sample_cameras(recipe: Recipe, container: Container, *, rng: np.random.Generator) -> tuple[Camera, ...]:
    """The recipe's number of cameras: the first roughly overhead, the others on a hemisphere."""
    return tuple(_sample_camera(recipe, container, overhead=i == 0, rng=rng) for i in range(recipe.views))


def _sample_camera(recipe: Recipe, container: Container, *, overhead: bool, rng: np.random.Generator) -> Camera:
    ranges = recipe.camera
    height, width = recipe.image_size
    view = between(*ranges.field_of_view_rad, rng=rng)
    focal = min(height, width) / 2 / np.tan(view / 2)
    tilt = between(*(ranges.overhead_tilt_rad if overhead else ranges.tilt_rad), rng=rng)
    azimuth = rng.uniform(0, 2 * np.pi)
    x, y, z = container.inner_size
    fill = between(*ranges.fill, rng=rng)
    middle = np.array([*(rng.uniform(-0.12, 0.12, 2) * (x, y)), 0.75 * z])
    # As wide a view as that fill would have: longer side / fill = 2 distance tan(view / 2).
    distance = max(x, y) / fill / (2 * np.tan(view / 2))
    distance = max(distance, 0.25 * z + ranges.clearance_m + 0.5 * max(x, y) * np.sin(tilt))
    away = np.array([np.sin(tilt) * np.cos(azimuth), np.sin(tilt) * np.sin(azimuth), np.cos(tilt)])
    roll = rng.uniform(-np.pi, np.pi) if overhead else rng.uniform(-ranges.roll_rad, ranges.roll_rad)
    pose = look_at(middle + distance * away, middle, float(roll))
    return Camera(width, height, float(focal), float(focal), width / 2, height / 2, pose)
