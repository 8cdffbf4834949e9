import numpy as np
import pytest
import trimesh

from graspnext.geometry import cameras
from graspnext.types import Camera
from graspnext.world.cup import CupConfig
from graspnext.world.labels.view import SceneLabeller

CUP = CupConfig(radius_m=0.015, compliance_m=0.003, tool_radius_m=0.02)


@pytest.fixture(scope="module")
def heap(shop):
    """A tote of mixed parts, through and over one another, seen from above and from the side."""
    rng = np.random.default_rng(11)
    parts = [
        shop.part(trimesh.creation.box(extents=(0.08, 0.06, 0.05)), name="box"),
        shop.part(trimesh.creation.cylinder(radius=0.03, height=0.08, sections=20), name="can"),
        shop.part(trimesh.creation.annulus(r_min=0.01, r_max=0.04, height=0.02, sections=20), name="ring"),
    ]
    placed = [
        (
            parts[k % 3],
            shop.pose((*rng.uniform(-0.11, 0.11, 2), 0.05 + 0.01 * k), rng.normal(size=3), rng.uniform(0, 6)),
        )
        for k in range(9)
    ]
    aside = Camera(120, 90, 110.0, 115.0, 61.0, 44.0, cameras.look_at(np.array([0.5, -0.3, 0.4]), np.zeros(3)))
    scene = shop.scene(placed, [shop.above(0.7, (120, 90), 150.0), aside], shop.tote(0.3, 0.25, 0.12))
    return scene, [SceneLabeller(scene, CUP, 30).label(view) for view in range(2)]


def world_triangles(scene) -> list[np.ndarray]:
    solids = [scene.container.mesh.vertices.astype(float)[scene.container.mesh.faces]]
    for placement in scene.placements:
        mesh, T = scene.parts[placement.part].mesh, placement.T_world_part
        solids.append((mesh.vertices.astype(float) @ T[:3, :3].T + T[:3, 3])[mesh.faces])
    return solids


@pytest.mark.parametrize("view", [0, 1])
def test_ids_depth_and_masks_are_those_of_brute_force(shop, heap, view: int) -> None:
    scene, labels = heap[0], heap[1][view]
    camera = scene.cameras[view]
    rng = np.random.default_rng(view)
    rows, columns = rng.integers(0, 90, 250), rng.integers(0, 120, 250)
    local = np.stack(
        [(columns + 0.5 - camera.cx) / camera.fx, (rows + 0.5 - camera.cy) / camera.fy, np.ones(250)], axis=1
    )
    directions = local @ camera.T_world_camera[:3, :3].T
    origins = np.tile(camera.T_world_camera[:3, 3], (250, 1))
    depths = np.stack([shop.brute_force(solid, origins, directions) for solid in world_triangles(scene)])  # (10, N)
    nearest = depths.argmin(axis=0)
    known = np.isfinite(depths.min(axis=0))
    agree = labels.instance_ids[rows, columns] == nearest
    assert agree[known].mean() > 0.99  # a ray along an edge may fall either way
    same = known & agree
    np.testing.assert_allclose(labels.depth_m[rows, columns][same], depths.min(axis=0)[same], rtol=1e-4)
    for instance in labels.instances:
        alone = np.isfinite(depths[instance.id])
        assert (instance.amodal_mask[rows, columns] == alone).mean() > 0.99


@pytest.mark.parametrize("view", [0, 1])
def test_labels_hang_together(heap, view: int) -> None:
    labels = heap[1][view]
    assert len(labels.instances) >= 7
    for item in labels.instances:
        assert not (item.visible_mask & ~item.amodal_mask).any()
        np.testing.assert_array_equal(item.visible_mask, labels.instance_ids == item.id)
        assert item.occluded_rate == pytest.approx(1 - item.visible_mask.sum() / item.amodal_mask.sum())
        assert item.occluded == (item.occluded_rate >= 0.05)
        assert item.ignore == (item.visible_mask.sum() < 30)
        x1, y1, x2, y2 = item.amodal_box.astype(int)
        assert item.amodal_mask[y1:y2, x1:x2].sum() == item.amodal_mask.sum()
        assert item.amodal_mask[y1].any()
        assert item.amodal_mask[:, x2 - 1].any()
    assert any(item.occluded for item in labels.instances)
    assert labels.suction.shape == labels.depth_m.shape == (90, 120)
    assert (labels.suction[labels.instance_ids == 0] == 0).all()
    assert labels.suction.min() >= 0
    assert 0.1 < labels.suction.max() <= 1
    assert labels.suction.dtype == labels.depth_m.dtype == np.float32
    assert labels.instance_ids.dtype == np.int32


def test_same_scene_same_bytes(heap) -> None:
    scene, first = heap
    again = SceneLabeller(scene, CUP, 30).label(1)
    for name in ("instance_ids", "depth_m", "suction"):
        assert getattr(again, name).tobytes() == getattr(first[1], name).tobytes()
    for a, b in zip(again.instances, first[1].instances, strict=True):
        assert (a.id, a.layer, a.occluded_rate) == (b.id, b.layer, b.occluded_rate)
        assert a.amodal_mask.tobytes() == b.amodal_mask.tobytes()


def test_a_part_alone_is_not_occluded(shop) -> None:
    scene = shop.scene([(shop.box(0.1, 0.06, 0.04), shop.pose((0.05, 0.02, 0.02)))], [shop.above(1.0)])
    (item,) = SceneLabeller(scene, CUP, 10).label(0).instances
    assert (item.id, item.occluded_rate, item.occluded, item.layer, item.ignore) == (1, 0.0, False, 0, False)
    np.testing.assert_array_equal(item.visible_mask, item.amodal_mask)
    assert item.center_of_mass == pytest.approx([100 + 200 * 0.05 / 0.98, 80 - 200 * 0.02 / 0.98, 0.98], rel=1e-5)
    np.testing.assert_allclose(item.T_camera_part[:3, 3], [0.05, -0.02, 0.98], atol=1e-12)


def test_two_stacked_boxes_from_above_have_the_computed_rate(shop) -> None:
    low, high = shop.box(0.2, 0.2, 0.04), shop.box(0.12, 0.1, 0.04)
    placed = [(low, shop.pose((0, 0, 0.02))), (high, shop.pose((0, 0, 0.06)))]
    labels = SceneLabeller(shop.scene(placed, [shop.above(1.0, (300, 300), 1000.0)]), CUP, 10).label(0)
    under, over = labels.instances
    expected = (0.12 * 0.1 / 0.92**2) / (0.2 * 0.2 / 0.96**2)
    assert under.occluded_rate == pytest.approx(expected, abs=0.01)
    assert (under.layer, over.layer) == (1, 0)
    assert (under.occluded, over.occluded) == (True, False)
    assert over.occluded_rate == 0
    assert labels.depth_m[150, 150] == pytest.approx(0.92, abs=1e-6)
    assert labels.depth_m[150, 60] == pytest.approx(0.96, abs=1e-6)


def test_hidden_parts_stay_and_parts_outside_do_not(shop) -> None:
    small, large = shop.box(0.04, 0.04, 0.04), shop.box(0.2, 0.2, 0.02)
    placed = [
        (small, shop.pose((0, 0, 0.02))),
        (large, shop.pose((0, 0, 0.05))),
        (small, shop.pose((0.9, 0, 0.02))),
    ]
    labels = SceneLabeller(shop.scene(placed, [shop.above(1.0)]), CUP, 10).label(0)
    hidden, _ = labels.instances
    assert (hidden.id, hidden.occluded_rate, hidden.ignore, hidden.layer) == (1, 1.0, True, 1)
    assert not hidden.visible_mask.any()
    assert hidden.visible_box.tolist() == [0, 0, 0, 0]


def test_a_wall_occludes_but_makes_no_layer(shop) -> None:
    scene = shop.scene(
        [(shop.box(0.06, 0.06, 0.06), shop.pose((0.1, 0, 0.03)))],
        [Camera(120, 90, 110.0, 110.0, 60.0, 45.0, cameras.look_at(np.array([0.8, 0, 0.2]), np.array([0.1, 0, 0.05])))],
        shop.tote(0.3, 0.3, 0.06),
    )
    (item,) = SceneLabeller(scene, CUP, 1).label(0).instances
    assert 0.3 < item.occluded_rate < 1
    assert item.layer == 0


def test_a_mask_cut_by_the_image_counts_inside_only(shop) -> None:
    scene = shop.scene([(shop.box(0.2, 0.2, 0.04), shop.pose((0.5, 0, 0.02)))], [shop.above(1.0)])
    (item,) = SceneLabeller(scene, CUP, 1).label(0).instances
    assert item.occluded_rate == 0
    assert item.amodal_box[2] == 200


def test_the_suction_map_shows_the_good_middle_of_a_box(shop) -> None:
    scene = shop.scene([(shop.box(0.1, 0.1, 0.04), shop.pose((0, 0, 0.02)))], [shop.above(0.54, focal=500.0)])
    labels = SceneLabeller(scene, CUP, 1).label(0)  # the top face is 0.5 m away: 1 mm a pixel
    v, u = np.mgrid[:160, :200] + 0.5
    margin = 50 - np.maximum(np.abs(u - 100), np.abs(v - 80))  # px inside the top face's outline
    on_top = np.abs(labels.depth_m - 0.5) < 1e-4
    assert (labels.suction[margin > 22] > 0.95).all()
    assert (labels.suction[on_top & (margin < 8)] == 0).all()
    # In between lies the edge of what the cup can seal: 15 mm inside, to within the samples' spacing.
    assert (labels.suction > 0.5).sum() == pytest.approx(70**2, rel=0.08)
