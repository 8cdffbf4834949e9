from dataclasses import replace

import numpy as np
import pytest
import trimesh

from graspnext.world.cup import CupConfig
from graspnext.world.labels.collision import SceneSolid
from graspnext.world.labels.suction import SuctionScorer

CUP = CupConfig(radius_m=0.015, compliance_m=0.003, tool_radius_m=0.02)


def score(shop, placed, point, normal=(0, 0, 1), *, placement: int = 0, cup: CupConfig = CUP, container=None) -> float:
    """The score at a point given in the world frame."""
    scene = shop.scene(placed, container=container)
    T = scene.placements[placement].T_world_part
    local, n = (np.array(point) - T[:3, 3]) @ T[:3, :3], np.array(normal, float) @ T[:3, :3]
    part = scene.parts[scene.placements[placement].part]
    scorer = SuctionScorer(scene, cup, SceneSolid(scene))
    return float(scorer.at(placement, local[None], shop.faces_at(part, local, n))[0])


def test_a_light_box_is_good_in_the_middle_and_bad_at_the_edge(shop) -> None:
    placed = [(shop.box(0.1, 0.1, 0.04), shop.pose((0.1, -0.05, 0.02), (0, 0, 1), 0.4))]
    assert score(shop, placed, (0.1, -0.05, 0.04)) == pytest.approx(1, abs=1e-3)
    side = np.array([np.cos(0.4), np.sin(0.4), 0]) * 0.045
    assert score(shop, placed, np.array([0.1, -0.05, 0.04]) + side) == 0


def test_the_score_is_the_product_of_seal_and_wrench(shop) -> None:
    part = shop.box(0.3, 0.1, 0.04, mass=1.5, porosity=0.2)
    weight, force = 1.5 * 9.81, 60e3 * np.pi * 0.015**2
    wrench = (force - weight) * 0.015 / (2 * weight * 0.05)
    found = score(shop, [(part, shop.pose((0, 0, 0.02)))], (0.05, 0, 0.04))
    assert wrench < 0.9
    assert found == pytest.approx(0.8 * wrench, rel=1e-5)


def test_a_taller_neighbour_and_a_wall_spoil_what_was_good(shop) -> None:
    low, high = shop.box(0.1, 0.1, 0.04), shop.box(0.1, 0.1, 0.09)
    own = (low, shop.pose((0, 0, 0.02)))
    point = (0.033, 0, 0.04)
    assert score(shop, [own], point) == pytest.approx(1, abs=0.05)
    assert score(shop, [own, (high, shop.pose((0.1, 0, 0.045)))], point) == 0
    assert score(shop, [own], point, container=shop.tote(0.1, 0.3, 0.2)) == 0


def test_only_what_faces_up_within_the_cone_counts(shop) -> None:
    placed = [(shop.box(0.1, 0.1, 0.1), shop.pose((0, 0, 0.5), (0, 1, 0), 0.6))]  # high over the table
    normal = np.array([np.sin(0.6), 0, np.cos(0.6)])
    point = np.array([0, 0, 0.5]) + 0.05 * normal
    assert score(shop, placed, point, normal) > 0.9
    assert score(shop, placed, point, normal, cup=replace(CUP, approach_cone_rad=0.55)) == 0
    down = np.array([-np.sin(0.6), 0, -np.cos(0.6)])
    assert score(shop, placed, np.array([0, 0, 0.5]) + 0.05 * down, down) == 0


def test_the_two_sides_of_a_sheet_do_not_mix(shop) -> None:
    sheet = shop.box(0.1, 0.1, 0.0005)
    placed = [(sheet, shop.pose((0, 0, 0.3)))]
    assert score(shop, placed, (0, 0, 0.30025)) == pytest.approx(1, abs=1e-3)
    assert score(shop, placed, (0, 0, 0.29975), (0, 0, -1)) == 0


def test_scores_are_the_same_every_time(shop) -> None:
    points = np.random.default_rng(1).normal(size=(50, 3))
    normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    runs = []
    for _ in range(2):
        solid = trimesh.creation.icosphere(subdivisions=3, radius=0.05)  # a new part: nothing kept from the last run
        part = shop.part(solid)
        scene = shop.scene([(part, shop.pose((0, 0, 0.05)))])
        faces = shop.faces_at(part, 0.05 * normals, normals)
        runs.append(SuctionScorer(scene, CUP, SceneSolid(scene)).at(0, 0.05 * normals, faces))
    assert runs[0].tobytes() == runs[1].tobytes()
    assert runs[0].max() > 0.1
    assert runs[0].min() >= 0


def test_another_cup_has_other_scores(shop) -> None:
    placed = [(shop.box(0.05, 0.05, 0.04), shop.pose((0, 0, 0.02)))]
    assert score(shop, placed, (0, 0, 0.04)) == pytest.approx(1, abs=1e-3)
    assert score(shop, placed, (0, 0, 0.04), cup=replace(CUP, radius_m=0.03)) == 0
    assert score(shop, placed, (0, 0, 0.04)) == pytest.approx(1, abs=1e-3)
