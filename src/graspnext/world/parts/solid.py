"""From a watertight mesh and a density to a `Part` with its true mass, centre of mass and inertia."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graspnext.errors import ConfigError
from graspnext.types import Float32Array
from graspnext.world.parts.shapes import Solid
from graspnext.world.scene import Material, Mesh, Part


@dataclass(frozen=True)
class Physics:
    """What a mesh alone does not say about a part."""

    mass_kg: float
    """Mass of the whole part, spread evenly over the mesh's volume."""
    friction: float = 0.5
    porosity: float = 0.0
    """[0, 1]: share of vacuum lost through the surface."""


def make_part(
    name: str,
    family: str,
    mesh: Mesh,
    *,
    physics: Physics,
    material: Material,
    hulls: Sequence[Float32Array] | None = None,
) -> Part:
    """A part whose centre of mass and inertia follow from its mesh at even density.

    Args:
        name: Unique within a scene.
        family: Its family.
        mesh: Watertight, outward faces.
        physics: Mass, friction, porosity.
        material: Its look.
        hulls: Convex collision pieces, each (K, 3); the mesh's convex hull when None.

    Raises:
        ConfigError: The mesh encloses no volume.
    """
    import trimesh

    solid = trimesh.Trimesh(mesh.vertices.astype(np.float64), mesh.faces, process=False)
    properties = solid.mass_properties  # of density 1
    volume = float(properties.volume)
    if not volume > 0:
        raise ConfigError(f"volume of part '{name}'", volume, "greater than 0 (watertight, faces outward)")
    if hulls is None:
        hulls = (np.asarray(solid.convex_hull.vertices, dtype=np.float32),)
    return Part(
        name=name,
        family=family,
        mesh=mesh,
        hulls=tuple(np.asarray(hull, dtype=np.float32) for hull in hulls),
        mass_kg=physics.mass_kg,
        center_of_mass=np.asarray(properties.center_mass, dtype=np.float64),
        inertia=np.asarray(properties.inertia * (physics.mass_kg / volume), dtype=np.float64),
        friction=physics.friction,
        material=material,
        porosity=physics.porosity,
    )


@dataclass(frozen=True)
class Stuff:
    """What a solid is made of."""

    material: Material
    density: float
    """kg / m^3, mean over the volume that the surface encloses (contents and hollows included)."""
    friction: float = 0.5
    porosity: float = 0.0
    """[0, 1]: share of vacuum lost through the surface."""


def part_of(name: str, family: str, solid: Solid, stuff: Stuff) -> Part:
    """The part of a solid of even density, with the solid's own convex pieces.

    Raises:
        ConfigError: The solid encloses no volume.
    """
    corners = solid.vertices[solid.faces]  # (F, 3, 3)
    volume = float(np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6
    mesh = Mesh(solid.vertices.astype(np.float32), solid.faces, np.clip(solid.uv, 0, 1).astype(np.float32))
    physics = Physics(max(volume * stuff.density, 1e-3), stuff.friction, stuff.porosity)
    hulls = [hull.astype(np.float32) for hull in solid.hulls]
    return make_part(name, family, mesh, physics=physics, material=stuff.material, hulls=hulls)
