"""Matching against a plain search, and its edge cases."""

from __future__ import annotations

import numpy as np

from graspnext.learning.metrics.matching import match


def plain(detections: np.ndarray, instances: np.ndarray) -> list[tuple[int, int]]:
    """The definition, box by box."""

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        width = min(a[2], b[2]) - max(a[0], b[0])
        height = min(a[3], b[3]) - max(a[1], b[1])
        inter = max(width, 0) * max(height, 0)
        return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)

    free, pairs = list(range(len(instances))), []
    for index, box in enumerate(detections):
        ranked = sorted(free, key=lambda k: (-overlap(box, instances[k]), k))
        if ranked and overlap(box, instances[ranked[0]]) >= 0.5:
            pairs.append((index, ranked[0]))
            free.remove(ranked[0])
    return pairs


def test_equals_the_definition() -> None:
    rng = np.random.default_rng(3)
    total = 0
    for _ in range(200):
        corners = rng.integers(0, 30, (int(rng.integers(0, 8)), 2))
        instances = np.concatenate([corners, corners + rng.integers(4, 20, corners.shape)], axis=1)
        near = instances[rng.integers(0, len(instances), 10)] if len(instances) else np.zeros((0, 4))
        detections = near + rng.integers(-2, 3, near.shape)
        detections = detections[(detections[:, 2:] > detections[:, :2]).all(axis=1)]
        pairs = match(detections.astype(np.float32), instances.astype(np.float32).reshape(-1, 4))
        assert pairs == plain(detections, instances)
        total += len(pairs)
    assert total > 300


def test_the_better_score_takes_the_instance() -> None:
    instance = np.array([[0, 0, 10, 10]], np.float32)
    detections = np.array([[0, 0, 10, 6], [0, 0, 10, 10]], np.float32)  # the second fits better but comes later
    assert match(detections, instance) == [(0, 0)]


def test_nothing_to_match() -> None:
    none, one = np.zeros((0, 4), np.float32), np.array([[0, 0, 1, 1]], np.float32)
    assert match(none, one) == match(one, none) == match(none, none) == []
