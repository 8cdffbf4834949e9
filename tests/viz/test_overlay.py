"""What must be seen in an overlay, looked for by its colour."""

from __future__ import annotations

import numpy as np
import pytest

from graspnext.types import Prediction
from graspnext.viz.overlay import CENTER, FREE, GAP_PX, OCCLUDED, overlay

GREY = np.full((300, 500, 3), 128, dtype=np.uint8)


def prediction(scores: tuple[float, ...] = (0.9, 0.8), *, height: int = 300, width: int = 500) -> Prediction:
    count = len(scores)
    heat = np.zeros((60, 100), dtype=np.float32)
    heat[15, 75] = 1.0
    full = np.ones((count, 28, 28), dtype=np.float32)
    visible = full.copy()
    visible[:, :, :14] = 0
    boxes = np.array([[50, 60, 170, 240], [300, 100, 420, 220]], dtype=np.float32)[:count]
    return Prediction(
        width=width,
        height=height,
        scores=np.array(scores, dtype=np.float32),
        amodal_boxes=boxes,
        visible_masks=visible,
        amodal_masks=full,
        occluded_probability=np.array([0.9, 0.1], dtype=np.float32)[:count],
        center_of_mass=np.array([[110, 150], [360, 160]], dtype=np.float32)[:count],
        suction=heat,
    )


def close_to(picture: np.ndarray, colour: tuple[int, int, int], margin: int = 30) -> np.ndarray:
    return np.abs(picture.astype(int) - colour).max(axis=-1) <= margin


def panels(picture: np.ndarray, width: int = 500) -> list[np.ndarray]:
    starts = [GAP_PX + index * (width + GAP_PX) for index in range(3)]
    return [picture[:, start : start + width] for start in starts]


def test_colours_tell_occluded_from_free() -> None:
    first = panels(overlay(GREY, prediction()))[0]
    body = first[40:330]  # without the legend
    blue, red = np.argwhere(close_to(body, OCCLUDED)), np.argwhere(close_to(body, FREE))
    assert len(blue) > 100
    assert len(red) > 100
    assert blue[:, 1].max() < 180
    assert red[:, 1].min() > 290


def test_the_visible_half_is_filled_and_the_hidden_half_is_not() -> None:
    first = panels(overlay(GREY, prediction()))[0]
    top = 30  # of the picture, below the title
    hidden, seen = first[top + 150, 80].astype(int), first[top + 150, 140].astype(int)
    assert np.abs(hidden - 128).max() < 4
    assert seen[2] > 135
    assert seen[0] < 125


def test_a_dot_marks_each_centre_of_mass() -> None:
    second = panels(overlay(GREY, prediction()))[1]
    found = np.argwhere(close_to(second, CENTER))
    for u in (110, 360):
        near = found[np.abs(found[:, 1] - u) < 12]
        assert len(near) > 20
        assert near[:, 1].mean() == pytest.approx(u, abs=1)


def test_the_heat_peak_is_red_and_the_rest_blue() -> None:
    third = panels(overlay(GREY, prediction()))[2][40:300].astype(int)
    redness = third[..., 0] - third[..., 2]
    row, column = np.unravel_index(redness.argmax(), redness.shape)
    assert abs(column - 377) < 12
    assert abs(row + 40 - 30 - 77) < 12
    assert (redness < 0).mean() > 0.9


def test_instances_below_the_score_are_left_out() -> None:
    first = panels(overlay(GREY, prediction(), min_score=0.85))[0][40:330]
    assert close_to(first, OCCLUDED).any()
    assert not close_to(first, FREE).any()


@pytest.mark.parametrize(("height", "width"), [(32, 48), (1500, 900), (20, 2000), (2000, 20), (1, 1)])
def test_any_shape_gives_a_picture(height: int, width: int) -> None:
    image = np.zeros((height, width, 3), dtype=np.uint8)
    picture = overlay(image, prediction(height=height, width=width))
    assert picture.dtype == np.uint8
    assert max(picture.shape) < 5000
    assert min(picture.shape[:2]) > 20


def test_no_instances_at_all() -> None:
    assert overlay(GREY, prediction(())).shape[2] == 3


def test_a_prediction_for_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the image is"):
        overlay(GREY[:-1], prediction())
