"""Run lengths against pycocotools, which shares no code with ours."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from graspnext.geometry import masks

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=70))


@given(MASKS)
def test_encode_equals_pycocotools(mask: np.ndarray) -> None:
    ours = masks.encode(mask)
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert ours["counts"] == theirs["counts"].decode()
    assert ours["size"] == list(theirs["size"])


@given(MASKS)
def test_decode_inverts_pycocotools(mask: np.ndarray) -> None:
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert np.array_equal(masks.decode(mask.shape, theirs["counts"].decode()), mask)


@given(MASKS)
def test_area_is_the_number_of_pixels(mask: np.ndarray) -> None:
    assert masks.area(mask.shape, str(masks.encode(mask)["counts"])) == np.count_nonzero(mask)


def test_large_blobs_round_trip() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:1200, :1200]
    for _ in range(20):
        cx, cy, r = rng.uniform(0, 1200, 3)
        mask = (rows - cy) ** 2 + (columns - cx) ** 2 < r * r
        rle = masks.encode(mask)
        assert rle["counts"] == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        assert np.array_equal(masks.decode(mask.shape, str(rle["counts"])), mask)


@given(st.text(max_size=40), st.integers(0, 50), st.integers(0, 50))
def test_damaged_strings_give_value_error_or_a_mask(text: str, height: int, width: int) -> None:
    with contextlib.suppress(ValueError):
        assert masks.decode((height, width), text).shape == (height, width)


def test_decode_refuses_runs_that_do_not_fit() -> None:
    rle = masks.encode(np.ones((4, 4), dtype=bool))
    with pytest.raises(ValueError, match="runs cover 16 pixels but the mask has 25"):
        masks.decode((5, 5), str(rle["counts"]))
    with pytest.raises(ValueError, match="out of range"):
        masks.decode((1 << 20, 1 << 20), str(rle["counts"]))


def test_paste_of_a_full_mask_fills_its_box() -> None:
    out = masks.paste(np.ones((28, 28), dtype=np.float32), np.array([3, 5, 13, 9], dtype=np.float32), 20, 30)
    expected = np.zeros((20, 30), dtype=np.float32)
    expected[5:9, 3:13] = 1
    assert np.allclose(out, expected)


def test_paste_outside_the_image_is_cut() -> None:
    out = masks.paste(np.ones((4, 4), dtype=np.float32), np.array([-5, -5, 2, 2], dtype=np.float32), 6, 6)
    assert np.allclose(out[:2, :2], 1)
    assert out.sum() == pytest.approx(4)
    assert masks.paste(np.ones((4, 4), dtype=np.float32), np.array([9, 9, 12, 12], dtype=np.float32), 6, 6).sum() == 0


@given(
    st.tuples(st.floats(-15, 30), st.floats(-15, 30)),
    st.tuples(st.floats(0.5, 40), st.floats(0.5, 40)),
    st.integers(2, 9),
)
def test_paste_interpolates_between_cell_centres(
    corner: tuple[float, float], sides: tuple[float, float], cells: int
) -> None:
    roi = np.random.default_rng(cells).random((cells, cells), dtype=np.float32)
    box = np.array([*corner, corner[0] + sides[0], corner[1] + sides[1]], dtype=np.float32)
    out = masks.paste(roi, box, 24, 24)
    centres = (np.arange(cells) + 0.5) / cells
    x, y = np.arange(24) + 0.5, np.arange(24) + 0.5
    for row in range(24):
        along = (y[row] - box[1]) / (box[3] - box[1])
        line = [np.interp(along, centres, roi[:, column]) for column in range(cells)]
        expected = np.interp((x - box[0]) / (box[2] - box[0]), centres, line)
        expected *= (x >= box[0]) & (x <= box[2]) & (y[row] >= box[1]) & (y[row] <= box[3])
        assert np.allclose(out[row], expected, atol=1e-3)
