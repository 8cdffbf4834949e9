"""Clutter: around the container and never in it, in nobody's way, cheap, no two alike."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from graspnext.errors import ConfigError
from graspnext.geometry.cameras import look_at
from graspnext.types import Camera, Float64Array
from graspnext.world.clutter import LEAST_SEEN, PROPS, ClutterRanges, Surroundings, sample_props, surroundings
from graspnext.world.containers import sample_container
from graspnext.world.floors import sample_floor
from graspnext.world.labels.rays import Tracer
from graspnext.world.sampling import Contents
from graspnext.world.scene import CONTAINER_KINDS, Prop

MANY = ClutterRanges(none_probability=0.0, num_props=(6, 6))


def around(kind: str, seed: int) -> Surroundings:
    """An empty container seen from above and from a slant."""
    rng = np.random.default_rng(seed)
    container = sample_container(kind, rng=rng)
    contents = Contents((), (), container, sample_floor(container, rng=rng))
    cameras = []
    for tilt in (0.1, 0.8):
        angle = rng.uniform(0, 2 * np.pi)
        away = np.array([np.sin(tilt) * np.cos(angle), np.sin(tilt) * np.sin(angle), np.cos(tilt)])
        pose = look_at(1.3 * away, np.zeros(3), 0.0)
        cameras.append(Camera(64, 64, 70.0, 70.0, 32.0, 32.0, pose))
    return surroundings(contents, tuple(cameras), ())


def draw(kind: str, seed: int) -> tuple[Surroundings, tuple[Prop, ...]]:
    made = around(kind, seed)
    return made, sample_props(MANY, made, rng=np.random.default_rng(seed))


def surface(prop: Prop, count: int = 2000) -> Float64Array:
    corners = prop.mesh.vertices[prop.mesh.faces].astype(np.float64)
    rng = np.random.default_rng(0)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = corners[rng.choice(len(corners), size=count, p=area / area.sum())]
    return np.asarray((chosen * rng.dirichlet(np.ones(3), size=count)[..., None]).sum(axis=1))


@pytest.mark.parametrize("kind", CONTAINER_KINDS)
def test_props_keep_out_of_the_container_and_above_the_ground(kind: str) -> None:
    seen = 0
    for seed in range(4):
        made, props = draw(kind, seed)
        x, y, _ = made.container.inner_size
        for prop in props:
            points = surface(prop)
            over = (np.abs(points[:, 0]) < x / 2) & (np.abs(points[:, 1]) < y / 2)
            assert not over.any()
            assert points[:, 2].min() >= made.floor.height_m - 1e-6
            for half, center in made.container.boxes:
                assert not (np.abs(points - center) < half).all(axis=1).any()
            seen += 1
    assert seen > 8


@pytest.mark.parametrize("kind", ["tote", "conveyor"])
def test_no_prop_hides_the_inside(kind: str) -> None:
    """Judged with all props as one, on a finer and shifted grid than the one they are placed by."""
    for seed in range(6):
        made, props = draw(kind, seed)
        if not props:
            continue
        starts = np.cumsum([0, *(len(prop.mesh.vertices) for prop in props[:-1])])
        faces = np.concatenate([prop.mesh.faces + s for prop, s in zip(props, starts, strict=True)])
        tracer = Tracer(np.concatenate([prop.mesh.vertices for prop in props]), faces)
        x, y, _ = made.container.inner_size
        u, v = np.meshgrid(np.linspace(-0.49, 0.49, 61) * x, np.linspace(-0.49, 0.49, 61) * y)
        floor = np.stack([u.ravel(), v.ravel(), np.zeros(u.size)], axis=1)
        for camera in made.cameras:
            eye = camera.T_world_camera[:3, 3]
            assert tracer.blocked(eye, floor - eye, 1.0).mean() < 1 - LEAST_SEEN + 0.015


def test_props_keep_clear_of_parts_and_cameras() -> None:
    plain = around("table", 3)
    eye = np.array([0.25, 0.0, 0.3])
    block = np.array([[0.2, -0.2, 0.0]]), np.array([[0.6, 0.2, 0.5]])
    lows, highs = (np.concatenate([a, b]) for a, b in zip(plain.blocks, block, strict=True))
    camera = dataclasses.replace(plain.cameras[0], T_world_camera=look_at(eye, np.zeros(3), 0.0))
    made = dataclasses.replace(plain, blocks=(lows, highs), cameras=(camera,))
    for seed in range(12):
        for prop in sample_props(MANY, made, rng=np.random.default_rng(seed)):
            points = surface(prop)
            assert not ((points > block[0]) & (points < block[1])).all(axis=1).any()
            assert np.linalg.norm(points - eye, axis=1).min() > 0.1


@pytest.mark.parametrize("name", sorted(PROPS))
def test_every_kind_is_cheap_closed_and_stands_on_the_ground(name: str) -> None:
    import trimesh

    for seed in range(8):
        ground = (0.0, -0.75, -0.006)[seed % 3]
        shape = PROPS[name](ground, np.random.default_rng(seed))
        mesh, props = shape.mesh(), shape.props()
        assert len(mesh.faces) == sum(len(prop.mesh.faces) for prop in props) < 4000
        low, high = shape.boxes()
        assert mesh.vertices[:, 2].min() >= ground - 1e-6
        assert mesh.vertices[:, 0].min() >= -1e-6  # its near side faces the container
        covered = np.zeros(len(mesh.vertices), dtype=bool)
        for a, b in zip(low, high, strict=True):
            covered |= ((mesh.vertices >= a - 2e-4) & (mesh.vertices <= b + 2e-4)).all(axis=1)
        assert covered.all()  # so what is clear of the boxes is clear of the prop
        assert mesh.vertices[:, 2].max() > ground + 0.005
        for solid, _ in shape.solids:
            closed = trimesh.Trimesh(solid.vertices, solid.faces, process=True)
            assert closed.is_watertight or name == "empty_tote"  # a tote is many boxes side by side
        for prop in props:
            assert prop.mesh.uv is not None and prop.material.texture is not None


def test_all_kinds_come_up_and_some_scenes_have_none() -> None:
    ranges = ClutterRanges()
    made = around("tote", 1)
    counts = [len(sample_props(ranges, made, rng=np.random.default_rng(seed))) for seed in range(24)]
    assert 1 <= counts.count(0) <= 14
    assert max(counts) > 6
    assert len(PROPS) >= 10


def test_same_seed_same_props() -> None:
    (_, a), (_, b) = draw("crate", 2), draw("crate", 2)
    assert [p.mesh.vertices.tobytes() for p in a] == [p.mesh.vertices.tobytes() for p in b]


def test_bad_ranges_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"clutter\.none_probability"):
        ClutterRanges(none_probability=1.5)
    with pytest.raises(ConfigError, match=r"clutter\.num_props"):
        ClutterRanges(num_props=(5, 2))
