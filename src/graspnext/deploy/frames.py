"""Pictures to compare runtimes on: views of a dataset, or drawn ones where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graspnext.data.reader import Dataset, files_of
from graspnext.errors import ConfigError, DatasetError
from graspnext.learning.evaluate import choose
from graspnext.types import UInt8Array, View

_SHAPES = ((120, 160), (480, 640), (640, 360), (32, 48), (700, 1100))
"""Rows and columns of the drawn pictures, in turn."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Numbered pictures, read one at a time."""

    names: tuple[str, ...]
    """What reports call them: the file of a view, or a number."""
    about: str
    """Where they come from, in words."""
    labelled: bool
    """Whether there are labels, so that metrics can be measured."""
    read: Callable[[int], tuple[UInt8Array, View | None]]
    """A frame's image (H, W, 3) uint8, RGB, and its view where it has labels."""

    def __len__(self) -> int:
        return len(self.names)


def dataset_frames(root: Path, split: str, *, limit: int) -> Frames:
    """At most `limit` views of a split, spread evenly over it.

    Raises:
        DatasetError: The dataset cannot be read, or the split is empty.
        UnknownNameError: There is no such split.
        ConfigError: The limit is below 1.
    """
    dataset = Dataset(root)
    entries = choose(dataset.split(split), limit)
    if not entries:
        raise DatasetError(root, f"no views in the split '{split}'", "choose another split")

    def read(index: int) -> tuple[UInt8Array, View | None]:
        view = dataset.read(entries[index], depth=False)
        return view.image, view

    names = tuple(files_of(entry)["rgb"] for entry in entries)
    return Frames(names, f"{len(entries)} views of {root.resolve().name}, split {split}", True, read)


def drawn_frames(count: int, *, rng: np.random.Generator) -> Frames:
    """Pictures of `check_frames`, without labels.

    Raises:
        ConfigError: The count is below 1.
    """
    if count < 1:
        raise ConfigError("frames", count, "at least 1")
    pictures = check_frames(count, rng=rng)
    names = tuple(f"drawn {number}" for number in range(count))
    return Frames(names, f"{count} drawn pictures without labels", False, lambda index: (pictures[index], None))


def check_frames(count: int = len(_SHAPES), *, rng: np.random.Generator) -> list[UInt8Array]:
    """Images (H, W, 3) uint8 of five shapes in turn: noise, and coloured boxes and discs over gradients."""
    frames = []
    for number in range(count):
        height, width = _SHAPES[number % len(_SHAPES)]
        if number % len(_SHAPES) == 0:
            frames.append(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
            continue
        rows, columns = np.mgrid[:height, :width]
        picture = np.stack([rows * 90 / height + 60, columns * 90 / width + 60, (rows + columns) % 61 + 60], axis=-1)
        for _ in range(14):
            u, v, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.04, 0.2) * max(height, width)
            aspect = rng.uniform(0.4, 2.5)
            if rng.random() < 0.5:
                inside = np.hypot(columns - u, (rows - v) * aspect) < radius
            else:
                inside = (np.abs(columns - u) < radius) & (np.abs(rows - v) * aspect < radius)
            picture[inside] = rng.uniform(0, 255, 3)
        noisy = picture + rng.normal(0, 4, picture.shape)
        frames.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return frames
