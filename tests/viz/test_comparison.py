"""Labels beside prediction: the same height for both, one width for all views, and what is missing is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from graspnext.types import Prediction, UInt8Array, View
from graspnext.viz import labels
from graspnext.viz.comparison import PANEL_PX, comparison
from graspnext.viz.overlay import OCCLUDED


def nothing(height: int, width: int) -> Prediction:
    none = np.zeros((0, 28, 28), dtype=np.float32)
    zeros = np.zeros(0, dtype=np.float32)
    heat = np.zeros((8, 8), dtype=np.float32)
    return Prediction(width, height, zeros, np.zeros((0, 4), np.float32), none, none, zeros, np.zeros((0, 2)), heat)


def share(picture: UInt8Array, colour: tuple[int, int, int]) -> float:
    return float((np.abs(picture.astype(int) - colour).max(axis=-1) <= 40).mean())


@pytest.fixture
def view(tiny_view: Callable[..., View]) -> View:
    return tiny_view("000001", 0, size=96, num_parts=6, rng=np.random.default_rng(3))


def test_the_labels_are_on_the_left_and_only_there(view: View) -> None:
    grey = replace(view, image=np.full_like(view.image, 128))
    picture = comparison(grey, nothing(96, 96), name="one")
    left, right = picture[:, : 2 * PANEL_PX], picture[:, 2 * PANEL_PX + 30 : 3 * PANEL_PX]
    assert share(left, labels.FREE) > 0.002
    assert share(right[40:-40], labels.FREE) == share(right[40:-40], OCCLUDED) == 0


def test_views_of_any_shape_stack(view: View) -> None:
    wide = replace(view, image=np.full((60, 200, 3), 90, dtype=np.uint8), labels=replace(view.labels, instances=()))
    wide = replace(
        wide,
        labels=replace(
            wide.labels,
            instance_ids=np.zeros((60, 200), np.int32),
            depth_m=np.ones((60, 200), np.float32),
            suction=np.zeros((60, 200), np.float32),
        ),
    )
    pictures = [comparison(view, nothing(96, 96), name="a"), comparison(wide, nothing(60, 200), name="b")]
    assert pictures[0].shape[1] == pictures[1].shape[1]
    assert pictures[0].shape[0] > pictures[1].shape[0]


def test_a_missing_suction_label_is_said(view: View) -> None:
    lacking = replace(view, labels=replace(view.labels, missing=frozenset({"suction"})))
    here, there = (comparison(one, nothing(96, 96), name="one") for one in (view, lacking))
    panel = slice(PANEL_PX + 10, 2 * PANEL_PX)
    assert not np.array_equal(here[:, panel], there[:, panel])
    assert np.array_equal(here[:, 2 * PANEL_PX + 30 :], there[:, 2 * PANEL_PX + 30 :])
