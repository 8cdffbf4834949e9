"""What stands around a container: robot arms, frames, stands, cables, panels, boxes, fences. Seen, never labelled.

Nothing here holds loose things: a part-like thing in a neighbouring box would be background in one scene and a part
in the next. Neighbouring boxes are closed, or empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graspnext.geometry import rotations
from graspnext.types import BoolArray, Camera, Float64Array
from graspnext.world.labels.rays import Tracer
from graspnext.world.parts.draws import between
from graspnext.world.parts.shapes import turn
from graspnext.world.props.boxes import closed_box, empty_tote, pallet, stack
from graspnext.world.props.machines import cable, camera_stand, gripper, robot_arm
from graspnext.world.props.shape import Shape
from graspnext.world.props.structures import fence, panel, profile_frame, shelf
from graspnext.world.ranges import check_range, check_share
from graspnext.world.scene import Container, Floor, Placement, Prop

if TYPE_CHECKING:
    from graspnext.world.sampling import Contents

LEAST_SEEN = 0.97
"""Share of the room inside the container, at its floor and at its top, that props must leave to see in every view."""
_MARGIN_M = 0.006
"""Least distance of the boxes around a prop's pieces to container and parts."""
_CAMERA_MARGIN_M = 0.12
_PLACES = 6
"""Tries at placing one prop before it is left out."""
_GRID = 16
_NEAR_M = 0.45
"""Most distance of a prop's nearest point to the container's edge."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What props must keep clear of."""

    container: Container
    floor: Floor
    cameras: tuple[Camera, ...]
    blocks: tuple[Float64Array, Float64Array]
    """Lowest and highest corners (N, 3) of the boxes around the container's pieces and each settled part."""
    outer: Float64Array
    """(2,) half sizes of the area that props keep outside of: the container's walls, or the free part of a table."""


PropFunction = Callable[[float, np.random.Generator], Shape]
"""(height of the ground below z = 0 of the container's floor, rng) -> a shape whose side towards the container is at
x = 0 and which lies at x > 0, centred on y = 0; its z is the world's."""

PROPS: dict[str, PropFunction] = {
    "robot_arm": robot_arm,
    "gripper": gripper,
    "profile_frame": profile_frame,
    "camera_stand": camera_stand,
    "cable": cable,
    "panel": panel,
    "closed_box": closed_box,
    "box_stack": stack,
    "empty_tote": empty_tote,
    "pallet": pallet,
    "fence": fence,
    "shelf": shelf,
}


@dataclass(frozen=True)
class ClutterRanges:
    """What stands around the container, and how much of it."""

    none_probability: float = 0.2
    """Share of scenes with nothing around."""
    num_props: tuple[int, int] = (1, 6)
    """Props of the other scenes; those that find no place are left out."""

    def __post_init__(self) -> None:
        check_range("clutter.num_props", self.num_props, 0, 20)
        check_share("clutter.none_probability", self.none_probability)


def sample_props(ranges: ClutterRanges, around: Surroundings, *, rng: np.random.Generator) -> tuple[Prop, ...]:
    """Props outside a container, clear of it and of the parts, none of them hiding its inside from a camera.

    Args:
        ranges: How many.
        around: The container, the ground, the cameras and what is taken.
        rng: Source of randomness.
    """
    if rng.random() < ranges.none_probability:
        return ()
    names = sorted(PROPS)
    props: list[Prop] = []
    sight = _Sight(around)
    taken_low, taken_high = around.blocks
    for _ in range(int(rng.integers(ranges.num_props[0], ranges.num_props[1] + 1))):
        shape = PROPS[names[int(rng.integers(len(names)))]](around.floor.height_m, rng)
        for _ in range(_PLACES):
            placed = shape.moved(*_place(shape, around, rng=rng))
            low, high = placed.boxes()
            if _clear(low, high, taken_low, taken_high, around) and sight.keeps(placed):
                taken_low, taken_high = np.concatenate([taken_low, low]), np.concatenate([taken_high, high])
                props += placed.props()
                break
    return tuple(props)


def surroundings(contents: Contents, cameras: tuple[Camera, ...], placements: Sequence[Placement]) -> Surroundings:
    """What props must keep clear of, from settled contents."""
    container, parts = contents.container, contents.parts
    lows = [center - half for half, center in container.boxes]
    highs = [center + half for half, center in container.boxes]
    for placement in placements:
        points = rotations.transform(placement.T_world_part, parts[placement.part].mesh.vertices.astype(np.float64))
        lows.append(points.min(axis=0))
        highs.append(points.max(axis=0))
    outer = np.array(container.inner_size[:2]) / 2
    if container.inner_size[2] > 0:
        outer = np.abs(container.mesh.vertices[:, :2]).max(axis=0).astype(np.float64)
    return Surroundings(container, contents.floor, cameras, (np.stack(lows), np.stack(highs)), outer)


def _place(shape: Shape, around: Surroundings, *, rng: np.random.Generator) -> tuple[Float64Array, Float64Array]:
    """Offset (3,) and turn (3, 3): somewhere around the container, the shape's near side facing it."""
    angle = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(angle), np.sin(angle)])
    # From the middle to the edge of the area in that direction.
    edge = float((around.outer / np.maximum(np.abs(direction), 1e-9)).min())
    distance = edge + _MARGIN_M + between(0.0, 1.0, rng=rng) ** 2 * _NEAR_M
    facing = angle + rng.normal(scale=0.25)
    if shape.square:  # stands in line with the container, as things are put down
        facing = np.round(angle / (np.pi / 2)) * np.pi / 2 + rng.normal(scale=0.04)
    return np.array([*(distance * direction), 0.0]), turn(2, float(facing))


def _clear(
    low: Float64Array, high: Float64Array, taken_low: Float64Array, taken_high: Float64Array, around: Surroundings
) -> bool:
    """Whether boxes (N, 3) keep off what is taken, off the area itself, off the cameras, and above the ground."""
    if low[:, 2].min() < around.floor.height_m - 1e-6:
        return False
    meet = (low[:, None] < taken_high[None] + _MARGIN_M) & (high[:, None] > taken_low[None] - _MARGIN_M)
    over = (low[:, :2] < around.outer) & (high[:, :2] > -around.outer)
    eyes = np.stack([camera.T_world_camera[:3, 3] for camera in around.cameras])
    near = (eyes[:, None] > low - _CAMERA_MARGIN_M) & (eyes[:, None] < high + _CAMERA_MARGIN_M)
    return not (meet.all(axis=2).any() or over.all(axis=1).any() or near.all(axis=2).any())


class _Sight:
    """Which points inside the container each camera sees past the props so far."""

    def __init__(self, around: Surroundings) -> None:
        x, y, z = around.container.inner_size
        top = max(z, float(around.blocks[1][len(around.container.boxes) :, 2].max(initial=0.0)))
        u, v = np.meshgrid(*[(np.arange(_GRID) + 0.5) / _GRID - 0.5] * 2)
        points = [np.stack([u * x, v * y, np.full_like(u, height)], axis=-1).reshape(-1, 3) for height in (0.0, top)]
        self._points = np.stack(points)  # (2, P, 3): at the floor, at the top
        self._eyes = [camera.T_world_camera[:3, 3] for camera in around.cameras]
        self._hidden: BoolArray = np.zeros((len(self._eyes), 2, self._points.shape[1]), dtype=np.bool_)

    def keeps(self, shape: Shape) -> bool:
        """Whether enough stays in sight with one more prop, which then counts."""
        mesh = shape.mesh()
        tracer = Tracer(mesh.vertices, mesh.faces)
        hidden = self._hidden.copy()
        for number, eye in enumerate(self._eyes):
            rays = (self._points - eye).reshape(-1, 3)
            hidden[number] |= tracer.blocked(eye, rays, 1.0).reshape(hidden[number].shape)
        if hidden.mean(axis=2).max(initial=0.0) > 1 - LEAST_SEEN:
            return False
        self._hidden = hidden
        return True
