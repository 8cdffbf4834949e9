"""One conformance suite for every renderer: what a picture must show, whoever draws it."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.ndimage import binary_erosion
from scipy.spatial import ConvexHull

from graspnext.errors import MissingDependencyError, UnknownNameError
from graspnext.types import BoolArray, Camera, Float64Array, UInt8Array
from graspnext.world.parts.solid import Physics, make_part
from graspnext.world.render.renderer import RENDERERS, Renderer, open_renderer, renderer_problems
from graspnext.world.render.surface import build_surface
from graspnext.world.scene import Container, Floor, Light, Look, Material, Mesh, Part, Placement, Prop, Scene

PROBLEMS = renderer_problems()
needs_filament = pytest.mark.skipif(PROBLEMS["filament"] is not None, reason=str(PROBLEMS["filament"]))
SUN = Light("directional", (0, 0, 2), (0, 0, -1), (1, 1, 1), 30e3, shadows=False)
BLACK = Material((0.0, 0.0, 0.0), 1.0, 0.0)


@pytest.fixture(scope="module", params=["classic", "filament-cpu", pytest.param("filament-gpu", marks=pytest.mark.gpu)])
def renderer(request: pytest.FixtureRequest) -> Iterator[Renderer]:
    if PROBLEMS[request.param] is not None:
        pytest.skip(PROBLEMS[request.param])
    with open_renderer(request.param) as opened:
        yield opened


def box_mesh(size: tuple[float, float, float], uv: bool = False) -> Mesh:
    """A box with four vertices of its own on each face; the UVs span the unit square on each."""
    half = np.array(size) / 2
    vertices, faces, coordinates = [], [], []
    for axis in range(3):
        for sign in (-1, 1):
            u, v = (axis + 1) % 3, (axis + 2) % 3
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                corner = np.zeros(3)
                corner[axis], corner[u], corner[v] = sign, a, b
                vertices.append(corner * half)
                coordinates.append(((a + 1) / 2, (b + 1) / 2))
            first = len(vertices) - 4
            quad = [(first, first + 1, first + 2), (first, first + 2, first + 3)]
            faces += quad if sign > 0 else [triangle[::-1] for triangle in quad]
    return Mesh(
        np.array(vertices, dtype=np.float32),
        np.array(faces, dtype=np.int32),
        np.array(coordinates, dtype=np.float32) if uv else None,
    )


def box_part(name: str, size: tuple[float, float, float], material: Material, *, uv: bool = False) -> Part:
    return make_part(name, "box", box_mesh(size, uv), physics=Physics(0.1), material=material)


def pose(x: float, y: float, z: float, yaw: float = 0.0, pitch: float = 0.0) -> Float64Array:
    c, s, d, t = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    T = np.eye(4)
    T[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[d, 0, t], [0, 1, 0], [-t, 0, d]])
    T[:3, 3] = x, y, z
    return T


def overhead(width: int = 160, height: int = 120, **changes: float) -> Camera:
    """A camera 1 m above the origin that looks straight down, world x to the right and world y up in the picture."""
    T = np.eye(4)
    T[:3, :3] = np.diag([1.0, -1.0, -1.0])
    T[:3, 3] = 0, 0, 1
    values = {"fx": 150.0, "fy": 150.0, "cx": width / 2, "cy": height / 2} | changes
    return Camera(width, height, **values, T_world_camera=T)


def scene_of(
    parts: list[Part], poses: list[Float64Array], cameras: tuple[Camera, ...], look: Look | None = None
) -> Scene:
    """Parts above a black ground, with a container that is far out of sight."""
    away = Mesh(box_mesh((0.1, 0.1, 0.1)).vertices + np.float32([50, 0, 0]), box_mesh((0.1, 0.1, 0.1)).faces)
    container = Container("table", away, (), (1.0, 1.0, 0.0), BLACK)
    placements = tuple(Placement(index, T) for index, T in enumerate(poses))
    look = look or Look((SUN,), (1.0, 1.0, 1.0), 15e3, 1.0)
    return Scene("000000", tuple(parts), placements, container, Floor(-0.5, 8.0, BLACK), look, cameras)


def paint(r: float, g: float, b: float) -> Material:
    return Material((r, g, b), 0.9, 0.0)


def silhouette(part: Part, T_world_part: Float64Array, camera: Camera) -> BoolArray:
    """Pixels whose centre lies in the convex polygon of the projected corners."""
    points = part.mesh.vertices.astype(np.float64) @ T_world_part[:3, :3].T + T_world_part[:3, 3]
    R, t = camera.T_world_camera[:3, :3], camera.T_world_camera[:3, 3]
    seen = (points - t) @ R  # the rotation's transpose, row by row
    pixels = np.stack(
        [camera.fx * seen[:, 0] / seen[:, 2] + camera.cx, camera.fy * seen[:, 1] / seen[:, 2] + camera.cy], axis=1
    )
    planes = ConvexHull(pixels).equations  # (E, 3): a u + b v + c <= 0 inside
    u, v = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    return (planes[:, :2] @ np.stack([u.ravel(), v.ravel()]) + planes[:, 2:] <= 0).all(axis=0).reshape(u.shape)


def iou(a: BoolArray, b: BoolArray) -> float:
    return float((a & b).sum() / (a | b).sum())


CAMERAS = {
    "centred": overhead(),
    "off-centre principal point": overhead(cx=47.3, cy=88.9),
    "unequal focal lengths": overhead(fx=110.0, fy=190.0),
    "odd size": overhead(width=151, height=97, cx=70.0, cy=50.0),
}


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_silhouette_is_the_projection(renderer: Renderer, camera: Camera) -> None:
    part, T = box_part("a", (0.3, 0.2, 0.1), paint(1, 1, 1)), pose(0.03, -0.05, 0.1, yaw=0.5, pitch=0.4)
    expected = silhouette(part, T, camera)
    image = renderer.render(scene_of([part], [T], (camera,)), 0)
    assert image.shape == (camera.height, camera.width, 3) and image.dtype == np.uint8
    seen = image.max(axis=2) > 60
    assert expected.sum() > 500
    assert iou(seen, expected) > 0.97
    rows, columns = np.nonzero(seen)
    wanted_rows, wanted_columns = np.nonzero(expected)
    assert abs(rows.mean() - wanted_rows.mean()) < 0.35  # no half-pixel shift
    assert abs(columns.mean() - wanted_columns.mean()) < 0.35


def test_tilted_and_rolled_camera(renderer: Renderer) -> None:
    part, T = box_part("a", (0.3, 0.2, 0.1), paint(1, 1, 1)), pose(0.0, 0.0, 0.0, yaw=0.2)
    tilt, roll = 0.6, 0.8
    x, y = np.array([1.0, 0, 0]), np.array([0, -np.cos(tilt), -np.sin(tilt)])
    z = np.cross(x, y)
    T_camera = np.eye(4)
    rolled = np.cos(roll) * x + np.sin(roll) * y, np.cos(roll) * y - np.sin(roll) * x
    T_camera[:3, :3] = np.stack([*rolled, z], axis=1)
    T_camera[:3, 3] = -0.9 * z
    camera = Camera(160, 120, 160.0, 160.0, 85.0, 55.0, T_camera)
    assert (
        iou(renderer.render(scene_of([part], [T], (camera,)), 0).max(axis=2) > 60, silhouette(part, T, camera)) > 0.97
    )


def test_nearer_part_hides_the_farther(renderer: Renderer) -> None:
    low = box_part("low", (0.3, 0.3, 0.05), paint(1, 0, 0))
    high = box_part("high", (0.15, 0.15, 0.05), paint(0, 1, 0))
    camera = overhead()
    for parts in ([low, high], [high, low]):  # the order of drawing does not matter
        poses = [pose(0, 0, 0.0 if part is low else 0.2) for part in parts]
        image = renderer.render(scene_of(parts, poses, (camera,)), 0).astype(int)
        covered = silhouette(high, pose(0, 0, 0.2), camera)
        top, rim = binary_erosion(covered), binary_erosion(silhouette(low, pose(0, 0, 0), camera) & ~covered)
        green, red = image[..., 1] - image[..., 0], image[..., 0] - image[..., 1]
        assert top.sum() > 400 and (green[top] > 40).all()
        assert rim.sum() > 400 and (red[rim] > 40).all()


def test_every_light_adds_brightness(renderer: Renderer) -> None:
    part = box_part("a", (0.5, 0.5, 0.1), paint(0.3, 0.3, 0.3))
    point = Light("point", (0.3, 0, 1.2), (0, 0, -1), (1, 1, 1), 15e3, shadows=False)
    spot = Light("spot", (-0.3, 0, 1.2), (0, 0, -1), (1, 1, 1), 15e3, shadows=False)
    white = (1.0, 1.0, 1.0)
    levels = []
    for look in (
        Look((), white, 5e3, 1.0),
        Look((), white, 10e3, 1.0),
        Look((SUN,), white, 10e3, 1.0),
        Look((SUN, point), white, 10e3, 1.0),
        Look((SUN, point, spot), white, 10e3, 1.0),
        Look((SUN, point, spot), white, 10e3, 1.5),
    ):
        image = renderer.render(scene_of([part], [pose(0, 0, 0)], (overhead(),), look), 0)
        levels.append(float(image[50:70, 70:90].mean()))
    assert all(b > a + 2 for a, b in itertools.pairwise(levels)), levels


def test_light_and_surface_colours(renderer: Renderer) -> None:
    part = box_part("a", (0.5, 0.5, 0.1), paint(0.5, 0.5, 0.5))
    look = Look(
        (Light("directional", (0, 0, 2), (0, 0, -1), (1.0, 0.5, 0.2), 40e3, shadows=False),), (1, 1, 1), 1.0, 1.0
    )
    r, g, b = renderer.render(scene_of([part], [pose(0, 0, 0)], (overhead(),), look), 0)[60, 80].astype(int)
    assert r > g + 15 > b + 30
    part = box_part("a", (0.5, 0.5, 0.1), paint(0.1, 0.2, 0.7))
    r, g, b = renderer.render(scene_of([part], [pose(0, 0, 0)], (overhead(),)), 0)[60, 80].astype(int)
    assert b > g + 15 > r + 20


def test_shadow_falls_on_the_side_away_from_the_light(renderer: Renderer) -> None:
    ground = box_part("ground", (2.0, 2.0, 0.02), paint(0.5, 0.5, 0.5))
    block = box_part("block", (0.1, 0.1, 0.2), paint(0.5, 0.5, 0.5))
    sun = Light("directional", (-2, 0, 2), (np.sqrt(0.5), 0, -np.sqrt(0.5)), (1, 1, 1), 40e3)
    poses = [pose(0, 0, -0.01), pose(0, 0, 0.1)]
    image = renderer.render(scene_of([ground, block], poses, (overhead(),), Look((sun,), (1, 1, 1), 5e3, 1.0)), 0)
    brightness = image.mean(axis=2)
    # The block is 0.2 m high and its shadow reaches x = 0.05 .. 0.25 m at 45 degrees: 87 .. 117 px.
    assert brightness[55:65, 103:112].mean() < 0.75 * brightness[55:65, 30:40].mean()


QUADRANTS = {"left top": (0, 0), "right top": (0, 1), "left bottom": (1, 0), "right bottom": (1, 1)}


def test_textures_are_the_right_way_round(renderer: Renderer) -> None:
    texture: UInt8Array = np.zeros((64, 64, 3), dtype=np.uint8)
    texture[:32, :32] = 255, 0, 0
    texture[:32, 32:] = 0, 255, 0
    texture[32:, :32] = 0, 0, 255
    texture[32:, 32:] = 255, 255, 0
    part = box_part("a", (0.4, 0.4, 0.1), Material((1, 1, 1), 0.9, 0.0, texture), uv=True)
    # On the top face u runs along x and v along y: right and up in this camera, as in the texture's own picture.
    image = renderer.render(scene_of([part], [pose(0, 0, 0)], (overhead(),)), 0).astype(int)
    half = int(150 * 0.2 / 0.95 / 2)  # px from the middle to that of a quadrant
    for row, column in QUADRANTS.values():
        pixel = image[60 + (2 * row - 1) * half, 80 + (2 * column - 1) * half]
        wanted = texture[16 + 32 * row, 16 + 32 * column]
        assert ((pixel > pixel.max() / 2) == (wanted > 127)).all()


def test_texture_without_uv_is_projected(renderer: Renderer) -> None:
    stripes: UInt8Array = np.zeros((16, 16, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    part = box_part("a", (0.4, 0.4, 0.1), Material((1, 1, 1), 0.9, 0.0, stripes))
    image = renderer.render(scene_of([part], [pose(0, 0, 0)], (overhead(fx=300.0, fy=300.0),)), 0).astype(float)
    assert image[50:70, 60:100].mean(axis=(0, 2)).std() > 30  # stripes across
    assert image[50:70, 60:100].std(axis=0).mean() < 10  # and along y none


def test_props_are_drawn(renderer: Renderer) -> None:
    part = box_part("a", (0.1, 0.1, 0.1), paint(0.2, 0.2, 0.2))
    prop = Prop(Mesh(box_mesh((0.2, 0.2, 0.1)).vertices + np.float32([0.25, 0, 0]), box_mesh((1, 1, 1)).faces), RED)
    scene = dataclasses.replace(scene_of([part], [pose(-0.2, 0, 0)], (overhead(),)), props=(prop,))
    image = renderer.render(scene, 0).astype(int)
    covered = silhouette(dataclasses.replace(part, mesh=prop.mesh), pose(0, 0, 0), overhead())
    assert iou(image[..., 0] - image[..., 1] > 40, covered) > 0.95


FILM = Material((0.9, 0.9, 0.9), 0.2, 0.0, opacity=0.15)
RED = paint(0.8, 0.02, 0.02)


def test_film_shows_what_is_inside_at_the_pose_of_the_part(renderer: Renderer) -> None:
    inside = Prop(Mesh(box_mesh((0.1, 0.1, 0.05)).vertices + np.float32([0.1, 0, 0]), box_mesh((1, 1, 1)).faces), RED)
    bag = dataclasses.replace(box_part("a", (0.4, 0.3, 0.1), FILM), inside=(inside,))
    for T in (pose(0.05, 0.02, 0.1, yaw=0.5), pose(0, 0, 0.1, yaw=2.5)):
        image = renderer.render(scene_of([bag], [T], (overhead(),)), 0).astype(int)
        covered = silhouette(dataclasses.replace(bag, mesh=inside.mesh), T, overhead())
        assert iou(image[..., 0] - image[..., 1] > 30, covered) > 0.8  # the sides of it lie in the dark
        opaque = dataclasses.replace(bag, material=paint(0.9, 0.9, 0.9))
        closed = renderer.render(scene_of([opaque], [T], (overhead(),)), 0).astype(int)
        assert (closed[..., 0] - closed[..., 1]).max() < 30  # opaque walls hide it


def test_opacity_is_a_share_of_what_lies_behind(renderer: Renderer) -> None:
    ground, film = box_part("ground", (0.6, 0.6, 0.02), RED), box_part("film", (0.3, 0.3, 0.002), paint(0, 0, 0))
    reds = []
    for opacity in (0.0, 0.3, 0.6, 0.9):
        sheet = dataclasses.replace(film, material=dataclasses.replace(film.material, opacity=opacity))
        image = renderer.render(scene_of([ground, sheet], [pose(0, 0, 0), pose(0, 0, 0.1)], (overhead(),)), 0)
        reds.append(float(image[55:65, 75:85, 0].mean()))
    assert all(a > b + 8 for a, b in itertools.pairwise(reds)), reds


def test_print_on_film_is_opaque_where_painted(renderer: Renderer) -> None:
    label: UInt8Array = np.zeros((32, 32, 4), dtype=np.uint8)
    label[:, 16:] = 30, 60, 250, 255
    ground = box_part("ground", (0.6, 0.6, 0.02), RED)
    film = box_part("film", (0.4, 0.4, 0.002), Material((1, 1, 1), 0.5, 0.0, label), uv=True)
    image = renderer.render(scene_of([ground, film], [pose(0, 0, 0), pose(0, 0, 0.05)], (overhead(),)), 0).astype(int)
    bare, painted = image[50:70, 60:70].mean(axis=(0, 1)), image[50:70, 90:100].mean(axis=(0, 1))
    assert bare[0] > bare[2] + 30 and painted[2] > painted[0] + (30 if renderer.name != "classic" else -100)


def test_pictures_do_not_depend_on_the_order_of_calls(renderer: Renderer) -> None:
    part = box_part("a", (0.3, 0.2, 0.1), paint(0.6, 0.3, 0.1))
    other = box_part("b", (0.2, 0.2, 0.1), paint(0.1, 0.3, 0.6))
    cameras = (overhead(), overhead(cx=60.0), overhead(cy=50.0))
    first = scene_of([part], [pose(0, 0, 0.1, 0.4, 0.3)], cameras)
    second = scene_of([other], [pose(0, 0, 0.1)], cameras)
    forwards = [renderer.render(first, view) for view in range(3)]
    renderer.render(second, 0)
    backwards = [renderer.render(first, view) for view in (2, 1, 0)][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        assert np.abs(a.astype(int) - b.astype(int)).max() <= 2
    assert np.abs(forwards[0].astype(int) - forwards[1].astype(int)).max() > 50
    forwards[0][:] = 0  # the caller owns the picture
    assert renderer.render(first, 0).max() > 0


def dented(material: Material) -> UInt8Array:
    """A plate under a low lamp, drawn by Filament."""
    plate = box_part("a", (0.4, 0.4, 0.02), material, uv=True)
    lamp = Light("directional", (-2, 0, 1), (0.9, 0, -0.436), (1, 1, 1), 40e3, shadows=False)
    with open_renderer("filament") as renderer:
        return renderer.render(scene_of([plate], [pose(0, 0, 0)], (overhead(),), Look((lamp,), (1, 1, 1), 1e4, 1.0)), 0)


@needs_filament
def test_normal_maps_tilt_toward_u_and_v() -> None:
    """Left half tilted to -u (toward the lamp at -x), right half away from it: left is brighter, and flat between."""
    tilt: UInt8Array = np.full((32, 32, 3), (128, 128, 255), dtype=np.uint8)
    tilt[:, :16, 0], tilt[:, 16:, 0], tilt[..., 2] = 78, 178, 245
    grey = paint(0.4, 0.4, 0.4)
    flat = dented(grey)[50:70].astype(float)
    image = dented(dataclasses.replace(grey, normals=tilt))[50:70].astype(float)
    assert image[:, 60:70].mean() > flat[:, 60:70].mean() + 8
    assert image[:, 90:100].mean() < flat[:, 90:100].mean() - 8
    up: UInt8Array = np.full((4, 4, 3), (128, 178, 245), dtype=np.uint8)  # toward +v: only the picture's top brightens
    north = Light("directional", (0, 2, 1), (0, -0.9, -0.436), (1, 1, 1), 40e3, shadows=False)
    look = Look((north,), (1, 1, 1), 1e3, 1.0)
    with open_renderer("filament") as renderer:
        levels = [
            renderer.render(
                scene_of([box_part("a", (0.4, 0.4, 0.02), m, uv=True)], [pose(0, 0, 0)], (overhead(),), look), 0
            )[50:70, 70:90].mean()
            for m in (grey, dataclasses.replace(grey, normals=up))
        ]
    assert levels[1] > levels[0] + 8


@needs_filament
def test_orm_multiplies_occlusion_roughness_and_metal() -> None:
    steel = Material((0.9, 0.5, 0.1), 0.6, 1.0)
    half: UInt8Array = np.full((32, 32, 3), 255, dtype=np.uint8)
    half[:, 16:, 2] = 0  # the right half is no metal
    image, plain = dented(dataclasses.replace(steel, orm=half)).astype(float), dented(steel).astype(float)
    assert np.abs(image[50:70, 60:70] - plain[50:70, 60:70]).mean() < 3
    assert np.abs(image[50:70, 90:100] - plain[50:70, 90:100]).mean() > 8
    paintwork = paint(0.4, 0.4, 0.4)
    dark: UInt8Array = np.full((32, 32, 3), 255, dtype=np.uint8)
    dark[:, 16:, 0] = 0
    image, plain = dented(dataclasses.replace(paintwork, orm=dark)), dented(paintwork)
    assert image[50:70, 90:100].mean() < plain[50:70, 90:100].mean() - 5


@needs_filament
def test_polished_metal_mirrors_a_room_that_comes_from_the_look() -> None:
    from graspnext.world.parts.shapes import ellipsoid

    ball = ellipsoid((0.15, 0.15, 0.15), rows=24, columns=40)
    mesh = Mesh(ball.vertices.astype(np.float32), ball.faces, ball.uv.astype(np.float32))
    mirror = make_part("a", "ball", mesh, physics=Physics(0.1), material=Material((0.9, 0.9, 0.9), 0.05, 1.0))
    looks = [Look((), (1.0, 1.0, 1.0), lux, 1.0) for lux in (20e3, 20e3, 21e3)]
    with open_renderer("filament") as renderer:
        images = [
            renderer.render(scene_of([mirror], [pose(0, 0, 0)], (overhead(),), look), 0)[40:80, 60:100].astype(float)
            for look in looks
        ]
    assert images[0].std() > 15  # not one flat grey
    assert np.abs(images[0] - images[1]).max() <= 2 < np.abs(images[0] - images[2]).max()


@needs_filament
def test_filament_brightness_is_as_documented() -> None:
    from graspnext.world.scene import WHITE_LUX

    camera, white = overhead(), (1.0, 1.0, 1.0)
    sources = {
        "sky": lambda lux: Look((), white, lux, 1.0),
        "sun": lambda lux: Look((Light("directional", (0, 0, 2), (0, 0, -1), white, lux),), white, 0.0, 1.0),
        "lamp": lambda lux: Look((Light("point", (0, 0, 2.05), (0, 0, -1), white, 4 * lux),), white, 0.0, 1.0),
        "exposure": lambda lux: Look((), white, lux / 2, 2.0),
    }
    with open_renderer("filament") as renderer:
        for name, look in sources.items():
            for albedo, lux in ((0.3, 30e3), (0.5, 30e3), (0.5, 45e3), (0.8, 40e3)):
                part = box_part("a", (1.5, 1.5, 0.1), Material((albedo,) * 3, 1.0, 0.0))
                image = renderer.render(scene_of([part], [pose(0, 0, 0)], (camera,), look(lux)), 0)
                value = image[58:62, 78:82].mean() / 255
                linear = ((value + 0.055) / 1.055) ** 2.4
                expected = albedo * lux / WHITE_LUX
                assert abs(linear - expected) < 0.04 + 0.06 * expected, (name, albedo, lux, linear, expected)


@needs_filament
def test_beyond_the_ground_filament_shows_the_sky() -> None:
    part = box_part("a", (0.3, 0.3, 0.1), paint(0.5, 0.5, 0.5))
    look = Look((), (1.0, 0.5, 0.25), 30e3, 1.0)
    scene = scene_of([part], [pose(0, 0, 0)], (overhead(),), look)
    with open_renderer("filament") as renderer:
        corner = renderer.render(dataclasses.replace(scene, floor=Floor(-0.5, 0.2, BLACK)), 0)[3, 3] / 255
    linear = ((corner + 0.055) / 1.055) ** 2.4
    assert np.allclose(linear, np.array([1.0, 0.5, 0.25]) * 30e3 / 60e3, atol=0.06)


def test_smooth_and_sharp_normals() -> None:
    import trimesh

    ball = trimesh.creation.icosphere(3, radius=0.1)
    smooth = build_surface(Mesh(ball.vertices.astype(np.float32), ball.faces.astype(np.int32)))
    radial = smooth.positions / np.linalg.norm(smooth.positions, axis=1, keepdims=True)
    assert (np.sum(smooth.normals * radial, axis=1) > 0.999).all()
    assert len(smooth.positions) < 1.3 * len(ball.vertices)  # nothing split but where projections change
    box = trimesh.creation.box((0.2, 0.1, 0.3))
    sharp = build_surface(Mesh(box.vertices.astype(np.float32), box.faces.astype(np.int32)))
    assert len(sharp.positions) == 24
    assert np.allclose(np.sort(np.abs(sharp.normals), axis=1), [0, 0, 1], atol=1e-5)
    for face in sharp.faces:  # faces keep their winding
        a, b, c = sharp.positions[face].astype(float)
        assert np.dot(np.cross(b - a, c - a), sharp.normals[face[0]]) > 0


def test_unknown_renderer() -> None:
    with pytest.raises(UnknownNameError, match="renderer 'blender'; choose one of: classic, filament, filament-cpu"):
        open_renderer("blender")


def test_the_default_is_the_best_that_works() -> None:
    working = [name for name in RENDERERS if PROBLEMS[name] is None]
    if not working:
        with pytest.raises(MissingDependencyError):
            open_renderer()
        return
    with open_renderer() as renderer:
        assert renderer.name in working[:3]
        assert renderer.device


def test_missing_driver_is_named_not_crashed_on() -> None:
    code = "from graspnext.world.render.renderer import renderer_problems as p; print(p()['filament'])"
    env = os.environ | {"VK_ICD_FILENAMES": "/nonexistent", "VK_DRIVER_FILES": "/nonexistent"}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert "apt-get install libvulkan1 mesa-vulkan-drivers" in result.stdout
