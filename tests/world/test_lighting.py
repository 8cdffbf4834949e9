"""Light: within its ranges, never black, the colours of black bodies, the same for the same seed."""

import dataclasses

import numpy as np
import pytest

from graspnext.world.containers import sample_container
from graspnext.world.lighting import color_of_temperature, sample_look
from graspnext.world.recipes import find_recipe

RECIPE = find_recipe("default")


def test_looks_stay_in_range_and_are_never_black() -> None:
    container = sample_container("tote", rng=np.random.default_rng(0))
    ranges = RECIPE.look
    counts = set()
    for seed in range(50):
        look = sample_look(RECIPE.look, container, rng=np.random.default_rng(seed))
        assert ranges.ambient_lux[0] <= look.ambient_lux <= ranges.ambient_lux[1]
        assert ranges.exposure[0] <= look.exposure <= ranges.exposure[1]
        sun, *lamps = look.lights
        assert sun.kind == "directional"
        assert ranges.directional_lux[0] <= sun.intensity <= ranges.directional_lux[1]
        for light in look.lights:
            assert np.linalg.norm(light.direction) == pytest.approx(1)
            assert light.direction[2] < 0
            assert max(light.color) == pytest.approx(1) and min(light.color) >= 0
        for lamp in lamps:
            lux = lamp.intensity / np.square(lamp.position).sum()
            assert ranges.lamp_lux[0] * 0.999 <= lux <= ranges.lamp_lux[1] * 1.001
        counts.add(len(lamps))
    assert counts == {0, 1, 2, 3}


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
