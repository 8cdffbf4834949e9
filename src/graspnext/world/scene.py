"""What a bin scene is: plain data, no physics, no renderer. Everything else in `world` reads or makes these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from graspnext.types import BoolArray, Camera, Float32Array, Float64Array, Int32Array, UInt8Array
from graspnext.world.sensors.models import IDEAL, Sensor

ContainerKind = Literal["tote", "carton", "tray", "crate", "conveyor", "table"]
CONTAINER_KINDS: tuple[ContainerKind, ...] = ("tote", "carton", "tray", "crate", "conveyor", "table")


@dataclass(frozen=True, eq=False)
class Material:
    """How a surface looks under physically based shading."""

    color: tuple[float, float, float]
    """Linear-light base colour in [0, 1]; multiplies the texture where there is one."""
    roughness: float
    """[0, 1]: 0 mirror, 1 matt."""
    metallic: float
    """[0, 1]."""
    texture: UInt8Array | None = None
    """(H, W, 3) uint8 sRGB, addressed by the mesh's UVs; with a fourth channel of opacity, (H, W, 4), for film with a
    print: the colour is as printed, not multiplied by the opacity."""
    opacity: float = 1.0
    """[0, 1]: share of the light from behind that the surface keeps back; highlights stay whole. Multiplies the
    texture's fourth channel."""
    normals: UInt8Array | None = None
    """(H, W, 3) uint8 tangent-space normals, x along u and y along v up; (128, 128, 255) leaves a surface as it is."""
    orm: UInt8Array | None = None
    """(H, W, 3) uint8 as in glTF: ambient occlusion, and factors of `roughness` and of `metallic`."""

    @property
    def transparent(self) -> bool:
        """Whether anything can be seen through it."""
        return self.opacity < 1 or (self.texture is not None and self.texture.shape[2] == 4)


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh in its own frame, metres, outward faces counter-clockwise."""

    vertices: Float32Array
    """(V, 3)."""
    faces: Int32Array
    """(F, 3)."""
    uv: Float32Array | None = None
    """(V, 2) texture coordinates, v up; None = projected."""


@dataclass(frozen=True, eq=False)
class Prop:
    """A shape with a look that is no part: never labelled."""

    mesh: Mesh
    material: Material


@dataclass(frozen=True, eq=False)
class Part:
    """One kind of thing in the bin: shape, look and physics. Several placements may share one part."""

    name: str
    """Unique within a scene, e.g. 'carton-03'."""
    family: str
    mesh: Mesh
    """Watertight where the real part is; thin shells are modelled with their wall thickness."""
    hulls: tuple[Float32Array, ...]
    """Convex collision pieces, each (K, 3) vertices, part frame."""
    mass_kg: float
    center_of_mass: Float64Array
    """(3,) part frame, metres."""
    inertia: Float64Array
    """(3, 3) about the centre of mass, part axes, kg m^2."""
    friction: float
    material: Material
    porosity: float = 0.0
    """[0, 1]: share of vacuum lost through the surface (0 film and metal, 1 mesh); scales the seal by 1 - porosity."""
    suckable: BoolArray | None = None
    """(F,): faces that a cup may be set on; None = all."""
    inside: tuple[Prop, ...] = ()
    """What is seen through a transparent surface, part frame: pictures only, no label and no contact."""


@dataclass(frozen=True, eq=False)
class Container:
    """What the parts lie in or on, fixed in the world; its inner floor is at z = 0 around the origin."""

    kind: ContainerKind
    mesh: Mesh
    boxes: tuple[tuple[Float64Array, Float64Array], ...]
    """Collision boxes, each (half sizes (3,), centre (3,)), world frame, axis-aligned."""
    inner_size: tuple[float, float, float]
    """(x, y, z): free length, width and wall height (0 for a table or a belt), metres."""
    material: Material
    cells: tuple[tuple[float, float, float, float], ...] = ()
    """(x0, y0, x1, y1) of each compartment's floor, metres; the whole floor is one when empty."""


@dataclass(frozen=True)
class Light:
    """One light, world frame."""

    kind: Literal["directional", "point", "spot"]
    position: tuple[float, float, float]
    direction: tuple[float, float, float]
    color: tuple[float, float, float]
    """Linear RGB in [0, 1]."""
    intensity: float
    """Illuminance in lux (directional) or luminous intensity in candela (point, spot)."""
    shadows: bool = True


@dataclass(frozen=True, eq=False)
class Floor:
    """The ground far below or around the container: what the camera sees behind everything."""

    height_m: float
    """World z of the plane; <= 0."""
    half_size_m: float
    material: Material
    texture_m: float = 0.25
    """Length after which the texture repeats."""


WHITE_LUX = 60e3
"""Illuminance that takes white paper to display white at exposure 1: that of Filament's camera as MuJoCo's bindings set
it up (measured), so that intensities pass through unscaled."""


@dataclass(frozen=True, eq=False)
class Look:
    """Everything of a scene that changes pictures but no label."""

    lights: tuple[Light, ...]
    ambient: tuple[float, float, float]
    """Linear RGB of the light from all around, in [0, 1]."""
    ambient_lux: float
    """What that light casts on a surface that faces up."""
    exposure: float
    """Multiplies the picture before tone mapping; 1 is the renderer's default."""
    mood: str = ""
    """The kind of light it was drawn as, one of `lighting.MOODS`: for statistics."""


@dataclass(frozen=True, eq=False)
class Placement:
    """One instance of a part in the settled scene. Its instance id is its index in the scene + 1."""

    part: int
    """Index into `Scene.parts`."""
    T_world_part: Float64Array
    """(4, 4)."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A settled bin with cameras and lights: enough to render and to label every view."""

    id: str
    parts: tuple[Part, ...]
    placements: tuple[Placement, ...]
    container: Container
    floor: Floor
    look: Look
    cameras: tuple[Camera, ...]
    props: tuple[Prop, ...] = ()
    """Things around the container, world frame: seen, in the depth and in the tool's way, but background."""
    sensor: Sensor = IDEAL
    """The camera model that all views are taken with."""
    fill: str = ""
    """How the parts came into the container, one of `fills.FILLS`: for statistics."""
