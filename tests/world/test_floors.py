"""Grounds: below the container, textured, varied, the same for the same seed."""

import numpy as np
import pytest

from graspnext.world.containers import sample_container
from graspnext.world.floors import sample_floor, sample_ground, sample_surface
from graspnext.world.scene import CONTAINER_KINDS


@pytest.mark.parametrize("kind", CONTAINER_KINDS)
def test_floor_lies_at_or_below_the_container(kind: str) -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        container = sample_container(kind, rng=rng)
        floor = sample_floor(container, rng=rng)
        bottom = container.mesh.vertices[:, 2].min()
        assert floor.height_m <= bottom + 1e-6 and floor.height_m <= 0
        assert floor.half_size_m > np.abs(container.mesh.vertices[:, :2]).max()
        assert 0.2 < floor.texture_m <= 2
        assert floor.material.texture is not None
        assert floor.material.texture.dtype == np.uint8 and floor.material.texture.shape[2] == 3


def test_floors_vary_and_repeat() -> None:
    container = sample_container("tote", rng=np.random.default_rng(0))
    floors = [sample_floor(container, rng=np.random.default_rng(seed)) for seed in range(30)]
    assert len({floor.material.roughness for floor in floors}) == 30
    assert len({floor.texture_m for floor in floors}) > 8  # small table tops and large grounds
    assert {floor.height_m == floors[0].height_m for floor in floors} == {True, False}
    again = sample_floor(container, rng=np.random.default_rng(3))
    assert floors[3].material.texture is not None and again.material.texture is not None
    assert floors[3].material.texture.tobytes() == again.material.texture.tobytes()


@pytest.mark.parametrize("draw", [sample_ground, sample_surface])
def test_textures_are_neither_black_nor_blank(draw: object) -> None:
    assert callable(draw)
    finishes = set()
    for seed in range(40):
        texture, finish = draw(rng=np.random.default_rng(seed))
        assert texture.mean() > 12
        finishes.add(finish)
    assert len(finishes) >= 4
