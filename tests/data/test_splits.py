"""Splits by scene."""

from __future__ import annotations

from collections import Counter

import pytest

from graspnext.data.splits import split_of


def test_any_five_scenes_in_a_row_are_three_one_one() -> None:
    for start in range(50):
        counts = Counter(split_of(index, novel=False) for index in range(start, start + 5))
        assert counts == {"train": 3, "val": 1, "test": 1}


def test_novel_scenes_are_novel_whatever_their_number() -> None:
    assert {split_of(index, novel=True) for index in range(10)} == {"novel"}


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        split_of(-1, novel=False)
