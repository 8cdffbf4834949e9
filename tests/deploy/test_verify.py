"""Differences that are planted must be found, and only those."""

from __future__ import annotations

import numpy as np
import pytest

from graspnext.deploy.verify import Tolerance, check_frames, differences, faults
from graspnext.errors import ConfigError


def outputs(count: int = 12) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    low = np.arange(count)[:, None] * 30 + rng.uniform(0, 5, (count, 2))
    return {
        "scores": np.linspace(0.9, 0.3, count).astype(np.float32),
        "amodal_boxes": np.concatenate([low, low + 20], axis=1).astype(np.float32),
        "visible_masks": rng.uniform(size=(count, 4, 4)).astype(np.float32),
        "amodal_masks": rng.uniform(size=(count, 4, 4)).astype(np.float32),
        "occluded_probability": rng.uniform(size=count).astype(np.float32),
        "center_of_mass": (low + 10).astype(np.float32),
        "suction": rng.uniform(size=(8, 8)).astype(np.float32),
        "valid": np.ones(2, dtype=np.float32),
        "count": np.array(count),
    }


def test_equal_outputs_in_another_order_do_not_differ() -> None:
    reference, other = outputs(), outputs()
    order = np.random.default_rng(1).permutation(12)
    for name in other:
        if other[name].shape[:1] == (12,):
            other[name] = other[name][order]
    found = differences(reference, other)
    assert found["detections"] == 12
    assert not any(value for name, value in found.items() if name != "detections")
    assert not faults(found, Tolerance())


@pytest.mark.parametrize(
    ("name", "index", "change", "quantity"),
    [
        ("scores", 3, 0.01, "score"),
        ("amodal_boxes", (5, 2), 0.7, "box_px"),
        ("center_of_mass", (5, 0), -3.0, "center_px"),
        ("visible_masks", (0, 1, 1), 0.2, "probability"),
        ("amodal_masks", (7, 1, 1), 0.2, "probability"),
        ("occluded_probability", 1, 0.2, "probability"),
        ("suction", (2, 2), 0.01, "suction"),
        ("valid", 0, -0.1, "valid"),
    ],
)
def test_one_changed_number_is_found(name: str, index: object, change: float, quantity: str) -> None:
    other = outputs()
    other[name][index] += change
    found = differences(outputs(), other)
    assert found[quantity] == pytest.approx(abs(change), abs=1e-4)
    said = faults(found, Tolerance())
    assert len(said) == 1
    assert said[0].startswith(f"{quantity} differs")


def test_missing_detections_are_counted() -> None:
    other = outputs()
    other["scores"][4:6] = 0
    found = differences(outputs(), other)
    assert found["unmatched"] == 2
    assert faults(found, Tolerance()) == ["2 of 12 detections have no counterpart"]
    assert not faults(found, Tolerance(unmatched_share=0.2))


def test_nan_is_a_fault() -> None:
    other = outputs()
    other["suction"][0, 0] = np.nan
    assert faults(differences(outputs(), other), Tolerance())


def test_nothing_on_either_side() -> None:
    empty = outputs(0)
    assert not faults(differences(empty, outputs(0)), Tolerance())
    assert faults(differences(empty, outputs(3)), Tolerance())


def test_frames_are_the_same_for_the_same_seed() -> None:
    first, again = (check_frames(rng=np.random.default_rng(3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({frame.shape for frame in first}) >= 4


def test_a_negative_tolerance_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"tolerance\.score is -1"):
        Tolerance(score=-1)
