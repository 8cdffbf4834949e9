"""What must be seen in the curves of a run, looked for by its colour."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from graspnext.types import UInt8Array
from graspnext.viz.curves import COLOURS, HEIGHT, WIDTH, curves

LOSSES = (slice(80, 541), slice(70, 1011))
"""Rows and columns of the losses' axes."""


def line(step: int, **changes: Any) -> dict[str, Any]:
    own = {"step": step, "losses": {"box": 1.0, "total": 1.0}, "lr": 1e-3, "grad_norm": 2.0, "images_per_s": 10.0}
    return own | changes


def rows_of(picture: UInt8Array, colour: tuple[int, int, int], columns: slice) -> np.ndarray:
    """Mean row of a colour within the losses' axes, from the top of the axes."""
    axes = picture[LOSSES][:, columns].astype(int)
    rows, _ = np.nonzero(np.abs(axes - colour).max(axis=-1) <= 12)
    return rows


def test_a_loss_that_halves_evenly_is_a_straight_line_from_corner_to_corner() -> None:
    lines = [line(step, losses={"box": 2.0 ** (-step / 20)}) for step in range(1, 201)]
    picture = curves(lines, title="run")
    assert picture.shape == (HEIGHT, WIDTH, 3) and picture.dtype == np.uint8
    left, middle, right = (rows_of(picture, COLOURS[0], slice(at, at + 40)).mean() for at in (20, 460, 900))
    assert left < 60 and right > 400
    assert middle == pytest.approx((left + right) / 2, abs=4)


def test_smoothing_lies_amid_noise_and_the_noise_stays_faint() -> None:
    rng = np.random.default_rng(0)
    lines = [line(step, losses={"box": float(np.exp(rng.normal(0, 0.5)))}) for step in range(1, 1201)]
    picture = curves(lines, title="run")
    strong = rows_of(picture, COLOURS[0], slice(0, 940))
    high = picture[LOSSES].shape[0]
    assert abs(strong.mean() - high / 2) < 40  # exp(noise) has its median at 1, the middle of the logarithmic axis
    assert strong.std() < 40
    faint = np.abs(picture[LOSSES].astype(int) - picture[0, 0]).max(axis=-1) > 20
    assert faint.any(axis=1).mean() > 0.9  # the noise itself reaches over the whole height


def test_what_a_logarithm_does_not_know_is_left_out() -> None:
    values = [1.0, 0.0, -3.0, math.nan, 1.0]
    lines = [line(step, losses={"box": value, "total": 1.0}) for step, value in enumerate(values, start=1)]
    lines[2]["grad_norm"] = math.inf
    del lines[3]["images_per_s"]
    assert curves(lines, title="run").shape == (HEIGHT, WIDTH, 3)


def test_one_line_is_a_dot_and_none_is_refused() -> None:
    picture = curves([line(1, losses={"box": 0.5})], title="run")
    assert (np.abs(picture[LOSSES].astype(int) - COLOURS[0]).max(axis=-1) < 12).any()
    with pytest.raises(ValueError, match="at least one line"):
        curves([], title="run")


def test_losses_keep_their_colours_and_new_ones_find_theirs() -> None:
    names = [f"loss_{index}" for index in range(12)]
    lines = [line(s, losses={name: 1.0 + index for index, name in enumerate(names)}) for s in (1, 2, 3)]
    picture = curves(lines, title="run").reshape(-1, 3).astype(int)
    for colour in COLOURS:
        assert (np.abs(picture - colour).max(axis=-1) < 6).any()
