import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graspnext.world.cup import CupConfig
from graspnext.world.labels.wrench import wrench_scores

CUP = CupConfig(radius_m=0.015, vacuum_pa=60e3, friction=0.5, safety_factor=2.0)
FORCE = 42.41150082  # 60 kPa over a disc of 15 mm


def score(part, point, normal=(0, 0, 1), T=None, cup: CupConfig = CUP) -> float:
    T = np.eye(4) if T is None else T
    return float(wrench_scores(part, T, np.array([point], float), np.array([normal], float), cup)[0])


def test_above_the_center_only_the_weight_counts(shop) -> None:
    assert score(shop.box(0.2, 0.1, 0.04, mass=0.5), (0, 0, 0.02)) == 1
    assert score(shop.box(0.2, 0.1, 0.04, mass=3.0), (0, 0, 0.02)) == pytest.approx(FORCE / (2 * 3 * 9.81), rel=1e-6)


def test_what_is_heavier_than_the_pull_cannot_be_held(shop) -> None:
    assert score(shop.box(0.2, 0.1, 0.04, mass=4.33), (0, 0, 0.02)) == 0
    assert score(shop.box(0.2, 0.1, 0.04, mass=4.31), (0, 0, 0.02)) == pytest.approx(0.5, abs=0.01)


def test_off_center_the_moment_decides(shop) -> None:
    part = shop.box(0.4, 0.1, 0.04, mass=0.8)
    weight = 0.8 * 9.81
    for lever in (0.05, 0.1, 0.2):
        expected = min(1.0, (FORCE - weight) * 0.015 / (2 * weight * lever))
        assert score(part, (lever, 0, 0.02)) == pytest.approx(expected, rel=1e-6)
        assert score(part, (0, -lever, 0.02)) == pytest.approx(expected, rel=1e-6)


def test_on_a_side_friction_shares_weight_and_twist(shop) -> None:
    part = shop.box(0.002, 0.4, 0.1, mass=1.2)  # a standing sheet, picked on its face
    weight = 1.2 * 9.81
    assert score(part, (0.001, 0, 0), (1, 0, 0)) == pytest.approx(0.5 * FORCE / (2 * weight), rel=1e-6)
    twist = weight * 0.05 / 0.015
    expected = 0.5 * FORCE / (2 * np.sqrt(weight**2 + twist**2))
    assert score(part, (0.001, 0.05, 0), (1, 0, 0)) == pytest.approx(expected, rel=1e-6)


def test_the_pose_turns_the_part_not_gravity(shop) -> None:
    part = shop.box(0.4, 0.1, 0.04, mass=0.8)
    T = shop.pose((0.3, 0.2, 0.1), (0, 1, 0), np.pi / 2)  # the long side stands upright
    assert score(part, (0.3, 0.2, 0.1 + 0.2), T=T) == 1
    assert score(part, (0.3 + 0.1, 0.2, 0.3), T=T) < 0.5


@given(st.floats(0.01, 6), st.floats(0, 0.3), st.floats(0, 1.5))
def test_heavier_or_farther_is_never_better(mass: float, lever: float, tilt: float) -> None:
    from dataclasses import replace

    from graspnext.world.scene import Material, Mesh, Part

    empty = Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    look = Material((1, 1, 1), 1, 0)
    part = Part("p", "f", empty, (), mass, np.zeros(3), np.eye(3), 0.5, look)
    normal = (np.sin(tilt), 0, np.cos(tilt))
    base = score(part, (0, lever, 0), normal)
    assert 0 <= base <= 1
    assert score(replace(part, mass_kg=1.5 * mass), (0, lever, 0), normal) <= base + 1e-12
    assert score(part, (0, lever + 0.05, 0), normal) <= base + 1e-12
