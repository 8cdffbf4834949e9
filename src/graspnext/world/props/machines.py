"""Robot arms, grippers, camera stands and cables."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from graspnext.types import Float64Array
from graspnext.world.looks.appearance import Color, sample_color
from graspnext.world.parts.draws import between, chance
from graspnext.world.parts.shapes import Solid, circles, ellipsoid, revolve, sweep, turn
from graspnext.world.props.shape import Shape

_ARMS: tuple[Color, ...] = (
    (228, 230, 232),
    (206, 208, 212),
    (238, 236, 228),
    (236, 110, 24),
    (240, 190, 20),
    (40, 92, 170),
    (58, 62, 66),
)
"""White, light grey, cream, orange, yellow, blue and dark grey, as robots are painted."""
_JOINTS: tuple[Color, ...] = ((30, 32, 34), (60, 64, 70), (120, 160, 200), (150, 154, 158), (226, 228, 230))


def rod(start: Float64Array, end: Float64Array, radius: tuple[float, float], *, sides: int = 14) -> Solid:
    """A round rod with rounded ends between two points, of one radius at each."""
    length = float(np.linalg.norm(end - start))
    a, b = radius
    profile = np.array(
        [[0, 0], [0.7 * a, 0.02 * a], [a, 0.3 * a], [b, length - 0.3 * b], [0.7 * b, length - 0.02 * b], [0, length]]
    )
    z = (end - start) / length
    x = np.cross(z, np.eye(3)[int(np.argmin(np.abs(z)))])
    x /= np.linalg.norm(x)
    pieces = _slices(np.stack([x, np.cross(z, x), z], axis=1), start, length, max(radius))
    solid = revolve(profile, segments=sides).moved(start, np.stack([x, np.cross(z, x), z], axis=1))
    return Solid(solid.vertices, solid.faces, solid.uv, pieces)


def _slices(R: Float64Array, start: Float64Array, length: float, radius: float) -> tuple[Float64Array, ...]:
    """A slanted rod as short boxes, so that the axis-aligned boxes around them stay close to it."""
    count = max(1, int(np.ceil(length / 0.08)))
    cross = np.array([[a, b] for a in (-radius, radius) for b in (-radius, radius)])
    pieces = []
    for k in range(count):
        z0, z1 = k * length / count, (k + 1) * length / count
        corners = np.concatenate([np.column_stack([cross, np.full(4, z)]) for z in (z0, z1)])
        pieces.append(corners @ R.T + start)
    return tuple(pieces)


def _joint(center: Float64Array, axis: Float64Array, radius: float, half: float) -> Solid:
    return rod(center - half * axis, center + half * axis, (radius, radius), sides=18)


def robot_arm(ground: float, rng: np.random.Generator) -> Shape:
    """Links and round joints that reach in from further off, tip first; the base is out of sight or on a stand."""
    shape = Shape()
    arm = _ARMS[int(rng.integers(len(_ARMS)))]
    body = shape.plain("gloss", arm, rng=rng)
    dark = shape.plain("plastic", _JOINTS[int(rng.integers(len(_JOINTS)))], rng=rng)
    radius = between(0.035, 0.075, rng=rng)
    points = [np.array([radius + 0.03, 0.0, between(0.12, 0.45, rng=rng)])]
    for _ in range(int(rng.integers(2, 4))):
        step = np.array([between(0.12, 0.3, rng=rng), between(-0.22, 0.22, rng=rng), between(-0.12, 0.3, rng=rng)])
        points.append(points[-1] + step)
    points.append(np.array([points[-1][0] + 0.05, points[-1][1], max(ground, -0.3) + 0.02]))
    if points[-1][2] > points[-2][2] - 0.1:
        points[-1][2] = points[-2][2] - 0.25
        points[-1][2] = max(points[-1][2], ground + 0.02)
    for k, (a, b) in enumerate(pairwise(points)):
        if np.linalg.norm(b - a) < 0.05:
            continue
        r0, r1 = radius * (0.75 + 0.15 * k), radius * (0.75 + 0.15 * (k + 1))
        shape.solids.append((rod(a, b, (r0, r1)), body))
        axis = np.array([rng.normal(scale=0.2), 1.0, rng.normal(scale=0.2)])
        axis /= np.linalg.norm(axis)
        shape.solids.append((_joint(a, axis, 1.15 * r0, 1.35 * r0), dark if chance(0.5, rng=rng) else body))
        for s in (-1, 1):  # caps
            cap = ellipsoid((r0, r0, 0.3 * r0), rows=6, columns=14).moved(a + s * 1.35 * r0 * axis, _facing(axis))
            shape.solids.append((cap, dark))
    _lift(shape, ground)
    return shape


def _facing(axis: Float64Array) -> Float64Array:
    """A rotation (3, 3) whose third column is `axis`."""
    x = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(axis, x), axis], axis=1)


def _lift(shape: Shape, ground: float) -> None:
    """Raise a shape until nothing of it, nor of the boxes around it, is below the ground; push it to x >= 0."""
    low, _ = shape.boxes()
    offset = np.array([-min(float(low[:, 0].min()), 0.0), 0.0, max(0.0, ground + 0.001 - float(low[:, 2].min()))])
    shape.solids = [(solid.moved(offset), number) for solid, number in shape.solids]


def gripper(ground: float, rng: np.random.Generator) -> Shape:
    """A tool waiting beside the container: flange, body, and two fingers or a suction cup pointing down."""
    shape = Shape()
    metal = shape.plain("metal", (168, 170, 174), rng=rng)
    body = shape.plain("plastic", _JOINTS[int(rng.integers(len(_JOINTS)))], rng=rng)
    accent = shape.plain("plastic", sample_color(rng=rng), rng=rng)
    x, z = 0.08, between(0.1, 0.4, rng=rng)
    up = np.array([0.0, 0.0, 1.0])
    at = np.array([x, 0.0, z])
    shape.solids.append((rod(at + 0.1 * up, at + between(0.4, 0.8, rng=rng) * up, (0.045, 0.055)), body))
    shape.solids.append((rod(at + 0.06 * up, at + 0.1 * up, (0.04, 0.04)), metal))
    if chance(0.5, rng=rng):
        shape.bar((x - 0.025, -0.05, z + 0.02), (x + 0.025, 0.05, z + 0.06), accent)
        opening = between(0.012, 0.04, rng=rng)
        for s in (-1, 1):
            a, b = sorted((s * opening, s * (opening + 0.012)))
            shape.bar((x - 0.01, a, z - 0.07), (x + 0.01, b, z + 0.02), metal)
    else:
        shape.solids.append((rod(at - 0.03 * up, at + 0.06 * up, (0.012, 0.012)), metal))
        shape.solids.append((rod(at - 0.055 * up, at - 0.03 * up, (0.024, 0.012)), accent))
    _lift(shape, ground)
    return shape


def camera_stand(ground: float, rng: np.random.Generator) -> Shape:
    """A post on a plate or three feet, with a box-shaped camera or lamp on an arm."""
    shape = Shape()
    metal = shape.plain("metal" if chance(0.5, rng=rng) else "plastic", (64, 66, 70), rng=rng)
    body = shape.plain("plastic", _JOINTS[int(rng.integers(len(_JOINTS)))], rng=rng)
    tall, x = between(0.35, 1.0, rng=rng), 0.12
    foot = np.array([x, 0.0, ground + 0.012])
    top = np.array([x, 0.0, max(ground, -0.4) + 0.03 + tall])
    shape.solids.append((rod(foot, top, (0.012, 0.012), sides=10), metal))
    if chance(0.5, rng=rng):
        shape.bar((0.02, -0.1, ground), (0.22, 0.1, ground + 0.01), metal)
    else:
        for angle in (0.4, 2.5, 4.6):
            end = foot + 0.1 * np.array([np.cos(angle), np.sin(angle), 0])
            shape.solids.append((rod(foot + np.array([0, 0, 0.1]), end, (0.008, 0.008), sides=8), metal))
    z = float(top[2])
    shape.bar((0.02, -0.05, z - 0.03), (0.1, 0.05, z + 0.03), body)
    shape.bar((0.1, -0.015, z - 0.015), (x + 0.02, 0.015, z + 0.015), metal)
    return shape


def cable(ground: float, rng: np.random.Generator) -> Shape:
    """A cable or hose that winds over the ground beside the container, or hangs in a loop."""
    shape = Shape()
    tones: list[Color] = [(22, 22, 24), (40, 42, 46), (210, 120, 30), (30, 90, 170), (120, 122, 126), (180, 40, 40)]
    number = shape.plain("rubber", tones[int(rng.integers(len(tones)))], rng=rng)
    radius = between(0.003, 0.011, rng=rng)
    t = np.linspace(0, 1, 26)
    length, sway = between(0.4, 1.2, rng=rng), between(0.03, 0.12, rng=rng)
    phase, turns = rng.uniform(0, 6), between(0.6, 2.0, rng=rng)
    x = radius + sway * (1 + np.sin(phase + 2 * np.pi * turns * t))
    z = np.full_like(t, ground + radius + 0.001)
    if chance(0.4, rng=rng):  # hangs from somewhere above, down to the ground and away
        high = between(0.3, 0.8, rng=rng)
        z = z + high * np.clip(1 - 2.2 * t, 0, 1) ** 2
    path = np.stack([x, length * (t - 0.5), z], axis=1)
    shape.solids.append((sweep(path, circles(np.full(len(t), radius), 8), pieces=12), number))
    if chance(0.3, rng=rng):
        tail = shape.solids[0][0].moved((radius * 2.5, 0.0, 0.0), turn(2, 0.0))
        shape.solids.append((tail, number))
    return shape
