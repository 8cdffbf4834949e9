"""Containers: their mesh is their collision boxes, their inside is free, their floor is at z = 0."""

import numpy as np
import pytest

from graspnext.errors import UnknownNameError
from graspnext.world.containers import sample_container, sample_floor
from graspnext.world.scene import Container

KINDS = ("tote", "carton", "table")
SEEDS = range(15)


def draw(kind: str, seed: int) -> Container:
    return sample_container(kind, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_mesh_is_made_of_the_collision_boxes(kind: str) -> None:
    for seed in SEEDS:
        container = draw(kind, seed)
        corners = container.mesh.vertices.reshape(len(container.boxes), -1, 3)
        for (half, centre), points in zip(container.boxes, corners, strict=True):
            np.testing.assert_allclose(points.min(axis=0), centre - half, atol=1e-6)
            np.testing.assert_allclose(points.max(axis=0), centre + half, atol=1e-6)
            assert (half > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_inside_is_free_and_stands_on_zero(kind: str) -> None:
    rng = np.random.default_rng(0)
    for seed in SEEDS:
        container = draw(kind, seed)
        x, y, z = container.inner_size
        room = np.array([x, y, max(z, 0.1)])
        points = (rng.random((400, 3)) - (0.5, 0.5, 0)) * room * 0.999 + (0, 0, 1e-6)
        below = points * (1, 1, 0) - (0, 0, 1e-4)
        in_floor = np.zeros(len(points), dtype=bool)
        for half, centre in container.boxes:
            assert not (np.abs(points - centre) < half).all(axis=1).any()
            in_floor |= (np.abs(below - centre) < half).all(axis=1)
        assert in_floor.all()


@pytest.mark.parametrize("kind", ["tote", "carton"])
def test_walls_close_the_inside(kind: str) -> None:
    for seed in SEEDS:
        container = draw(kind, seed)
        x, y, z = container.inner_size
        for height in (0.01 * z, 0.5 * z, 0.99 * z):
            outside = np.array([(s * (x / 2 + 1e-3), 0, height) for s in (-1, 1)])
            outside = np.concatenate([outside, [(0, s * (y / 2 + 1e-3), height) for s in (-1, 1)]])
            hit = np.zeros(4, dtype=bool)
            for half, centre in container.boxes:
                hit |= (np.abs(outside - centre) <= half).all(axis=1)
            assert hit.all()


def test_sizes_are_those_of_real_containers() -> None:
    for seed in range(40):
        x, y, z = draw("tote", seed).inner_size
        assert 0.25 <= x <= 0.6 and 0.2 <= y <= 0.4 and 0.02 <= z <= 0.25
        assert draw("table", seed).inner_size[2] == 0
    heights = [draw("tote", seed).inner_size[2] for seed in range(40)]
    assert min(heights) < 0.06 and max(heights) > 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_floor_lies_at_or_below_the_container(kind: str) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        container = sample_container(kind, rng=rng)
        floor = sample_floor(container, rng=rng)
        bottom = container.mesh.vertices[:, 2].min()
        assert floor.height_m <= bottom + 1e-6 and floor.height_m <= 0
        assert floor.half_size_m > np.abs(container.mesh.vertices[:, :2]).max()
        assert floor.material.texture is not None
        assert floor.material.texture.dtype == np.uint8 and floor.material.texture.shape[2] == 3


def test_floors_and_containers_vary() -> None:
    floors = {sample_floor(draw("tote", 0), rng=np.random.default_rng(s)).material.roughness for s in range(10)}
    assert len(floors) == 10
    a, b = draw("tote", 3), draw("tote", 3)
    assert a.mesh.vertices.tobytes() == b.mesh.vertices.tobytes()
    assert a.material.texture is not None and b.material.texture is not None
    assert a.material.texture.tobytes() == b.material.texture.tobytes()


def test_unknown_kind() -> None:
    with pytest.raises(UnknownNameError, match="unknown container 'bucket'; choose one of: carton, table, tote"):
        sample_container("bucket", rng=np.random.default_rng(0))
