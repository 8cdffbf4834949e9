"""Scene contents, light and cameras: within the recipe, within the container, the same for the same seed."""

import dataclasses
from functools import cache

import numpy as np
import pytest

from graspnext.errors import SceneError
from graspnext.world.containers import sample_container
from graspnext.world.parts.families import NOVEL_FAMILIES
from graspnext.world.recipes import find_recipe
from graspnext.world.sampling import Contents, fits, sample_contents

RECIPE = find_recipe("default")


def draw(seed: int, *, novel: bool = False) -> Contents:
    return sample_contents(RECIPE, novel=novel, rng=np.random.default_rng(seed))


contents = cache(draw)
"""For all tests that only look."""


def test_contents_follow_the_recipe() -> None:
    sizes, kinds, distinct, fills = [], set(), [], set()
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
        fills.add(drawn.fill)
        distinct.append(len(drawn.parts))
    assert kinds == set(RECIPE.containers) and fills == set(RECIPE.fills)
    assert min(sizes) == 1 and max(sizes) > 40
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
        assert sum(len(drawn.parts[i].hulls) for i in drawn.order) <= 400
        if len(drawn.order) > RECIPE.parts_per_scene[0] and z > 0:
            solid = sum(np.prod(np.ptp(drawn.parts[i].mesh.vertices, axis=0)) for i in drawn.order)
            assert solid < x * y * max(z, 0.02) * 1.2


def test_too_small_a_container_is_told() -> None:
    tiny = dataclasses.replace(RECIPE, families=("carton",))
    container = sample_container("tote", rng=np.random.default_rng(0))
    part = contents(0).parts[0]
    small = dataclasses.replace(container, inner_size=(0.01, 0.01, 0.01), cells=())
    assert not fits(part, small) and fits(part, contents(0).container)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graspnext.world.sampling.sample_container", lambda kind, rng: small)
        with pytest.raises(SceneError, match="no room: no part fits into a tote"):
            sample_contents(tiny, novel=False, rng=np.random.default_rng(0))


def test_same_seed_same_contents() -> None:
    a, b, other = contents(5), draw(5), contents(6)
    assert a.order == b.order
    assert [p.mesh.vertices.tobytes() for p in a.parts] == [p.mesh.vertices.tobytes() for p in b.parts]
    assert a.container.mesh.vertices.tobytes() == b.container.mesh.vertices.tobytes()
    assert a.container.mesh.vertices.tobytes() != other.container.mesh.vertices.tobytes()


def test_failed_tries_make_the_next_one_easier() -> None:
    for seed in range(5):
        first = len(contents(seed).order)
        for ease in (1, 3):
            eased = sample_contents(RECIPE, novel=False, ease=ease, rng=np.random.default_rng(seed))
            assert len(eased.order) == max(1, round(first * (2 / 3) ** ease))


def test_fills_set_how_many() -> None:
    def counts(fill: str) -> list[int]:
        recipe = dataclasses.replace(RECIPE, fills={fill: 1.0}, containers={"tote": 1.0})
        return [len(sample_contents(recipe, novel=False, rng=np.random.default_rng(s)).order) for s in range(12)]

    assert max(counts("scattered")) <= 9 < max(counts("pile"))
    packed = dataclasses.replace(RECIPE, fills={"packed": 1.0}, single_part_probability=0.0)
    kinds = [sample_contents(packed, novel=False, rng=np.random.default_rng(s)) for s in range(6)]
    assert all(len(c.parts) <= (len(c.container.cells) or 3) for c in kinds)


def test_compartments_take_parts_that_fit_and_few_piles() -> None:
    trays = dataclasses.replace(RECIPE, containers={"tray": 1.0})
    fills = []
    for seed in range(24):
        try:
            drawn = sample_contents(trays, novel=False, rng=np.random.default_rng(seed))
        except SceneError:
            continue
        fills.append(drawn.fill)
        x0, y0, x1, y1 = drawn.container.cells[0]
        for part in drawn.parts:
            assert np.ptp(part.mesh.vertices, axis=0).max() < max(x1 - x0, y1 - y0)
    assert len(fills) > 20 and fills.count("pile") < 0.4 * len(fills)
