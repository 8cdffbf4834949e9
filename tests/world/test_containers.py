"""Containers: closed for physics, open to the eye where they should be, free inside, their floor at z = 0."""

import dataclasses

import numpy as np
import pytest

from graspnext.errors import UnknownNameError
from graspnext.types import BoolArray, Float64Array
from graspnext.world.containers import CONTAINERS, sample_container
from graspnext.world.labels.rays import Tracer
from graspnext.world.scene import CONTAINER_KINDS, Container

WALLED = ("tote", "carton", "tray", "crate")
SEEDS = range(8)


def draw(kind: str, seed: int) -> Container:
    return sample_container(kind, rng=np.random.default_rng(seed))


def in_boxes(container: Container, points: Float64Array, *, grow: float = 0.0) -> BoolArray:
    inside = np.zeros(len(points), dtype=bool)
    for half, centre in container.boxes:
        inside |= (np.abs(points - centre) < half + grow).all(axis=1)
    return inside


def test_all_kinds_are_made() -> None:
    assert set(CONTAINERS) == set(CONTAINER_KINDS)


@pytest.mark.parametrize("kind", CONTAINER_KINDS)
def test_the_boxes_of_physics_cover_all_that_is_seen(kind: str) -> None:
    """Points of the surface, and so every wire and web, lie in a collision box: nothing can poke through unnoticed."""
    for seed in SEEDS:
        container = draw(kind, seed)
        rng = np.random.default_rng(seed)
        corners = container.mesh.vertices[container.mesh.faces].astype(np.float64)
        weights = rng.dirichlet(np.ones(3), size=len(corners))
        points = np.concatenate([container.mesh.vertices, (corners * weights[..., None]).sum(axis=1)])
        assert in_boxes(container, points.astype(np.float64), grow=1e-5).all()
        assert all((half > 0).all() for half, _ in container.boxes)


@pytest.mark.parametrize("kind", CONTAINER_KINDS)
def test_inside_is_free_and_stands_on_zero(kind: str) -> None:
    rng = np.random.default_rng(0)
    for seed in SEEDS:
        container = draw(kind, seed)
        x, y, z = container.inner_size
        for x0, y0, x1, y1 in container.cells or ((-x / 2, -y / 2, x / 2, y / 2),):
            low, high = np.array([x0, y0, 0.0]), np.array([x1, y1, max(z, 0.1)])
            points = low + rng.random((300, 3)) * (high - low) * 0.999 + 1e-6
            assert not in_boxes(container, points).any()
            assert in_boxes(container, points * (1, 1, 0) - (0, 0, 1e-4)).all()
            assert x0 >= -x / 2 - 1e-9 and y0 >= -y / 2 - 1e-9 and x1 <= x / 2 + 1e-9 and y1 <= y / 2 + 1e-9


@pytest.mark.parametrize("kind", WALLED)
def test_walls_close_the_inside(kind: str) -> None:
    for seed in SEEDS:
        container = draw(kind, seed)
        x, y, z = container.inner_size
        for height in (0.01 * z, 0.5 * z, 0.99 * z):
            outside = np.array([(s * (x / 2 + 1e-3), 0, height) for s in (-1, 1)])
            outside = np.concatenate([outside, [(0, s * (y / 2 + 1e-3), height) for s in (-1, 1)]])
            assert in_boxes(container, outside, grow=1e-9).all()


def sideways(container: Container, count: int = 4000) -> BoolArray:
    """Which of `count` level rays from the middle of the inside hit something of what is seen."""
    rng = np.random.default_rng(1)
    x, y, z = container.inner_size
    origins = (rng.random((count, 3)) - (0.5, 0.5, 0)) * (0.5 * x, 0.5 * y, 0.6 * z) + (0, 0, 0.2 * z)
    angle = rng.uniform(0, 2 * np.pi, count)
    directions = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)
    return Tracer(container.mesh.vertices, container.mesh.faces).blocked(origins, directions, 3.0)


def test_one_can_look_through_a_crate_but_not_through_a_carton() -> None:
    shares = [1 - sideways(draw("crate", seed)).mean() for seed in range(15)]
    assert min(shares) > 0.1 and max(shares) > 0.6
    assert max(shares) < 0.97  # yet the walls are there
    assert all(sideways(draw("carton", seed)).all() for seed in SEEDS)


def test_some_crates_and_hand_holes_have_see_through_floors_and_walls() -> None:
    down = []
    for seed in SEEDS:
        container = draw("crate", seed)
        x, y, _ = container.inner_size
        u, v = np.meshgrid(np.linspace(-0.45, 0.45, 60) * x, np.linspace(-0.45, 0.45, 60) * y)
        origins = np.stack([u.ravel(), v.ravel(), np.full(u.size, 0.02)], axis=1)
        tracer = Tracer(container.mesh.vertices, container.mesh.faces)
        down.append(1 - tracer.blocked(origins, np.broadcast_to([0.0, 0, -1], origins.shape), 1.0).mean())
    assert min(down) < 0.01 and max(down) > 0.5
    holes = [1 - sideways(draw("tote", seed)).mean() for seed in range(40)]
    assert sum(0 < share < 0.3 for share in holes) >= 5  # hand holes
    assert sum(share == 0 for share in holes) >= 5


def test_trays_have_equal_compartments_between_dividers() -> None:
    counts = set()
    for seed in range(30):
        tray = draw("tray", seed)
        cells = np.array(tray.cells)
        sizes = cells[:, 2:] - cells[:, :2]
        assert np.ptp(sizes, axis=0).max() < 1e-9 and sizes.min() > 0.04
        counts.add(len(cells))
        xs = np.unique(cells[:, 0])
        if len(xs) > 1:  # a divider stands half-way between two compartments
            middle = np.array([[(cells[cells[:, 0] == xs[0], 2][0] + xs[1]) / 2, cells[0, 1] + 0.01, 0.005]])
            assert in_boxes(tray, middle).all()
    assert min(counts) >= 2 and max(counts) > 8


def test_conveyors_carry_on_rails_rollers_or_belt() -> None:
    cleated = 0
    faces = set()
    for seed in range(30):
        belt = draw("conveyor", seed)
        x, _, z = belt.inner_size
        assert z == 0
        reach = np.abs(belt.mesh.vertices[:, 0]).max()
        assert reach > x / 2 + 0.15  # it goes on beyond the area that parts are put on
        assert belt.mesh.vertices[:, 2].min() < -0.5  # on legs
        cleated += bool(belt.cells)
        faces.add(len(belt.mesh.faces) > 1000)
    assert 2 <= cleated <= 15 and faces == {False, True}


def test_sizes_are_those_of_real_containers() -> None:
    outer = []
    for seed in range(60):
        tote = draw("tote", seed)
        x, y, z = tote.inner_size
        assert 0.24 <= x <= 0.6 and 0.17 <= y <= 0.4 and 0.02 <= z <= 0.29
        base = np.abs(tote.boxes[0][0][:2]) * 2
        outer.append(tuple(np.round(base, 3)))
        assert draw("table", seed).inner_size[2] == 0
    assert {(0.6, 0.4), (0.4, 0.3), (0.3, 0.2)} <= set(outer)
    assert sum(one in {(0.6, 0.4), (0.4, 0.3), (0.3, 0.2)} for one in outer) > 25
    heights = [draw("tote", seed).inner_size[2] for seed in range(40)]
    assert min(heights) < 0.06 and max(heights) > 0.2


@pytest.mark.parametrize("kind", CONTAINER_KINDS)
def test_meshes_are_cheap_textured_and_repeatable(kind: str) -> None:
    for seed in range(3):
        container, again = draw(kind, seed), draw(kind, seed)
        assert len(container.mesh.faces) < 12_000
        texture = container.material.texture
        assert texture is not None and again.material.texture is not None
        assert texture.tobytes() == again.material.texture.tobytes()
        assert container.mesh.vertices.tobytes() == again.mesh.vertices.tobytes()
        assert dataclasses.replace(container, mesh=again.mesh, material=again.material, boxes=()).cells == again.cells
        if kind != "table":
            assert container.mesh.uv is not None and container.mesh.uv.min() >= 0 and container.mesh.uv.max() <= 1


def test_unknown_kind() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown container 'bucket'; choose one of: .*tray"):
        sample_container("bucket", rng=np.random.default_rng(0))
