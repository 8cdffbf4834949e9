"""Lets parts fall into their container until they lie still (MuJoCo).

Bodies have the parts' own mass, centre of mass and inertia, and collide by their convex pieces. While they fall,
invisible walls keep them above the container; the walls go before the parts come to rest, so nothing leans on air.
What ends up outside is taken away. A scene that moves, overlaps by more than `PhysicsLimits.penetration_m` or blows
up is refused rather than labelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graspnext.errors import SceneError
from graspnext.geometry.rotations import from_quaternion
from graspnext.types import BoolArray, Float64Array
from graspnext.world.fills import Start, start_poses
from graspnext.world.scene import Container, Part, Placement

if TYPE_CHECKING:
    from graspnext.world.sampling import Contents


@dataclass(frozen=True)
class PhysicsLimits:
    """When a scene counts as settled."""

    timesteps_s: tuple[float, ...] = (0.003, 0.0015)
    """Tried one after another: the short one only for a scene that blows up or overlaps with the long one."""
    guard_s: float = 0.4
    """How long the invisible walls above the container stand after the last part could have reached the floor."""
    calm_s: float = 0.9
    """No scene is taken for settled before so long after that."""
    max_s: float = 4.0
    still_m_s: float = 0.01
    """Speed of a centre of mass below which a part lies still."""
    still_rad_s: float = 0.2
    checks: int = 3
    """Times in a row, a tenth of a second apart, that all parts must be found still: what topples starts slowly."""
    patience: float = 4.0
    """At `max_s` a part may be this many times faster: it rocks in place, too slowly to matter."""
    penetration_m: float = 5e-4
    """Deepest overlap of two convex pieces, or of one and the container, in a settled scene. Neighbouring pieces of a
    part can each take one side of an overlap, so this is half of the millimetre that true meshes may share."""


LIMITS = PhysicsLimits()

_CHECK_EVERY_S = 0.1
_GUARD_HEIGHT_M = 4.0
_GUARD_HALF_THICKNESS_M = 0.05
_WEDGED = 6.0
"""A part that overlaps so many times `PhysicsLimits.penetration_m` in a scene that should be calm stays wedged."""
_DAMPING_PER_S = 1.0
"""Air and rolling resistance, as a share of the momentum lost per second: without it balls and cans roll for ever."""


def settle(contents: Contents, *, rng: np.random.Generator) -> tuple[Placement, ...]:
    """Let parts go from where their fill puts them, and wait until they lie still.

    Args:
        contents: The parts, how many of each and in which order, the container and the ground.
        rng: Source of starting positions and orientations.

    Returns:
        The parts that lie in (or on) the container, in the order of their start. `T_world_part` is the part's own
        frame.

    Raises:
        SceneError: "unstable: ...", "still moving: ...", "overlap: ...", "fell out: ..." or "no room: ...".
    """
    starts = start_poses(contents, rng=rng)
    for timestep in LIMITS.timesteps_s:
        try:
            return _settle(contents, starts, timestep)
        except _TooCoarseError as error:
            problem = str(error)
    raise SceneError(problem)


class _TooCoarseError(Exception):
    """What a shorter timestep may mend."""


def _settle(contents: Contents, starts: list[Start], timestep_s: float) -> tuple[Placement, ...]:
    import mujoco

    model, guards = _model(contents, starts, timestep_s)
    mujoco.set_mju_user_warning(lambda _message: None)  # counted in the data; the default writes a log file
    data = mujoco.MjData(model)
    fall_s = float(np.sqrt(2 * max(start.position[2] for start in starts) / 9.81))
    inside = _simulate(model, data, guards, contents.container, fall_s)
    _check(model, data, inside)
    placements = []
    for body in np.flatnonzero(inside):
        T = np.eye(4)
        T[:3, :3] = from_quaternion(data.xquat[body + 1])
        T[:3, 3] = data.xpos[body + 1]
        placements.append(Placement(starts[body].part, T))
    if not placements:
        raise _TooCoarseError("fell out: no part stayed in the container; use a larger container or smaller parts")
    return tuple(placements)


def _model(contents: Contents, starts: list[Start], timestep_s: float) -> tuple[Any, list[int]]:
    """The MuJoCo model, and the ids of its invisible walls' geoms."""
    import mujoco

    spec = mujoco.MjSpec()
    option = spec.option
    option.timestep = timestep_s
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 3.0
    option.tolerance = 1e-6  # of the solver: a hundredth of the default's exactness, a seventh less time
    geom = spec.default.geom
    geom.condim = 4
    geom.solref = [3 * timestep_s, 1.0]
    geom.solimp = [0.95, 0.99, 0.001, 0.5, 2.0]
    for half, center in contents.container.boxes:
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, pos=center, friction=[0.6, 0.005, 1e-4])
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.1], pos=[0, 0, contents.floor.height_m])
    for half, center in _guards(contents.container):
        spec.worldbody.add_geom(
            name=f"guard{len(spec.geoms)}", type=mujoco.mjtGeom.mjGEOM_BOX, size=half, pos=center, friction=[0, 0, 0]
        )
    for index in sorted({start.part for start in starts}):
        for piece, hull in enumerate(contents.parts[index].hulls):
            spec.add_mesh(
                name=f"hull{index}_{piece}",
                uservert=np.asarray(hull, dtype=np.float64).ravel(),
                inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,  # unused, but flat pieces have no volume
            )
    for start in starts:
        _add_body(spec, start, contents.parts[start.part])
    try:
        model = spec.compile()
    except ValueError as error:
        raise SceneError(
            f"no physics: the parts cannot be simulated: {error}; check their mass, inertia and shape"
        ) from error
    guards = [i for i in range(model.ngeom) if model.geom(i).name.startswith("guard")]
    joint_inertia = np.stack([model.body_mass[1:]] * 3 + [model.body_inertia[1:, k] for k in range(3)], axis=1)
    model.dof_damping[:] = _DAMPING_PER_S * joint_inertia.ravel()
    return model, guards


def _add_body(spec: Any, start: Start, part: Part) -> None:
    import mujoco

    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, start.rotation.ravel())
    inertia = part.inertia
    body = spec.worldbody.add_body(
        pos=start.position,
        quat=quaternion,
        explicitinertial=True,
        mass=part.mass_kg,
        ipos=part.center_of_mass,
        fullinertia=[inertia[0, 0], inertia[1, 1], inertia[2, 2], inertia[0, 1], inertia[0, 2], inertia[1, 2]],
    )
    body.add_freejoint()
    for piece in range(len(part.hulls)):
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=f"hull{start.part}_{piece}",
            friction=[part.friction, 0.005, 1e-4],
        )


def _guards(container: Container) -> list[tuple[Float64Array, Float64Array]]:
    """Boxes (half sizes, centre) that continue the container's walls upwards."""
    length, width, wall = container.inner_size
    t, h = _GUARD_HALF_THICKNESS_M, _GUARD_HEIGHT_M / 2
    across = np.array([length / 2 + 2 * t, t, h])
    along = np.array([t, width / 2 + 2 * t, h])
    return [(across, np.array([0, side * (width / 2 + t), wall + h])) for side in (-1, 1)] + [
        (along, np.array([side * (length / 2 + t), 0, wall + h])) for side in (-1, 1)
    ]


def _simulate(model: Any, data: Any, guards: list[int], container: Container, fall_s: float) -> BoolArray:
    """Run until the parts inside lie still; returns which are inside (N,).

    Raises:
        _TooCoarseError: The simulation broke down.
    """
    import mujoco

    steps = max(1, round(_CHECK_EVERY_S / model.opt.timestep))
    guarded, still = True, 0
    while data.time < LIMITS.max_s:
        mujoco.mj_step(model, data, steps)
        if any(data.warning[getattr(mujoco.mjtWarning, f"mjWARN_{name}")].number for name in _FATAL_WARNINGS):
            raise _TooCoarseError(f"unstable: the simulation broke down after {data.time:.2f} s")
        if guarded and data.time >= fall_s + LIMITS.guard_s:
            model.geom_contype[guards] = model.geom_conaffinity[guards] = 0
            guarded = False
            # From here on what lies still is skipped until something touches it: half the time of a large pile.
            model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_SLEEP
        inside = _inside(data, container)
        if (
            data.time >= fall_s + LIMITS.calm_s
            and (depth := _depth(model, data, inside)) > _WEDGED * LIMITS.penetration_m
        ):
            raise _TooCoarseError(f"overlap: parts share {1e3 * depth:.1f} mm while they settle")
        still = still + 1 if _moving(data, inside, 1.0) is None else 0
        if data.time >= fall_s + LIMITS.calm_s and still >= LIMITS.checks:
            break
    return _inside(data, container)


_FATAL_WARNINGS = ("CONTACTFULL", "CNSTRFULL", "BADQPOS", "BADQVEL", "BADQACC")
"""Of MuJoCo's mjtWarning: contacts left out for want of memory, or numbers that are not finite or far too large."""


def _inside(data: Any, container: Container) -> BoolArray:
    """(N,): the centre of mass is above the container's floor area."""
    length, width, _ = container.inner_size
    center = data.xipos[1:]
    return np.asarray((np.abs(center[:, 0]) <= length / 2) & (np.abs(center[:, 1]) <= width / 2) & (center[:, 2] > 0))


def _moving(data: Any, inside: BoolArray, patience: float) -> str | None:
    """What moves too fast, or None."""
    if not inside.any():
        return None
    velocity = data.qvel.reshape(-1, 6)[inside]  # of the frame's origin in world axes; angular in the body's axes
    turns = data.xmat[1:].reshape(-1, 3, 3)[inside]
    spin = np.einsum("nij,nj->ni", turns, velocity[:, 3:])
    center = velocity[:, :3] + np.cross(spin, (data.xipos - data.xpos)[1:][inside])
    linear = float(np.linalg.norm(center, axis=1).max())
    angular = float(np.linalg.norm(spin, axis=1).max())
    if linear <= patience * LIMITS.still_m_s and angular <= patience * LIMITS.still_rad_s:
        return None
    return f"still moving: a part turns or slides at {linear:.3f} m/s and {angular:.2f} rad/s"


def _check(model: Any, data: Any, inside: BoolArray) -> None:
    """Refuse a scene that moves or overlaps.

    Raises:
        SceneError: It moves.
        _TooCoarseError: It overlaps, or has no finite end.
    """
    import mujoco

    if not (np.isfinite(data.qpos).all() and np.isfinite(data.qvel).all()):
        raise _TooCoarseError("unstable: the simulation left the finite numbers")
    if (problem := _moving(data, inside, LIMITS.patience)) is not None:
        raise SceneError(f"{problem} after {data.time:.1f} s")
    model.opt.enableflags &= ~int(mujoco.mjtEnableBit.mjENBL_SLEEP)  # contacts of sleepers count as well
    mujoco.mj_forward(model, data)
    if (depth := _depth(model, data, inside)) > LIMITS.penetration_m:
        raise _TooCoarseError(f"overlap: parts share {1e3 * depth:.1f} mm")


def _depth(model: Any, data: Any, inside: BoolArray) -> float:
    """The deepest overlap, metres, of parts that are inside with one another or the container."""
    bodies = model.geom_bodyid[data.contact.geom]  # (C, 2); 0 is the world
    kept = np.concatenate([[True], inside])[bodies].all(axis=1)
    return max(0.0, -float(data.contact.dist[kept].min(initial=0.0)))
