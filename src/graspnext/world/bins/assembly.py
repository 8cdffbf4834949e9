"""Containers out of boxes: what all kinds share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from graspnext.types import Float64Array, UInt8Array
from graspnext.world.looks.appearance import Color, make_atlas, noise, sample_material, speckle
from graspnext.world.parts.draws import between
from graspnext.world.parts.shapes import Cell, Solid, cuboid
from graspnext.world.scene import Container, ContainerKind, Mesh

Box = tuple[Float64Array, Float64Array]
"""Half sizes (3,) and centre (3,), metres."""
Size = tuple[float, float, float]
"""(x, y, z) metres."""

Point = Sequence[float] | Float64Array
"""Three numbers."""

ATLAS_WIDTH = 192
"""Pixels across a container's texture."""
SIDES = ((0, -1), (0, 1), (1, -1), (1, 1))
"""The four walls: axis across the wall (0 x, 1 y) and its side."""


@dataclass
class Assembly:
    """Solids, each with the number of its texture, and the boxes that stand for them in physics."""

    solids: list[tuple[Solid, int]] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)

    def add(self, low: Point, high: Point, entry: int, *, touch: bool = True) -> None:
        """A box between two corners (x, y, z); `touch=False` leaves it out of physics (another box covers it)."""
        corner, other = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        half, center = (other - corner) / 2, (other + corner) / 2
        self.solids.append((cuboid(2 * half).moved(center), entry))
        if touch:
            self.boxes.append((half, center))

    def cover(self, low: Point, high: Point) -> None:
        """A box for physics alone: the closed form of something with openings."""
        corner, other = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        self.boxes.append(((other - corner) / 2, (other + corner) / 2))

    def container(
        self,
        kind: ContainerKind,
        inner: Size,
        look: tuple[str, Sequence[UInt8Array | Color]],
        *,
        cells: Sequence[Cell] = (),
        rng: np.random.Generator,
    ) -> Container:
        """The finished container; `look` is a finish of `FINISHES` and the textures that the entries number."""
        finish, entries = look
        atlas = make_atlas(list(entries), ATLAS_WIDTH)
        painted = [solid.painted(atlas.cells[entry]) for solid, entry in self.solids]
        starts = np.cumsum([0, *(len(solid.vertices) for solid in painted)])
        mesh = Mesh(
            np.concatenate([solid.vertices for solid in painted]).astype(np.float32),
            np.concatenate([s.faces + start for s, start in zip(painted, starts[:-1], strict=True)]).astype(np.int32),
            np.concatenate([solid.uv for solid in painted]).astype(np.float32),
        )
        material = sample_material(finish, texture=atlas.texture, rng=rng)
        return Container(kind, mesh, tuple(self.boxes), inner, material, tuple(cells))


def wall_span(inner: Size, wall: float, side: tuple[int, int]) -> tuple[Float64Array, Float64Array]:
    """Corners (low, high) of one upright wall around the inner room; walls across x reach round the corners."""
    axis, sign = side
    other = 1 - axis
    low, high = np.zeros(3), np.zeros(3)
    inside = sign * inner[axis] / 2
    low[axis], high[axis] = sorted((inside, inside + sign * wall))
    reach = inner[other] / 2 + (wall if axis == 0 else 0)
    low[other], high[other] = -reach, reach
    high[2] = inner[2]
    return low, high


def add_floor(assembly: Assembly, inner: Size, wall: float, base: float, entry: int) -> None:
    """The floor slab under room and walls, its top at z = 0."""
    x, y = inner[0] / 2 + wall, inner[1] / 2 + wall
    assembly.add((-x, -y, -base), (x, y, 0), entry)


def add_rim(made: Assembly, outer: tuple[float, float], height: float, *, reach: float, thick: float) -> None:
    """A lip around the top of the walls, outside them, with texture 1."""
    x, y = outer[0] / 2, outer[1] / 2
    z0, z1 = height - thick, height
    for s in (-1, 1):
        a, b = sorted((s * x, s * (x + reach)))
        made.add((a, -y - reach, z0), (b, y + reach, z1), 1)
        a, b = sorted((s * y, s * (y + reach)))
        made.add((-x, a, z0), (x, b, z1), 1)


def worn(color: Color, size: tuple[int, int], amount: float, *, rng: np.random.Generator) -> UInt8Array:
    """A used surface (H, W, 3): grain, stains, scratches and rubbed patches; `amount` in [0, 1]."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(speckle(color, size, 0.15 + 0.6 * amount, rng=rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.poisson(22 * amount))):
        x, y = rng.uniform(0, size[1]), rng.uniform(0, size[0])
        length, angle = between(0.03, 0.3, rng=rng) * size[1], rng.uniform(0, 2 * np.pi)
        change = int(rng.integers(12, 45)) * (1 if rng.random() < 0.7 else -1)
        tone = tuple(int(np.clip(c + change, 0, 255)) for c in color)
        draw.line((x, y, x + length * np.cos(angle), y + length * np.sin(angle)), fill=tone)
    patches = np.clip(noise(size, 5, rng=rng) - 0.62, 0, 1)[..., None] * 120 * amount
    return np.clip(np.asarray(image, dtype=np.float64) + patches, 0, 255).astype(np.uint8)
