"""The light that falls on a scene, drawn at random from ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from graspnext.types import Float64Array
from graspnext.world.parts.draws import between, chance, size_between, weighted
from graspnext.world.ranges import check_range, check_share, check_weights
from graspnext.world.scene import WHITE_LUX, Container, Light, Look

LEAST_LEVEL = 0.5
"""Linear display value that white paper lying in the container has at the least: the camera exposes longer for it."""


@dataclass(frozen=True)
class LookRanges:
    """How bright, how warm and how hard the light is. Intensities are drawn evenly in their logarithm."""

    moods: dict[str, float] = field(
        default_factory=lambda: {"even": 0.34, "strips": 0.24, "dim": 0.14, "window": 0.14, "glare": 0.14}
    )
    """Kind of light -> weight. "even" takes the ranges below as they are; the others scale them: a dim hall under one
    warm far lamp, ceiling strips, low sun through a window, a near lamp that overexposes a patch."""
    directional_lux: tuple[float, float] = (1e4, 7e4)
    """Illuminance of the one directional light."""
    ambient_lux: tuple[float, float] = (1.5e4, 4.5e4)
    """Illuminance from all around: keeps the darkest picture readable."""
    lamp_lux: tuple[float, float] = (3e3, 2.5e4)
    """Illuminance that each extra lamp gives at the container's middle."""
    num_lamps: tuple[int, int] = (0, 3)
    """Point and spot lights beside the directional one in even light."""
    temperature_k: tuple[float, float] = (4200.0, 8500.0)
    """Colour temperature of each light."""
    exposure: tuple[float, float] = (0.8, 1.4)
    """Longer where that would leave white paper in the container below a readable grey."""
    no_shadow_probability: float = 0.3
    """Share of scenes under light so wide that the directional light casts no visible shadow."""

    def __post_init__(self) -> None:
        check_weights("look.moods", "kind of light", self.moods, MOODS)
        for name in ("directional_lux", "ambient_lux", "lamp_lux"):
            check_range(f"look.{name}", getattr(self, name), 1.0, 1e6)
        check_range("look.num_lamps", self.num_lamps, 0, 8)
        check_range("look.temperature_k", self.temperature_k, 1500.0, 20000.0)
        check_range("look.exposure", self.exposure, 0.05, 20.0)
        check_share("look.no_shadow_probability", self.no_shadow_probability)


@dataclass(frozen=True)
class Mood:
    """How one kind of light differs from the even one."""

    directional: float
    """Factor of the directional light."""
    ambient: float
    """Factor of the light from all around."""
    warmth: float
    """Factor of the lamps' colour temperature."""
    zenith_deg: tuple[float, float]
    """Angle of the directional light from straight above."""
    lamps: Callable[[LookRanges, float, np.random.Generator], list[tuple[Float64Array, float]]]
    """(ranges, longest side of the container, rng) -> each lamp's position (3,) m and lux at the container's middle."""


def _around(ranges: LookRanges, reach: float, rng: np.random.Generator) -> list[tuple[Float64Array, float]]:
    count = int(rng.integers(ranges.num_lamps[0], ranges.num_lamps[1] + 1))
    places = [np.array([*(rng.uniform(-1.2, 1.2, 2) * reach), between(0.6, 1.6, rng=rng)]) for _ in range(count)]
    return [(place, size_between(*ranges.lamp_lux, rng=rng)) for place in places]


def _far(ranges: LookRanges, reach: float, rng: np.random.Generator) -> list[tuple[Float64Array, float]]:
    """One lamp high up and to the side."""
    angle, aside = rng.uniform(0, 2 * np.pi), between(0.5, 2.5, rng=rng)
    place = np.array([aside * np.cos(angle), aside * np.sin(angle), between(2.2, 4.0, rng=rng)])
    return [(place, size_between(*ranges.lamp_lux, rng=rng))]


def _strips(ranges: LookRanges, reach: float, rng: np.random.Generator) -> list[tuple[Float64Array, float]]:
    """One or two tubes under the ceiling, each as three lamps in line."""
    angle, height = rng.uniform(0, np.pi), between(1.8, 3.2, rng=rng)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    lamps = []
    for offset in rng.uniform(-1.5, 1.5, int(rng.integers(1, 3))):
        lux = size_between(*ranges.lamp_lux, rng=rng)
        for step in (-0.6, 0.0, 0.6):
            lamps.append((np.array([*(offset * across + step * along), height]), lux / 1.5))
    return lamps


def _near(ranges: LookRanges, reach: float, rng: np.random.Generator) -> list[tuple[Float64Array, float]]:
    """A lamp so close over one side that it bleaches a patch."""
    angle = rng.uniform(0, 2 * np.pi)
    place = np.array([np.cos(angle), np.sin(angle)]) * between(0.3, 0.6, rng=rng) * reach
    return [(np.array([*place, between(0.35, 0.6, rng=rng)]), between(0.8, 1.8, rng=rng) * WHITE_LUX)]


def _none(ranges: LookRanges, reach: float, rng: np.random.Generator) -> list[tuple[Float64Array, float]]:
    return []


MOODS: dict[str, Mood] = {
    "even": Mood(1.0, 1.0, 1.0, (0, 60), _around),
    "strips": Mood(0.25, 0.7, 0.85, (0, 40), _strips),
    "dim": Mood(0.08, 0.4, 0.6, (0, 60), _far),
    "window": Mood(1.6, 0.5, 1.0, (50, 75), _none),
    "glare": Mood(0.25, 0.8, 0.95, (0, 60), _near),
}
"""Kinds of light by name."""


def sample_look(ranges: LookRanges, container: Container, *, rng: np.random.Generator) -> Look:
    """One directional light, lamps and the light from all around, in one of the moods.

    Args:
        ranges: Brightness, warmth, and how often each mood comes.
        container: What is lit; the exposure is metered at its middle.
        rng: Source of randomness.
    """
    name = weighted(ranges.moods, rng=rng)
    mood = MOODS[name]
    zenith, azimuth = np.radians(rng.uniform(*mood.zenith_deg)), rng.uniform(0, 2 * np.pi)
    direction = -np.array([np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth), np.cos(zenith)])
    lights = [
        Light(
            "directional",
            _triple(-3 * direction),
            _triple(direction),
            color_of_temperature(between(*ranges.temperature_k, rng=rng)),
            mood.directional * size_between(*ranges.directional_lux, rng=rng),
            shadows=not chance(ranges.no_shadow_probability, rng=rng),
        )
    ]
    level = float(lights[0].intensity * np.cos(zenith))
    warm = mood.warmth * between(*ranges.temperature_k, rng=rng)
    for place, lux in mood.lamps(ranges, max(container.inner_size[:2]), rng):
        distance = float(np.linalg.norm(place))
        kelvin = mood.warmth * between(*ranges.temperature_k, rng=rng) if mood.lamps is _around else warm
        lights.append(
            Light(
                "spot" if chance(0.5, rng=rng) else "point",
                _triple(place),
                _triple(-place / distance),
                color_of_temperature(kelvin),
                lux * distance**2,
                # One lamp at most: a point light's shadows take six passes of the renderer.
                shadows=chance(0.3, rng=rng) and not any(light.shadows for light in lights[1:]),
            )
        )
        level += lux * float(place[2]) / distance
    ambient = color_of_temperature(between(*ranges.temperature_k, rng=rng))
    lux = mood.ambient * size_between(*ranges.ambient_lux, rng=rng)
    exposure = max(size_between(*ranges.exposure, rng=rng), LEAST_LEVEL * WHITE_LUX / (level + lux))
    return Look(tuple(lights), ambient, lux, exposure, name)


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
