"""The light that falls on a scene, drawn at random from ranges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspnext.errors import ConfigError
from graspnext.types import Float64Array
from graspnext.world.parts.draws import between, chance, size_between
from graspnext.world.ranges import check_range
from graspnext.world.scene import Container, Light, Look


@dataclass(frozen=True)
class LookRanges:
    """How bright, how warm and how hard the light is. Intensities are drawn evenly in their logarithm."""

    directional_lux: tuple[float, float] = (1e4, 7e4)
    """Illuminance of the one directional light."""
    ambient_lux: tuple[float, float] = (1.5e4, 4.5e4)
    """Illuminance of the uniform sky: keeps the darkest picture readable."""
    lamp_lux: tuple[float, float] = (3e3, 2.5e4)
    """Illuminance that each extra lamp gives at the container's middle."""
    num_lamps: tuple[int, int] = (0, 3)
    """Point and spot lights beside the directional one."""
    temperature_k: tuple[float, float] = (4200.0, 8500.0)
    """Colour temperature of each light."""
    exposure: tuple[float, float] = (0.8, 1.4)
    no_shadow_probability: float = 0.3
    """Share of scenes under light so wide that the directional light casts no visible shadow."""

    def __post_init__(self) -> None:
        for name in ("directional_lux", "ambient_lux", "lamp_lux"):
            check_range(f"look.{name}", getattr(self, name), 1.0, 1e6)
        check_range("look.num_lamps", self.num_lamps, 0, 8)
        check_range("look.temperature_k", self.temperature_k, 1500.0, 20000.0)
        check_range("look.exposure", self.exposure, 0.05, 20.0)
        if not 0 <= self.no_shadow_probability <= 1:
            raise ConfigError("look.no_shadow_probability", self.no_shadow_probability, "in [0, 1]")


def sample_look(ranges: LookRanges, container: Container, *, rng: np.random.Generator) -> Look:
    """One directional light, a few lamps and a sky, from dim to bright, of differing warmth."""
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
