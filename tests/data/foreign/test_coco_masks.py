"""Masks in all of COCO's forms, against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco
from tests.data.foreign.coco_files import compressed, plain

from graspnext.data.foreign.coco_masks import decode_segmentation


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths(seed: int) -> None:
    mask = np.random.default_rng(seed).random((23, 31)) < (0, 0.1, 0.5, 0.9, 1)[seed]
    for content in (compressed(mask), plain(mask)):
        np.testing.assert_array_equal(decode_segmentation(content, (23, 31)), mask)


@pytest.mark.parametrize("seed", range(8))
def test_polygons_agree_with_the_reference_but_for_their_rim(seed: int) -> None:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
    radii = rng.uniform(8, 40, 9)
    polygon = np.stack([50 + radii * np.cos(angles), 45 + radii * np.sin(angles)], axis=1).ravel().tolist()
    ours = decode_segmentation([polygon], (90, 100))
    theirs = coco.decode(coco.merge(coco.frPyObjects([polygon], 90, 100))).astype(bool)
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.9  # the reference rounds corners to fifths of pixels
    rows, columns = np.nonzero(ours != theirs)
    ends = np.roll(np.reshape(polygon, (-1, 2)), -1, axis=0)
    distance = [
        min(_distance((c + 0.5, r + 0.5), a, b) for a, b in zip(np.reshape(polygon, (-1, 2)), ends, strict=True))
        for r, c in zip(rows, columns, strict=True)
    ]
    assert max(distance, default=0) < 1.5


def _distance(point: tuple[float, float], a: np.ndarray, b: np.ndarray) -> float:  # type: ignore[type-arg]
    t = np.clip(np.dot(np.subtract(point, a), b - a) / np.dot(b - a, b - a), 0, 1)
    return float(np.linalg.norm(np.subtract(point, a + t * (b - a))))


def test_a_square_is_exact_and_two_polygons_are_joined() -> None:
    square = [2.0, 3.0, 6.0, 3.0, 6.0, 8.0, 2.0, 8.0]
    mask = decode_segmentation([square, [7.0, 0.0, 9.0, 0.0, 9.0, 2.0, 7.0, 2.0]], (10, 10))
    wanted = np.zeros((10, 10), dtype=bool)
    wanted[3:8, 2:6] = wanted[0:2, 7:9] = True
    np.testing.assert_array_equal(mask, wanted)
    assert decode_segmentation([[-5.0, -5.0, 50.0, -5.0, 50.0, 50.0, -5.0, 50.0]], (10, 10)).all()


@pytest.mark.parametrize(
    "content",
    [
        None,
        3,
        "abc",
        {},
        {"size": [10, 10]},
        {"size": [10, 11], "counts": [100]},
        {"size": [10, 10], "counts": [99]},
        {"size": [10, 10], "counts": [-1, 101]},
        {"size": [10, 10], "counts": [1e9, 1]},
        {"size": [10, 10], "counts": [True] * 100},
        {"size": [10, 10], "counts": "\x00"},
        {"size": "ab", "counts": [100]},
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, "6"]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [3],
        [[1e300] * 6],
    ],
)
def test_malformed_masks_are_value_errors(content: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_segmentation(content, (10, 10))
