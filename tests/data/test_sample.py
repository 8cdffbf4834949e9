"""Samples at full size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graspnext.data.sample import mean_pool, sample_of
from graspnext.types import View


@pytest.mark.parametrize("shape", [(8, 12), (9, 10), (1, 1), (3, 17)])
def test_mean_pool_is_the_mean_of_each_block(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).random(shape).astype(np.float32)
    pooled = mean_pool(values, 4)
    assert pooled.shape == (-(-shape[0] // 4), -(-shape[1] // 4))
    for row, column in np.ndindex(pooled.shape):
        block = values[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert pooled[row, column] == pytest.approx(float(block.mean()), abs=1e-6)


def test_a_sample_keeps_all_labels_of_its_view(tiny_view: Callable[..., View]) -> None:
    view = tiny_view("s", 0, size=64, num_parts=4, rng=np.random.default_rng(5))
    sample = sample_of(view)
    assert sample.image is view.image
    assert sample.suction.shape == (16, 16)
    for index, one in enumerate(view.labels.instances):
        np.testing.assert_array_equal(sample.visible_masks[index], one.visible_mask)
        np.testing.assert_array_equal(sample.amodal_masks[index], one.amodal_mask)
        np.testing.assert_array_equal(sample.boxes[index], one.amodal_box)
        np.testing.assert_array_equal(sample.centers[index], one.center_of_mass[:2])
        assert (sample.occluded[index], sample.ignore[index]) == (one.occluded, one.ignore)


def test_a_view_without_parts_has_empty_targets(tiny_view: Callable[..., View]) -> None:
    sample = sample_of(tiny_view("s", 0, size=32, num_parts=0, rng=np.random.default_rng(5)))
    assert sample.boxes.shape == (0, 4)
    assert sample.visible_masks.shape == sample.amodal_masks.shape == (0, 32, 32)
    assert sample.centers.shape == (0, 2)
    assert sample.occluded.shape == sample.ignore.shape == (0,)
