"""The endless stream of training samples: sample n depends on (seed, n) and the dataset alone.

One permutation of the split follows another, each drawn from (seed, epoch); each sample is augmented from
(seed, epoch, position). Parts to paste come from the views of the other samples in the same group of four: who makes
a whole group opens each of its views once.
"""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np

from graspnext.data.augmentation import AugmentationConfig, augment_at, draw_placement
from graspnext.data.copy_paste import can_be_pasted
from graspnext.data.reader import Dataset, OpenView
from graspnext.data.sample import Sample
from graspnext.errors import ConfigError, DatasetError
from graspnext.types import View

GROUP = 4
"""Samples 0 ... 3, 4 ... 7, ... give each other parts to paste: as many as a small batch has, so that a worker that
makes whole batches seldom opens a view for its parts alone."""


class SampleStream:
    """The endless stream of augmented samples of one split, by number."""

    def __init__(self, dataset: Dataset, split: str, augmentation: AugmentationConfig, seed: int) -> None:
        """Look up the split's views.

        Raises:
            UnknownNameError: No split has that name.
            DatasetError: The split is empty.
            ConfigError: The seed is negative.
        """
        if seed < 0:
            raise ConfigError("seed", seed, "0 or more")
        self._dataset = dataset
        self._entries = dataset.split(split)
        if not self._entries:
            raise DatasetError(dataset.root, f"its split '{split}' is empty", "make a dataset with more scenes")
        self._augmentation = augmentation
        self._seed = seed
        self._order = lru_cache(maxsize=2)(self._draw_order)  # a group may lie in two epochs
        self._open = lru_cache(maxsize=GROUP if augmentation.paste_probability else 1)(self._read)

    def __len__(self) -> int:
        """Number of views in one epoch."""
        return len(self._entries)

    def sample(self, number: int) -> Sample:
        """Sample 0, 1, ... of the stream.

        Raises:
            DatasetError: The view cannot be read, or the one that parts are pasted from.
        """
        rng = np.random.default_rng([self._seed, *divmod(number, len(self))])
        place = draw_placement(self._dataset.info.image_size, self._augmentation, rng=rng)
        view = self._open(self._index(number)).view(lambda instance: place.shows(instance.amodal_box))
        return augment_at(place, view, self._augmentation, rng=rng, donor=partial(self._donor, number))

    def _donor(self, number: int, rng: np.random.Generator) -> View:
        """The view of another sample of the group, with the instances that can be pasted."""
        first = number - number % GROUP
        other = first + (number - first + int(rng.integers(1, GROUP))) % GROUP
        size = self._dataset.info.image_size
        return self._open(self._index(other)).view(lambda instance: can_be_pasted(instance, size))

    def _index(self, number: int) -> int:
        epoch, position = divmod(number, len(self))
        return self._order(epoch)[position]

    def _draw_order(self, epoch: int) -> list[int]:
        return [int(index) for index in np.random.default_rng([self._seed, epoch]).permutation(len(self))]

    def _read(self, index: int) -> OpenView:
        return self._dataset.open(self._entries[index])
