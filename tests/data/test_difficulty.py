"""Difficulty levels: every rate has one, rising; by mean over all parts."""

import itertools

import numpy as np
import pytest
from tests.conftest import make_tiny_view

from graspnext.data.difficulty import LEVEL_STARTS, LEVELS, difficulty_of, difficulty_of_rates


def test_levels_rise_and_cover_all_rates() -> None:
    assert all(low < high for low, high in itertools.pairwise(LEVEL_STARTS))
    levels = [difficulty_of_rates([rate]) for rate in np.linspace(0, 1, 1001)]
    assert levels == sorted(levels)
    assert set(levels) == set(LEVELS) == {1, 2, 3, 4, 5}
    assert [difficulty_of_rates([start]) for start in LEVEL_STARTS] == list(LEVELS)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="occluded rate"):
        difficulty_of_rates([0.5, rate])


@pytest.mark.parametrize(("seen", "total", "level"), [(900, 1000, 3), (98, 100, 2), (4, 5, 4), (901, 1000, 2)])
def test_files_say_what_they_were_written_from(seen: int, total: int, level: int) -> None:
    """1 - 900 / 1000 is a little less than 0.1, and 0.1 in a file of six digits."""
    rate = 1 - seen / total
    assert difficulty_of_rates([rate]) == difficulty_of_rates([round(rate, 6)]) == level


def test_the_mean_over_all_parts_decides() -> None:
    assert difficulty_of([]) == 1
    view = make_tiny_view("000000", 0, size=96, num_parts=6, rng=np.random.default_rng(3))
    mean = np.mean([instance.occluded_rate for instance in view.labels.instances])
    assert difficulty_of(view.labels.instances) == sum(mean >= start for start in LEVEL_STARTS)
