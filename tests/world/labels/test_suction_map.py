"""The dense suction map against closed forms and rasterised shapes, and against the physics at every single pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from graspnext.geometry import cameras, rotations
from graspnext.types import Camera
from graspnext.world.cup import CupConfig
from graspnext.world.labels.collision import SceneSolid, tool_is_free
from graspnext.world.labels.seal import seal_scores
from graspnext.world.labels.surface import part_surface
from graspnext.world.labels.view import SceneLabeller
from graspnext.world.labels.wrench import wrench_scores

CUP = CupConfig(radius_m=0.01, compliance_m=0.003, tool_radius_m=0.012)
TALL = 0.4
"""Height of the surface looked at, so that no tool at any angle meets the table."""


def flat_map(shop, part, cup: CupConfig = CUP, size: int = 320, span: float = 0.16, lift: float = 0.0):
    """Map over the top of a part whose top is the plane z = TALL, 0.5 mm a pixel; its x and y (H, W) metres."""
    camera = shop.above(TALL + 0.5, (size, size), size * 0.5 / span)
    placed = [(part, shop.pose((0, 0, TALL + lift - part.mesh.vertices[:, 2].max())))]
    labels = SceneLabeller(shop.scene(placed, [camera]), cup, 1).label(0)
    v, u = (np.mgrid[:size, :size] + 0.5 - size / 2) * (span / size)
    return labels.suction, u, -v


def same_but_at_edges(found: np.ndarray, expected: np.ndarray, margin: np.ndarray, slack: float = 0.001) -> None:
    """Equal wherever the edge of what can be sealed is farther than `slack` metres."""
    sure = np.abs(margin) > slack
    np.testing.assert_allclose(found[sure], expected[sure], atol=2e-3)
    assert sure.mean() > 0.75


@settings(max_examples=10, deadline=None)
@given(
    radius=st.floats(0.005, 0.02),
    holes=st.lists(st.tuples(st.floats(-0.05, 0.05), st.floats(-0.05, 0.05), st.floats(0.003, 0.01)), max_size=3),
)
def test_a_plate_with_holes_scores_where_the_cup_covers_plate_alone(shop, radius: float, holes: list) -> None:
    half = (0.07, 0.06)
    solid = trimesh.creation.box(extents=(0.14, 0.12, 0.01))
    for x, y, r in holes:
        drill = trimesh.creation.cylinder(radius=r, height=0.1, sections=64, transform=shop.pose((x, y, 0)))
        solid = trimesh.boolean.difference([solid, drill], engine="manifold")
    part = shop.part(solid, mass=0.001)  # light: the wrench is 1
    found, x, y = flat_map(shop, part, CupConfig(radius_m=radius, compliance_m=0.003, tool_radius_m=0.012))
    margin = np.minimum(half[0] - np.abs(x), half[1] - np.abs(y)) - radius  # how far the lip is from the edge
    for hx, hy, r in holes:
        margin = np.minimum(margin, np.hypot(x - hx, y - hy) - r - radius)
    # A lip that just reaches over an edge does so between two of its 36 rays, r (1 - cos 5 degrees) deep at most.
    same_but_at_edges(found, (margin > 0).astype(float), margin, 0.0012 + 0.004 * radius)


@pytest.mark.parametrize(
    ("outer", "inner", "expected"), [(0.05, 0.004, True), (0.03, 0.012, False), (0.05, 0.02, True)]
)
def test_washers_score_on_their_ring_if_it_is_wide_enough(shop, outer: float, inner: float, expected: bool) -> None:
    washer = shop.part(trimesh.creation.annulus(r_min=inner, r_max=outer, height=0.004, sections=128), mass=0.001)
    found, x, y = flat_map(shop, washer)
    distance = np.hypot(x, y)
    margin = np.minimum(outer - distance, distance - inner) - CUP.radius_m
    assert (margin > 0).any() == expected
    same_but_at_edges(found, (margin > 0).astype(float), margin, 0.0013)


@pytest.mark.parametrize("kind", ["sphere", "cylinder"])
@pytest.mark.parametrize("radius", [0.025, 0.04, 0.07, 0.12])
def test_round_parts_score_by_their_sagitta_within_the_cone(shop, kind: str, radius: float) -> None:
    cup = replace(CUP, approach_cone_rad=0.5)
    if kind == "sphere":
        solid = trimesh.creation.icosphere(subdivisions=5, radius=radius)
    else:
        turn = shop.pose((0, 0, 0), (0, 1, 0), np.pi / 2)
        solid = trimesh.creation.cylinder(radius=radius, height=0.3, sections=180, transform=turn)
    found, x, y = flat_map(shop, shop.part(solid, mass=0.001), cup)
    # The true place seen is found from the depth's closed form: the ray's meeting with the round surface.
    rays = np.stack([x / 0.5, y / 0.5, -np.ones_like(x)], axis=-1)
    eye = np.array([0, 0, 0.5 + radius])
    keep = np.ones(3) if kind == "sphere" else np.array([0, 1.0, 1.0])
    a, b = (keep * rays**2).sum(-1), (keep * rays * eye).sum(-1)
    with np.errstate(invalid="ignore"):
        t = (-b - np.sqrt(b**2 - a * ((keep * eye**2).sum() - radius**2))) / a
    normal = keep * (eye + t[..., None] * rays) / radius
    tilt = np.arccos(np.clip(normal[..., 2], -1, 1))
    expected = max(0.0, 1 - (radius - np.sqrt(radius**2 - cup.radius_m**2)) / cup.compliance_m)
    inside = np.isfinite(t) & (tilt < 0.5 - 0.02) & (np.abs(x) < 0.06)
    outside = ~np.isfinite(t) | (tilt > 0.5 + 0.02)
    assert np.abs(found[inside] - expected).max() < 0.05
    assert np.abs(found[inside] - expected).mean() < 0.02
    assert (found[outside] == 0).all()


@pytest.mark.parametrize("cone", [0.2, 0.65, 1.0, 1.4])
def test_the_cone_is_exact_at_each_pixel(shop, cone: float) -> None:
    # A fan of plates, each tilted by 0.15 more than the last.
    placed = []
    for k in range(8):
        placed.append(
            (shop.box(0.05, 0.08, 0.004, mass=0.001), shop.pose((k * 0.2 - 0.7, 0, 0.6), (0, 1, 0), 0.15 * k))
        )
    scene = shop.scene(placed, [shop.above(2.0, (800, 100), 400.0)])
    cup = replace(CUP, approach_cone_rad=cone, friction=5.0)
    labels = SceneLabeller(scene, cup, 1).label(0)
    for k in range(8):
        best = labels.suction[labels.instance_ids == k + 1].max(initial=0.0)
        assert (best > 0.9) == (0.15 * k < cone), k


def test_only_faces_that_may_be_sucked_score(shop) -> None:
    solid = trimesh.creation.box(extents=(0.14, 0.12, 0.01)).subdivide().subdivide().subdivide()
    part = shop.part(solid, mass=0.001)
    may = part.mesh.vertices[part.mesh.faces].mean(axis=1)[:, 0] > 0  # the right half
    found, x, y = flat_map(shop, replace(part, suckable=may))
    margin = np.minimum(np.minimum(0.07 - np.abs(x), 0.06 - np.abs(y)), x) - CUP.radius_m  # all of the cup on it
    same_but_at_edges(found, (margin > 0).astype(float), margin, 0.0012)
    nothing, _, _ = flat_map(shop, replace(part, suckable=np.zeros_like(may)))
    assert not nothing.any()


def test_film_seals_and_mesh_leaks_by_its_porosity(shop) -> None:
    for porosity in (0.0, 0.4, 1.0):
        found, _, _ = flat_map(shop, shop.box(0.14, 0.12, 0.01, mass=0.001, porosity=porosity))
        assert found[160, 160] == pytest.approx(1 - porosity, abs=1e-3)


def test_through_transparent_film_the_film_is_what_is_seen(shop) -> None:
    from graspnext.world.scene import Prop

    bag, inner = shop.box(0.14, 0.12, 0.03, mass=0.001), shop.box(0.02, 0.02, 0.02)
    filled = replace(bag, inside=(Prop(inner.mesh, inner.material),))
    np.testing.assert_array_equal(flat_map(shop, filled)[0], flat_map(shop, bag)[0])


def test_what_is_beyond_the_payload_or_the_vacuum_cannot_be_lifted(shop) -> None:
    part = shop.box(0.14, 0.12, 0.02, mass=1.0)
    force = CUP.vacuum_pa * np.pi * CUP.radius_m**2
    assert flat_map(shop, part)[0][160, 160] == pytest.approx(force / (2 * 9.81), rel=1e-3)
    assert flat_map(shop, part, replace(CUP, payload_kg=1.0))[0].max() > 0.5
    assert not flat_map(shop, part, replace(CUP, payload_kg=0.99))[0].any()
    assert not flat_map(shop, shop.box(0.14, 0.12, 0.02, mass=2.0))[0].any()  # 19.6 N against 18.8 N


@pytest.mark.parametrize("vacuum", [10e3, 25e3, 40e3, 80e3])
@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_the_map_over_a_plate_is_the_wrenchs_closed_form(shop, vacuum: float, tilt: float) -> None:
    mass, r, mu = 0.25, 0.01, 0.5
    cup = replace(CUP, vacuum_pa=vacuum, friction=mu)
    part = shop.box(0.16, 0.1, 0.02, mass=mass)
    T = shop.pose((0, 0, TALL), (0, 1, 0), tilt)  # turned about y: downhill is +x of the plate
    camera = shop.above(TALL + 0.5, (320, 320), 900.0)
    scene = shop.scene([(part, T)], [camera])
    labels = SceneLabeller(scene, cup, 1).label(0)
    rows, columns = np.mgrid[40:280:12, 40:280:12].reshape(2, -1)
    depth = labels.depth_m[rows, columns].astype(float)
    world = np.stack(
        [(columns + 0.5 - 160) / 900 * depth, -(rows + 0.5 - 160) / 900 * depth, TALL + 0.5 - depth], axis=1
    )
    p, q, height = ((world - T[:3, 3]) @ T[:3, :3]).T
    on = (np.abs(height - 0.01) < 1e-4) & (np.abs(p) < 0.08 - r - 0.001) & (np.abs(q) < 0.05 - r - 0.001)
    assert on.sum() > 40
    W, F = mass * 9.81, vacuum * np.pi * r**2
    # In the plate's frame gravity is W (sin t, 0, -cos t) at the centre of mass, 10 mm under the face at (0, 0).
    down = np.array([np.sin(tilt), 0, -np.cos(tilt)]) * W
    lever = np.stack([-p, -q, np.full_like(p, -0.01)], axis=1)
    moment = np.cross(lever, down)
    press = max(0.0, F - W * np.cos(tilt))
    with np.errstate(divide="ignore"):
        ratios = [
            np.full_like(p, F / (W * np.cos(tilt))),
            mu * press / np.hypot(W * np.sin(tilt), moment[:, 2] / r),
            press * r / np.hypot(moment[:, 0], moment[:, 1]),
        ]
    expected = np.clip(np.min(ratios, axis=0) / cup.safety_factor, 0, 1) * (press > 0)
    np.testing.assert_allclose(labels.suction[rows, columns][on], expected[on], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("step", [0.0, 0.02, 0.08])
def test_a_neighbour_higher_by_h_keeps_the_tool_away(shop, step: float) -> None:
    low, high = shop.box(0.1, 0.1, 0.1, mass=0.001), shop.box(0.1, 0.1, 0.1 + step, mass=0.001)
    placed = [(low, shop.pose((-0.05, 0, 0.05))), (high, shop.pose((0.0501, 0, 0.05 + step / 2)))]
    labels = SceneLabeller(shop.scene(placed, [shop.above(0.6, (240, 240), 600.0)]), CUP, 1).label(0)
    seen = (labels.instance_ids == 1) & (np.abs(labels.depth_m - 0.5) < 1e-4)
    v, u = np.nonzero(seen & (np.abs(np.mgrid[:240, :240][0] - 120) < 30))
    x = (u + 0.5 - 120) / 600 * 0.5
    margin = np.minimum(0.1 + x, -x) - CUP.radius_m
    if step >= CUP.radius_m:  # the body begins one cup radius above the surface
        margin = np.minimum(margin, -x - CUP.tool_radius_m)
    same_but_at_edges(labels.suction[v, u], (margin > 0).astype(float), margin, 0.0013)


@pytest.mark.parametrize("wall", [0.045, 0.3])
def test_walls_keep_the_tool_away_as_far_as_its_body_is_wide(shop, wall: float) -> None:
    part = shop.box(0.199, 0.199, 0.04, mass=0.001)
    scene = shop.scene(
        [(part, shop.pose((0, 0, 0.02)))], [shop.above(0.54, (300, 300), 500.0)], shop.tote(0.2, 0.2, wall)
    )
    cup = CupConfig(
        radius_m=0.01, compliance_m=0.003, tool_radius_m=0.02, tool_length_m=0.1, upper_body=((0.045, 0.05),)
    )
    found = SceneLabeller(scene, cup, 1).label(0).suction
    v, u = (np.mgrid[:300, :300] + 0.5 - 150) / 500 * 0.5
    # Walls of 45 mm end below the body; those of 300 mm reach past the flange.
    reach = 0.045 if wall == 0.3 else 0.01
    edge = 0.1 if wall == 0.3 else 0.0995
    margin = edge - np.maximum(np.abs(u), np.abs(v)) - reach
    assert (found > 0.5).any()
    same_but_at_edges(found, (margin > 0).astype(float), margin, 0.0045 if wall == 0.3 else 0.0013)


def heap(shop, seed: int, views: int = 3, size: int = 240):
    rng = np.random.default_rng(seed)
    parts = [
        shop.part(trimesh.creation.box(extents=(0.09, 0.07, 0.05)), name="box"),
        shop.part(trimesh.creation.cylinder(radius=0.035, height=0.1, sections=48), name="can"),
        shop.part(trimesh.creation.annulus(r_min=0.012, r_max=0.05, height=0.02, sections=48), name="ring"),
        shop.part(trimesh.creation.icosphere(subdivisions=3, radius=0.05), name="ball"),
        shop.part(trimesh.creation.capsule(radius=0.025, height=0.06, count=[24, 24]), name="pill"),
    ]
    placed = []
    for k in range(10):
        angle = rng.uniform(0, 6) if k % 2 else np.pi / 2 * rng.integers(4)
        axis = rng.normal(size=3) if k % 2 else np.eye(3)[rng.integers(3)]
        placed.append((parts[k % 5], shop.pose((*rng.uniform(-0.16, 0.16, 2), 0.05 + 0.012 * k), axis, angle)))
    eyes = [np.array([0.02, 0.01, 0.7]), np.array([0.4, 0.2, 0.55]), np.array([-0.3, 0.35, 0.6])][:views]
    shots = [
        Camera(size, size, size * 1.3, size * 1.3, size / 2, size / 2, cameras.look_at(e, np.zeros(3))) for e in eyes
    ]
    return shop.scene(placed, shots, shop.tote(0.46, 0.46, 0.15))


def at_every_pixel(scene, view: int, labels, cup: CupConfig) -> np.ndarray:
    """Seal, wrench and collision worked out for each pixel of a part by itself: slow."""
    camera, solid = scene.cameras[view], SceneSolid(scene)
    result = np.zeros(labels.suction.shape)
    for item in labels.instances:
        rows, columns = np.nonzero(item.visible_mask)
        placement = scene.placements[item.id - 1]
        part = scene.parts[placement.part]
        surface, T = part_surface(part), placement.T_world_part
        T_part_camera = rotations.inverse(T) @ camera.T_world_camera
        directions = cameras.rays(camera)[rows, columns] @ T_part_camera[:3, :3].T
        hits = surface.tracer.hits(T_part_camera[:3, 3], directions)
        points = T_part_camera[:3, 3] + directions * hits.distance[:, None].astype(float)
        normals = surface.normals_at(points, hits.face)
        world, up = rotations.transform(T, points), normals @ T[:3, :3].T
        scores = wrench_scores(part, T, world, up, cup) * (up[:, 2] >= np.cos(cup.approach_cone_rad))
        scores *= tool_is_free(solid, np.full(len(rows), item.id - 1), world, up, cup)
        index = np.flatnonzero(scores)
        scores[index] *= seal_scores(surface, points[index], normals[index], cup)
        result[rows, columns] = scores
    return result


@pytest.mark.parametrize("seed", [1, 2])
def test_the_map_is_close_to_the_physics_at_every_pixel(shop, seed: int) -> None:
    scene = heap(shop, seed, views=2)
    labeller = SceneLabeller(scene, CUP, 1)
    errors = []
    for view in range(2):
        labels = labeller.label(view)
        expected = at_every_pixel(scene, view, labels, CUP)
        errors.append(np.abs(labels.suction - expected)[labels.instance_ids > 0])
        assert (expected > 0.2).sum() > 500
    error = np.concatenate(errors)
    assert error.mean() < 0.01
    assert np.quantile(error, 0.95) < 0.05
    assert (error > 0.25).mean() < 0.01


def test_the_far_leg_of_a_bend_has_its_scores_too(shop) -> None:
    # Along the part's own axes the near leg hides the far one; along the far one's normals nothing is in the way.
    legs = [
        trimesh.creation.cylinder(radius=0.035, height=0.2, sections=64, transform=shop.pose((x, y, 0)))
        for x, y in ((0.08, 0.004), (-0.08, -0.004))
    ]
    bridge = trimesh.creation.box(extents=(0.18, 0.03, 0.02), transform=shop.pose((0, 0, -0.09)))
    part = shop.part(trimesh.boolean.union([*legs, bridge], engine="manifold"), mass=0.01)
    lying = shop.pose((0, 0, 0.3), (1, 0, 0), np.pi / 2) @ shop.pose((0, 0, 0), (0, 0, 1), 0.6)
    scene = shop.scene([(part, lying)], [shop.above(0.8, (300, 300), 450.0)])
    labels = SceneLabeller(scene, CUP, 1).label(0)
    expected = at_every_pixel(scene, 0, labels, CUP)
    error = np.abs(labels.suction - expected)[labels.instance_ids > 0]
    assert (expected > 0.2).sum() > 1000
    assert (error > 0.2).mean() < 0.02  # without what is behind: 0.07


def test_a_view_does_not_depend_on_the_others_nor_on_what_was_labelled_before(shop) -> None:
    whole = heap(shop, 3)
    labeller = SceneLabeller(whole, CUP, 1)
    expected = [labeller.label(view).suction for view in (2, 0, 1)]
    for view, suction in zip((2, 0, 1), expected, strict=True):
        fresh = heap(shop, 3)  # new parts: nothing is kept
        alone = replace(fresh, cameras=(fresh.cameras[view],))
        np.testing.assert_array_equal(SceneLabeller(alone, CUP, 1).label(0).suction, suction)
    # The same parts in another scene first: what is kept of them must not change anything.
    fresh = heap(shop, 3)
    other = replace(fresh, placements=fresh.placements[::-1][:5])
    SceneLabeller(other, CUP, 1).label(0)
    np.testing.assert_array_equal(SceneLabeller(fresh, CUP, 1).label(2).suction, expected[0])


def test_further_cups_have_maps_of_their_own(shop) -> None:
    scene = heap(shop, 4, views=1)
    small, large = replace(CUP, radius_m=0.006), replace(CUP, radius_m=0.02)
    labels = SceneLabeller(scene, CUP, 1, {"small": small, "large": large}).label(0)
    assert list(labels.more_suction) == ["small", "large"]
    for cup, found in (
        (CUP, labels.suction),
        (small, labels.more_suction["small"]),
        (large, labels.more_suction["large"]),
    ):
        np.testing.assert_array_equal(SceneLabeller(scene, cup, 1).label(0).suction, found)
    assert (
        (labels.more_suction["small"] > 0).sum() > (labels.suction > 0).sum() > (labels.more_suction["large"] > 0).sum()
    )
