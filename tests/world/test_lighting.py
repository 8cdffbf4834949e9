"""Light: within its ranges, never black, the colours of black bodies, the same for the same seed."""

import dataclasses

import numpy as np
import pytest

from graspnext.errors import ConfigError, UnknownNameError
from graspnext.world.containers import sample_container
from graspnext.world.lighting import LEAST_LEVEL, MOODS, LookRanges, color_of_temperature, sample_look
from graspnext.world.recipes import find_recipe
from graspnext.world.scene import WHITE_LUX, Look

RECIPE = find_recipe("default")


def looks(ranges: LookRanges, count: int = 50) -> list[Look]:
    container = sample_container("tote", rng=np.random.default_rng(0))
    return [sample_look(ranges, container, rng=np.random.default_rng(seed)) for seed in range(count)]


def level(look: Look, point: tuple[float, float, float] = (0, 0, 0)) -> float:
    """Linear display value of white paper lying at a point, by adding up all light without shadows."""
    lux = look.ambient_lux
    for light in look.lights:
        to_light = np.array(light.position) - point
        if light.kind == "directional":
            lux += light.intensity * -light.direction[2]
        else:
            distance = np.linalg.norm(to_light)
            lux += light.intensity / distance**2 * to_light[2] / distance
    return float(lux * look.exposure / WHITE_LUX)


def test_even_light_stays_in_its_ranges() -> None:
    ranges = dataclasses.replace(RECIPE.look, moods={"even": 1.0})
    counts = set()
    for look in looks(ranges):
        assert ranges.ambient_lux[0] <= look.ambient_lux <= ranges.ambient_lux[1]
        assert ranges.exposure[0] <= look.exposure <= max(ranges.exposure[1], LEAST_LEVEL / 0.4)
        sun, *lamps = look.lights
        assert sun.kind == "directional"
        assert ranges.directional_lux[0] <= sun.intensity <= ranges.directional_lux[1]
        for lamp in lamps:
            lux = lamp.intensity / np.square(lamp.position).sum()
            assert ranges.lamp_lux[0] * 0.999 <= lux <= ranges.lamp_lux[1] * 1.001
        counts.add(len(lamps))
    assert counts == {0, 1, 2, 3}


@pytest.mark.parametrize("mood", sorted(MOODS))
def test_every_mood_is_readable(mood: str) -> None:
    ranges = dataclasses.replace(RECIPE.look, moods={mood: 1.0})
    for look in looks(ranges, 30):
        assert LEAST_LEVEL * 0.999 <= level(look) < 6
        assert look.ambient_lux * look.exposure / WHITE_LUX > 0.1  # what lies in shadow is not black
        for light in look.lights:
            assert np.linalg.norm(light.direction) == pytest.approx(1)
            assert light.direction[2] < 0
            assert max(light.color) == pytest.approx(1) and min(light.color) >= 0


def test_moods_differ_as_they_should() -> None:
    made = {mood: looks(dataclasses.replace(RECIPE.look, moods={mood: 1.0}), 30) for mood in MOODS}

    def lux(mood: str) -> float:
        return float(np.median([level(look) / look.exposure for look in made[mood]]))

    def warmth(mood: str) -> float:
        return float(np.median([lamp.color[2] for look in made[mood] for lamp in look.lights[1:]]))

    assert lux("dim") < 0.5 * lux("even")
    assert warmth("dim") < 0.6 * warmth("even")
    low_sun = np.array([-look.lights[0].direction[2] for look in made["window"]])
    assert (low_sun < np.cos(np.radians(49))).all()
    assert all(len(look.lights) in {4, 7} for look in made["strips"])
    for look in made["glare"]:  # a patch is bleached: near the lamp, white paper is far beyond white
        under = (look.lights[1].position[0], look.lights[1].position[1], 0.0)
        assert level(look, under) > 1.3 and level(look, under) > 1.2 * level(look, (-under[0], -under[1], 0.0))


def test_all_moods_come_up() -> None:
    ranges = LookRanges()
    assert set(ranges.moods) == set(MOODS)
    made = looks(ranges, 80)
    assert {len(look.lights) for look in made} >= {1, 2, 4, 7}
    assert {sum(lamp.shadows for lamp in look.lights[1:]) for look in made} == {0, 1}


def test_bad_moods_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown kind of light 'disco'"):
        LookRanges(moods={"disco": 1.0})
    with pytest.raises(ConfigError, match=r"look\.moods"):
        LookRanges(moods={"even": 0.0})


def test_colour_temperature_matches_planck() -> None:
    """Chromaticity from Planck's law and the multi-lobe fit of the CIE 1931 observer (Wyman et al., JCGT 2013)."""
    nm = np.arange(380, 781, 1.0)

    def lobe(mean: float, left: float, right: float) -> np.ndarray:
        return np.exp(-0.5 * ((nm - mean) / np.where(nm < mean, left, right)) ** 2)

    x = 1.056 * lobe(599.8, 37.9, 31.0) + 0.362 * lobe(442.0, 16.0, 26.7) - 0.065 * lobe(501.1, 20.4, 26.2)
    y = 0.821 * lobe(568.8, 46.9, 40.5) + 0.286 * lobe(530.9, 16.3, 31.1)
    z = 1.217 * lobe(437.0, 11.8, 36.0) + 0.681 * lobe(459.0, 26.0, 13.8)
    for kelvin in (2000, 2700, 3500, 4500, 6500, 9000):
        metre = nm * 1e-9
        power = metre**-5 / (np.exp(0.0143877 / (metre * kelvin)) - 1)
        truth = np.array([power @ x, power @ y, power @ z])
        rgb = np.array(color_of_temperature(kelvin))
        assert rgb.max() == pytest.approx(1)
        if rgb.min() == 0:  # outside of what the primaries can mix
            continue
        back = np.linalg.inv([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]) @ rgb
        np.testing.assert_allclose(back[:2] / back.sum(), truth[:2] / truth.sum(), atol=0.006)


def test_same_seed_same_look() -> None:
    container = sample_container("carton", rng=np.random.default_rng(0))
    first, second = (sample_look(RECIPE.look, container, rng=np.random.default_rng(9)) for _ in range(2))
    assert dataclasses.asdict(first) == dataclasses.asdict(second)
