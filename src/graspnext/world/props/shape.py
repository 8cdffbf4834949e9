"""A prop while it is being built and placed: solids, each of one material."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from graspnext.types import Float64Array
from graspnext.world.looks.appearance import Color, sample_material, speckle
from graspnext.world.parts.draws import between
from graspnext.world.parts.shapes import Solid, cuboid
from graspnext.world.scene import Material, Mesh, Prop


@dataclass
class Shape:
    """Solids by the material they are made of."""

    materials: list[Material] = field(default_factory=list)
    solids: list[tuple[Solid, int]] = field(default_factory=list)
    """Each with the number of its material."""
    square: bool = False
    """Stands in line with the container."""

    def paint(self, material: Material) -> int:
        """Add a material; returns its number."""
        self.materials.append(material)
        return len(self.materials) - 1

    def plain(self, finish: str, color: Color, *, rng: np.random.Generator) -> int:
        """Add a worn surface of one colour; returns its number."""
        texture = speckle(color, (32, 32), between(0, 0.5, rng=rng), rng=rng)
        return self.paint(sample_material(finish, texture=texture, rng=rng))

    def bar(self, low: tuple[float, float, float], high: tuple[float, float, float], material: int) -> None:
        """A box between two corners."""
        corner, other = np.array(low), np.array(high)
        self.solids.append((cuboid(other - corner).moved((corner + other) / 2), material))

    def moved(self, offset: Float64Array, rotation: Float64Array) -> Shape:
        """The shape turned, then shifted."""
        return Shape(self.materials, [(s.moved(offset, rotation), m) for s, m in self.solids], self.square)

    def boxes(self) -> tuple[Float64Array, Float64Array]:
        """Lowest and highest corners (N, 3) of the boxes around each solid's convex pieces."""
        hulls = [hull for solid, _ in self.solids for hull in solid.hulls]
        return np.stack([h.min(axis=0) for h in hulls]), np.stack([h.max(axis=0) for h in hulls])

    def mesh(self) -> Mesh:
        """All solids as one mesh."""
        return _merged([solid for solid, _ in self.solids])

    def props(self) -> list[Prop]:
        """One prop for each material that is used."""
        used = sorted({number for _, number in self.solids})
        return [
            Prop(_merged([solid for solid, own in self.solids if own == number]), self.materials[number])
            for number in used
        ]


def _merged(solids: list[Solid]) -> Mesh:
    starts = np.cumsum([0, *(len(solid.vertices) for solid in solids)])
    faces = [solid.faces + start for solid, start in zip(solids, starts[:-1], strict=True)]
    return Mesh(
        np.concatenate([solid.vertices for solid in solids]).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        np.clip(np.concatenate([solid.uv for solid in solids]), 0, 1).astype(np.float32),
    )
