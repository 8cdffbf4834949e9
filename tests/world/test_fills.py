"""Fills: where parts start before physics, judged by the corners of their meshes."""

import dataclasses
from itertools import combinations

import numpy as np
import pytest

from graspnext.errors import SceneError, UnknownNameError
from graspnext.types import Float64Array
from graspnext.world.containers import sample_container
from graspnext.world.fills import FILLS, Start, start_poses
from graspnext.world.floors import sample_floor
from graspnext.world.parts.families import sample_part
from graspnext.world.sampling import Contents, fits
from graspnext.world.scene import CONTAINER_KINDS, Container

FAMILIES = ("carton", "can", "bolt", "ring", "toy", "tiled_cube")


def make(fill: str, kind: str, seed: int, *, count: int = 30, single: bool = False) -> Contents:
    rng = np.random.default_rng(seed)
    container = sample_container(kind, rng=rng)
    parts = []
    while len(parts) < (1 if single else 3):
        family = FAMILIES[int(rng.integers(len(FAMILIES)))]
        part = sample_part(family, f"{family}-{len(parts)}", rng=rng)
        if fits(part, container):
            parts.append(part)
    order = tuple(int(i) for i in rng.integers(len(parts), size=count))
    return Contents(tuple(parts), order, container, sample_floor(container, rng=rng), fill)


def starts_of(contents: Contents, seed: int = 0) -> list[Start]:
    return start_poses(contents, rng=np.random.default_rng(seed))


def points_of(contents: Contents, start: Start) -> Float64Array:
    mesh = contents.parts[start.part].mesh
    return mesh.vertices.astype(np.float64) @ start.rotation.T + start.position


def footprints(contents: Contents, starts: list[Start]) -> list[Float64Array]:
    from scipy.spatial import ConvexHull

    found = []
    for start in starts:
        flat = points_of(contents, start)[:, :2]
        found.append(flat[ConvexHull(flat).vertices])
    return found


def gap(a: Float64Array, b: Float64Array) -> float:
    """Largest distance between the shadows of two convex outlines along any of 180 directions: negative = overlap."""
    angle = np.linspace(0, np.pi, 180, endpoint=False)
    axes = np.stack([np.cos(angle), np.sin(angle)])
    u, v = a @ axes, b @ axes
    return float(np.maximum(u.min(axis=0) - v.max(axis=0), v.min(axis=0) - u.max(axis=0)).max())


def over_the_floor(container: Container, points: Float64Array) -> bool:
    x, y, _ = container.inner_size
    return bool((np.abs(points[:, 0]) <= x / 2 + 1e-6).all() and (np.abs(points[:, 1]) <= y / 2 + 1e-6).all())


@pytest.mark.parametrize("fill", sorted(FILLS))
@pytest.mark.parametrize("kind", CONTAINER_KINDS)
def test_parts_start_over_the_floor_and_are_counted(fill: str, kind: str) -> None:
    for seed in range(2):
        contents = make(fill, kind, seed)
        starts = starts_of(contents, seed)
        asked = [contents.order.count(i) for i in range(len(contents.parts))]
        for index, most in enumerate(asked):
            assert sum(start.part == index for start in starts) <= most
        if fill == "pile":
            assert [start.part for start in starts] == list(contents.order)
        assert 1 <= len(starts) <= len(contents.order)
        for start in starts:
            points = points_of(contents, start)
            assert np.allclose(start.rotation @ start.rotation.T, np.eye(3), atol=1e-9)
            assert np.linalg.det(start.rotation) == pytest.approx(1)
            assert points[:, 2].min() > 0
            assert fill == "pile" or over_the_floor(contents.container, points)


@pytest.mark.parametrize("kind", ["tote", "table", "tray"])
def test_a_single_layer_is_single(kind: str) -> None:
    """No part's shadow on the floor touches another's, and all begin on the floor."""
    for seed in range(4):
        contents = make("layer", kind, seed)
        starts = starts_of(contents, seed)
        shadows = footprints(contents, starts)
        assert all(gap(a, b) > 0.0015 for a, b in combinations(shadows, 2))
        assert all(points_of(contents, start)[:, 2].min() < 0.002 for start in starts)


def test_a_layer_is_dense_and_scattered_parts_are_apart() -> None:
    dense, loose = [], []
    for seed in range(4):
        many = make("layer", "tote", seed, count=60, single=True)
        area = many.container.inner_size[0] * many.container.inner_size[1]
        rectangles = [np.ptp(points_of(many, s), axis=0)[:2].prod() for s in starts_of(many, seed)]
        dense.append(min(1.0, sum(rectangles) / area) if len(rectangles) < 60 else 1.0)
        few = make("scattered", "tote", seed, count=6)
        shadows = footprints(few, starts_of(few, seed))
        loose += [gap(a, b) for a, b in combinations(shadows, 2)]
    assert np.mean(dense) > 0.4
    assert min(loose) > 0.009


def test_packed_parts_stand_in_rows_all_the_same_way_up() -> None:
    tall = 0
    for seed in range(8):
        contents = make("packed", "tote", seed, count=40, single=True)
        starts = starts_of(contents, seed)
        first = starts[0].rotation
        for start in starts:
            turned = first.T @ start.rotation
            assert np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1)) < np.radians(6)  # disturbed, but slightly
        boxes = [(p.min(axis=0), p.max(axis=0)) for p in (points_of(contents, start) for start in starts)]
        for (a_low, a_high), (b_low, b_high) in combinations(boxes, 2):
            assert ((a_low >= b_high - 1e-9) | (b_low >= a_high - 1e-9)).any()
        centers = np.array([(low + high) / 2 for low, high in boxes])
        size = np.mean([high - low for low, high in boxes], axis=0)
        for axis in (0, 1):  # the middles come in rows: gaps between sorted ones are nothing or nearly a whole part
            steps = np.diff(np.sort(centers[:, axis]))
            assert ((steps < 0.3 * size[axis]) | (steps > 0.7 * size[axis])).all()
        tall += len({round(float(low[2]), 4) for low, _ in boxes}) > 1
    assert tall >= 3  # and in stacks


def test_in_a_tray_each_part_is_in_one_compartment() -> None:
    for fill in ("packed", "layer"):
        for seed in range(4):
            contents = make(fill, "tray", seed)
            kinds: dict[int, set[int]] = {}
            for start in starts_of(contents, seed):
                points = points_of(contents, start)[:, :2]
                cells = [
                    number
                    for number, (x0, y0, x1, y1) in enumerate(contents.container.cells)
                    if (points >= (x0, y0)).all() and (points <= (x1, y1)).all()
                ]
                assert len(cells) == 1
                kinds.setdefault(cells[0], set()).add(start.part)
            if fill == "packed":
                assert all(len(parts) == 1 for parts in kinds.values())


def test_piles_start_clear_of_one_another() -> None:
    contents = make("pile", "tote", 1, count=40)
    starts = starts_of(contents)
    balls = []
    for start in starts:
        part = contents.parts[start.part]
        center = start.rotation @ part.center_of_mass + start.position
        balls.append((center, np.linalg.norm(points_of(contents, start) - center, axis=1).max()))
    for (a, r), (b, s) in combinations(balls, 2):
        assert np.linalg.norm(a - b) > r + s - 1e-4


@pytest.mark.parametrize("fill", sorted(FILLS))
def test_same_seed_same_start(fill: str) -> None:
    contents = make(fill, "tote", 2)
    a, b, other = starts_of(contents, 5), starts_of(contents, 5), starts_of(contents, 6)
    assert np.array_equal([s.position for s in a], [s.position for s in b])
    assert len(a) != len(other) or not np.array_equal([s.position for s in a], [s.position for s in other])


def test_refusals() -> None:
    contents = make("pile", "tote", 0)
    with pytest.raises(UnknownNameError, match=r"unknown fill 'poured'; choose one of: .*pile"):
        starts_of(dataclasses.replace(contents, fill="poured"))
    tiny = dataclasses.replace(contents.container, inner_size=(0.004, 0.004, 0.01), cells=())
    for fill in ("packed", "layer", "scattered"):
        with pytest.raises(SceneError, match="no room: no part could be put into the tote"):
            starts_of(dataclasses.replace(contents, fill=fill, container=tiny))
