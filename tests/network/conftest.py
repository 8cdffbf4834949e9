"""Drawn views with true labels: rectangles and ellipses in layers on a textured ground."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from graspnext.types import Targets

DrawView = Callable[..., tuple[torch.Tensor, Targets]]


def _tight_box(mask: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def _draw_view(*, size: int, count: int, rng: np.random.Generator) -> tuple[torch.Tensor, Targets]:
    """An image (3, size, size) uint8 and its labels; every later shape lies on top of the earlier ones."""
    y, x = np.mgrid[:size, :size] + 0.5
    image = np.kron(rng.uniform(0, 0.3, (3, size // 8, size // 8)), np.ones((1, 8, 8)))
    ids, amodal = np.zeros((size, size), dtype=int), []
    while len(amodal) < count:
        cx, cy = rng.uniform(0.1, 0.9, 2) * size
        a, b = rng.uniform(0.06, 0.2, 2) * size
        angle = rng.uniform(0, np.pi)
        u = ((x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)) / a
        v = ((y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)) / b
        inside = np.maximum(abs(u), abs(v)) < 1 if len(amodal) % 2 else u**2 + v**2 < 1
        amodal.append(inside)
        ids[inside] = len(amodal)
        image[:, inside] = rng.uniform(0.3, 1, (3, 1))
    masks = np.stack(amodal)
    visible = np.stack([ids == k + 1 for k in range(count)])
    seen, whole = visible.sum((1, 2)), masks.sum((1, 2))
    grid_y, grid_x = np.mgrid[:size, :size] + 0.5
    centers = np.stack([(masks * grid_x).sum((1, 2)) / whole, (masks * grid_y).sum((1, 2)) / whole], axis=1)
    suction = (ids > 0).reshape(size // 4, 4, size // 4, 4).mean((1, 3))
    targets = Targets(
        boxes=torch.tensor([_tight_box(m) for m in masks], dtype=torch.float32),
        visible_masks=torch.from_numpy(visible),
        amodal_masks=torch.from_numpy(masks),
        occluded=torch.from_numpy(1 - seen / whole >= 0.05),
        centers=torch.from_numpy(centers).float(),
        ignore=torch.from_numpy(seen < 20),
        suction=torch.from_numpy(suction).float(),
    )
    return torch.from_numpy((image * 255).astype(np.uint8)), targets


@pytest.fixture(name="draw_view", scope="session")
def draw_view_fixture() -> DrawView:
    return _draw_view


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # small tensors: more threads only wait for each other
