import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from graspnext.geometry import cameras
from graspnext.types import Camera
from graspnext.world.labels.rays import Tracer
from graspnext.world.labels.silhouettes import cast, compose, surroundings
from graspnext.world.labels.surface import PartSurface


def inside_hull(pixels: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres inside the convex hull of `pixels`, and those too close to its outline to say."""
    from scipy.spatial import ConvexHull

    lines = ConvexHull(pixels).equations  # a u + b v + c <= 0 inside
    v, u = np.mgrid[:height, :width] + 0.5
    worst = (lines[:, 0, None, None] * u + lines[:, 1, None, None] * v + lines[:, 2, None, None]).max(axis=0)
    return worst < 0, np.abs(worst) < 1e-3


def full_mask(item, camera: Camera) -> np.ndarray:
    mask = np.zeros((camera.height, camera.width), dtype=bool)
    if item is not None:
        mask[item.rows, item.columns] = item.face >= 0
    return mask


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), x=st.floats(-0.2, 0.2), y=st.floats(-0.2, 0.2), z=st.floats(0.25, 0.8))
def test_convex_parts_fill_the_hull_of_their_vertices(shop, seed: int, x: float, y: float, z: float) -> None:
    rng = np.random.default_rng(seed)
    solid = trimesh.creation.box(extents=rng.uniform(0.02, 0.12, 3))
    T = shop.pose((x, y, z), rng.normal(size=3), rng.uniform(0, 6))
    camera = Camera(90, 70, 110.0, 95.0, 43.0, 37.0)
    mask = full_mask(cast(3, PartSurface(shop.part(solid)), T, camera, cameras.rays(camera)), camera)
    points = solid.vertices @ T[:3, :3].T + T[:3, 3]
    pixels = np.stack([110 * points[:, 0] / points[:, 2] + 43, 95 * points[:, 1] / points[:, 2] + 37], axis=1)
    expected, unsure = inside_hull(pixels, 90, 70)
    assert (mask == expected)[~unsure].all()


def test_sphere_has_its_closed_form_disc_and_depth(shop) -> None:
    radius, distance, focal = 0.06, 0.5, 400.0
    camera = Camera(160, 160, focal, focal, 80.0, 80.0)
    surface = PartSurface(shop.part(trimesh.creation.icosphere(subdivisions=5, radius=radius)))
    item = cast(0, surface, shop.pose((0, 0, distance)), camera, cameras.rays(camera))
    area = np.pi * (focal * radius) ** 2 / (distance**2 - radius**2)
    assert full_mask(item, camera).sum() == pytest.approx(area, rel=0.01)
    v, u = (np.mgrid[:160, :160] + 0.5 - 80) / focal
    a, b = 1 + u**2 + v**2, distance
    with np.errstate(invalid="ignore"):
        depth = (b - np.sqrt(b**2 - a * (distance**2 - radius**2))) / a  # ray t (u, v, 1) meets the sphere
    depth = depth[item.rows, item.columns]
    both = np.isfinite(depth) & (item.face >= 0)
    assert both.sum() > 0.95 * area
    assert np.median(np.abs(item.depth_m - depth)[both]) < 3e-5
    assert np.isinf(item.depth_m[item.face < 0]).all()


def test_what_is_outside_or_behind_has_no_silhouette(shop) -> None:
    camera = Camera(64, 64, 80.0, 80.0, 32.0, 32.0)
    surface, rays = PartSurface(shop.box(0.05, 0.05, 0.05)), cameras.rays(camera)
    assert cast(0, surface, shop.pose((0, 0, -0.5)), camera, rays) is None
    assert cast(0, surface, shop.pose((1.5, 0, 0.5)), camera, rays) is None


def test_a_part_that_reaches_behind_the_camera_is_still_seen(shop) -> None:
    camera = Camera(64, 64, 80.0, 80.0, 32.0, 32.0)
    rod = shop.box(0.02, 0.02, 1.0)  # from z = -0.4 to 0.6, 10 cm under the axis
    item = cast(0, PartSurface(rod), shop.pose((0, 0.1, 0.1)), camera, cameras.rays(camera))
    mask = full_mask(item, camera)
    v, u = np.mgrid[:64, :64] + 0.5
    across, down = (u - 32) / 80, (v - 32) / 80
    # The top face is the plane y = 0.09: met at z = 0.09 / down, where |x| <= 0.01 and z <= 0.6.
    with np.errstate(divide="ignore"):
        z = 0.09 / down
    top = (down > 0) & (z <= 0.6) & (np.abs(across * z) <= 0.01)
    assert top.sum() > 50
    assert mask[top].all()


def test_surroundings_on_a_plane_have_its_depth(shop) -> None:
    camera = shop.above(1.0)
    scene = shop.scene([], [camera], shop.tote(0.3, 0.2, 0.1))
    tracer = Tracer(scene.container.mesh.vertices, scene.container.mesh.faces)
    depth = surroundings(tracer, scene.floor, camera, cameras.rays(camera))
    v, u = np.mgrid[:160, :200] + 0.5
    x, y = (u - 100) / 200, (80 - v) / 200  # at depth 1: world coordinates at z = 0
    free = (np.abs(x) < 0.15) & (np.abs(y) < 0.1)
    near_wall = (np.abs(x) > 0.9 * 0.15) | (np.abs(y) > 0.9 * 0.1)  # the upper rim looks closer to the middle
    np.testing.assert_allclose(depth[free & ~near_wall], 1.0, atol=1e-6)
    rim = (np.abs(x * 0.9) > 0.151) & (np.abs(x * 0.9) < 0.159) & (np.abs(y) < 0.09)
    np.testing.assert_allclose(depth[rim], 0.9, atol=1e-6)
    outside = (np.abs(x * 0.9) > 0.2) & (np.abs(x) > 0.2)
    np.testing.assert_allclose(depth[outside], 1.5, atol=1e-6)


def test_at_equal_depth_the_part_and_the_first_part_win(shop) -> None:
    camera = shop.above(1.0)
    rays, surface = cameras.rays(camera), PartSurface(shop.box(0.1, 0.1, 0.1))
    T = np.linalg.inv(camera.T_world_camera) @ shop.pose((0, 0, 0.05))
    twins = [cast(k, surface, T, camera, rays) for k in (4, 7)]
    seen = compose(twins, np.full((160, 200), np.float32(0.9)))
    assert set(np.unique(seen.ids)) == {0, 5}
    assert (seen.ids == 5).sum() == (0.1 / 0.9 * 200 // 1) ** 2  # 22 px a side
