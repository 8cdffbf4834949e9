"""What follows from masks, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.foreign.metagraspnet_files import Pile, small_pile

from graspnext.data.foreign.instances import MaskPair, coverage, instance_ids, pixels_beyond, to_instances


def pairs_of(pile: Pile) -> list[MaskPair]:
    return [
        MaskPair(n, f"p{n}", "f", amodal, visible)
        for n, (amodal, visible) in enumerate(zip(pile.amodal, pile.visible, strict=True), start=1)
    ]


@pytest.mark.parametrize("distance", [0, 1, 3])
def test_pixels_beyond(distance: int) -> None:
    rng = np.random.default_rng(distance)
    for _ in range(20):
        amodal, visible = rng.random((17, 23)) < 0.03, rng.random((17, 23)) < 0.2
        near = [
            amodal[max(0, r - distance) : r + distance + 1, max(0, c - distance) : c + distance + 1].any()
            for r, c in np.argwhere(visible)
        ]
        assert pixels_beyond(visible, amodal, distance) == near.count(False)


def test_coverage_counts_hidden_pixels_under_what_is_seen() -> None:
    pile = small_pile()
    shares = coverage(pairs_of(pile))
    for i in range(4):
        for j in range(4):
            hidden = (pile.amodal[i] & ~pile.visible[i] & pile.visible[j]).sum()
            wanted = hidden / pile.amodal[i].sum() if hidden >= 8 and i != j else 0
            assert shares[i, j] == pytest.approx(wanted)


def test_instances_and_ids() -> None:
    pile = small_pile()
    center = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    instances = to_instances(
        pairs_of(pile), centers={2: center}, poses={3: np.eye(4)}, layer_of={4: 7}, min_visible_px=900
    )
    np.testing.assert_array_equal(instance_ids(pairs_of(pile), (120, 120)), pile.ids)
    assert [one.layer for one in instances] == [2, 1, 0, 7]
    assert [one.ignore for one in instances] == [bool(mask.sum() < 900) for mask in pile.visible]
    assert (instances[1].center_of_mass == center).all() and np.isnan(instances[0].center_of_mass).all()
    assert (instances[2].T_camera_part == np.eye(4)).all() and np.isnan(instances[0].T_camera_part).all()
    assert to_instances([], centers={}, poses={}, layer_of={}, min_visible_px=1) == ()
