"""Pooling of the suction map."""

from __future__ import annotations

import numpy as np
import pytest

from graspnext.data.sample import mean_pool


@pytest.mark.parametrize("shape", [(8, 12), (9, 10), (1, 1), (3, 17)])
def test_mean_pool_is_the_mean_of_each_block(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).random(shape).astype(np.float32)
    pooled = mean_pool(values, 4)
    assert pooled.shape == (-(-shape[0] // 4), -(-shape[1] // 4))
    for row, column in np.ndindex(pooled.shape):
        block = values[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert pooled[row, column] == pytest.approx(float(block.mean()), abs=1e-6)
