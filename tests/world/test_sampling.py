"""Scene contents, light and cameras: within the recipe, within the container, the same for the same seed."""

import dataclasses

import numpy as np
import pytest

from graspnext.errors import SceneError
from graspnext.world.containers import sample_container
from graspnext.world.parts.families import NOVEL_FAMILIES
from graspnext.world.recipes import CameraRanges, find_recipe
from graspnext.world.sampling import (
    Contents,
    color_of_temperature,
    fits,
    sample_cameras,
    sample_contents,
    sample_look,
)

RECIPE = find_recipe("default")


def contents(seed: int, *, novel: bool = False) -> Contents:
    return sample_contents(RECIPE, novel=novel, rng=np.random.default_rng(seed))


def test_contents_follow_the_recipe() -> None:
    sizes, kinds, distinct = [], set(), []
    for seed in range(60):
        drawn = contents(seed)
        low, high = RECIPE.parts_per_scene
        assert low <= len(drawn.order) <= high
        assert set(drawn.order) == set(range(len(drawn.parts)))
        assert len({part.name for part in drawn.parts}) == len(drawn.parts)
        assert len(drawn.parts) <= RECIPE.distinct_parts[1]
        assert not {part.family for part in drawn.parts} & NOVEL_FAMILIES
        sizes.append(len(drawn.order))
        kinds.add(drawn.container.kind)
        distinct.append(len(drawn.parts))
    assert kinds == {"tote", "carton", "table"}
    assert min(sizes) < 8 and max(sizes) > 20
    assert min(distinct) == 1 and max(distinct) >= 6


def test_novel_scenes_hold_novel_families_only() -> None:
    seen = set()
    for seed in range(15):
        seen |= {part.family for part in contents(seed, novel=True).parts}
    assert seen == NOVEL_FAMILIES


def test_parts_fit_and_do_not_overflow() -> None:
    for seed in range(30):
        drawn = contents(seed)
        x, y, z = drawn.container.inner_size
        for part in drawn.parts:
            sides = np.sort(np.ptp(part.mesh.vertices, axis=0))
            assert sides[2] < max(x, y) and sides[1] < min(x, y)
        if len(drawn.order) > RECIPE.parts_per_scene[0] and z > 0:
            solid = sum(np.prod(np.ptp(drawn.parts[i].mesh.vertices, axis=0)) for i in drawn.order)
            assert solid < x * y * max(z, 0.02) * 1.2


def test_too_small_a_container_is_told() -> None:
    tiny = dataclasses.replace(RECIPE, families=("carton",))
    container = sample_container("tote", rng=np.random.default_rng(0))
    part = contents(0).parts[0]
    small = dataclasses.replace(container, inner_size=(0.01, 0.01, 0.01))
    assert not fits(part, small) and fits(part, contents(0).container)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graspnext.world.sampling.sample_container", lambda kind, rng: small)
        with pytest.raises(SceneError, match="no part of carton fits into"):
            sample_contents(tiny, novel=False, rng=np.random.default_rng(0))


def test_same_seed_same_contents() -> None:
    a, b, other = contents(5), contents(5), contents(6)
    assert a.order == b.order
    assert [p.mesh.vertices.tobytes() for p in a.parts] == [p.mesh.vertices.tobytes() for p in b.parts]
    assert a.container.mesh.vertices.tobytes() == b.container.mesh.vertices.tobytes()
    assert a.container.mesh.vertices.tobytes() != other.container.mesh.vertices.tobytes()


def test_looks_stay_in_range_and_are_never_black() -> None:
    container = sample_container("tote", rng=np.random.default_rng(0))
    ranges = RECIPE.look
    counts = set()
    for seed in range(50):
        look = sample_look(RECIPE, container, rng=np.random.default_rng(seed))
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


@pytest.mark.parametrize("kind", ["tote", "carton", "table"])
def test_cameras_look_at_the_container(kind: str) -> None:
    ranges = RECIPE.camera
    for seed in range(20):
        rng = np.random.default_rng(seed)
        container = sample_container(kind, rng=rng)
        cameras = sample_cameras(RECIPE, container, rng=rng)
        assert len(cameras) == RECIPE.views
        x, y, z = container.inner_size
        for index, camera in enumerate(cameras):
            assert (camera.height, camera.width) == RECIPE.image_size
            view = 2 * np.arctan(camera.height / 2 / camera.fy)
            assert ranges.field_of_view_rad[0] - 1e-9 <= view <= ranges.field_of_view_rad[1] + 1e-9
            R, eye = camera.T_world_camera[:3, :3], camera.T_world_camera[:3, 3]
            np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
            tilt = np.arccos(-R[2, 2])
            low, high = ranges.overhead_tilt_rad if index == 0 else ranges.tilt_rad
            assert low - 1e-6 <= tilt <= high + 1e-6
            assert eye[2] > z + 0.05
            axis = eye + R[:, 2] * (0.75 * z - eye[2]) / R[2, 2]  # where the optical axis meets that height
            assert abs(axis[0]) <= 0.13 * x and abs(axis[1]) <= 0.13 * y


def test_fill_is_kept_where_there_is_room() -> None:
    recipe = dataclasses.replace(RECIPE, camera=CameraRanges(fill=(0.6, 0.6), overhead_tilt_rad=(0, 0)))
    container = sample_container("table", rng=np.random.default_rng(1))
    camera = sample_cameras(recipe, container, rng=np.random.default_rng(1))[0]
    distance = camera.T_world_camera[2, 3]
    pixels = max(container.inner_size[:2]) * camera.fx / distance
    assert pixels / min(recipe.image_size) == pytest.approx(0.6, rel=1e-6)


def test_same_seed_same_cameras_and_look() -> None:
    container = sample_container("carton", rng=np.random.default_rng(0))
    a, b = (sample_cameras(RECIPE, container, rng=np.random.default_rng(9)) for _ in range(2))
    assert [c.T_world_camera.tobytes() for c in a] == [c.T_world_camera.tobytes() for c in b]
    first, second = (sample_look(RECIPE, container, rng=np.random.default_rng(9)) for _ in range(2))
    assert dataclasses.asdict(first) == dataclasses.asdict(second)
