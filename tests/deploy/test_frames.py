"""Frames to compare on, from a dataset or drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graspnext.deploy.frames import check_frames, dataset_frames, drawn_frames
from graspnext.errors import ConfigError, DatasetError, UnknownNameError


def test_views_of_a_dataset_are_spread_over_the_split(tiny_dataset: Path) -> None:
    every = dataset_frames(tiny_dataset, "train", limit=1000)
    some = dataset_frames(tiny_dataset, "train", limit=3)
    assert len(some) == 3 and set(some.names) < set(every.names) and some.names[0] == every.names[0]
    assert some.about == "3 views of dataset, split train" and some.labelled
    image, view = some.read(1)
    assert view is not None and image is view.image and image.shape == (96, 96, 3)
    assert some.names[1].endswith(f"{view.scene_id}/{view.view_id}_rgb.png")


def test_mistakes_are_named(tiny_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="limit is 0"):
        dataset_frames(tiny_dataset, "test", limit=0)
    with pytest.raises(UnknownNameError, match="unknown split 'all'"):
        dataset_frames(tiny_dataset, "all", limit=5)
    with pytest.raises(DatasetError):
        dataset_frames(tmp_path, "test", limit=5)
    with pytest.raises(ConfigError, match="frames is 0"):
        drawn_frames(0, rng=np.random.default_rng(0))


def test_drawn_frames_are_the_same_for_the_same_seed() -> None:
    first, again = (check_frames(7, rng=np.random.default_rng(3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({frame.shape for frame in first}) == 5
    assert not np.array_equal(first[0], first[5]), "the shapes return, the pictures do not"
    frames = drawn_frames(7, rng=np.random.default_rng(3))
    assert np.array_equal(frames.read(6)[0], first[6]) and frames.read(6)[1] is None and not frames.labelled
