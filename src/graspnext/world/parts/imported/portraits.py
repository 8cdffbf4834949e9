"""Pictures of imported parts: each as it is rendered, and its convex pieces beside it."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np

from graspnext.geometry.cameras import look_at
from graspnext.types import Camera, Float32Array, UInt8Array
from graspnext.world.render.renderer import Renderer
from graspnext.world.scene import Container, Floor, Light, Look, Material, Mesh, Part, Placement, Prop, Scene

_SIZE_M = 0.12
"""Diagonal to which every part is brought, so that small ones can be judged as well."""
_GAP_M = 0.13
_GROUND = Material((0.55, 0.55, 0.53), 0.9, 0.0)
_LOOK = Look(
    lights=(Light("directional", (0.3, -0.4, 1.0), (-0.3, 0.4, -1.0), (1.0, 0.98, 0.95), 35e3),),
    ambient=(0.95, 0.97, 1.0),
    ambient_lux=25e3,
    exposure=1.0,
)


def portrait(part: Part, renderer: Renderer, height: int) -> UInt8Array:
    """A part on the left and its convex pieces, one colour each, on the right: (height, 2 height, 3) uint8 sRGB."""
    vertices = part.mesh.vertices.astype(np.float64)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    factor = _SIZE_M / float(np.linalg.norm(high - low))
    base = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])

    def placed(points: Float32Array, x: float) -> Float32Array:
        return np.asarray((points - base) * factor + (x, 0.0, 0.0), dtype=np.float32)

    shown = replace(part, mesh=replace(part.mesh, vertices=placed(part.mesh.vertices, -_GAP_M / 2)), inside=())
    pieces = tuple(
        Prop(_hull_mesh(placed(hull, _GAP_M / 2)), Material(_color(number), 0.6, 0.0))
        for number, hull in enumerate(part.hulls)
    )
    scene = Scene(
        id="portrait",
        parts=(shown,),
        placements=(Placement(0, np.eye(4)),),
        container=_ground(),
        floor=Floor(-0.05, 2.0, _GROUND),
        look=_LOOK,
        cameras=(_camera(height),),
        props=pieces,
    )
    return renderer.render(scene, 0)


def _camera(height: int) -> Camera:
    pose = look_at(np.array([0.12, -0.36, 0.34]), np.array([0.0, 0.0, 0.04]))
    return Camera(2 * height, height, 2.7 * height, 2.7 * height, float(height), height / 2, pose)


def _ground() -> Container:
    s, t = 1.0, 0.02
    corners = [(x, y, z) for z in (-t, 0.0) for x, y in ((-s, -s), (s, -s), (s, s), (-s, s))]
    quads = [(4, 5, 6, 7), (0, 3, 2, 1), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    mesh = Mesh(np.array(corners, dtype=np.float32), np.array(faces, dtype=np.int32))
    return Container("table", mesh, (), (2 * s, 2 * s, 0.0), _GROUND)


def _hull_mesh(points: Float32Array) -> Mesh:
    import trimesh

    hull = trimesh.convex.convex_hull(points.astype(np.float64))
    return Mesh(np.asarray(hull.vertices, dtype=np.float32), np.asarray(hull.faces, dtype=np.int32))


def _color(number: int) -> tuple[float, float, float]:
    """Neighbouring numbers get hues far apart."""
    return colorsys.hsv_to_rgb(number * 0.618 % 1.0, 0.65, 0.8)
