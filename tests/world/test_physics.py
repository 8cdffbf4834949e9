from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from graspnext.errors import SceneError
from graspnext.types import Float64Array
from graspnext.world import physics
from graspnext.world.fills import Start
from graspnext.world.physics import PhysicsLimits, settle
from graspnext.world.sampling import Contents
from graspnext.world.scene import Container, Floor, Material, Mesh, Part, Placement

GREY = Material((0.5, 0.5, 0.5), 0.8, 0.0)
FLOOR = Floor(-0.05, 2.0, GREY)
BOX_HALF = np.array([0.05, 0.03, 0.02])
BALL_RADIUS = 0.03


def part_of(hull: Float64Array, *, com: tuple[float, float, float] = (0, 0, 0), name: str = "part") -> Part:
    """A part whose mass sits evenly in a small ball around `com`, whatever its shape."""
    mesh = Mesh(hull.astype(np.float32), np.zeros((0, 3), dtype=np.int32))
    inertia = np.eye(3) * 0.4 * 0.2 * 0.02**2
    return Part(name, "test", mesh, (hull.astype(np.float32),), 0.2, np.array(com, dtype=float), inertia, 0.5, GREY)


def box() -> Part:
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    return part_of(signs * BOX_HALF)


def ball(com: tuple[float, float, float] = (0, 0, 0)) -> Part:
    k = np.arange(400) + 0.5  # spiral points, evenly spread
    polar, azimuth = np.arccos(1 - 2 * k / 400), np.pi * (1 + 5**0.5) * k
    points = np.stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=1)
    return part_of(points * BALL_RADIUS, com=com)


def tote(length: float = 0.4, width: float = 0.3, height: float = 0.2) -> Container:
    t = 0.01
    boxes = [(np.array([length / 2 + 2 * t, width / 2 + 2 * t, t]), np.array([0, 0, -t]))]
    for side in (-1, 1):
        boxes.append((np.array([t, width / 2 + 2 * t, height / 2]), np.array([side * (length / 2 + t), 0, height / 2])))
        boxes.append((np.array([length / 2 + 2 * t, t, height / 2]), np.array([0, side * (width / 2 + t), height / 2])))
    empty = Mesh(np.zeros((0, 3), dtype=np.float32), np.zeros((0, 3), dtype=np.int32))
    return Container("tote", empty, tuple(boxes), (length, width, height), GREY)


def table(length: float, width: float) -> Container:
    top = (np.array([length / 2, width / 2, 0.05]), np.array([0, 0, -0.05]))
    return dataclasses.replace(tote(), kind="table", boxes=(top,), inner_size=(length, width, 0.0))


def drop(part: Part, count: int, container: Container, seed: int = 0) -> tuple[Placement, ...]:
    contents = Contents((part,), (0,) * count, container, FLOOR)
    return settle(contents, rng=np.random.default_rng(seed))


def centers(placements: tuple[Placement, ...]) -> Float64Array:
    return np.stack([placement.T_world_part[:3, 3] for placement in placements])


@pytest.mark.parametrize("seed", range(4))
def test_one_box_lies_flat_on_a_face(seed: int) -> None:
    (placement,) = drop(box(), 1, tote(), seed)
    up = placement.T_world_part[2, :3]  # world z in the part's axes
    face = int(np.abs(up).argmax())
    assert abs(up[face]) > 0.9999
    assert placement.T_world_part[2, 3] == pytest.approx(BOX_HALF[face], abs=5e-4)
    assert np.allclose(placement.T_world_part[:3, :3] @ placement.T_world_part[:3, :3].T, np.eye(3), atol=1e-9)


def test_balls_neither_overlap_nor_leave_the_tote() -> None:
    placements = drop(ball(), 30, tote())
    assert len(placements) == 30
    places = centers(placements)
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)[np.triu_indices(30, 1)]
    assert distance.min() > 2 * BALL_RADIUS - 2e-3  # 1 mm, and the facets of the hull
    assert distance.min() < 2 * BALL_RADIUS + 1e-3  # they do lie in a heap
    assert places[:, 2].min() > BALL_RADIUS - 1.5e-3
    assert (np.abs(places[:, 0]) < 0.2 - BALL_RADIUS + 1.5e-3).all()
    assert (np.abs(places[:, 1]) < 0.15 - BALL_RADIUS + 1.5e-3).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_tumbler_stands_up(seed: int) -> None:
    weight = (0.02, 0.0, 0.0)
    (placement,) = drop(ball(weight), 1, tote(), seed)
    down = placement.T_world_part[:3, :3] @ np.array([1.0, 0, 0])
    assert down[2] < -0.95  # the centre of mass is where the part says, so its heavy side turns down


def test_rest_means_rest() -> None:
    """Simulated on for a second by a stiffer solver, nothing moves by more than 2 mm."""
    import mujoco

    contents = Contents((box(),), (0,) * 8, tote(), FLOOR)
    placements = settle(contents, rng=np.random.default_rng(3))
    spec = mujoco.MjSpec()
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.timestep, spec.option.impratio, spec.option.noslip_iterations = 0.001, 10.0, 10
    for half, center in contents.container.boxes:
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, pos=center)
    for placement in placements:
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, placement.T_world_part[:3, :3].ravel())
        body = spec.worldbody.add_body(pos=placement.T_world_part[:3, 3], quat=quaternion)
        body.add_freejoint()
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=BOX_HALF, mass=0.2, friction=[0.5, 0.005, 1e-4])
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, 1000)
    assert np.abs(data.xpos[1:] - centers(placements)).max() < 2e-3


def test_what_falls_off_the_table_is_taken_away() -> None:
    placements = drop(ball(), 25, table(0.16, 0.16))
    places = centers(placements)
    assert 1 <= len(placements) < 25
    assert (np.abs(places[:, :2]) <= 0.08).all()
    assert places[:, 2].min() > BALL_RADIUS - 1.5e-3


def test_invisible_walls_do_not_hold_parts() -> None:
    """Far more than fits: whatever lies above the rim lies on other parts, so its centre is inside."""
    placements = drop(ball(), 60, tote(0.2, 0.2, 0.06))
    places = centers(placements)
    assert len(placements) < 60
    high = places[places[:, 2] > 0.06 + BALL_RADIUS]
    for place in high:
        others = np.linalg.norm(places - place, axis=1)
        assert np.sort(others)[2] < 2 * BALL_RADIUS + 3e-3  # neighbours carry it, and not air


def test_same_seed_same_poses_other_seed_others() -> None:
    first, again, other = (centers(drop(box(), 5, tote(), seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_drop_order_is_kept() -> None:
    contents = Contents((box(), ball()), (1, 0, 1, 0), tote(), FLOOR)
    assert [p.part for p in settle(contents, rng=np.random.default_rng(0))] == [1, 0, 1, 0]


def test_all_fallen_out() -> None:
    holed = dataclasses.replace(table(0.3, 0.3), boxes=())
    with pytest.raises(SceneError, match="fell out: no part stayed"):
        drop(ball(), 2, holed)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (PhysicsLimits(max_s=0.1), r"^still moving: a part turns or slides at .* m/s"),
        (PhysicsLimits(penetration_m=1e-9), r"^overlap: parts share .* mm"),
    ],
)
def test_unsettled_scenes_are_refused(limits: PhysicsLimits, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(physics, "LIMITS", limits)
    with pytest.raises(SceneError, match=message):
        drop(box(), 6, tote())


def test_impossible_inertia_is_refused() -> None:
    impossible = dataclasses.replace(box(), inertia=np.diag([1.0, 1e-6, 1e-6]) * 1e-4)  # breaks the triangle rule
    with pytest.raises(SceneError, match=r"no physics: the parts cannot be simulated: .*inertia"):
        drop(impossible, 1, tote())


def test_broken_simulation_is_refused_and_leaves_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(physics, "LIMITS", PhysicsLimits(timesteps_s=(0.3,)))
    with pytest.raises(SceneError, match=r"^(unstable|still moving|overlap|fell out): "):
        drop(box(), 12, tote())
    assert not list(tmp_path.iterdir())


def test_a_shorter_timestep_mends_what_the_long_one_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of a third of a second blow every scene up; the second timestep saves it."""
    tried: list[float] = []
    settle_once = physics._settle

    def count(contents: Contents, starts: list[Start], timestep_s: float) -> tuple[Placement, ...]:
        tried.append(timestep_s)
        return settle_once(contents, starts, timestep_s)

    monkeypatch.setattr(physics, "_settle", count)
    monkeypatch.setattr(physics, "LIMITS", PhysicsLimits(timesteps_s=(0.3, 0.003)))
    assert len(drop(box(), 12, tote())) == 12
    assert tried == [0.3, 0.003]
    tried.clear()
    monkeypatch.setattr(physics, "LIMITS", PhysicsLimits())
    drop(box(), 12, tote())
    assert tried == [0.003]  # and is not spent where it is not needed


def test_still_is_judged_where_the_mass_is() -> None:
    """A frame's origin 1 m away from a part that rocks about its centre of mass moves fast; the part does not."""
    import mujoco

    spec = mujoco.MjSpec()
    spec.option.gravity = [0, 0, 0]
    body = spec.worldbody.add_body(explicitinertial=True, mass=0.2, ipos=[1.0, 0, 0], inertia=[1e-4] * 3)
    body.quat = [0.5, 0.5, 0.5, 0.5]
    body.add_freejoint()
    model = spec.compile()
    data = mujoco.MjData(model)
    inside, turn = np.array([True]), 0.1  # rad/s: still, by itself
    data.qvel[3:] = [0, 0, turn]
    mujoco.mj_forward(model, data)
    data.qvel[:3] = -np.cross(data.xmat[1].reshape(3, 3) @ data.qvel[3:], data.xipos[1] - data.xpos[1])
    assert np.linalg.norm(data.qvel[:3]) == pytest.approx(turn * 1.0)
    mujoco.mj_forward(model, data)
    assert physics._moving(data, inside, 1.0) is None
    data.qvel[:3] = 0  # now the centre of mass swings about the origin
    mujoco.mj_forward(model, data)
    velocity = np.zeros(6)
    mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_BODY, 1, velocity, 0)
    assert np.linalg.norm(velocity[3:]) == pytest.approx(0.1)  # MuJoCo's own word for it
    assert physics._moving(data, inside, 1.0) == "still moving: a part turns or slides at 0.100 m/s and 0.10 rad/s"
    assert physics._moving(data, np.array([False]), 1.0) is None
